import { stripVTControlCharacters, styleText } from 'node:util';

type Paint = (text: string) => string;
/** Colours, which do nothing where none are wanted. */
export interface Style {
  bold: Paint;
  dim: Paint;
  red: Paint;
  green: Paint;
  yellow: Paint;
  cyan: Paint;
}

/** What a renderer draws on. */
export interface Page {
  /** Columns to keep to. */
  width: number;
  style: Style;
}

/** Whether colour is wanted: `FORCE_COLOR` decides, then `NO_COLOR` (no-color.org), then whether this is a terminal. */
export function wantsColour(env: Readonly<Record<string, string | undefined>>, isTTY: boolean): boolean {
  const force = env.FORCE_COLOR;
  if (force !== undefined && force !== '') return force !== '0' && force !== 'false';
  if (env.NO_COLOR !== undefined && env.NO_COLOR !== '') return false;
  return isTTY && env.TERM !== 'dumb';
}

export function makeStyle(colour: boolean): Style {
  const paint =
    (format: 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan'): Paint =>
    (text) =>
      colour ? styleText(format, text) : text;
  return {
    bold: paint('bold'),
    dim: paint('dim'),
    red: paint('red'),
    green: paint('green'),
    yellow: paint('yellow'),
    cyan: paint('cyan'),
  };
}

/** Columns that a text takes, in a script where each character takes one. */
export function columns(text: string): number {
  return stripVTControlCharacters(text).match(/./gsu)?.length ?? 0;
}

/** Text from a device, a log or a guest without what a terminal would obey. Newlines and tabs stay. */
export function harmless(text: string): string {
  return stripVTControlCharacters(text).replace(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, (found) =>
    found === '\n' || found === '\t' ? found : '?',
  );
}

/**
 * Rows under optional headings, columns two spaces apart, as narrow as their widest cell. The last column takes what is left of
 * the width and continues on further lines below itself.
 *
 * @param head empty for none
 */
export function table(page: Page, head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = head.length > 0 ? [head.map((cell) => page.style.dim(cell)), ...rows] : rows;
  const count = Math.max(0, ...all.map((row) => row.length));
  const widths = Array.from({ length: count }, (_, column) => Math.max(0, ...all.map((row) => columns(row[column] ?? ''))));
  const indent = widths.slice(0, -1).reduce((sum, width) => sum + width + 2, 0);
  const lines: string[] = [];
  for (const row of all) {
    const before = widths.slice(0, -1).map((width, column) => pad(row[column] ?? '', width + 2));
    // A last column of less than 20 columns helps nobody: then the lines may be longer.
    const [first = '', ...more] = wrap(row[count - 1] ?? '', Math.max(20, page.width - indent));
    lines.push(`${before.join('')}${first}`.trimEnd());
    for (const line of more) lines.push(`${' '.repeat(indent)}${line}`);
  }
  return lines.join('\n');
}

function pad(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - columns(text)));
}

/** Cuts text into lines of at most `width` columns, between words where it can; newlines stay. */
export function wrap(text: string, width: number): string[] {
  return text.split('\n').flatMap((paragraph) => {
    const lines: string[] = [];
    let line = /^ */.exec(paragraph)![0];
    let empty = true;
    for (const word of paragraph.trim().split(/ +/)) {
      if (!empty && columns(line) + 1 + columns(word) > width) {
        lines.push(line);
        line = word;
      } else line += empty ? word : ` ${word}`;
      empty = false;
    }
    lines.push(line);
    return lines;
  });
}

/** Each line of a text moved to the right. */
export function indent(text: string, spaces = 2): string {
  return text.replace(/^(?=.)/gm, ' '.repeat(spaces));
}

/** `1.5 GiB`: at most one digit after the point. */
export function showBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let value = bytes;
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${units[unit]}`;
}

/** A report as JSON. BigInt becomes hexadecimal text, bytes become hexadecimal digits: JSON has neither. */
export function toJson(report: unknown): string {
  // A function that looks at each value makes it take three times as long, and most reports have nothing for it.
  if (isPlain(report)) return JSON.stringify(report, undefined, 2);
  return JSON.stringify(
    report,
    (_, value: unknown) => {
      if (typeof value === 'bigint') return `0x${value.toString(16)}`;
      return value instanceof Uint8Array ? Array.from(value, (byte) => byte.toString(16).padStart(2, '0')).join('') : value;
    },
    2,
  );
}

/** Whether a value has neither BigInt nor bytes in it. */
function isPlain(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return typeof value !== 'bigint';
  if (value instanceof Uint8Array) return false;
  if (Array.isArray(value)) return value.every(isPlain);
  for (const name in value) {
    const member: unknown = (value as Record<string, unknown>)[name];
    // Most are texts and numbers, for which a call each would take longer than all else.
    if (typeof member === 'object' ? !isPlain(member) : typeof member === 'bigint') return false;
  }
  return true;
}

/** Elements of a list that are written at once. */
const FEW = 64;
/** What stands around the elements of a list that is the only member of an object. */
const BEFORE = '{\n  "few": ['.length;
const AFTER = '\n  ]\n}'.length;

/** The same text in pieces, so that a report of thousands of functions is never in memory as a whole. Iterables are lists. */
export function* jsonPieces(report: object): Generator<string> {
  let before = '{';
  for (const [name, value] of Object.entries(report) as [string, unknown][]) {
    if (value === undefined) continue;
    yield `${before}\n  ${JSON.stringify(name)}: `;
    before = ',';
    if (!isLong(value)) {
      yield toJson(value).replaceAll('\n', '\n  ');
      continue;
    }
    let few: unknown[] = [];
    let begin = '[';
    const written = (): string => {
      // As a member of an object, they are indented as in the report.
      const text = `${begin}${toJson({ few }).slice(BEFORE, -AFTER)}`;
      few = [];
      begin = ',';
      return text;
    };
    for (const one of value) if (few.push(one) === FEW) yield written();
    if (few.length > 0) yield written();
    yield begin === '[' ? '[]' : '\n  ]';
  }
  yield before === '{' ? '{}' : '\n}';
}

/** A list that is too long to be written at once, or whose elements are made one after the other. */
function isLong(value: unknown): value is Iterable<unknown> {
  if (Array.isArray(value)) return value.length > FEW;
  return typeof value === 'object' && value !== null && Symbol.iterator in value && !(value instanceof Uint8Array);
}
