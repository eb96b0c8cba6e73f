import type { ChildProcessByStdio } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { access, constants, stat } from 'node:fs/promises';
import type { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { HostError } from '../host.ts';
import { hostError, isAbsent } from './errors.ts';

/**
 * Attributes whose reader takes the device's lock (`sriov_numvfs_show` and, in many kernels, `driver_override_show`). While a
 * driver's removal waits for the last user of a function, that lock is held and a reader sleeps where no signal reaches it.
 */
export function mayBlock(path: string): boolean {
  return path.startsWith('/sys/') && /\/(sriov_numvfs|driver_override)$/.test(path);
}

/**
 * Reads one-line attributes in a process of its own. A reader that blocks in our thread pool would keep this process from
 * ending even after `exit`, since its threads are joined there; a child that blocks is left behind and ends when the kernel
 * lets it go. One child serves many reads: starting one costs far more than a read.
 */
class GuardedReader {
  #child: ChildProcessByStdio<Writable, Readable, null> | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  /** @throws HostError `ETIMEDOUT`; undefined when the file could not be read, for a reason that this does not tell */
  async read(path: string, limit: number): Promise<string | undefined> {
    const turn = this.#turn.then(() => this.#ask(path, limit));
    this.#turn = turn.catch(() => undefined);
    return await turn;
  }

  async #ask(path: string, limit: number): Promise<string | undefined> {
    const child = await this.#start();
    return await new Promise((resolve, reject) => {
      let text = '';
      const finish = (act: () => void): void => {
        clearTimeout(timer);
        child.stdout.off('data', take);
        child.off('error', fail);
        child.off('close', closed);
        unref(child);
        act();
      };
      const take = (piece: Buffer): void => {
        text += piece.toString();
        if (text.endsWith('\n')) finish(() => resolve(text.startsWith('+') ? text.slice(1) : undefined));
      };
      const fail = (error: unknown): void => {
        this.#child = undefined;
        finish(() => reject(hostError('sh', 'start', error)));
      };
      const closed = (): void => fail(new Error('it ended'));
      const giveUp = (): void => {
        this.#child = undefined;
        child.kill('SIGKILL');
        child.stdin.destroy();
        child.stdout.destroy();
        finish(() =>
          reject(
            new HostError(
              path,
              `the kernel has not answered this read for ${limit} ms: the device is being changed`,
              'ETIMEDOUT',
            ),
          ),
        );
      };
      // On a starved machine the reader may not even have begun. One that waits for a lock of the kernel sleeps in state D.
      let patience = PATIENCE;
      const late = (): void => {
        if (isBlocked(String(child.pid)) || patience-- === 0) giveUp();
        else timer = setTimeout(late, limit);
      };
      let timer = setTimeout(late, limit);
      ref(child);
      child.stdout.on('data', take);
      child.on('error', fail);
      child.on('close', closed);
      child.stdin.write(`${path}\n`);
    });
  }

  async #start(): Promise<ChildProcessByStdio<Writable, Readable, null>> {
    if (this.#child !== undefined) return this.#child;
    const { spawn } = await import('node:child_process');
    const child = spawn('sh', ['-c', LOOP], { stdio: ['pipe', 'pipe', 'ignore'], detached: true });
    child.stdin.on('error', () => {}); // its end is told by `close`
    this.#child = child;
    return child;
  }
}

/** How many more times its limit a reading gets while nobody looks blocked. */
export const PATIENCE = 5;

/** Whether a thread sleeps in the kernel where no signal reaches it, or is gone. Source: proc(5), state in /proc/PID/stat. */
function isBlocked(thread: string): boolean {
  try {
    const stat = readFileSync(`/proc/${thread}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).startsWith('D');
  } catch {
    return true;
  }
}

/** Whether any thread of this process sleeps so. */
export function anyThreadBlocked(): boolean {
  return readdirSync('/proc/self/task').some((id) => isBlocked(`self/task/${id}`));
}

/** Reads paths, one a line; answers `+` and the first line of the file, or `-`. Built-ins of the shell only: no process for each. */
const LOOP = `while IFS= read -r path; do
  if { IFS= read -r text || [ -n "$text" ]; } < "$path"; then printf '+%s\\n' "$text"; else echo -; fi
done`;

/** Whether this process waits for the child. */
function ref(child: ChildProcessByStdio<Writable, Readable, null>): void {
  child.ref();
  (child.stdout as Socket).ref();
}

function unref(child: ChildProcessByStdio<Writable, Readable, null>): void {
  child.unref();
  (child.stdout as Socket).unref();
  (child.stdin as unknown as Socket).unref();
}

const reader = new GuardedReader();

/**
 * Reads a one-line attribute that may block, within a time.
 *
 * @param limit milliseconds
 * @returns the line with its newline, or undefined when there is no such file
 * @throws HostError `ETIMEDOUT`
 */
export async function readGuarded(path: string, limit: number): Promise<Uint8Array | undefined> {
  try {
    const found = await stat(path);
    if (found.isDirectory()) throw new HostError(path, 'cannot read', 'EISDIR');
    await access(path, constants.R_OK);
  } catch (error) {
    if (error instanceof HostError) throw error;
    if (isAbsent(error)) return undefined;
    throw hostError(path, 'read', error);
  }
  const line = path.includes('\n') ? undefined : await reader.read(path, limit);
  if (line === undefined) throw new HostError(path, 'cannot read');
  return Buffer.from(line);
}
