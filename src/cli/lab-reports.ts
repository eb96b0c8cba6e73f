import * as z from 'zod/mini';

/** A lab that is ready to boot. */
export interface LabSummary {
  flavour: string;
  /** Version of QEMU, as it says itself. */
  qemu: string;
  /** Release of the kernel. */
  kernel: string;
  /** SR-IOV devices that this QEMU can give to the machine. */
  devices: string[];
  /** On disk. */
  bytes: number;
  folder: string;
}
const labSummary: z.ZodMiniType<LabSummary> = z.strictObject({
  flavour: z.string(),
  qemu: z.string(),
  kernel: z.string(),
  devices: z.array(z.string()),
  bytes: z.int(),
  folder: z.string(),
});

export interface LabSetupReport {
  schema: 'sluice/lab-setup/1';
  lab: LabSummary;
  seconds: number;
}
export const labSetupReport: z.ZodMiniType<LabSetupReport> = z.strictObject({
  schema: z.literal('sluice/lab-setup/1'),
  lab: labSummary,
  seconds: z.number(),
});

export interface LabStatusReport {
  schema: 'sluice/lab-status/1';
  /** Folder of everything that the lab keeps. */
  store: string;
  labs: LabSummary[];
}
export const labStatusReport: z.ZodMiniType<LabStatusReport> = z.strictObject({
  schema: z.literal('sluice/lab-status/1'),
  store: z.string(),
  labs: z.array(labSummary),
});

export interface LabRunReport {
  schema: 'sluice/lab-run/1';
  command: string[];
  /** Exit code of the command; null when it did not end by itself. */
  code: number | null;
  reason: 'exit' | 'timeout' | 'panic' | 'interrupted' | 'qemu';
  seconds: number;
  bootSeconds: number;
  stdout: string;
  stderr: string;
  /** The last lines of the machine's console. */
  console: string[];
}
export const labRunReport: z.ZodMiniType<LabRunReport> = z.strictObject({
  schema: z.literal('sluice/lab-run/1'),
  command: z.array(z.string()),
  code: z.nullable(z.int()),
  reason: z.enum(['exit', 'timeout', 'panic', 'interrupted', 'qemu']),
  seconds: z.number(),
  bootSeconds: z.number(),
  stdout: z.string(),
  stderr: z.string(),
  console: z.array(z.string()),
});

/** One command of the demo. */
export interface DemoStep {
  command: string;
  /** What it is there for. */
  purpose: string;
  /** Its last line: every verb ends its text with the sum of it. */
  outcome: string;
  code: number;
  seconds: number;
}
export interface DemoReport {
  schema: 'sluice/lab-demo/1';
  steps: DemoStep[];
  /** Until the machine was ready; absent inside the machine. */
  bootSeconds?: number | undefined;
  seconds: number;
}
export const demoReport: z.ZodMiniType<DemoReport> = z.strictObject({
  schema: z.literal('sluice/lab-demo/1'),
  steps: z.array(
    z.strictObject({ command: z.string(), purpose: z.string(), outcome: z.string(), code: z.int(), seconds: z.number() }),
  ),
  bootSeconds: z.optional(z.number()),
  seconds: z.number(),
});
