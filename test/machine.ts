import { type Host, HostError } from '../src/host/host.ts';
import { FakeChannel, FakeClock } from './channel.ts';

export interface FakeProcess {
  argv: string[];
  exe: string | HostError;
  letter: string;
  started: number;
  threads: number;
  /** What a signal does; without it SIGKILL and SIGTERM end the process. */
  onSignal?: (signal: string) => void;
}

type Qmp = (command: string, reply: (value: unknown) => void, channel: FakeChannel) => void;

/** Processes, files and a QMP socket in memory, behind the parts of the seam that guests need. */
export class FakeMachine implements Pick<Host, 'clock' | 'files' | 'hypervisor'> {
  readonly clock = new FakeClock();
  readonly processes = new Map<number, FakeProcess>();
  readonly contents = new Map<string, Uint8Array>();
  readonly signals: string[] = [];
  /** Answers QMP at a path; no entry is no socket. `undefined` as value: nobody listens. */
  readonly sockets = new Map<string, Qmp | undefined>();
  /** What a start does: creates a process and gives its number. */
  onStart: (argv: readonly string[], output: string, memlock: number | 'unlimited' | undefined) => number = () => {
    throw new Error('nothing is to be started');
  };
  /** Called each time the list of processes is read. */
  onLook: () => void = () => {};

  process(pid: number, argv: string[], exe: string | HostError = '/usr/bin/qemu-system-x86_64'): FakeProcess {
    const made: FakeProcess = { argv, exe, letter: 'S', started: 1000 + pid, threads: 3 };
    this.processes.set(pid, made);
    return made;
  }
  write(path: string, text: string): void {
    this.contents.set(path, new TextEncoder().encode(text));
  }

  readonly files: Host['files'] = {
    list: async (path) => {
      if (path === '/proc') {
        this.onLook();
        return ['cpuinfo', 'self', ...[...this.processes.keys()].map(String)].sort();
      }
      const threads = this.#of(path, 'task')?.threads;
      return threads === undefined ? undefined : Array.from({ length: threads }, (_, i) => String(i));
    },
    readText: async (path) => {
      const [line, stat] = [this.#of(path, 'cmdline'), this.#of(path, 'stat')];
      if (line) return line.letter === 'Z' ? '' : line.argv.map((word) => `${word}\0`).join('');
      if (stat) return `1 (qemu ) S (x) ${stat.letter} ${'0 '.repeat(18)}${stat.started} 0 0\n`;
      const bytes = this.contents.get(path);
      return bytes && new TextDecoder().decode(bytes);
    },
    link: async (path) => {
      const exe = this.#of(path, 'exe')?.exe;
      if (exe instanceof HostError) throw exe;
      return exe;
    },
    read: async (path) => {
      const bytes = this.contents.get(path);
      if (bytes && bytes.length > 2 ** 26) throw new HostError(path, 'too long', 'EFBIG');
      return bytes;
    },
    readAt: async (path, offset, length) => this.contents.get(path)?.subarray(offset, offset + length),
    claimed: async () => this.#not('claimed'),
    exists: async (path) => this.contents.has(path),
    makeFolder: async () => {},
    remove: async (path) => {
      this.contents.delete(path);
      this.sockets.delete(path);
    },
    write: async () => this.#not('write'),
    replace: async () => this.#not('replace'),
    append: async () => this.#not('append'),
    lock: async () => this.#not('lock'),
    kernelLog: async () => this.#not('kernelLog'),
  };

  readonly hypervisor: Host['hypervisor'] = {
    run: async () => this.#not('run'),
    kvm: async () => this.#not('kvm'),
    start: async (argv, { memlock, output }) => this.onStart(argv, output, memlock),
    signal: async (pid, signal) => {
      const process = this.processes.get(pid);
      this.signals.push(`${signal} ${pid}`);
      if (!process) return false;
      if (process.onSignal) process.onSignal(signal);
      else this.processes.delete(pid);
      return true;
    },
    connect: async (path) => {
      if (!this.sockets.has(path)) throw new HostError(path, 'cannot connect', 'ENOENT');
      const answer = this.sockets.get(path);
      if (!answer) throw new HostError(path, 'cannot connect', 'ECONNREFUSED');
      const channel = new FakeChannel(this.clock);
      channel.pushLine({ QMP: { version: { qemu: { major: 10, minor: 0, micro: 2 } }, capabilities: [] } });
      channel.onLine = (line) => {
        const { execute, id } = JSON.parse(line) as { execute: string; id: number };
        if (execute === 'qmp_capabilities') channel.pushLine({ return: {}, id });
        else answer(execute, (value) => channel.pushLine({ return: value, id }), channel);
      };
      return channel;
    },
  };

  #of(path: string, file: string): FakeProcess | undefined {
    const match = /^\/proc\/(\d+)\/(\w+)$/.exec(path);
    return match?.[2] === file ? this.processes.get(Number(match[1])) : undefined;
  }
  #not(what: string): never {
    throw new Error(`${what} is not to be called`);
  }
}
