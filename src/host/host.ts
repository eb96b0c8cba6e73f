import type { Vfio } from '../vfio/vfio.ts';
import type { FolderAsk, FolderBatch } from './folder.ts';

/**
 * One machine that Sluice looks at or changes. Everything that judges or acts is written against this, so the same code
 * runs on a live Linux, on a recorded one and on a modelled one. A host has no opinion: it reads, writes and calls.
 */
export interface Host {
  /** For messages: `live`, `snapshot:FILE`. */
  readonly name: string;
  readonly clock: Clock;
  readonly files: HostFiles;
  readonly links: Links;
  readonly modules: Modules;
  readonly nvme: NvmeAdmin;
  readonly vfio: Vfio;
  readonly hypervisor: Hypervisor;
}

export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number;
  sleep(milliseconds: number): Promise<void>;
}

/**
 * Files of the host: /sys, /proc, /dev, and Sluice's own state. Paths are absolute on that host. Absent is `undefined`;
 * anything else that goes wrong throws {@link HostError} with the path and errno.
 */
export interface HostFiles {
  /** Whole content, or undefined when there is no such file. Fails with `EFBIG` beyond 64 MiB. */
  read(path: string): Promise<Uint8Array | undefined>;
  /**
   * Part of a file or block device, `length` bytes at `offset` (fewer at its end), past the page cache where that is possible.
   * The bytes are not to be changed: equal parts may be one.
   */
  readAt(path: string, offset: number, length: number): Promise<Uint8Array | undefined>;
  readText(path: string): Promise<string | undefined>;
  /**
   * The same things of many folders, in batches and in any order: for thousands of folders this costs far less than `readFolder` of
   * each. A folder that comes in no batch, or without content, has to be asked for in that way: it is not there, or something in it
   * is not what it should be. A host need not have this.
   */
  readFolders?(paths: readonly string[], ask: FolderAsk): AsyncIterable<FolderBatch>;
  /** The target of a symbolic link as written there, or undefined when absent or not a link. */
  link(path: string): Promise<string | undefined>;
  /** Names in a folder, sorted; undefined when absent. */
  list(path: string): Promise<string[] | undefined>;
  exists(path: string): Promise<boolean>;
  /**
   * Whether somebody has a block device exclusively: a mount, swap, a volume or array, a ZFS pool, in whatever namespace.
   * Undefined when the question has no answer: no permission, not there, not a block device. Nothing is read or changed, but
   * the question is itself a claim, for as long as it takes.
   */
  claimed(path: string): Promise<boolean | undefined>;
  /** One write(2) of `text` to an existing file, as `echo` does to an attribute. The errno of the kernel is in the error. */
  write(path: string, text: string): Promise<void>;
  /** Creates or replaces a file as a whole and syncs it: a crash leaves the old content or the new, nothing between. */
  replace(path: string, content: string | Uint8Array): Promise<void>;
  /** Appends and syncs to disk before it returns; creates the file (mode 0600) and its folders (mode 0700). */
  append(path: string, text: string): Promise<void>;
  /** Creates a folder and those above it (mode 0700). */
  makeFolder(path: string): Promise<void>;
  /** Removes a file or a whole folder; absent is fine. Follows no symbolic link. */
  remove(path: string): Promise<void>;
  /**
   * Creates `path` exclusively to hold a lock and writes the holder into it; a lock of a process that is gone is taken over.
   * Returns the release, or the text the holder left when somebody has it.
   */
  lock(path: string): Promise<(() => Promise<void>) | string>;
  /** Lines of the kernel log with microseconds since boot, oldest first; undefined when it may not be read. */
  kernelLog(): Promise<KernelLine[] | undefined>;
}

export interface KernelLine {
  /** Microseconds since boot. */
  at: number;
  /** 0 emergency ... 7 debug. */
  level: number;
  text: string;
}

/** Network interfaces as rtnetlink shows them. */
export interface Links {
  list(): Promise<Link[]>;
  setUp(name: string, up: boolean): Promise<void>;
  /** Changes only the settings that are given. @throws HostError with what the kernel answered. */
  setVf(name: string, vf: number, settings: VfSettings): Promise<void>;
}

export interface Link {
  name: string;
  /** Lower-case, colons. */
  mac: string;
  up: boolean;
  /** One element per VF, in the order of VF numbers; empty when it is not a PF or has none. */
  vfs: Required<VfSettings>[];
}

/** What a PF decides for its VF. `vlan` 0 is none. */
export interface VfSettings {
  mac?: string;
  vlan?: number;
  spoofchk?: boolean;
  trust?: boolean;
}

export interface Modules {
  /** Names in /proc/modules, with `_` for `-`. */
  loaded(): Promise<string[]>;
  /** modprobe. @throws HostError */
  load(name: string): Promise<void>;
  /** Removes one module. @throws HostError `EBUSY` when in use. */
  unload(name: string): Promise<void>;
}

/** Admin commands to an NVMe controller that a host driver owns. */
export interface NvmeAdmin {
  /**
   * @param controller its character device, such as `/dev/nvme0`
   * @returns completion; `data` has `dataLength` bytes when that was above 0
   * @throws HostError when the command could not be sent
   */
  admin(controller: string, command: NvmeCommand): Promise<{ status: number; result: number; data: Uint8Array }>;
}

export interface NvmeCommand {
  opcode: number;
  nsid?: number;
  cdw10?: number;
  cdw11?: number;
  cdw12?: number;
  cdw13?: number;
  cdw14?: number;
  cdw15?: number;
  /** Bytes that the controller writes to us. */
  dataLength?: number;
}

/** Programs that run guests. The protocols spoken with them are in the `qemu` room. */
export interface Hypervisor {
  /** Runs a program to its end, without a shell. Output beyond 4 MiB is cut. @throws HostError `ENOENT` when there is no such program, `ETIMEDOUT` */
  run(argv: readonly string[], options?: { timeout?: number }): Promise<{ code: number; stdout: string; stderr: string }>;
  /**
   * Starts a program that outlives us, in a session of its own.
   * @param options.memlock bytes for RLIMIT_MEMLOCK, or `'unlimited'`
   * @param options.output file that gets its standard output and error
   * @returns its process id
   */
  start(argv: readonly string[], options: { memlock?: number | 'unlimited'; output: string }): Promise<number>;
  /** Sends a signal; false when there is no such process. */
  signal(pid: number, signal: 'SIGTERM' | 'SIGKILL'): Promise<boolean>;
  /** A stream conversation with a UNIX socket. @throws HostError `ENOENT`, `ECONNREFUSED`, `ETIMEDOUT` */
  connect(path: string, timeout: number): Promise<Channel>;
  /** Whether KVM can run a guest here, found by running one, and why not. @throws HostError where that cannot be tried */
  kvm(): Promise<{ usable: boolean; because: string }>;
}

/** A byte stream of text, cut into lines by neither side. */
export interface Channel {
  send(text: string): Promise<void>;
  /** The next piece of text, or undefined at the end of the stream. @throws HostError `ETIMEDOUT` after that many milliseconds */
  receive(timeout: number): Promise<string | undefined>;
  close(): void;
}

/** The world failed us: a permission, a dead socket, a truncated file. Never a bug of ours. */
export class HostError extends Error {
  override readonly name = 'HostError';
  /** The path, program or interface it is about. */
  readonly subject: string;
  /** An errno's name such as `EACCES`, or undefined when it was none. */
  readonly errno: string | undefined;
  constructor(subject: string, message: string, errno?: string) {
    super(`${subject}: ${message}${errno ? ` (${errno})` : ''}`);
    this.subject = subject;
    this.errno = errno;
  }
}
