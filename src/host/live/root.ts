import { readlink } from 'node:fs/promises';
import { join, normalize } from 'node:path';
import { HostError } from '../host.ts';
import { errnoOf, hostError } from './errors.ts';

/** Symbolic links that one path may lead through, as in the kernel. */
const MAX_LINKS = 40;

/** Turns a path of the host into a path of this machine. */
export interface Root {
  /** True when the host is this very machine, and not a tree recorded from one. */
  readonly real: boolean;
  /**
   * @param last whether a symbolic link in the last place is followed
   * @throws HostError `ELOOP`, or `EINVAL` when the path is not absolute
   */
  locate(path: string, last: 'follow' | 'keep'): Promise<string>;
}

/**
 * The host's files below `root`. In a recorded tree every symbolic link is followed here, with `/` and `..` meaning the tree's
 * own root: a link recorded as `/sys/devices/...` or `../../..` never leads to a file of this machine.
 */
export function rootAt(root: string): Root {
  const real = normalize(root) === '/';
  return {
    real,
    async locate(path, last) {
      if (!path.startsWith('/')) throw new HostError(path, 'a path on a host must be absolute', 'EINVAL');
      return real ? path : join(root, ...(await resolveInside(root, path, last)));
    },
  };
}

async function resolveInside(root: string, path: string, last: 'follow' | 'keep'): Promise<string[]> {
  const todo = path.split('/').reverse();
  const done: string[] = [];
  let links = 0;
  while (todo.length > 0) {
    const part = todo.pop();
    if (part === undefined || part === '' || part === '.') continue;
    if (part === '..') {
      done.pop();
      continue;
    }
    const isLast = todo.every((rest) => rest === '' || rest === '.');
    const target = isLast && last === 'keep' ? undefined : await targetOf(join(root, ...done, part), path);
    if (target === undefined) {
      done.push(part);
      continue;
    }
    if (++links > MAX_LINKS) throw new HostError(path, 'too many symbolic links', 'ELOOP');
    if (target.startsWith('/')) done.length = 0;
    todo.push(...target.split('/').reverse());
  }
  return done;
}

/** Where a link points, or undefined when it is no link or not there. */
async function targetOf(file: string, path: string): Promise<string | undefined> {
  try {
    return await readlink(file);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'EINVAL' || errno === 'ENOENT' || errno === 'ENOTDIR') return undefined;
    throw hostError(path, 'follow links to', error);
  }
}
