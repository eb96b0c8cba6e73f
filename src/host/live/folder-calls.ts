import { closeSync, constants, fstatSync, lstatSync, openSync, readdirSync, readlinkSync, readSync } from 'node:fs';

/** How everything is opened: a FIFO or a device never keeps us, and a link in the last place is not followed. */
export const FLAGS: number = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW | constants.O_NOCTTY;

/** What an entry of a folder is; `other` as well when the file system does not tell. */
export type Kind = 'file' | 'folder' | 'link' | 'other';

/**
 * The calls that folders are read with, one folder after the other and without waiting. A name is that of something in the folder
 * that was entered. What cannot be done throws, and why is not told.
 */
export interface FolderCalls {
  /** Goes into a folder. A link to one is none. */
  enter(place: string): void;
  /** Has to follow `enter`. */
  leave(): void;
  /** Gives what is in the folder, in any order. Names of other than ASCII may be spelt wrong. */
  each(take: (name: string, kind: Kind) => void): void;
  /** The names in a folder, in any order. A link to one is none. */
  names(name: string): string[];
  /** Where a link leads, as written there. In the place of a name may be a whole place, also when no folder was entered. */
  target(name: string): string;
  /** The beginning of a file that is no link. @returns how many bytes it is; -1 for nothing from what is no regular file */
  read(name: string, into: Uint8Array, length: number): number;
}

/** The calls as Node has them. */
export class NodeCalls implements FolderCalls {
  #place = '';

  enter(place: string): void {
    demandFolder(place);
    this.#place = place;
  }

  leave(): void {
    this.#place = '';
  }

  each(take: (name: string, kind: Kind) => void): void {
    for (const entry of readdirSync(this.#place, { withFileTypes: true }))
      take(entry.name, entry.isFile() ? 'file' : entry.isSymbolicLink() ? 'link' : entry.isDirectory() ? 'folder' : 'other');
  }

  names(name: string): string[] {
    const place = `${this.#place}/${name}`;
    demandFolder(place);
    return readdirSync(place);
  }

  target(name: string): string {
    return readlinkSync(name.startsWith('/') ? name : `${this.#place}/${name}`);
  }

  read(name: string, into: Uint8Array, length: number): number {
    const fd = openSync(`${this.#place}/${name}`, FLAGS);
    try {
      const found = readSync(fd, into, 0, length, null);
      return found === 0 && !fstatSync(fd).isFile() ? -1 : found;
    } finally {
      closeSync(fd);
    }
  }
}

function demandFolder(place: string): void {
  if (!lstatSync(place).isDirectory()) throw new Error(`${place} is no folder`);
}
