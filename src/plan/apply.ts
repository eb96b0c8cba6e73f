import { type Host, HostError } from '../host/host.ts';
import { type JournalHead, lockOf, note, openJournal, readJournal, stateOf } from './journal.ts';
import type { Plan, Planned, Refusal } from './plan.ts';
import { type Restored, undo } from './revert.ts';
import { type StepContext, StepError } from './step.ts';
import { kindOf } from './steps/index.ts';

/** What became of an attempt. */
export type Applied =
  | { outcome: 'applied'; steps: Done[] }
  /** A step failed, or the user stopped it; what had been done was undone again. `failure` says what. */
  | { outcome: 'restored'; steps: Done[]; failure: Failure; restored: Restored }
  /** Nothing was begun. */
  | { outcome: 'refused'; because: string; hints: string[]; refusals: Refusal[] };

export interface Done {
  title: string;
  milliseconds: number;
}

export interface Failure {
  step: string;
  because: string;
  hints: string[];
  interrupted: boolean;
}

/** The user asked to stop. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
}

/**
 * Plans and does it, step by step, each journalled before it is begun. When a step fails everything begun is undone. The lock
 * is held from before the host is looked at: what is planned is what is there.
 *
 * @param at   the VM, and where journals are
 * @param make reads the host and plans
 * @throws HostError when the host cannot be read, or the journal not be started: nothing was done then
 */
export async function apply(
  host: Host,
  at: { stateFolder: string; name: string },
  make: () => Promise<Planned>,
  cx: StepContext,
): Promise<Applied> {
  const paths = stateOf(at.stateFolder, at.name);
  await host.files.makeFolder(paths.folder);
  const lock = await host.files.lock(lockOf(at.stateFolder));
  if (typeof lock === 'string') return refused(`another sluice changes this host: ${lock}`, ['wait until it is done']);
  try {
    const planned = await make();
    if ('refusals' in planned) return { outcome: 'refused', because: 'there is no plan', hints: [], refusals: planned.refusals };
    const { plan } = planned;
    if ((await readJournal(host, paths.journal)) !== undefined)
      return refused(`${plan.name} is applied already, or was begun and not finished: ${paths.journal}`, [
        `run: sluice revert ${plan.name}`,
      ]);
    const head: JournalHead = {
      journal: 'sluice/journal/1',
      name: plan.name,
      bootId: plan.bootId,
      at: host.clock.now(),
      steps: plan.steps,
      devices: plan.devices,
    };
    await cx.reached('start');
    await openJournal(host, paths.journal, head);
    const done: Done[] = [];
    const failure = await doSteps(host, plan, paths.journal, cx, done);
    if (failure === undefined) return { outcome: 'applied', steps: done };
    cx.tell(`${failure.because}`);
    cx.tell('putting everything back');
    const restored = await undo(host, plan.stateFolder, plan.name, { ...cx, reached: async () => {} });
    return { outcome: 'restored', steps: done, failure, restored };
  } finally {
    await lock();
  }
}

async function doSteps(host: Host, plan: Plan, journal: string, cx: StepContext, done: Done[]): Promise<Failure | undefined> {
  for (const [index, step] of plan.steps.entries()) {
    const kind = kindOf(step);
    const title = kind.title(step);
    cx.tell(title);
    const started = host.clock.now();
    const failure = await attempt(title, async () => {
      const old = await kind.observe(host, step);
      await note(host, journal, { begin: index, old, at: started });
      await cx.reached(`${title}: journalled`);
      await kind.run(host, step, cx);
      await note(host, journal, { end: index, at: host.clock.now() });
      await cx.reached(`${title}: done`);
    });
    if (failure !== undefined) return failure;
    done.push({ title, milliseconds: host.clock.now() - started });
  }
  return await attempt('write the journal', async () => await note(host, journal, { applied: true, at: host.clock.now() }));
}

/** Runs one thing; what went wrong becomes a value, but for our own bugs. */
async function attempt(step: string, run: () => Promise<void>): Promise<Failure | undefined> {
  try {
    await run();
    return undefined;
  } catch (error) {
    if (error instanceof Interrupted) return { step, because: 'stopped on request', hints: [], interrupted: true };
    if (error instanceof StepError) return { step, because: error.message, hints: error.hints, interrupted: false };
    if (error instanceof HostError) return { step, because: error.message, hints: [], interrupted: false };
    throw error;
  }
}

function refused(because: string, hints: string[]): Applied {
  return { outcome: 'refused', because, hints, refusals: [] };
}
