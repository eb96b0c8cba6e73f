import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  Parser,
  parseDocument,
  type YAMLMap,
} from 'yaml';
import { quoted } from './spec-words.ts';

/** A place in a file that somebody wrote. Line and column count from 1. */
export interface SourcePlace {
  file: string;
  line: number;
  column: number;
}

/** One thing that is wrong with a file. `message` is what people read; the rest is the same, in parts. */
export interface SpecError extends SourcePlace {
  /** Such as `devices[0].vf.mac`; empty for the file as a whole. */
  path: string;
  expected: string;
  found: string;
  /** `file:line:column: path: expected ..., found ...; advice` */
  message: string;
}

/** A YAML document as plain values, with the place of each. */
export interface Source {
  value: unknown;
  /** Where the value at this path starts; for a path that is absent, the nearest one above it. */
  place(path: readonly PropertyKey[]): SourcePlace;
  /** Where the key at the end of this path is written. */
  keyPlace(path: readonly PropertyKey[]): SourcePlace;
}

const MOST_CHARACTERS = 2 ** 20;
const MOST_DEPTH = 64;
const MOST_ALIASES = 100;
/** What follows a mistake in the syntax is mostly its echo. */
const MOST_COMPLAINTS = 5;

/**
 * Reads YAML 1.2 (core schema). Everything that text can do to a parser ends as an error with a place: syntax, duplicate keys,
 * several documents, unknown tags, aliases that multiply or go in circles, nesting without end, size.
 */
export function readYaml(text: string, file: string): Source | { errors: SpecError[] } {
  const at = places(text, file);
  const fail = (offset: number, expected: string, found: string, path = ''): { errors: SpecError[] } => ({
    errors: [specError(at(offset), path, expected, found)],
  });
  if (text.length > MOST_CHARACTERS) return fail(0, 'a spec of at most 1 MiB', `${text.length} characters`);
  const nul = text.indexOf('\0');
  // The composer calls itself once for each level and builds patterns from the indentation: depth is measured before it starts.
  const shape = measure(text);
  if (nul >= 0) return fail(nul, 'text', 'a NUL character');
  if (shape.deep !== undefined) return fail(shape.deep, `at most ${MOST_DEPTH} levels of nesting`, 'more');
  if (shape.aliases.length > MOST_ALIASES)
    return fail(shape.aliases[MOST_ALIASES]!, `at most ${MOST_ALIASES} aliases`, `${shape.aliases.length}`);

  // Keys are compared below instead: `uniqueKeys` compares each with each.
  const document = parseDocument(text, {
    prettyErrors: false,
    uniqueKeys: false,
    logLevel: 'error',
    lineCounter: new LineCounter(),
  });
  const complaints = [...document.errors, ...document.warnings];
  if (complaints.length > 0) {
    return {
      errors: complaints.slice(0, MOST_COMPLAINTS).map(({ code, message, pos }) => {
        const says =
          code === 'MULTIPLE_DOCS' ? 'a second document starts here: a file holds one VM' : message.replace(/\s+/g, ' ').trim();
        return specError(at(pos[0]), '', 'YAML', says, '', says);
      }),
    };
  }
  const errors: SpecError[] = [];
  inspect(document, errors, at);
  if (errors.length > 0) return { errors };
  if (document.contents === null) return fail(0, 'a mapping such as { name: demo, memory: 4GiB }', 'an empty file');
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: MOST_ALIASES });
  } catch (error) {
    if (!(error instanceof ReferenceError)) throw error; // the library's word for an alias that it will not expand
    return fail(shape.aliases[0] ?? 0, 'aliases that stay small when written out', 'aliases of aliases that multiply');
  }
  return {
    value,
    place: (path) => at(offsetOf(lookUp(document, path).value)),
    keyPlace: (path) => {
      const parent = lookUp(document, path.slice(0, -1)).value;
      const pair = isMap(parent) ? pairOf(parent, path.at(-1)!) : undefined;
      return at(offsetOf(pair ? (pair.key as Node) : parent));
    },
  };
}

/**
 * @param advice added at the end
 * @param says   the whole sentence, where "expected ..., found ..." would be a clumsy one
 */
export function specError(
  place: SourcePlace,
  path: string,
  expected: string,
  found: string,
  advice = '',
  says = `expected ${expected}, found ${found}`,
): SpecError {
  const where = `${place.file}:${place.line}:${place.column}: ${path === '' ? '' : `${path}: `}`;
  return { ...place, path, expected, found, message: `${where}${says}${advice === '' ? '' : `; ${advice}`}` };
}

/** `devices[0].vf.mac`; keys that are not plain words are quoted. */
export function showPath(path: readonly PropertyKey[]): string {
  let shown = '';
  for (const key of path)
    if (typeof key === 'number') shown += `[${key}]`;
    else if (/^[A-Za-z_][\w-]*$/.test(String(key))) shown += `${shown === '' ? '' : '.'}${String(key)}`;
    else shown += `[${quoted(String(key), 30)}]`;
  return shown;
}

/** Places by offset. (The library's own line counter misses lines inside a scalar that stands where none may be.) */
function places(text: string, file: string): (offset: number) => SourcePlace {
  const starts = [0];
  for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', end + 1)) starts.push(end + 1);
  return (offset) => {
    const inside = Math.min(offset, text.length);
    let low = 0;
    for (let high = starts.length - 1; low < high; ) {
      const middle = (low + high + 1) >>> 1;
      if (starts[middle]! <= inside) low = middle;
      else high = middle - 1;
    }
    return { file, line: low + 1, column: inside - starts[low]! + 1 };
  };
}

/** Walks the tokens without recursion: where nesting is first too deep, and every alias. */
function measure(text: string): { deep: number | undefined; aliases: number[] } {
  interface Token {
    type: string;
    offset?: number;
    value?: unknown;
    items?: { key?: Token | null; value?: Token }[];
  }
  const aliases: number[] = [];
  let deep: number | undefined;
  const todo: { token: Token; level: number }[] = [];
  for (const top of new Parser().parse(text)) {
    todo.push({ token: top as Token, level: 0 });
    for (let next = todo.pop(); next; next = todo.pop()) {
      const { token, level } = next;
      if (token.type === 'alias') aliases.push(token.offset ?? 0);
      if (level > MOST_DEPTH) {
        deep = Math.min(deep ?? Number.POSITIVE_INFINITY, token.offset ?? 0);
        continue;
      }
      if (token.type === 'document' && token.value) todo.push({ token: token.value as Token, level: level + 1 });
      for (const item of token.items ?? []) {
        if (item.key) todo.push({ token: item.key, level: level + 1 });
        if (item.value) todo.push({ token: item.value, level: level + 1 });
      }
    }
  }
  aliases.sort((a, b) => a - b);
  return { deep, aliases };
}

/** Finds what a syntactically right document must not have. */
function inspect(document: Document.Parsed, errors: SpecError[], at: (offset: number) => SourcePlace): void {
  const add = (node: unknown, path: PropertyKey[], expected: string, found: string, advice?: string): void => {
    errors.push(specError(at(offsetOf(node)), showPath(path), expected, found, advice));
  };
  const visit = (node: unknown, path: PropertyKey[], above: readonly unknown[]): void => {
    if (isAlias(node)) {
      const target = node.resolve(document);
      if (target === undefined) add(node, path, 'an alias of an anchor before it', `*${node.source}`);
      else if (above.includes(target)) add(node, path, 'an alias of something else', `*${node.source}, which contains it`);
    } else if (isSeq(node)) {
      for (const [index, item] of node.items.entries()) visit(item, [...path, index], [...above, node]);
    } else if (isMap(node)) {
      const seen = new Map<string, unknown>();
      for (const pair of node.items) {
        const name = keyName(pair.key);
        if (name === undefined) {
          add(pair.key, path, 'a key that is a word', 'something else');
          continue;
        }
        const first = seen.get(name);
        if (first === undefined) seen.set(name, pair.key);
        else add(pair.key, [...path, name], 'each key once', 'it again', `it is on line ${at(offsetOf(first)).line} already`);
        visit(pair.value, [...path, name], [...above, node]);
      }
    }
  };
  visit(document.contents, [], []);
}

function keyName(key: unknown): string | undefined {
  return isScalar(key) ? String(key.value) : undefined;
}

function pairOf(map: YAMLMap, key: PropertyKey): { key: unknown; value: unknown } | undefined {
  return map.items.find((pair) => keyName(pair.key) === String(key));
}

function lookUp(document: Document.Parsed, path: readonly PropertyKey[]): { value: unknown } {
  let node: unknown = document.contents;
  for (const key of path) {
    if (isAlias(node)) node = node.resolve(document);
    const next = isMap(node) ? pairOf(node, key)?.value : isSeq(node) && typeof key === 'number' ? node.items[key] : undefined;
    if (next === undefined || next === null) break;
    node = next;
  }
  return { value: node };
}

function offsetOf(node: unknown): number {
  return (node as Partial<Node> | null | undefined)?.range?.[0] ?? 0;
}
