import type { Host, VfSettings } from '../host/host.ts';
import type { GuestFiles } from '../qemu/index.ts';

/**
 * One thing that apply does to a host. A step says what it wants as plain data: it is printed by `plan`, kept in the
 * journal and found there again by `revert`. What was there before is not part of it: that is observed and journalled
 * right before the step is done.
 */
export type Step =
  | { do: 'load-module'; module: string; why: string }
  | { do: 'attribute'; path: string; value: string; was: string; why: string }
  | { do: 'set-link'; interface: string; up: boolean; was: boolean; why: string }
  | { do: 'create-vfs'; pf: string; count: number; was: number; expect: string[]; why: string }
  | { do: 'set-vf'; interface: string; vf: number; settings: VfSettings; was?: VfSettings; created: boolean; why: string }
  | {
      do: 'nvme-resources';
      controller: string;
      bdf: string;
      cntlid: number;
      vq: number;
      vi: number;
      was: NvmeResources;
      why: string;
    }
  | {
      do: 'bind';
      bdf: string;
      driver: string;
      was: Binding /** All functions that the plan gives away. */;
      given: string[];
      why: string;
    }
  | { do: 'prove-nvme'; bdf: string; file: string; why: string }
  | { do: 'start-guest'; guest: GuestToStart; why: string };

export type StepOf<Kind extends Step['do']> = Extract<Step, { do: Kind }>;

/** Resources of an NVMe secondary controller. */
export interface NvmeResources {
  online: boolean;
  /** VQ flexible resources: queue pairs. */
  vq: number;
  /** VI flexible resources: interrupt vectors. */
  vi: number;
}

/** Which driver a function has; undefined members are none. */
export interface Binding {
  driver?: string;
  driverOverride?: string;
}

export interface GuestToStart {
  name: string;
  uuid: string;
  argv: string[];
  /** RLIMIT_MEMLOCK in bytes. */
  memlock: number;
  /** Folder of its sockets and logs. */
  folder: string;
  files: GuestFiles;
  /** Template of the firmware's variables; the guest gets a copy of its own. */
  vars?: string;
  /** Whether it has a disk, which should be left in order. */
  disk: boolean;
  /** Whether to wait for the guest agent. */
  agent: boolean;
  /** Seconds the guest may take to answer. */
  timeout: number;
}

/** One single change within a step, for people: what is written where, and what was there. */
export interface Change {
  where: string;
  from: string;
  to: string;
}

/** What a step needs beside the host. */
export interface StepContext {
  /**
   * Called before and after every single change. Stops there when the user asked to stop; the crash test kills the
   * process there.
   */
  reached(point: string): Promise<void>;
  /** Throws when the user asked to stop; for steps that wait. */
  stop?: () => void;
  /** A line for the user about what is happening. */
  tell(line: string): void;
}

/**
 * How one kind of step is done and undone.
 * `Old` is what the host had before: it goes to the journal as JSON.
 */
export interface StepKind<S extends Step, Old> {
  /** In a few words, without the reason. */
  title(step: S): string;
  changes(step: S): Change[];
  /** Reads what is there now. @throws HostError, StepError when the step cannot be done any more */
  observe(host: Host, step: S): Promise<Old>;
  run(host: Host, step: S, cx: StepContext): Promise<void>;
  /**
   * Makes it as `old` says, from wherever a crash left it. Doing it twice is harmless.
   * @param ended whether the step had been done to its end
   * @returns what was restored, or undefined when nothing had to be
   */
  restore(host: Host, step: S, old: Old, cx: StepContext, ended: boolean): Promise<string | undefined>;
}

/** A step could not be done: the host is not, or did not become, what the plan stands on. */
export class StepError extends Error {
  override readonly name = 'StepError';
  readonly hints: string[];
  constructor(message: string, hints: string[] = []) {
    super(message);
    this.hints = hints;
  }
}
