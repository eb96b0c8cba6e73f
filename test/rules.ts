import type { Verdict } from '../src/check/check.ts';
import { PROBLEMS } from '../src/check/problems/index.ts';
import { functionOf, type Picture } from '../src/host/picture.ts';

/**
 * What the rule of a problem says: about the host, or about the function of an address when one is given.
 * @throws Error when the problem has no such rule, or there is no such function
 */
export function verdictOf(id: string, picture: Picture, bdf?: string): Verdict {
  const rules = PROBLEMS.find((problem) => problem.id === id)?.rules ?? [];
  for (const rule of rules) {
    if (bdf === undefined && rule.about === 'host') return rule.run(picture);
    const found = bdf === undefined ? undefined : functionOf(picture, bdf);
    if (found !== undefined && rule.about === 'function') return rule.run(picture, found);
  }
  throw new Error(`${id} has no rule about ${bdf ?? 'the host'}`);
}
