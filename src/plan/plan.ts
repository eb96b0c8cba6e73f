import type { Finding } from '../check/check.ts';
import type { Picture } from '../host/picture.ts';
import type { QemuCapabilities } from '../qemu/index.ts';
import type { JournalDevice } from './journal.ts';
import type { SourcePlace, VmSpec } from './spec.ts';
import type { Step } from './step.ts';

/** All that a plan depends on. */
export interface PlanInput {
  /** File names in it are absolute already. */
  spec: VmSpec;
  specFile: string;
  picture: Picture;
  qemu: QemuCapabilities;
  stateFolder: string;
  /** Functions that other applied VMs have, with the names of those. */
  claimed: Readonly<Record<string, string>>;
  /** Files that the spec names and the host does not have. */
  missingFiles: string[];
  /** OVMF code and variable template found on the host. */
  ovmf?: { code: string; vars: string };
}

/** What apply would do, in order. A plan is plain data and depends on nothing but the spec and what was read of the host. */
export interface Plan {
  name: string;
  stateFolder: string;
  bootId: string;
  devices: JournalDevice[];
  steps: Step[];
  /** RLIMIT_MEMLOCK of the QEMU process, as a calculation. */
  memlock: { bytes: number; text: string; terms: { bytes: number; what: string; because: string }[] };
  accel: 'kvm' | 'tcg';
  /** What the user who applies it must be allowed to do. */
  rights: string[];
  warnings: string[];
}

/** Why there is no plan. */
export interface Refusal extends Finding {
  /** The place in the spec that asks for it. */
  at: SourcePlace;
}

export type Planned = { plan: Plan } | { refusals: Refusal[] };
