import type { Evidence } from '../check.ts';

/** Something that was looked for on a host, and where. `absent` is an answer of the host; `unreadable` is none. */
export type Fact<T> = Known<T> | Missing;
export interface Known<T> {
  where: string;
  value: T;
}
export interface Missing {
  where: string;
  missing: 'absent' | 'unreadable';
  because: string;
}

/** A kernel module, by the name of its file. */
export interface ModuleFacts {
  loaded: Fact<boolean>;
  builtin: Fact<boolean>;
  /** Whether a kernel that is installed has it at all. */
  installed: Fact<boolean>;
  /** Parameters that this build of the module has. */
  parameters: Fact<string[]>;
}

/** Control groups as mounted on /sys/fs/cgroup. */
export interface Cgroups {
  /** Whether it is version 2 with controllers of its own. */
  unified: boolean;
  /** Names of the version 1 hierarchies that are mounted below it. */
  hierarchies: string[];
}

/**
 * What requirements are judged by. A host fills it from its files; the outputs of `lscpu`, `free` and the like hold the same
 * facts, so that what others recorded can be judged by the same questions.
 */
export interface Facts {
  architecture: Fact<string>;
  /** As `uname -r` prints it. */
  release: Fact<string>;
  cpus: Fact<number>;
  /** Flags of the processor. */
  flags: Fact<string[]>;
  /** Bytes that can be had without swapping. */
  available: Fact<number>;
  cgroups: Fact<Cgroups>;
  amazonLinux: Fact<boolean>;
  /** By the name of the file: `vfio-pci`, `igb_uio`, `dummy`, `nf_tables`. */
  modules: Readonly<Record<string, ModuleFacts>>;
  /** Text of files, by path. */
  texts: Readonly<Record<string, Fact<string>>>;
  /** Functions behind a remapping unit. */
  behindUnits: Fact<string[]>;
  /** Network functions, and what they are called. */
  networkFunctions: Fact<{ bdf: string; name: string }[]>;
  /** Versions, such as `18.0.4`. */
  dockerClient: Fact<string>;
  dockerDaemon: Fact<string>;
  dockerCompose: Fact<string>;
  /** Whether the file system of Docker tells the types of directory entries. */
  dType: Fact<boolean>;
  /** Whether Python has the package yaml. */
  pyYaml: Fact<boolean>;
}

/** How far a requirement is met. `note` is worth knowing and no obstacle; `warn` will do in a lab and not in production. */
export interface Answer {
  is: 'pass' | 'note' | 'warn' | 'fail' | 'unknown' | 'skipped';
  because: string;
  seen: Evidence[];
  /** What to do, safest first. */
  fix?: string[];
}

export function isKnown<T>(fact: Fact<T>): fact is Known<T> {
  return 'value' in fact;
}

/** The text of a file that is one of those that are read. @throws Error for a path that nobody reads, a bug of ours */
export function textOf({ texts }: Facts, path: string): Fact<string> {
  const text = texts[path];
  if (text === undefined) throw new Error(`${path} is not among the texts that are read`);
  return text;
}

/**
 * A fact made of another. Undefined from `make` means that the text is not what it should be.
 * @param expected what it should be, for the message
 */
export function derive<A, B>(fact: Fact<A>, make: (value: A) => B | undefined, expected: string = 'something else'): Fact<B> {
  if (!isKnown(fact)) return fact;
  const value = make(fact.value);
  if (value !== undefined) return { where: fact.where, value };
  const shown = JSON.stringify(fact.value);
  const found = shown.length > 60 ? `${shown.slice(0, 57)}...` : shown;
  return { where: fact.where, missing: 'unreadable', because: `${fact.where} should have ${expected}, and has ${found}` };
}

/** A whole number in decimal. */
export function integerOf(fact: Fact<string>): Fact<number> {
  return derive(fact, (text) => (/^\s*-?\d{1,20}\s*$/.test(text) ? Number(text) : undefined), 'a number');
}

/** What was seen of a fact, cut to what is worth showing. */
export function evidence(fact: Fact<unknown>): Evidence {
  if (!isKnown(fact)) return { where: fact.where, text: fact.missing === 'absent' ? 'absent' : fact.because };
  const text = typeof fact.value === 'string' ? fact.value.trim() : JSON.stringify(fact.value);
  return { where: fact.where, text: text.length > 120 ? `${text.slice(0, 117)}...` : text };
}

/** Judges a value, or says that it is unknown. */
export function judge<T>(fact: Fact<T>, say: (value: T) => Omit<Answer, 'seen'>): Answer {
  const seen = [evidence(fact)];
  if (isKnown(fact)) return { ...say(fact.value), seen };
  return { is: 'unknown', because: fact.missing === 'absent' ? `${fact.where} is not there` : fact.because, seen };
}

/** The first of some facts that is not known. */
export function firstMissing(...facts: Fact<unknown>[]): Missing | undefined {
  return facts.find((fact): fact is Missing => !isKnown(fact));
}
