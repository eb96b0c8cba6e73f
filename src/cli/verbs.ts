import type { Run, Verb } from './command.ts';

/** The file of each verb, loaded when it is asked for. `lab.ts` and `schema.ts` show how one looks. */
export const VERBS: { readonly [V in Verb]: () => Promise<{ run: Run<V> }> } = {
  inspect: () => import('./inspect.ts'),
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
