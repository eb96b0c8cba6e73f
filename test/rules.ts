import type { Verdict } from '../src/check/check.ts';
import { PROBLEMS } from '../src/check/problems/index.ts';
import type { Vm } from '../src/check/vm.ts';
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

/** What the rule of a problem says about a VM. @throws Error when the problem has no such rule */
export function verdictOnVm(id: string, vm: Vm, picture: Picture): Verdict {
  for (const rule of PROBLEMS.find((problem) => problem.id === id)?.rules ?? [])
    if (rule.about === 'vm') return rule.run(vm, picture);
  throw new Error(`${id} has no rule about a VM`);
}
