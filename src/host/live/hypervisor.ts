import { spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { mkdir, open, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { HostError, type Hypervisor } from '../host.ts';
import { connectChannel } from './channel.ts';
import { errnoOf, hostError } from './errors.ts';
import { probeKvm } from './kvm.ts';
import { findProgram, runProgram } from './programs.ts';
import type { Root } from './root.ts';
import type { Sys } from './sys.ts';

/** How long a started program may take to become itself, in milliseconds. */
const EXEC_LIMIT = 5000;

/** Programs and sockets of this machine. */
export function liveHypervisor(root: Root, sys: () => Promise<Sys>): Hypervisor {
  return {
    run: runProgram,
    start: async (argv, { memlock, output }) => await startDetached(argv, memlock, root.locate(output, 'follow')),
    async signal(pid, signal) {
      // 0 and negative numbers are whole groups of processes, 1 is init.
      if (!Number.isInteger(pid) || pid <= 1)
        throw new HostError(`process ${pid}`, `is nothing that could be sent ${signal}`, 'EINVAL');
      try {
        return process.kill(pid, signal);
      } catch (error) {
        if (errnoOf(error) === 'ESRCH') return false;
        throw hostError(`process ${pid}`, `send ${signal}`, error);
      }
    },
    connect: async (path, timeout) => await connectChannel(root.locate(path, 'follow'), path, timeout),
    kvm: async () => {
      if (!root.real) throw new HostError('KVM', 'a tree of files does not tell whether it runs a guest', 'ENODATA');
      return await probeKvm(sys);
    },
  };
}

/**
 * Starts a program in a session of its own. With `memlock` it is started through prlimit(1), which sets the limit on itself and
 * then becomes the program, so the process id stays the same.
 */
async function startDetached(
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
