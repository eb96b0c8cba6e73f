import type { Run, Verb } from './command.ts';

/** The file of each verb, loaded when it is asked for. `lab.ts` and `schema.ts` show how one looks. */
export const VERBS: { readonly [V in Verb]: () => Promise<{ run: Run<V> }> } = {
  inspect: () => import('./inspect.ts'),
  groups: () => import('./groups.ts'),
  check: () => import('./check.ts'),
  snapshot: () => import('./snapshot.ts'),
  'decode config': () => import('./decode-config.ts'),
  'decode dmar': async () => ({ run: (await import('./decode-table.ts')).dmar }),
  'decode ivrs': async () => ({ run: (await import('./decode-table.ts')).ivrs }),
  'decode mcfg': async () => ({ run: (await import('./decode-table.ts')).mcfg }),
  'decode viot': async () => ({ run: (await import('./decode-table.ts')).viot }),
  'decode fault': () => import('./decode-fault.ts'),
  plan: () => import('./plan.ts'),
  apply: () => import('./apply.ts'),
  verify: () => import('./verify.ts'),
  revert: () => import('./revert.ts'),
  status: () => import('./status.ts'),
  'lab setup': async () => ({ run: (await import('./lab.ts')).setup }),
  'lab run': async () => ({ run: (await import('./lab.ts')).runCommand }),
  'lab shell': async () => ({ run: (await import('./lab.ts')).shell }),
  'lab status': async () => ({ run: (await import('./lab.ts')).status }),
  'lab demo': () => import('./demo.ts'),
  schema: () => import('./schema.ts'),
  completion: () => import('./completion.ts'),
  man: () => import('./man.ts'),
};
