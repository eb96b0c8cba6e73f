import { closeSync, constants, type Dirent, fstatSync, lstatSync, openSync, readdirSync, readlinkSync, readSync } from 'node:fs';
import { type FolderAsk, type FolderContent, numberAfter } from '../folder.ts';
import type { Root } from './root.ts';

/** Longer attributes are read by others: sysfs has at most a page. */
const BUFFER = 64 * 1024;
/** A FIFO or a device never keeps us, and a link in the last place is not followed. */
const FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW | constants.O_NOCTTY;
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
  readonly #wanted = new Map<string, Wanted>();
  readonly #buffer = Buffer.allocUnsafe(BUFFER);
  /** Places that are folders, and no links to some. */
  readonly #folders = new Set<string>();
  /** The folder whose listing they are from last. */
  #learnt = '';
  #slab = new Uint8Array(0);
  #used = 0;
  #recent: Uint8Array[] = [];
  #next = 0;

  constructor(root: Root, ask: FolderAsk) {
    this.#root = root;
    this.#ask = ask;
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
      const { above, name } = parted(path);
      const shown = this.#root.recall(above, 'follow');
      const target = isLink ? readlinkSync(`${shown}/${name}`) : '';
      const place = isLink ? this.#resolved(`${above}/${target}`) : this.#resolved(path);
      const content = emptyContent(this.#ask, target);
      return (listed ? this.#fromListing(place, content) : this.#fromNames(place, content)) ? content : undefined;
    } catch {
      return undefined;
    }
  }

  /** Where a folder is. One that a listing has shown to be a folder needs no other look whether it is a link. */
  #resolved(path: string): string {
    const { above, name } = parted(path);
    const folder = this.#root.recall(above, 'follow');
    if (!this.#ask.listed) this.#learn(folder);
    const place = `${folder}/${name}`;
    return this.#folders.has(place) ? place : this.#root.recall(path, 'follow');
  }

  #learn(folder: string): void {
    if (this.#learnt === folder) return;
    this.#learnt = folder;
    for (const entry of readdirSync(folder, { withFileTypes: true }))
      if (entry.isDirectory()) this.#folders.add(`${folder}/${entry.name}`);
  }

  /** @returns whether every name was what it should be */
  #fromListing(place: string, content: FolderContent): boolean {
    const { numbered } = this.#ask;
    const ordered: { file: string; number: number }[] = [];
    for (const entry of readdirSync(place, { withFileTypes: true })) {
      const { name } = entry;
      const wanted = this.#wanted.get(name);
      if (wanted !== undefined) {
        if (!this.#take(`${place}/${name}`, wanted, entry, content)) return false;
      } else if (numbered !== undefined) {
        const number = numberAfter(numbered, name);
        if (number !== undefined) ordered.push({ file: `${place}/${name}`, number });
        // What is below it is mostly asked for next.
        else if (entry.isDirectory()) this.#folders.add(`${place}/${name}`);
      }
    }
    ordered.sort((a, b) => a.number - b.number);
    content.numbered = ordered.map(({ file }) => readlinkSync(file));
    return true;
  }

  #take(file: string, wanted: Wanted, entry: Dirent, content: FolderContent): boolean {
    switch (wanted.kind) {
      case 'text': {
        const text = entry.isFile() ? this.#text(file) : undefined;
        content.texts[wanted.index] = text;
        return text !== undefined;
      }
      case 'link':
        if (!entry.isSymbolicLink()) return false;
        content.links[wanted.index] = readlinkSync(file);
        return true;
      case 'list':
        if (!entry.isDirectory()) return false;
        content.lists[wanted.index] = readdirSync(file).sort();
        return true;
      case 'bytes':
        if (!entry.isFile()) return false;
        content.bytes = this.#bytes(file);
        return true;
      case 'noted':
        content.noted.push(entry.name);
        return true;
    }
  }

  #fromNames(place: string, content: FolderContent): boolean {
    const { texts, links, lists } = this.#ask;
    content.texts = texts.map((name) => this.#text(`${place}/${name}`));
    content.links = links.map((name) => readlinkSync(`${place}/${name}`));
    content.lists = lists.map((name) =>
      lstatSync(`${place}/${name}`).isDirectory() ? readdirSync(`${place}/${name}`).sort() : undefined,
    );
    return !content.texts.includes(undefined) && !content.lists.includes(undefined);
  }

  /** Undefined when the file is long, or empty and no regular file. */
  #text(file: string): string | undefined {
    const fd = openSync(file, FLAGS);
    try {
      const length = readSync(fd, this.#buffer, 0, BUFFER, null);
      if (length === BUFFER || (length === 0 && !fstatSync(fd).isFile())) return undefined;
      return this.#buffer.toString('utf8', 0, length);
    } finally {
      closeSync(fd);
    }
  }

  #bytes(file: string): Uint8Array {
    const fd = openSync(file, FLAGS);
    try {
      return this.#kept(this.#buffer.subarray(0, readSync(fd, this.#buffer, 0, this.#ask.bytes!.length, 0)));
    } finally {
      closeSync(fd);
    }
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
