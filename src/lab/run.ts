import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { LabError } from './errors.ts';
import { INIT_REACHED } from './init-scripts.ts';
import { type Devices, FD, jobEnvironment, machineArguments } from './machine.ts';
import { MarkedStream } from './marked-stream.ts';
import { makeRunFolder, type RunFolder, sweepRunFolders } from './run-folder.ts';
import type { Lab } from './store.ts';

const CONSOLE_LINES = 400;
const TAIL_LINES = 30;
const PANIC = 'Kernel panic';
/** Milliseconds from QEMU's start until L1 must be ready to run the command. */
const BOOT_LIMIT = 120_000;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export type Reason = 'exit' | 'timeout' | 'panic' | 'interrupted' | 'qemu';

export interface RunOptions {
  argv: readonly string[];
  /** Added to L1's environment. */
  env?: Readonly<Record<string, string>>;
  /** Folder to start in; by default this process's own. */
  cwd?: string;
  /** Seconds that the command may take, booting not counted. */
  timeout: number;
  devices: Devices;
  onStdout: (piece: Buffer) => void;
  onStderr: (piece: Buffer) => void;
  /** Gets each line of L1's console. */
  onConsole?: (line: string) => void;
  signal?: AbortSignal;
  /** Text for the NVMe device's first sector, without a newline; random when left out. */
  token?: string;
}

export interface RunResult {
  /** The command's exit status; undefined when it did not end by itself. */
  code: number | undefined;
  reason: Reason;
  /** Last lines of L1's console. */
  consoleTail: string[];
  /** From the call to its end. */
  seconds: number;
  /** From QEMU's start to the command's; of the last attempt. */
  bootSeconds: number;
  /** The signal to this process that interrupted it. */
  by?: NodeJS.Signals;
}

/** What one boot of L1 came to. */
interface Outcome {
  code: number | undefined;
  reason: Reason;
  /** The kernel never came as far as our init. */
  stillborn: boolean;
}

/** How a run is connected to the outside. */
interface Wiring {
  job: { argv: readonly string[]; env: Readonly<Record<string, string>>; cwd: string };
  timeout: number;
  devices: Devices;
  token: string;
  onStdout: (piece: Buffer) => void;
  onStderr: (piece: Buffer) => void;
  onConsole?: ((line: string) => void) | undefined;
  /** Called when the terminal of an interactive run is there. */
  onTerminal?: (terminal: Readable & Writable) => void;
}

/** One L1: its process, its folder, and what its console said. */
class Machine {
  readonly lines: string[] = [];
  readonly #lab: Lab;
  #child: ChildProcess | undefined;
  #folder: RunFolder | undefined;
  #bootedAt = 0;
  #startedAt = 0;
  #stop: ((reason: Reason) => void) | undefined;
  #stopped: Reason | undefined;

  constructor(lab: Lab) {
    this.#lab = lab;
  }

  get bootSeconds(): number {
    return this.#bootedAt === 0 ? 0 : (this.#bootedAt - this.#startedAt) / 1000;
  }

  /** The last lines of the console; after a panic those that begin with it, since a long trace may follow. */
  tail(): string[] {
    const panic = this.lines.findIndex((line) => line.includes(PANIC));
    return panic < 0 ? this.lines.slice(-TAIL_LINES) : this.lines.slice(Math.max(0, panic - 5)).slice(0, TAIL_LINES);
  }

  /** Ends a run under way with that reason, and one that is just being prepared. */
  stop(reason: Reason): void {
    this.#stopped = reason;
    this.#stop?.(reason);
  }

  /** For the end of this process: no time to wait for anything. */
  destroy(): void {
    this.#child?.kill('SIGKILL');
    if (this.#folder !== undefined) rmSync(this.#folder.path, { recursive: true, force: true });
  }

  async run(wiring: Wiring): Promise<Outcome> {
    this.lines.length = 0;
    this.#bootedAt = 0;
    this.#folder = await makeRunFolder({ ...wiring.job, token: wiring.token, lab: this.#lab.folder });
    try {
      if (this.#stopped !== undefined) return { code: undefined, reason: this.#stopped, stillborn: true };
      return await this.#boot(wiring, this.#folder);
    } finally {
      await rm(this.#folder.path, { recursive: true, force: true });
      this.#folder = undefined;
    }
  }

  #boot(wiring: Wiring, folder: RunFolder): Promise<Outcome> {
    const terminal = wiring.onTerminal !== undefined;
    const qemu = join(this.#lab.folder, this.#lab.bin, 'qemu-system-x86_64');
    // The kernel ends QEMU when this process dies, however it dies; a session of its own keeps a terminal's Ctrl-C from it.
    const argv = ['--pdeathsig', 'KILL', qemu, ...machineArguments(this.#lab, folder, wiring.devices, terminal)];
    this.#startedAt = Date.now();
    const child = spawn('setpriv', argv, {
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe', 'pipe', 'pipe', ...(terminal ? (['pipe'] as const) : [])],
    });
    this.#child = child;
    return new Promise<Outcome>((resolve, reject) => {
      let ending: Outcome | undefined;
      // Only the last lines are kept, and a long run leaves this one behind.
      let reached = false;
      let exitCode: number | undefined;
      let timer: NodeJS.Timeout | undefined;
      const end = (outcome: Omit<Outcome, 'stillborn'>) => {
        ending ??= { ...outcome, stillborn: !reached && this.#bootedAt === 0 };
        clearTimeout(timer);
        child.kill('SIGKILL');
      };
      this.#stop = (reason) => end({ code: undefined, reason });
      timer = setTimeout(() => end({ code: undefined, reason: 'timeout' }), BOOT_LIMIT);

      const line = (text: string) => {
        reached ||= text.includes(INIT_REACHED);
        this.lines.push(text);
        if (this.lines.length > CONSOLE_LINES) this.lines.shift();
        wiring.onConsole?.(text);
      };
      const complaints = lines((text) => line(`qemu: ${text}`));
      child.stderr?.on('data', complaints.push);
      const stream = (fd: number) => {
        const socket = child.stdio[fd] as Readable & Writable;
        socket.on('error', () => {});
        return socket;
      };
      const console = lines(line);
      stream(FD.console).on('data', console.push);
      const stdout = new MarkedStream(folder.mark, wiring.onStdout);
      const stderr = new MarkedStream(folder.mark, wiring.onStderr);
      const complete = () => {
        if (exitCode !== undefined && (terminal || (stdout.ended && stderr.ended))) end({ code: exitCode, reason: 'exit' });
      };
      for (const [fd, marked] of [
        [FD.stdout, stdout],
        [FD.stderr, stderr],
      ] as const)
        stream(fd).on('data', (piece: Buffer) => {
          marked.push(piece);
          complete();
        });
      const control = lines((text) => {
        const [word, value] = text.split(' ');
        if (word === 'ready') {
          this.#bootedAt = Date.now();
          clearTimeout(timer);
          if (wiring.timeout > 0) timer = setTimeout(() => end({ code: undefined, reason: 'timeout' }), wiring.timeout * 1000);
          wiring.onTerminal?.(stream(FD.terminal));
        } else if (word === 'exit') {
          exitCode = Number(value);
          complete();
        }
      });
      stream(FD.control).on('data', control.push);

      child.on('error', (error: NodeJS.ErrnoException) => {
        clearTimeout(timer);
        reject(error.code === 'ENOENT' ? new LabError('the lab needs the program setpriv: apt-get install util-linux') : error);
      });
      child.on('close', () => {
        console.flush();
        complaints.flush();
        stdout.flush();
        stderr.flush();
        end({ code: undefined, reason: this.lines.some((text) => text.includes(PANIC)) ? 'panic' : 'qemu' });
        this.#stop = undefined;
        this.#child = undefined;
        resolve(ending as Outcome);
      });
    });
  }
}

/** Cuts a stream into lines, without carriage returns. */
function lines(out: (line: string) => void): { push: (piece: Buffer) => void; flush: () => void } {
  let held = '';
  return {
    push(piece) {
      const parts = (held + piece.toString('latin1')).split('\n');
      held = parts.pop() as string;
      for (const part of parts) out(part.replaceAll('\r', ''));
    },
    flush() {
      if (held !== '') out(held.replaceAll('\r', ''));
      held = '';
    },
  };
}

/** Boots, once more when the kernel never got as far as our init, and leaves nothing behind whatever happens. */
export async function drive(lab: Lab, wiring: Wiring, signal: AbortSignal | undefined): Promise<RunResult> {
  const started = Date.now();
  await sweepRunFolders();
  const machine = new Machine(lab);
  let by: NodeJS.Signals | undefined;
  let interrupted = signal?.aborted ?? false;
  const interrupt = () => {
    interrupted = true;
    machine.stop('interrupted');
  };
  const onSignal = (name: NodeJS.Signals) => {
    by = name;
    interrupt();
  };
  const onExit = () => machine.destroy();
  signal?.addEventListener('abort', interrupt);
  for (const name of SIGNALS) process.on(name, onSignal);
  process.on('exit', onExit);
  try {
    let outcome: Outcome = { code: undefined, reason: 'interrupted', stillborn: true };
    for (let attempt = 0; attempt < 2 && outcome.stillborn && !interrupted; attempt++) {
      if (attempt > 0) wiring.onConsole?.('sluice-lab: the kernel did not come as far as our init: once more');
      outcome = await machine.run(wiring);
    }
    return {
      code: outcome.code,
      reason: interrupted && outcome.reason !== 'exit' ? 'interrupted' : outcome.reason,
      consoleTail: machine.tail(),
      seconds: (Date.now() - started) / 1000,
      bootSeconds: machine.bootSeconds,
      ...(by === undefined ? {} : { by }),
    };
  } finally {
    signal?.removeEventListener('abort', interrupt);
    for (const name of SIGNALS) process.off(name, onSignal);
    process.off('exit', onExit);
  }
}

/**
 * Boots L1 and runs one command in it, as root, in this machine's file system under an overlay. Its output comes back byte for byte.
 * @throws LabError when this lab cannot boot such a machine: a missing device, no temporary folder
 */
export async function runInLab(lab: Lab, options: RunOptions): Promise<RunResult> {
  return drive(
    lab,
    {
      job: { argv: options.argv, env: jobEnvironment(lab, options.env ?? {}), cwd: options.cwd ?? process.cwd() },
      timeout: options.timeout,
      devices: options.devices,
      token: options.token ?? `sluice-lab ${randomBytes(16).toString('hex')}`,
      onStdout: options.onStdout,
      onStderr: options.onStderr,
      onConsole: options.onConsole,
    },
    options.signal,
  );
}
