import * as z from 'zod/mini';
import type { Finding } from '../check/check.ts';
import type { Inspection } from '../check/inspect.ts';
import type { Done, Failure } from '../plan/apply.ts';
import type { Verification } from '../plan/proof.ts';
import type { Restored } from '../plan/revert.ts';
import type { AppliedVm } from '../plan/status.ts';
import type { Change } from '../plan/step.ts';

// What inspect, plan, apply, verify, revert and status print with --json: the types, and their schemas beside them.

const evidence = z.strictObject({ where: z.string(), text: z.string() });
const finding: z.ZodMiniType<Finding> = z.strictObject({
  id: z.string(),
  asks: z.string(),
  bdf: z.string(),
  is: z.enum(['pass', 'fail', 'unknown', 'not-applicable']),
  because: z.string(),
  seen: z.array(evidence),
  fix: z.optional(z.array(z.string())),
  lines: z.optional(z.array(z.strictObject({ text: z.string(), source: z.string() }))),
}) as z.ZodMiniType<Finding>;
const place = z.strictObject({ file: z.string(), line: z.int(), column: z.int() });
const reading = z.strictObject({ what: z.string(), because: z.string() });

export const inspectReport: z.ZodMiniType<Inspection> = z.strictObject({
  schema: z.literal('sluice/inspect/2'),
  host: z.string(),
  system: z.strictObject({
    kernel: z.string(),
    cmdline: z.string(),
    guest: z.boolean(),
    uid: z.int(),
    memory: z.int(),
    virtualization: z.optional(z.enum(['vmx', 'svm'])),
  }),
  kvm: z.strictObject({ usable: z.boolean(), because: z.string() }),
  iommu: finding,
  options: z.array(z.strictObject({ text: z.string(), does: z.string(), here: z.string(), effective: z.boolean() })),
  dmar: z.optional(
    z.strictObject({
      hostAddressWidth: z.int(),
      flags: z.strictObject({ INTR_REMAP: z.boolean(), X2APIC_OPT_OUT: z.boolean(), DMA_CTRL_PLATFORM_OPT_IN_FLAG: z.boolean() }),
      units: z.array(
        z.strictObject({ segment: z.int(), registerBase: z.string(), includePciAll: z.boolean(), scopes: z.array(z.string()) }),
      ),
      reserved: z.array(z.strictObject({ segment: z.int(), base: z.string(), limit: z.string(), scopes: z.array(z.string()) })),
      findings: z.array(z.string()),
    }),
  ),
  units: z.array(
    z.strictObject({
      name: z.string(),
      kind: z.enum(['VT-d', 'AMD-Vi', 'virtio-iommu']),
      devices: z.int(),
      version: z.optional(z.string()),
      registerBase: z.optional(z.string()),
      segment: z.optional(z.int()),
      scope: z.optional(z.array(z.string())),
      cap: z.optional(z.string()),
      ecap: z.optional(z.string()),
      amd: z.optional(
        z.strictObject({
          cap: z.string(),
          features: z.string(),
          can: z.optional(
            z.strictObject({
              hostLevels: z.optional(z.int()),
              guestLevels: z.optional(z.int()),
              pasidBits: z.int(),
              abilities: z.array(z.strictObject({ what: z.string(), field: z.string(), has: z.boolean() })),
            }),
          ),
        }),
      ),
      can: z.optional(
        z.strictObject({
          widths: z.array(z.int()),
          maximumGuestAddressWidth: z.int(),
          domains: z.int(),
          pasidBits: z.int(),
          faultRecords: z.int(),
          cachingMode: z.boolean(),
          abilities: z.array(z.strictObject({ what: z.string(), field: z.string(), has: z.boolean() })),
        }),
      ),
    }),
  ),
  reserved: z.array(
    z.strictObject({
      start: z.string(),
      end: z.string(),
      kind: z.string(),
      groups: z.array(z.int()),
      owners: z.array(z.string()),
    }),
  ),
  groups: z.array(
    z.strictObject({
      number: z.int(),
      devices: z.array(z.string()),
      type: z.optional(z.string()),
      because: z.optional(z.string()),
    }),
  ),
  groupsAre: z.optional(z.literal('computed')),
  unknownGroups: z.optional(z.array(z.strictObject({ bdf: z.string(), because: z.array(z.string()) }))),
  doubts: z.array(z.string()),
  functions: z.array(
    z.strictObject({
      bdf: z.string(),
      ids: z.string(),
      class: z.string(),
      kind: z.enum(['net', 'nvme', 'other']),
      parent: z.string(),
      driver: z.optional(z.string()),
      group: z.optional(z.int()),
      unit: z.optional(z.string()),
      domain: z.optional(z.strictObject({ type: z.string(), means: z.string(), because: z.string() })),
      interfaces: z.array(z.string()),
      nvme: z.array(z.string()),
      numaNode: z.optional(z.int()),
      link: z.optional(z.strictObject({ speed: z.string(), width: z.int(), maxSpeed: z.string(), maxWidth: z.int() })),
      reset: z.strictObject({ methods: z.array(z.string()), flr: z.optional(z.boolean()) }),
      bars: z.array(
        z.strictObject({
          index: z.int(),
          start: z.optional(z.string()),
          size: z.number(),
          space: z.enum(['memory', 'io']),
          width: z.union([z.literal(32), z.literal(64)]),
          prefetchable: z.boolean(),
        }),
      ),
      powerState: z.optional(z.string()),
      d3coldAllowed: z.optional(z.boolean()),
      bootDisplay: z.optional(z.literal(true)),
      untrusted: z.optional(z.literal(true)),
      has: z.optional(z.array(z.string())),
      sriov: z.optional(
        z.strictObject({ totalVFs: z.int(), firstVFOffset: z.int(), vfStride: z.int(), numVFs: z.optional(z.int()) }),
      ),
      physfn: z.optional(z.string()),
      uses: z.array(
        z.strictObject({
          kind: z.enum(['mount', 'swap', 'holder', 'default-route', 'switch-port', 'namespace', 'vfio']),
          what: z.string(),
          where: z.string(),
        }),
      ),
      verdict: z.strictObject({
        is: z.enum(['ready', 'possible', 'blocked', 'unknown', 'bridge']),
        because: z.string(),
        steps: z.array(z.string()),
        findings: z.array(finding),
      }),
      vfs: z.optional(z.strictObject({ possible: z.int(), because: z.string() })),
    }),
  ),
  unread: z.array(reading),
}) as z.ZodMiniType<Inspection>;

/** A step of a plan, for people. */
export interface PlannedStep {
  do: string;
  title: string;
  why: string;
  changes: Change[];
}
const change = z.strictObject({ where: z.string(), from: z.string(), to: z.string() });

const refusals = z.array(
  z.strictObject({
    id: z.string(),
    asks: z.string(),
    bdf: z.string(),
    is: z.enum(['pass', 'fail', 'unknown', 'not-applicable']),
    because: z.string(),
    seen: z.array(evidence),
    fix: z.optional(z.array(z.string())),
    at: place,
  }),
);

export interface PlanReport {
  schema: 'sluice/plan/1';
  name: string;
  /** Present when the spec can be served. */
  plan?: {
    devices: { bdf: string; kind: string; pf?: string | undefined; vf?: number | undefined; guest?: string | undefined }[];
    steps: PlannedStep[];
    argv: string[];
    memlock: { bytes: number; text: string };
    accel: 'kvm' | 'tcg';
    rights: string[];
    warnings: string[];
  };
  /** Why not, otherwise. */
  refusals: (Finding & { at: { file: string; line: number; column: number } })[];
}
export const planReport: z.ZodMiniType<PlanReport> = z.strictObject({
  schema: z.literal('sluice/plan/1'),
  name: z.string(),
  plan: z.optional(
    z.strictObject({
      devices: z.array(
        z.strictObject({
          bdf: z.string(),
          kind: z.string(),
          pf: z.optional(z.string()),
          vf: z.optional(z.int()),
          guest: z.optional(z.string()),
        }),
      ),
      steps: z.array(z.strictObject({ do: z.string(), title: z.string(), why: z.string(), changes: z.array(change) })),
      argv: z.array(z.string()),
      memlock: z.strictObject({ bytes: z.int(), text: z.string() }),
      accel: z.enum(['kvm', 'tcg']),
      rights: z.array(z.string()),
      warnings: z.array(z.string()),
    }),
  ),
  refusals,
}) as z.ZodMiniType<PlanReport>;

const restored: z.ZodMiniType<Restored> = z.strictObject({
  outcome: z.enum(['restored', 'nothing', 'incomplete']),
  steps: z.array(
    z.strictObject({
      title: z.string(),
      what: z.optional(z.string()),
      failure: z.optional(z.string()),
      hints: z.optional(z.array(z.string())),
    }),
  ),
  restarted: z.boolean(),
}) as z.ZodMiniType<Restored>;

export interface ApplyReport {
  schema: 'sluice/apply/1';
  name: string;
  outcome: 'applied' | 'restored' | 'refused';
  steps: Done[];
  seconds: number;
  /** Why there is no plan to do. */
  refusals: PlanReport['refusals'];
  /** What failed, or why nothing was begun. */
  failure?: Failure;
  restored?: Restored;
}
export const applyReport: z.ZodMiniType<ApplyReport> = z.strictObject({
  schema: z.literal('sluice/apply/1'),
  name: z.string(),
  outcome: z.enum(['applied', 'restored', 'refused']),
  steps: z.array(z.strictObject({ title: z.string(), milliseconds: z.number() })),
  seconds: z.number(),
  refusals,
  failure: z.optional(
    z.strictObject({ step: z.string(), because: z.string(), hints: z.array(z.string()), interrupted: z.boolean() }),
  ),
  restored: z.optional(restored),
}) as z.ZodMiniType<ApplyReport>;

export const verifyReport: z.ZodMiniType<Verification> = z.strictObject({
  schema: z.literal('sluice/verify/1'),
  name: z.string(),
  is: z.enum(['proved', 'disproved', 'unknown']),
  proofs: z.array(
    z.strictObject({
      level: z.enum(['host', 'vfio', 'guest']),
      bdf: z.optional(z.string()),
      claim: z.string(),
      is: z.enum(['proved', 'disproved', 'unknown']),
      because: z.string(),
      seen: z.array(evidence),
    }),
  ),
}) as z.ZodMiniType<Verification>;

export interface RevertReport {
  schema: 'sluice/revert/1';
  name: string;
  seconds: number;
  restored: Restored;
}
export const revertReport: z.ZodMiniType<RevertReport> = z.strictObject({
  schema: z.literal('sluice/revert/1'),
  name: z.string(),
  seconds: z.number(),
  restored,
}) as z.ZodMiniType<RevertReport>;

export interface StatusReport {
  schema: 'sluice/status/1';
  state: string;
  vms: AppliedVm[];
}
export const statusReport: z.ZodMiniType<StatusReport> = z.strictObject({
  schema: z.literal('sluice/status/1'),
  state: z.string(),
  vms: z.array(
    z.strictObject({
      name: z.string(),
      state: z.enum(['applied', 'begun', 'stale']),
      pid: z.optional(z.int()),
      devices: z.array(z.string()),
      since: z.number(),
    }),
  ),
}) as z.ZodMiniType<StatusReport>;
