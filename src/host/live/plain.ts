import { closeSync, constants, fstatSync, lstatSync, openSync, readdirSync, readlinkSync, readSync } from 'node:fs';
import { HostError, type HostFiles } from '../host.ts';
import { errnoOf, hostError, isAbsent } from './errors.ts';
import type { Root } from './root.ts';

/** Longest file that is read whole. */
export const MAX_FILE: number = 64 * 1024 * 1024;
/** Attributes of sysfs have at most a page. */
const BUFFER = 64 * 1024;
/** A FIFO or a device never keeps us: it is opened without waiting and then refused. */
const FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW | constants.O_NOCTTY;

/** Files that cannot keep their reader waiting, read in this thread. Only regular files are read. */
export function plainFiles(root: Root): Required<Pick<HostFiles, 'read' | 'readText' | 'readAt' | 'link' | 'list' | 'exists'>> {
  const buffer = Buffer.allocUnsafe(BUFFER);
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
      const fd = open(path, root.recall(path, 'keep'));
      try {
        const found = fstatSync(fd);
        if (found.isDirectory()) throw new HostError(path, 'cannot read', 'EISDIR');
        if (!found.isFile()) throw new HostError(path, 'is no regular file', 'EINVAL');
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
  return {
    read: async (path) => readInto(path, null, BUFFER, (bytes) => new Uint8Array(bytes)),
    readText: async (path) => textOf(path),
    readAt: async (path, offset, length) => readInto(path, offset, length, (bytes) => new Uint8Array(bytes)),
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
    list: async (path) => attempt(path, 'list', () => readdirSync(root.recall(path, 'follow')).sort()),
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
