import { type ConformanceSet, partOf, Tally } from './set.ts';
import { caseFiles, casesOf, type VtdCase } from './vtd-cases.ts';
import { Replay, type Verdict } from './vtd-replay.ts';

/** Judges one case: on a unit without caches, on one with them, with a kernel too, and without the deviations that QEMU is known for. */
export function judgeCase(one: VtdCase, tally: Tally): void {
  // QEMU's deviations are there in any case that has a quirk.
  const deviates = one.quirks.length > 0;
  const fresh = new Replay(one, deviates);
  const without = fresh.run();
  const cached = new Replay(one, deviates, fresh).run();
  const fast = new Replay(one, deviates, fresh, fresh.entries, true).run();
  const strict = deviates ? new Replay(one, false, undefined, fresh.entries).run() : without;
  for (const at of new Set([...without.keys(), ...cached.keys(), ...fast.keys(), ...strict.keys()])) {
    const what = at === one.ops.length ? `${one.id}, memory` : `${one.id}, op ${at}`;
    const why = (prefix: string, verdict: Verdict) => (verdict === undefined ? undefined : `${prefix}${verdict}`);
    const verdict = without.get(at) ?? why('with caches: ', cached.get(at)) ?? why('with a kernel: ', fast.get(at));
    tally.add(what, verdict ?? why('without deviations: ', strict.get(at)));
  }
}

/**
 * Judges the cases in one part of the collection.
 *
 * @param stride takes one of so many, for tests that have to be quick
 * @returns undefined when the folder has none
 */
export function judgePart(folder: string, part: string, stride = 1): Tally | undefined {
  const path = partOf(folder, part);
  if (path === undefined) return undefined;
  const tally = new Tally();
  let number = 0;
  for (const file of caseFiles(path))
    for (const one of casesOf(file)) {
      if (number++ % stride !== 0) continue;
      try {
        judgeCase(one, tally);
      } catch (error) {
        // The others can be judged.
        tally.add(one.id, `it cannot be replayed: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  return tally.total ? tally : undefined;
}

/** Requests, registers that are read, messages and memory: as QEMU has them, and as the specification does. */
export const VTD: readonly ConformanceSet[] = ['vtd', 'vtd-spec'].map((part) => ({
  name: part,
  run: (folder) => judgePart(folder, part),
}));
