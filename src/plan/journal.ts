import { type Host, HostError } from '../host/host.ts';
import type { Step } from './step.ts';

/**
 * The journal of one applied plan: a file of JSON lines, each synced to disk before what it announces is done.
 *
 * `begin` says what was there before step N and that N may be half done from now on; `end` that it is done; `undone` that
 * it is as before again. A crash leaves at most one torn line at the end: it announced nothing that was done.
 */
export interface JournalHead {
  journal: 'sluice/journal/1';
  name: string;
  /** The boot in which it was written: what a plan sets does not outlive it. */
  bootId: string;
  /** Milliseconds since the epoch. */
  at: number;
  steps: Step[];
  devices: JournalDevice[];
}

/** A function given to the guest. */
export interface JournalDevice {
  bdf: string;
  kind: 'net' | 'nvme' | 'other';
  /** Present for a VF. */
  pf?: string;
  vf?: number;
  /** Interface of the PF, or its NVMe controller. */
  pfInterface?: string;
  pfNvme?: string;
  /** Its address in the guest. */
  guest?: string;
}

export type JournalLine =
  | { begin: number; old: unknown; at: number }
  | { end: number; at: number }
  | { undone: number; what?: string; at: number }
  | { applied: true; at: number };

/** A journal as it stands. */
export interface Journal {
  head: JournalHead;
  /** What each begun step found, by step number. */
  begun: Map<number, unknown>;
  ended: Set<number>;
  undone: Set<number>;
  applied: boolean;
}

export class JournalError extends Error {
  override readonly name = 'JournalError';
}

/** Paths of one VM's own files below the state folder. */
export function stateOf(stateFolder: string, name: string): { folder: string; journal: string; last: string } {
  const folder = `${stateFolder}/${name}`;
  return { folder, journal: `${folder}/journal.jsonl`, last: `${folder}/journal.last.jsonl` };
}

/** Held while a host is planned for and changed. No VM can have that name. */
export function lockOf(stateFolder: string): string {
  return `${stateFolder}/.lock`;
}

/** Functions that the VMs applied in this boot have, with their names. @throws JournalError */
export async function claimedFunctions(host: Host, stateFolder: string, bootId: string): Promise<Record<string, string>> {
  const claimed: Record<string, string> = {};
  for (const name of (await host.files.list(stateFolder)) ?? []) {
    const journal = name.startsWith('.') ? undefined : await readJournal(host, stateOf(stateFolder, name).journal);
    if (journal?.head.bootId === bootId) for (const { bdf } of journal.head.devices) claimed[bdf] = name;
  }
  return claimed;
}

/** Starts a journal. Nothing of the plan may be done before this returned. */
export async function openJournal(host: Host, path: string, head: JournalHead): Promise<void> {
  await host.files.replace(path, `${JSON.stringify(head)}\n`);
}

/** Adds a line and syncs it. */
export async function note(host: Host, path: string, line: JournalLine): Promise<void> {
  await host.files.append(path, `${JSON.stringify(line)}\n`);
}

/**
 * Reads a journal, or undefined when there is none.
 * @throws JournalError when it is damaged in another place than its last line, or of another version
 */
export async function readJournal(host: Host, path: string): Promise<Journal | undefined> {
  const text = await host.files.readText(path);
  if (text === undefined) return undefined;
  const lines = text.split('\n');
  // Without its newline the last line was cut by a crash, before what it announces was begun.
  lines.pop();
  const [first, ...rest] = lines;
  const head = parseLine<JournalHead>(first ?? '', path, 1);
  if (head.journal !== 'sluice/journal/1')
    throw new JournalError(`${path}:1: expected a journal of version sluice/journal/1, found ${JSON.stringify(head.journal)}`);
  const journal: Journal = { head, begun: new Map(), ended: new Set(), undone: new Set(), applied: false };
  for (const [index, text] of rest.entries()) {
    const line = parseLine<JournalLine>(text, path, index + 2);
    if ('begin' in line) journal.begun.set(line.begin, line.old);
    else if ('end' in line) journal.ended.add(line.end);
    else if ('undone' in line) journal.undone.add(line.undone);
    else journal.applied = true;
  }
  return journal;
}

/**
 * After a torn line nothing can be appended: the rest of the file would be unreadable. Rewrites it without that line.
 * @returns whether the journal can be written: a full disk keeps nobody from putting things back
 */
export async function mendJournal(host: Host, path: string): Promise<boolean> {
  const text = await host.files.readText(path);
  if (text === undefined || text.endsWith('\n')) return true;
  try {
    await host.files.replace(path, text.slice(0, text.lastIndexOf('\n') + 1));
    return true;
  } catch (error) {
    if (error instanceof HostError) return false;
    throw error;
  }
}

/** Puts a finished journal aside, so that the name is free again; the last one is kept to look at. */
export async function closeJournal(host: Host, paths: { journal: string; last: string }): Promise<void> {
  const text = await host.files.readText(paths.journal);
  if (text === undefined) throw new HostError(paths.journal, 'vanished');
  try {
    await host.files.replace(paths.last, text);
  } catch (error) {
    // A full disk must not keep the name taken: the copy is only for people.
    if (!(error instanceof HostError)) throw error;
  }
  await host.files.remove(paths.journal);
}

function parseLine<T extends object>(text: string, path: string, line: number): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new JournalError(
      `${path}:${line}: expected a line of JSON, found ${JSON.stringify(text.slice(0, 60))}; the journal is damaged`,
    );
  }
  if (typeof value !== 'object' || value === null)
    throw new JournalError(`${path}:${line}: expected an object, found ${typeof value}`);
  return value as T;
}
