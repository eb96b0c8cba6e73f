import { type Host, HostError } from '../../host/host.ts';
import type { Fact } from './facts.ts';

/** A file of the host as a fact. */
export async function readFact(host: Host, path: string): Promise<Fact<string>> {
  try {
    const value = await host.files.readText(path);
    return value === undefined ? { where: path, missing: 'absent', because: `${path} is not there` } : { where: path, value };
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    return { where: path, missing: 'unreadable', because: error.message };
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
