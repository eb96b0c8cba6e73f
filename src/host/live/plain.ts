import { closeSync, constants, fstatSync, lstatSync, openSync, readdirSync, readlinkSync, readSync } from 'node:fs';
import { HostError, type HostFiles } from '../host.ts';
import { errnoOf, hostError, isAbsent } from './errors.ts';
import type { Root } from './root.ts';

/** Longest file that is read whole. */
export const MAX_FILE: number = 64 * 1024 * 1024;
/** Attributes of sysfs have at most a page. */
const BUFFER = 64 * 1024;
const SLAB = 256 * 1024;
/** Pieces that a further one is compared with. */
const RECENT = 8;
/** A FIFO or a device never keeps us: it is opened without waiting and then refused. */
const FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW | constants.O_NOCTTY;

/**
 * Files that cannot keep their reader waiting, read with as few calls as there can be: a host with thousands of functions has
 * hundreds of thousands of them. Only regular files are read.
 */
export function plainFiles(
  root: Root,
): Required<Pick<HostFiles, 'read' | 'readText' | 'readTexts' | 'readAt' | 'link' | 'list' | 'exists'>> {
  const buffer = Buffer.allocUnsafe(BUFFER);
  let slab = new Uint8Array(SLAB);
  let used = 0;
  const recent: Uint8Array[] = [];
  let next = 0;
  /** A copy of a few bytes, which nobody changes: thousands of small arrays of their own would cost more than what they hold. */
  const kept = (bytes: Buffer): Uint8Array => {
    if (bytes.length > SLAB / 16) return new Uint8Array(bytes);
    // The configuration spaces of the VFs of one PF are mostly the same, byte for byte.
    const same = recent.find((one) => bytes.equals(one));
    if (same !== undefined) return same;
    if (used + bytes.length > SLAB) {
      slab = new Uint8Array(SLAB);
      used = 0;
    }
    const copy = slab.subarray(used, used + bytes.length);
    copy.set(bytes);
    used += bytes.length;
    recent[next] = copy;
    next = (next + 1) % RECENT;
    return copy;
  };
  /** Runs one call; absent is undefined. */
  const attempt = <T>(path: string, tried: string, run: () => T): T | undefined => {
    try {
      return run();
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw hostError(path, tried, error);
    }
  };
  const open = (path: string, place: string): number => {
    try {
      return openSync(place, FLAGS);
    } catch (error) {
      if (errnoOf(error) !== 'ELOOP') throw error;
      // A link in the last place, which is rare. On this very machine the kernel follows it.
      return openSync(root.recall(path, 'follow'), root.real ? FLAGS & ~constants.O_NOFOLLOW : FLAGS);
    }
  };
  /** Gives what was read to `take`, while it is in a buffer that the next reading uses again. */
  const readInto = <T>(path: string, offset: number | null, most: number, take: (bytes: Buffer) => T): T | undefined =>
    attempt(path, 'read', () => {
      const place = root.recall(path, 'keep');
      const fd = open(path, place);
      try {
        // To look costs half as much as to read. Of a folder that was listed it is known; reading a folder fails by itself.
        const cut = place.lastIndexOf('/');
        const odd = root.oddIn(place.slice(0, cut));
        if (odd === undefined || odd.has(place.slice(cut + 1))) {
          const found = fstatSync(fd);
          if (found.isDirectory()) throw new HostError(path, 'cannot read', 'EISDIR');
          if (!found.isFile()) throw new HostError(path, 'is no regular file', 'EINVAL');
        }
        const into = most > BUFFER ? Buffer.allocUnsafe(Math.min(most, MAX_FILE)) : buffer.subarray(0, most);
        // Regular files and attributes give all that they have at once.
        const length = readSync(fd, into, 0, into.length, offset);
        const isAll = offset !== null || length < into.length;
        return take(isAll ? into.subarray(0, length) : readRest(fd, into, path));
      } finally {
        closeSync(fd);
      }
    });
  const textOf = (path: string): string | undefined => readInto(path, null, BUFFER, (bytes) => bytes.toString('utf8'));
  /** A file that is known to be one. Undefined when it has to be read as others are: it is gone, long, or no longer a file. */
  const quickText = (place: string): string | undefined => {
    let fd: number;
    try {
      fd = openSync(place, FLAGS);
    } catch {
      return undefined;
    }
    try {
      const length = readSync(fd, buffer, 0, BUFFER, null);
      return length < BUFFER ? buffer.toString('utf8', 0, length) : undefined;
    } catch {
      return undefined;
    } finally {
      closeSync(fd);
    }
  };
  return {
    read: async (path) => readInto(path, null, BUFFER, (bytes) => new Uint8Array(bytes)),
    readText: async (path) => textOf(path),
    async readTexts(folder, names) {
      const place = root.recall(folder, 'follow');
      const odd = root.oddIn(place);
      return names.map((name) => {
        const quick = odd === undefined || odd.has(name) ? undefined : quickText(`${place}/${name}`);
        return quick ?? textOf(`${folder}/${name}`);
      });
    },
    readAt: async (path, offset, length) => readInto(path, offset, length, kept),
    link: async (path) =>
      attempt(path, 'read the link', () => {
        try {
          const place = root.recall(path, 'keep');
          const target = readlinkSync(place);
          if (!root.real) root.rememberLink(place, target);
          return target;
        } catch (error) {
          if (errnoOf(error) === 'EINVAL') return undefined;
          throw error;
        }
      }),
    list: async (path) =>
      attempt(path, 'list', () => {
        const place = root.recall(path, 'follow');
        if (root.real) return readdirSync(place).sort();
        const entries = readdirSync(place, { withFileTypes: true });
        root.remember(place, entries);
        return entries.map(({ name }) => name).sort();
      }),
    exists: async (path) =>
      attempt(path, 'look at', () => lstatSync(root.recall(path, 'follow'), { throwIfNoEntry: false })) !== undefined,
  };
}

/** What follows after the first piece of a long file. */
function readRest(fd: number, first: Buffer, path: string): Buffer {
  const pieces = [Buffer.from(first)];
  for (let total = first.length; ; ) {
    const piece = Buffer.allocUnsafe(1024 * 1024);
    const bytes = readSync(fd, piece, 0, piece.length, null);
    if (bytes === 0) return Buffer.concat(pieces, total);
    total += bytes;
    if (total > MAX_FILE) throw tooLong(path);
    pieces.push(piece.subarray(0, bytes));
  }
}

function tooLong(path: string): HostError {
  return new HostError(path, `is longer than ${MAX_FILE} bytes`, 'EFBIG');
}
