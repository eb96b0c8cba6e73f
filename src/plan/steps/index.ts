import type { Step, StepKind, StepOf } from '../step.ts';
import { attribute } from './attribute.ts';
import { bind } from './bind.ts';
import { createVfs } from './create-vfs.ts';
import { loadModule } from './load-module.ts';
import { nvmeResources } from './nvme-resources.ts';
import { proveNvmeStep } from './prove-nvme.ts';
import { setLink } from './set-link.ts';
import { setVf } from './set-vf.ts';
import { startGuestStep } from './start-guest.ts';

const KINDS: { [Kind in Step['do']]: StepKind<StepOf<Kind>, unknown> } = {
  'load-module': loadModule,
  attribute,
  'set-link': setLink,
  'create-vfs': createVfs,
  'set-vf': setVf,
  'nvme-resources': nvmeResources,
  bind,
  'prove-nvme': proveNvmeStep,
  'start-guest': startGuestStep,
};

/** How a step is done and undone. `Old` is opaque here: it goes from `observe` through the journal to `restore`. */
export function kindOf(step: Step): StepKind<Step, unknown> {
  return KINDS[step.do] as StepKind<Step, unknown>;
}
