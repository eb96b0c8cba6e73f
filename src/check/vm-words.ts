/** What a piece of a QEMU command line says: `driver,a=b,c` with the key of the first, or JSON. */
export type Settings = Record<string, string>;

/** Words of QEMU for yes and no. Source: QEMU qapi/qapi-util.c qapi_bool_parse(). */
const SWITCH: Readonly<Record<string, string>> = { true: 'on', yes: 'on', y: 'on', false: 'off', no: 'off', n: 'off' };

/**
 * Splits text that people post into the words that a shell would give to QEMU: quotes, backslashes and lines that go on are
 * understood, comments left out. Beyond a shell, typographic quotes are quotes, and JSON keeps its own where nobody quoted it.
 * Never throws.
 */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  // Where one bracket is not closed the text is broken, and to look for the end of each again would take for ever.
  let jsonEnds = true;
  const put = (piece: string) => {
    word = (word ?? '') + piece;
  };
  const plain = text.replace(/[“”„]/g, '"').replace(/[‘’]/g, "'");
  for (let at = 0; at < plain.length; at++) {
    const char = plain[at]!;
    if (char === '\\') {
      at++;
      if (plain[at] === '\r' && plain[at + 1] === '\n') at++;
      else if (plain[at] !== '\n' && at < plain.length) put(plain[at]!);
    } else if (/\s/.test(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (char === "'") {
      const end = plain.indexOf("'", at + 1);
      put(plain.slice(at + 1, end < 0 ? plain.length : end));
      at = end < 0 ? plain.length : end;
    } else if (char === '"') {
      const { value, end } = doubleQuoted(plain, at + 1);
      put(value);
      at = end;
    } else if (char === '#' && word === undefined) {
      const end = plain.indexOf('\n', at);
      at = end < 0 ? plain.length : end;
    } else if (char === '{' && word === undefined && jsonEnds) {
      const end = endOfJson(plain, at);
      jsonEnds = end !== undefined;
      put(plain.slice(at, end ?? at + 1));
      at = (end ?? at + 1) - 1;
    } else put(char);
  }
  if (word !== undefined) words.push(word);
  return words;
}

function doubleQuoted(text: string, from: number): { value: string; end: number } {
  let value = '';
  let at = from;
  for (; at < text.length && text[at] !== '"'; at++) {
    if (text[at] === '\\' && /["\\$`\n]/.test(text[at + 1] ?? '')) {
      at++;
      if (text[at] !== '\n') value += text[at];
    } else value += text[at];
  }
  return { value, end: at };
}

/** Behind the bracket that closes the one at `from`; undefined when none does. */
function endOfJson(text: string, from: number): number | undefined {
  let depth = 0;
  let quoted = false;
  for (let at = from; at < text.length; at++) {
    const char = text[at];
    if (quoted && char === '\\') at++;
    else if (char === '"') quoted = !quoted;
    else if (!quoted && char === '{') depth++;
    else if (!quoted && char === '}' && --depth === 0) return at + 1;
  }
  return undefined;
}

/**
 * Settings of one value: `first,a=b,c=d,,e,flag`, where two commas are one of the value, or a JSON object as libvirt writes
 * it; nested keys become `outer.inner`. The last of a key counts, as it does for QEMU.
 * @param implied key of a first part without `=`
 */
export function readSettings(text: string, implied: string): Settings {
  const settings: Settings = {};
  if (text.startsWith('{')) {
    const json = readJson(text);
    if (json !== undefined) flatten(json, '', settings);
    return settings;
  }
  const parts = text.match(/(?:,,|[^,])+/g) ?? [];
  for (const [i, part] of parts.entries()) {
    const piece = part.replaceAll(',,', ',');
    const equals = piece.indexOf('=');
    if (equals >= 0) settings[piece.slice(0, equals)] = switchWord(piece.slice(equals + 1));
    else if (i === 0) settings[implied] = piece;
    else settings[piece] = 'on';
  }
  return settings;
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text.slice(0, text.lastIndexOf('}') + 1));
  } catch {
    return undefined;
  }
}

/** JSON of QEMU is two or three levels deep; what a stranger nests deeper is not looked at. */
const DEPTH = 8;

function flatten(value: unknown, name: string, into: Settings, depth = 0): void {
  if (depth > DEPTH) return;
  if (typeof value === 'object' && value !== null)
    for (const [key, inner] of Object.entries(value)) flatten(inner, name === '' ? key : `${name}.${key}`, into, depth + 1);
  else if (typeof value === 'boolean') into[name] = value ? 'on' : 'off';
  else into[name] = switchWord(String(value));
}

function switchWord(value: string): string {
  return Object.hasOwn(SWITCH, value) ? SWITCH[value]! : value;
}

const UNITS = 'bkmgtpe';

/** Bytes of `4096`, `4G`, `1.5g`; a number alone is in `unit` bytes. Undefined when it is something else. QEMU util/cutils.c. */
export function readSize(text: string | undefined, unit = 1): number | undefined {
  const match = /^(?:0x([0-9a-f]+)|(\d+(?:\.\d+)?)([bkmgtpe])?)$/i.exec(text ?? '');
  if (match === null) return undefined;
  const [, hex, digits, suffix] = match;
  if (hex !== undefined) return Number.parseInt(hex, 16);
  const times = suffix === undefined ? unit : 1024 ** UNITS.indexOf(suffix.toLowerCase());
  return Math.floor(Number(digits) * times);
}

/** A whole number, decimal or hexadecimal; undefined when it is something else. */
export function readNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^(0x[0-9a-f]{1,13}|\d{1,15})$/i.test(text) ? Number(text) : undefined;
}
