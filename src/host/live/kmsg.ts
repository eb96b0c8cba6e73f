import { closeSync, constants, openSync, readSync } from 'node:fs';
import type { KernelLine } from '../host.ts';
import { errnoOf, hostError, isAbsent } from './errors.ts';

/** Longer than any record of the kernel (CONSOLE_EXT_LOG_MAX is 8192): a shorter buffer gives EINVAL. */
const RECORD = 16384;

/**
 * Records of /dev/kmsg: `prio,sequence,microseconds,flags;text`, then lines that begin with a space and hold a dictionary.
 * Records with a facility above 0 were written by programs and are left out: only the kernel's own word counts.
 * Source: Documentation/ABI/testing/dev-kmsg.
 */
export function parseKmsg(records: string): KernelLine[] {
  const lines: KernelLine[] = [];
  for (const record of records.split('\n')) {
    const match = /^(\d+),\d+,(\d+),[^;]*;(.*)$/.exec(record);
    if (match === null) continue;
    const priority = Number(match[1]);
    if (priority >>> 3 !== 0) continue;
    lines.push({ at: Number(match[2]), level: priority & 7, text: unescapeRecord(match[3] ?? '') });
  }
  return lines;
}

/** Bytes that would break the form are written as `\x0a`; a backslash too. */
function unescapeRecord(text: string): string {
  if (!text.includes('\\x')) return text;
  const bytes = Buffer.from(text, 'utf8').toString('latin1');
  const plain = bytes.replace(/\\x([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(plain, 'latin1').toString('utf8');
}

/**
 * All that the kernel's log still holds, or undefined when it is not there or not for us (`dmesg_restrict`).
 * @param path /dev/kmsg, or a recording of it
 */
export function readKmsg(path: string, name: string): KernelLine[] | undefined {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (isAbsent(error) || ['EPERM', 'EACCES', 'ENODEV', 'ENXIO'].includes(errnoOf(error) ?? '')) return undefined;
    throw hostError(name, 'open', error);
  }
  const record = Buffer.allocUnsafe(RECORD);
  const pieces: Buffer[] = [];
  try {
    for (;;) {
      try {
        const bytes = readSync(fd, record, 0, RECORD, null);
        if (bytes === 0) break;
        pieces.push(Buffer.from(record.subarray(0, bytes)));
      } catch (error) {
        const errno = errnoOf(error);
        if (errno === 'EAGAIN') break; // the end of what there is
        if (errno === 'EPIPE') continue; // records were overwritten while we read: the next read goes on with the oldest
        if (errno === 'EPERM') return undefined;
        throw hostError(name, 'read', error);
      }
    }
  } finally {
    closeSync(fd);
  }
  return parseKmsg(Buffer.concat(pieces).toString('utf8'));
}
