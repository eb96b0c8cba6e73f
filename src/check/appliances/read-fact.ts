import { type Host, HostError } from '../../host/host.ts';
import type { Fact } from './facts.ts';

/** A file of the host as a fact. */
export function readFact(host: Host, path: string): Promise<Fact<string>> {
  return asFact(path, () => host.files.readText(path));
}

/** The names in a folder as a fact. */
export function readNames(host: Host, path: string): Promise<Fact<string[]>> {
  return asFact(path, () => host.files.list(path));
}

/** Whether something is there. A record of a host may not know. */
export function readExists(host: Host, path: string): Promise<Fact<boolean>> {
  return asFact(path, () => host.files.exists(path));
}

async function asFact<T>(where: string, read: () => Promise<T | undefined>): Promise<Fact<T>> {
  try {
    const value = await read();
    return value === undefined ? { where, missing: 'absent', because: `${where} is not there` } : { where, value };
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    return { where, missing: 'unreadable', because: error.message };
  }
}

/** Mount points and types of file systems, in the order in which they were mounted. Source: proc_pid_mountinfo(5). */
export function parseMounts(mountinfo: string): { at: string; type: string }[] {
  return mountinfo.split('\n').flatMap((line) => {
    const [left = '', right = ''] = line.split(' - ');
    const at = left.split(' ')[4];
    const type = right.split(' ')[0];
    return at === undefined || type === undefined || type === '' ? [] : [{ at, type }];
  });
}
