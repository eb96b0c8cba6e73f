import { type Host, HostError } from './host.ts';

/** What is wanted of a folder: the same of each of thousands. Nothing here is there in all of them. */
export interface FolderAsk {
  /** Whether the path is a link whose target is wanted. */
  isLink: boolean;
  /** Whether the folder may be listed, so that no question is about what is not there: worth it when much may be absent. */
  listed: boolean;
  /** Files whose text is wanted. */
  texts: readonly string[];
  /** Those of them whose reader may have to wait for somebody: no answer in time is an answer. */
  mayWait: readonly string[];
  /** A file of bytes of which `length` are wanted. */
  bytes?: { name: string; length: number };
  /** Links whose targets are wanted. */
  links: readonly string[];
  /** Links of this name and a number, such as `virtfn0`. Needs `listed`. */
  numbered?: string;
  /** Folders whose names are wanted. */
  lists: readonly string[];
  /** Names of which only the presence is wanted. Needs `listed`. */
  noted: readonly string[];
}

/** The answers, each in the place of its question; undefined for what is not there. Plain data. */
export interface FolderContent {
  /** Where the path leads; empty when that was not asked. */
  target: string;
  texts: (string | undefined)[];
  bytes: Uint8Array | undefined;
  links: (string | undefined)[];
  /** Targets in the order of the numbers. */
  numbered: string[];
  lists: (readonly string[] | undefined)[];
  noted: string[];
  /** Names that a record of the host does not have. */
  unrecorded: string[];
  /** Names of `mayWait` that were not answered in time. */
  unanswered: string[];
}

/** Neighbours of many folders. */
export interface FolderBatch {
  /** The place of the first of them among all paths. */
  first: number;
  /** Undefined for one that has to be asked for in detail. */
  contents: (FolderContent | undefined)[];
}

/** Which of `prefix0`, `prefix1` ... a name is; undefined when it is none. */
export function numberAfter(prefix: string, name: string): number | undefined {
  if (!name.startsWith(prefix)) return undefined;
  const digits = name.slice(prefix.length);
  return /^\d+$/.test(digits) ? Number(digits) : undefined;
}

/**
 * Asks a host for everything of one folder. Undefined when the folder is not there.
 * @throws HostError when something is there but unreadable
 */
export async function readFolder(host: Host, path: string, ask: FolderAsk): Promise<FolderContent | undefined> {
  const { files } = host;
  const target = ask.isLink ? await files.link(path) : '';
  if (target === undefined) return undefined;
  const names = ask.listed ? new Set(await files.list(path)) : undefined;
  const unrecorded: string[] = [];
  const unanswered: string[] = [];
  const attempt = async <T>(name: string, question: (path: string) => Promise<T>): Promise<T | undefined> => {
    if (names?.has(name) === false) return undefined;
    try {
      return await question(`${path}/${name}`);
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      if (error.errno === 'ENODATA') unrecorded.push(name);
      else if (error.errno === 'ETIMEDOUT' && ask.mayWait.includes(name)) unanswered.push(name);
      else throw error;
      return undefined;
    }
  };
  const each = <T>(asked: readonly string[], question: (path: string) => Promise<T>): Promise<(T | undefined)[]> =>
    Promise.all(asked.map((name) => attempt(name, question)));
  const { bytes: part, numbered: prefix } = ask;
  const [texts, links, numbered, lists, bytes] = await Promise.all([
    each(ask.texts, (at) => files.readText(at)),
    each(ask.links, (at) => files.link(at)),
    each(prefix === undefined ? [] : inOrder(prefix, names ?? []), (at) => files.link(at)),
    each(ask.lists, (at) => files.list(at)),
    part && attempt(part.name, (at) => files.readAt(at, 0, part.length)),
  ]);
  return {
    target,
    texts,
    bytes,
    links,
    numbered: numbered.filter((to) => to !== undefined),
    lists,
    noted: ask.noted.filter((name) => names?.has(name)),
    unrecorded,
    unanswered,
  };
}

/** The names with a number after `prefix`, in the order of the numbers. */
function inOrder(prefix: string, names: Iterable<string>): string[] {
  const found = [...names].flatMap((name) => {
    const number = numberAfter(prefix, name);
    return number === undefined ? [] : [{ name, number }];
  });
  return found.sort((a, b) => a.number - b.number).map(({ name }) => name);
}

/** Many folders of which the reading may have begun. */
export interface FolderReading {
  paths: readonly string[];
  batches: AsyncIterable<FolderBatch> | Iterable<FolderBatch>;
}

/** Begins to read many folders with as little effort as the host can. */
export function startFolders(host: Host, paths: readonly string[], ask: FolderAsk): FolderReading {
  return { paths, batches: host.files.readFolders?.(paths, ask) ?? [] };
}

/**
 * Takes what was read, in any order.
 *
 * @param take gets the place of one among the paths, and its content
 * @returns the places of those that have to be asked for in detail, in order
 */
export async function takeFolders(
  { paths, batches }: FolderReading,
  take: (index: number, content: FolderContent) => void,
): Promise<number[]> {
  const taken = new Uint8Array(paths.length);
  for await (const { first, contents } of batches)
    contents.forEach((content, i) => {
      if (content === undefined) return;
      taken[first + i] = 1;
      take(first + i, content);
    });
  return [...paths.keys()].filter((index) => taken[index] === 0);
}

/** Things that are asked for side by side: many thousand waiting at once only take memory. */
const AT_ONCE = 32;

/** Runs a question for each of many things, a few at a time. */
export async function askEach<T>(all: readonly T[], question: (one: T) => Promise<void>): Promise<void> {
  for (let at = 0; at < all.length; at += AT_ONCE) await Promise.all(all.slice(at, at + AT_ONCE).map(question));
}
