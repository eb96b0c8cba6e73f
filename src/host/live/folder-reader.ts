import { type FolderAsk, type FolderContent, numberAfter } from '../folder.ts';
import type { FolderCalls, Kind } from './folder-calls.ts';
import type { Root } from './root.ts';

/** Longer attributes are read by others: sysfs has at most a page. */
const BUFFER = 64 * 1024;
const SLAB = 64 * 1024;
/** Pieces that a further one is compared with. */
const RECENT = 8;

/** The folder that a path is in, and its name there. */
function parted(path: string): { above: string; name: string } {
  const cut = path.lastIndexOf('/');
  return { above: path.slice(0, cut), name: path.slice(cut + 1) };
}

/** What kind of place a name has to be for a question, and which question it is. */
type Wanted = { kind: 'text' | 'link' | 'list'; index: number } | { kind: 'bytes' | 'noted' };

/**
 * Reads the same of many folders with as few calls as there can be, and all of them synchronous: a host of thousands of functions
 * has hundreds of thousands of files. Whatever is not plainly what was expected is left to who asks in detail.
 */
export class FolderReader {
  readonly #root: Root;
  readonly #ask: FolderAsk;
  readonly #calls: FolderCalls;
  readonly #wanted = new Map<string, Wanted>();
  readonly #buffer = Buffer.allocUnsafe(BUFFER);
  /** The folder that was looked for last, for mostly the next thing is in it too, and its place. */
  #above: string | undefined;
  #place = '';
  #slab = new Uint8Array(0);
  #used = 0;
  #recent: Uint8Array[] = [];
  #next = 0;

  constructor(root: Root, ask: FolderAsk, calls: FolderCalls) {
    this.#root = root;
    this.#ask = ask;
    this.#calls = calls;
    ask.texts.forEach((name, index) => void this.#wanted.set(name, { kind: 'text', index }));
    ask.links.forEach((name, index) => void this.#wanted.set(name, { kind: 'link', index }));
    ask.lists.forEach((name, index) => void this.#wanted.set(name, { kind: 'list', index }));
    for (const name of ask.noted) this.#wanted.set(name, { kind: 'noted' });
    if (ask.bytes !== undefined) this.#wanted.set(ask.bytes.name, { kind: 'bytes' });
  }

  /** From now on bytes are kept in new buffers: those before may be given away. */
  startAnew(): void {
    this.#slab = new Uint8Array(0);
    this.#used = 0;
    this.#recent = [];
    this.#next = 0;
  }

  /** Undefined when the folder has to be asked for in detail: see `HostFiles.readFolders`. */
  read(path: string): FolderContent | undefined {
    try {
      const { isLink, listed } = this.#ask;
      const target = isLink ? this.#calls.target(this.#placeOf(path)) : '';
      const place = this.#placeOf(isLink ? `${parted(path).above}/${target}` : path);
      const content = emptyContent(this.#ask, target);
      this.#calls.enter(place);
      try {
        return (listed ? this.#fromListing(content) : this.#fromNames(content)) ? content : undefined;
      } finally {
        this.#calls.leave();
      }
    } catch {
      return undefined;
    }
  }

  /** Where something is. Links are followed above it; it may be one itself. */
  #placeOf(path: string): string {
    const { above, name } = parted(path);
    // These are no names: they would lead above the root, too.
    if (name === '' || name === '.' || name === '..') throw new Error(`${path} does not end in a name`);
    if (above !== this.#above) {
      this.#place = this.#root.recall(above, 'follow');
      this.#above = above;
    }
    return `${this.#place}/${name}`;
  }

  /** @returns whether every name was what it should be */
  #fromListing(content: FolderContent): boolean {
    const { numbered } = this.#ask;
    const ordered: { name: string; number: number }[] = [];
    let isPlain = true;
    this.#calls.each((name, kind) => {
      const wanted = this.#wanted.get(name);
      if (wanted !== undefined) isPlain &&= this.#take(name, wanted, kind, content);
      else if (numbered !== undefined && (kind === 'link' || kind === 'other')) {
        const number = numberAfter(numbered, name);
        if (number !== undefined) ordered.push({ name, number });
      }
    });
    ordered.sort((a, b) => a.number - b.number);
    content.numbered = ordered.map(({ name }) => this.#calls.target(name));
    return isPlain;
  }

  #take(name: string, wanted: Wanted, kind: Kind, content: FolderContent): boolean {
    switch (wanted.kind) {
      case 'text': {
        const text = kind === 'file' ? this.#text(name) : undefined;
        content.texts[wanted.index] = text;
        return text !== undefined;
      }
      case 'link':
        if (kind !== 'link') return false;
        content.links[wanted.index] = this.#calls.target(name);
        return true;
      case 'list':
        if (kind !== 'folder') return false;
        content.lists[wanted.index] = this.#calls.names(name).sort();
        return true;
      case 'bytes':
        if (kind !== 'file') return false;
        content.bytes = this.#bytes(name, this.#ask.bytes!.length);
        return true;
      case 'noted':
        content.noted.push(name);
        return true;
    }
  }

  #fromNames(content: FolderContent): boolean {
    const { texts, links, lists } = this.#ask;
    content.texts = texts.map((name) => this.#text(name));
    content.links = links.map((name) => this.#calls.target(name));
    content.lists = lists.map((name) => this.#calls.names(name).sort());
    return !content.texts.includes(undefined);
  }

  /** Undefined when the file is long, or empty and no regular file. */
  #text(name: string): string | undefined {
    const length = this.#calls.read(name, this.#buffer, BUFFER);
    return length < 0 || length === BUFFER ? undefined : this.#buffer.toString('utf8', 0, length);
  }

  #bytes(name: string, most: number): Uint8Array {
    const length = this.#calls.read(name, this.#buffer, most);
    return this.#kept(this.#buffer.subarray(0, Math.max(0, length)));
  }

  /** A copy. The configuration spaces of the VFs of one PF are mostly the same, byte for byte: these share one. */
  #kept(bytes: Buffer): Uint8Array {
    const same = this.#recent.find((one) => bytes.equals(one));
    if (same !== undefined) return same;
    if (this.#used + bytes.length > this.#slab.length) {
      this.#slab = new Uint8Array(Math.max(SLAB, bytes.length));
      this.#used = 0;
    }
    const copy = this.#slab.subarray(this.#used, this.#used + bytes.length);
    copy.set(bytes);
    this.#used += bytes.length;
    this.#recent[this.#next] = copy;
    this.#next = (this.#next + 1) % RECENT;
    return copy;
  }
}

/** Content of which nothing is there yet. */
function emptyContent(ask: FolderAsk, target: string): FolderContent {
  return {
    target,
    texts: new Array(ask.texts.length).fill(undefined),
    bytes: undefined,
    links: new Array(ask.links.length).fill(undefined),
    numbered: [],
    lists: new Array(ask.lists.length).fill(undefined),
    noted: [],
    unrecorded: [],
    unanswered: [],
  };
}
