import { constants } from 'node:os';
import { HostError } from '../host.ts';

const NAMES = new Map<number, string>();
// Two names may share a number (EAGAIN and EWOULDBLOCK, EOPNOTSUPP and ENOTSUP): the one that the kernel's sources use wins.
for (const [name, number] of Object.entries(constants.errno)) {
  const known = NAMES.get(number);
  if (known === undefined || name === 'EAGAIN' || name === 'EOPNOTSUPP') NAMES.set(number, name);
}

/** Name of an errno number, such as `EBUSY` for 16; `errno N` when it has none here. */
export function errnoName(number: number): string {
  return NAMES.get(number) ?? `errno ${number}`;
}

/** The errno's name that Node put on an error, or undefined when it is none of Node's system errors. */
export function errnoOf(error: unknown): string | undefined {
  if (error instanceof HostError) return error.errno;
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  return undefined;
}

/** True when the error says that the path, or a folder above it, is not there. */
export function isAbsent(error: unknown): boolean {
  const errno = errnoOf(error);
  return errno === 'ENOENT' || errno === 'ENOTDIR';
}

/**
 * What is thrown for a failed call of Node: a {@link HostError} naming the path and what was tried. An error that carries no
 * errno is a bug of ours and comes back as it is.
 */
export function hostError(subject: string, tried: string, error: unknown): unknown {
  if (error instanceof HostError) return error;
  const errno = errnoOf(error);
  return errno === undefined ? error : new HostError(subject, `cannot ${tried}`, errno);
}

/** The errno behind a message of the C library in the C locale, for the few that a program's answer can carry. */
export function errnoOfText(text: string): string | undefined {
  const { EPERM, ENOENT, EIO, ENXIO, EACCES, EBUSY, ENODEV, EINVAL, ENOSPC, ERANGE, EOPNOTSUPP, ENOMEM, EEXIST } =
    constants.errno;
  const messages: [string, number][] = [
    ['Operation not permitted', EPERM],
    ['No such file or directory', ENOENT],
    ['Input/output error', EIO],
    ['No such device or address', ENXIO],
    ['Permission denied', EACCES],
    ['Device or resource busy', EBUSY],
    ['No such device', ENODEV],
    ['Invalid argument', EINVAL],
    ['No space left on device', ENOSPC],
    ['Numerical result out of range', ERANGE],
    ['Operation not supported', EOPNOTSUPP],
    ['Cannot allocate memory', ENOMEM],
    ['File exists', EEXIST],
  ];
  const found = messages.find(([message]) => text.endsWith(message));
  return found && errnoName(found[1]);
}
