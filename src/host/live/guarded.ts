import { spawn } from 'node:child_process';
import { lstat } from 'node:fs/promises';
import { constants } from 'node:os';
import { HostError } from '../host.ts';
import { errnoName, hostError, isAbsent } from './errors.ts';

/**
 * Attributes whose reader takes the device's lock (`sriov_numvfs_show` and, in many kernels, `driver_override_show`). While a
 * driver's removal waits for the last user of a function, that lock is held and a reader sleeps where no signal reaches it.
 */
export function mayBlock(path: string): boolean {
  return path.startsWith('/sys/') && /\/(sriov_numvfs|driver_override)$/.test(path);
}

/**
 * Reads a file in a process of its own. A reader that blocks in our thread pool would keep this process from ending even after
 * `exit`, since its threads are joined there; a child that blocks is left behind and ends when the kernel lets it go.
 *
 * @param limit milliseconds
 * @returns the content, or undefined when there is no such file
 * @throws HostError `ETIMEDOUT`
 */
export async function readGuarded(path: string, limit: number): Promise<Uint8Array | undefined> {
  try {
    await lstat(path);
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw hostError(path, 'read', error);
  }
  return await new Promise((resolve, reject) => {
    const child = spawn('cat', ['--', path], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, LC_ALL: 'C' },
      detached: true,
    });
    const out: Buffer[] = [];
    let complaint = '';
    child.stdout.on('data', (piece: Buffer) => out.push(piece));
    child.stderr.on('data', (piece: Buffer) => {
      complaint += piece.toString();
    });
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      child.stdout.destroy();
      child.stderr.destroy();
      child.unref();
      reject(
        new HostError(path, `the kernel has not answered this read for ${limit} ms: the device is being changed`, 'ETIMEDOUT'),
      );
    }, limit);
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(hostError('cat', 'start', error));
    });
    child.on('close', (code) => {
      clearTimeout(timer);
      if (code === 0) return resolve(Buffer.concat(out));
      const why = complaint.trim().split(': ').at(-1) ?? '';
      const errno = errnoOfText(why);
      if (errno === 'ENOENT') return resolve(undefined);
      reject(new HostError(path, errno ? 'cannot read' : `cannot read: ${why}`, errno));
    });
  });
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
