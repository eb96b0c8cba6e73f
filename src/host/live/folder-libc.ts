import { constants, fstatSync } from 'node:fs';
import { FLAGS, type FolderCalls, type Kind } from './folder-calls.ts';

/** As much as one call gets of a listing, and more than the target of a link may have. */
const BUFFER = 64 * 1024;
/** Not among the constants of Node, which sets it itself. The same on all machines that Node runs on. */
const O_CLOEXEC = 0o2000000;
/** `struct linux_dirent64`: the length of an entry (16 bits), its type (8 bits), and its name, which ends in a zero. getdents(2) */
const D_RECLEN = 16;
const D_TYPE = 18;
const D_NAME = 19;
/** DT_DIR, DT_REG and DT_LNK of readdir(3). */
const KINDS: Readonly<Record<number, Kind>> = { 4: 'folder', 8: 'file', 10: 'link' };

/** Functions of the C library; less than 0 is an error. */
interface Libc {
  open(place: string, flags: number): number;
  openat(folder: number, name: string, flags: number): number;
  close(fd: number): number;
  read(fd: number, into: Uint8Array, length: number): number;
  readlinkat(folder: number, name: string, into: Uint8Array, length: number): number;
  getdents64(folder: number, into: Uint8Array, length: number): number;
}

/**
 * The calls as the C library has them, in about two thirds of the time that Node takes for them. Undefined where there is no
 * koffi, or not one of the functions.
 */
export async function libcCalls(): Promise<FolderCalls | undefined> {
  if (process.platform !== 'linux') return undefined;
  try {
    const { default: koffi } = await import('koffi');
    // As in `nativeSys`: no file name, and a fixed prototype for what is variadic.
    const libc = koffi.load(null);
    return new LibcCalls({
      open: libc.func('open', 'int', ['str', 'int']),
      openat: libc.func('openat', 'int', ['int', 'str', 'int']),
      close: libc.func('close', 'int', ['int']),
      read: libc.func('read', 'long', ['int', 'void *', 'size_t']),
      readlinkat: libc.func('readlinkat', 'long', ['int', 'str', 'void *', 'size_t']),
      getdents64: libc.func('getdents64', 'long', ['int', 'void *', 'size_t']),
    } as Libc);
  } catch {
    return undefined;
  }
}

class LibcCalls implements FolderCalls {
  readonly #libc: Libc;
  /** One for the folder, one for a folder in it whose names are asked for meanwhile. */
  readonly #outer = new Listing();
  readonly #inner = new Listing();
  readonly #target = Buffer.allocUnsafe(BUFFER);
  #folder = -1;

  constructor(libc: Libc) {
    this.#libc = libc;
  }

  enter(place: string): void {
    this.#folder = demand(this.#libc.open(place, FLAGS | O_CLOEXEC | constants.O_DIRECTORY));
  }

  leave(): void {
    this.#libc.close(this.#folder);
    this.#folder = -1;
  }

  each(take: (name: string, kind: Kind) => void): void {
    this.#outer.read(this.#libc, this.#folder, take);
  }

  names(name: string): string[] {
    const names: string[] = [];
    const fd = this.#open(name, constants.O_DIRECTORY);
    try {
      this.#inner.read(this.#libc, fd, (one) => names.push(Buffer.from(one, 'latin1').toString('utf8')));
    } finally {
      this.#libc.close(fd);
    }
    return names;
  }

  target(name: string): string {
    return this.#target.toString('utf8', 0, demand(this.#libc.readlinkat(this.#folder, name, this.#target, BUFFER)));
  }

  read(name: string, into: Uint8Array, length: number): number {
    const fd = this.#open(name, 0);
    try {
      const found = demand(this.#libc.read(fd, into, Math.min(length, into.length)));
      return found === 0 && !fstatSync(fd).isFile() ? -1 : found;
    } finally {
      this.#libc.close(fd);
    }
  }

  #open(name: string, more: number): number {
    return demand(this.#libc.openat(this.#folder, name, FLAGS | O_CLOEXEC | more));
  }
}

function demand(result: number): number {
  if (result < 0) throw new Error('refused by the kernel');
  return result;
}

/** Entries of a folder as the kernel gives them. */
class Listing {
  readonly #bytes = Buffer.from(new ArrayBuffer(BUFFER));
  /** The same in the byte order of this machine, which entries have. */
  readonly #words = new Uint16Array(this.#bytes.buffer);

  /** Each byte of a name is one character. */
  read(libc: Libc, folder: number, take: (name: string, kind: Kind) => void): void {
    for (;;) {
      const length = demand(libc.getdents64(folder, this.#bytes, BUFFER));
      if (length === 0) return;
      // One text of them all, of which the names are parts: to make each from its bytes takes longer.
      const all = this.#bytes.toString('latin1', 0, length);
      for (let at = 0; at < length; ) {
        const name = all.slice(at + D_NAME, all.indexOf('\0', at + D_NAME));
        if (name !== '.' && name !== '..') take(name, KINDS[this.#bytes[at + D_TYPE]!] ?? 'other');
        at += this.#words[(at + D_RECLEN) / 2]!;
      }
    }
  }
}
