import { type Host, HostError } from '../host/host.ts';
import { readSystem } from '../host/system.ts';
import { closeJournal, type JournalLine, lockOf, mendJournal, note, readJournal, stateOf } from './journal.ts';
import { type StepContext, StepError } from './step.ts';
import { kindOf } from './steps/index.ts';

/** What a revert did. */
export interface Restored {
  /** `nothing` when there was nothing applied of that name. */
  outcome: 'restored' | 'nothing' | 'incomplete';
  /** One element per step that had been begun, the last first; `what` is absent when it was as before already. */
  steps: { title: string; what?: string; failure?: string; hints?: string[] }[];
  /** The host was started anew since: nothing that the plan set is still set. */
  restarted: boolean;
}

/**
 * Walks a journal back, from wherever apply got to, and makes everything as it was. Doing it again changes nothing.
 * @throws JournalError when the journal is damaged; HostError when it cannot be read or written
 */
export async function revert(host: Host, stateFolder: string, name: string, cx: StepContext): Promise<Restored> {
  if (!(await host.files.exists(stateOf(stateFolder, name).journal))) return { outcome: 'nothing', steps: [], restarted: false };
  const lock = await host.files.lock(lockOf(stateFolder));
  if (typeof lock === 'string') throw new HostError(lockOf(stateFolder), `another sluice changes this host: ${lock}`);
  try {
    return await undo(host, stateFolder, name, cx);
  } finally {
    await lock();
  }
}

/** {@link revert} for who holds the lock already. */
export async function undo(host: Host, stateFolder: string, name: string, cx: StepContext): Promise<Restored> {
  const paths = stateOf(stateFolder, name);
  const journal = await readJournal(host, paths.journal);
  if (journal === undefined) return { outcome: 'nothing', steps: [], restarted: false };
  let writable = await mendJournal(host, paths.journal);
  const restored: Restored = { outcome: 'restored', steps: [], restarted: false };
  if ((await readSystem(host)).bootId !== journal.head.bootId) {
    restored.restarted = true;
    await closeJournal(host, paths);
    return restored;
  }
  for (const [index, old] of [...journal.begun].reverse()) {
    const step = journal.head.steps[index];
    if (step === undefined || journal.undone.has(index)) continue;
    const kind = kindOf(step);
    const title = kind.title(step);
    cx.tell(`undo: ${title}`);
    try {
      const what = await kind.restore(host, step, old, cx, journal.ended.has(index));
      // Restoring twice is harmless, so a note that cannot be written stops nothing.
      if (writable)
        writable = await noted(host, paths.journal, {
          undone: index,
          ...(what === undefined ? {} : { what }),
          at: host.clock.now(),
        });
      restored.steps.push({ title, ...(what === undefined ? {} : { what }) });
      await cx.reached(`undo ${title}: done`);
    } catch (error) {
      // What follows was done before this step and may rest on it: stop here, keep the journal, so that revert can be run again.
      if (!(error instanceof StepError || error instanceof HostError)) throw error;
      restored.steps.push({ title, failure: error.message, hints: error instanceof StepError ? error.hints : [] });
      restored.outcome = 'incomplete';
      return restored;
    }
  }
  await closeJournal(host, paths);
  return restored;
}

async function noted(host: Host, path: string, line: JournalLine): Promise<boolean> {
  try {
    await note(host, path, line);
    return true;
  } catch (error) {
    if (error instanceof HostError) return false;
    throw error;
  }
}
