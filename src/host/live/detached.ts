import { spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { mkdir, open, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { HostError } from '../host.ts';
import { hostError } from './errors.ts';
import { findProgram } from './programs.ts';

/** How long a started program may take to become itself, in milliseconds. */
const EXEC_LIMIT = 5000;

/**
 * Starts a program in a session of its own. With `memlock` it is started through prlimit(1), which sets the limit on itself and
 * then becomes the program, so the process id stays the same.
 */
export async function startDetached(
  argv: readonly string[],
  memlock: number | 'unlimited' | undefined,
  output: string,
): Promise<number> {
  const [name = '', ...rest] = argv;
  const program = await findProgram(name);
  const command =
    memlock === undefined
      ? [program, ...rest]
      : [await findProgram('prlimit'), `--memlock=${memlock}:${memlock}`, program, ...rest];
  await mkdir(dirname(output), { recursive: true, mode: 0o700 });
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_APPEND;
  const log = await open(output, flags, 0o600).catch((error: unknown) => {
    throw hostError(output, 'open for the output', error);
  });
  try {
    const child = spawn(command[0] as string, command.slice(1), { detached: true, stdio: ['ignore', log.fd, log.fd] });
    let ended: string | undefined;
    child.once('exit', (code, signal) => {
      ended = signal ? `was ended by ${signal}` : `ended with code ${code}`;
    });
    const pid = await new Promise<number>((resolve, reject) => {
      child.once('error', (error) => reject(hostError(name, 'start', error)));
      child.once('spawn', () => resolve(child.pid as number));
    });
    child.unref();
    if (memlock === undefined) return pid;

    // The limit is set before the program starts: its own process is there only when prlimit has become it.
    for (const end = Date.now() + EXEC_LIMIT; await isPrlimit(pid); ) {
      if (Date.now() > end) throw new HostError(name, `prlimit had not started it after ${EXEC_LIMIT} ms`, 'ETIMEDOUT');
      await new Promise((done) => setTimeout(done, 5));
    }
    if (ended === undefined) return pid;
    const said = (await readFile(output, 'utf8')).trim().split('\n').slice(-3).join('; ');
    throw new HostError(name, `${ended} at once${said ? `: ${said}` : ''}`);
  } finally {
    await log.close();
  }
}

async function isPrlimit(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return /^\d+ \(prlimit\) [^ZX]/.test(stat);
}
