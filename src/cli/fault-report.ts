import * as z from 'zod/mini';
import type { LoggedFault } from '../check/log-faults.ts';
import { explainFault, type Fault } from '../iommu/index.ts';
import { harmless, type Page, wrap } from './output.ts';

/** Faults that differ in nothing but their addresses. Addresses are hexadecimal. */
export interface FaultShown {
  /** As printed. */
  text: string;
  /** Of the first, from 1. */
  line: number;
  count: number;
  unit: 'VT-d' | 'AMD-Vi';
  /** `DMA read`, `interrupt`, `status`, `invalidation time-out`, or the type of an AMD-Vi event. */
  kind: string;
  requester?: string;
  driver?: string;
  address?: string;
  /** The highest, where there are several. */
  to?: string;
  index?: number;
  reason?: number;
  reasonText?: string;
  pasid?: number;
  domain?: number;
  flags?: number;
  /** All that an AMD-Vi event printed. */
  fields?: Readonly<Record<string, string>>;
  cause?: string;
  says: string;
  details: string[];
  usually: string[];
  next: string[];
  /** What the host that was given tells about it. */
  here: string[];
}

export interface FaultReport {
  schema: 'sluice/decode-fault/1';
  faults: FaultShown[];
  /** Faults that the kernel did not print, as far as it says. */
  suppressed: number;
  /** Faults of Arm SMMUs, which are not taken apart. */
  smmu: number;
  /** Faults of further kinds that were only counted. */
  more: number;
}

export const faultReport: z.ZodMiniType<FaultReport> = z.strictObject({
  schema: z.literal('sluice/decode-fault/1'),
  faults: z.array(
    z.strictObject({
      text: z.string(),
      line: z.int(),
      count: z.int(),
      unit: z.enum(['VT-d', 'AMD-Vi']),
      kind: z.string(),
      requester: z.optional(z.string()),
      driver: z.optional(z.string()),
      address: z.optional(z.string()),
      to: z.optional(z.string()),
      index: z.optional(z.int()),
      reason: z.optional(z.int()),
      reasonText: z.optional(z.string()),
      pasid: z.optional(z.int()),
      domain: z.optional(z.int()),
      flags: z.optional(z.int()),
      fields: z.optional(z.record(z.string(), z.string())),
      cause: z.optional(z.string()),
      says: z.string(),
      details: z.array(z.string()),
      usually: z.array(z.string()),
      next: z.array(z.string()),
      here: z.array(z.string()),
    }),
  ),
  suppressed: z.int(),
  smmu: z.int(),
  more: z.int(),
}) as z.ZodMiniType<FaultReport>;

/** @param here what the host tells about it */
export function showFault({ fault, text, line, count, lowest, highest }: LoggedFault, here: string[]): FaultShown {
  return {
    text,
    line,
    count,
    unit: fault.unit === 'vtd' ? 'VT-d' : 'AMD-Vi',
    kind: kindOf(fault),
    ...partsOf(fault),
    ...(lowest === undefined ? {} : { address: hex(lowest) }),
    ...(highest === undefined || highest === lowest ? {} : { to: hex(highest) }),
    ...explainFault(fault),
    here,
  };
}

function kindOf(fault: Fault): string {
  if (fault.unit === 'amd-vi') return fault.type;
  if (fault.kind === 'dma') return `DMA ${fault.access}`;
  return fault.kind === 'invalidation' ? `invalidation ${fault.error}` : fault.kind;
}

/** The parts that are plain values. */
function partsOf(fault: Fault): Partial<FaultShown> {
  const names = ['requester', 'driver', 'index', 'reason', 'reasonText', 'pasid', 'domain', 'flags', 'fields'] as const;
  const parts: Record<string, unknown> = {};
  for (const name of names) if (name in fault) parts[name] = (fault as unknown as Record<string, unknown>)[name];
  return parts;
}

function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}

/** Draws the faults, each with what it means. */
export function renderFaults(report: FaultReport, page: Page): string {
  const { style } = page;
  /** Where what is behind each kind of cause was told: once is enough. */
  const told = new Map<string, number>();
  const parts = report.faults.map((fault) => {
    const key = fault.usually.join('\n');
    const before = told.get(key);
    if (before === undefined) told.set(key, fault.line);
    return renderFault(fault, before, page);
  });
  const end: string[] = [];
  if (report.faults.length === 0) end.push('No fault of a VT-d or AMD-Vi unit is in these lines.');
  if (report.suppressed > 0)
    end.push(style.yellow(`The kernel left out ${report.suppressed} more: it prints only so many in a time.`));
  if (report.smmu > 0) end.push(`${report.smmu} faults are of Arm SMMUs, which are no x86 IOMMUs and are not taken apart.`);
  if (report.more > 0) end.push(`${report.more} more are of further kinds.`);
  if (end.length > 0) parts.push(end.flatMap((line) => wrap(line, page.width)).join('\n'));
  return parts.join('\n\n');
}

/** @param before line of a fault that has the same behind it */
function renderFault(fault: FaultShown, before: number | undefined, page: Page): string {
  const { style } = page;
  const device = fault.requester === undefined ? '' : ` of ${fault.requester}`;
  const driver = fault.driver === undefined || fault.driver === 'pci' ? '' : ` (${fault.driver})`;
  const often = fault.count === 1 ? '' : `, ${fault.count} times`;
  const range = fault.to === undefined ? '' : `, addresses from ${fault.address} to ${fault.to}`;
  const title = harmless(`${fault.unit} ${fault.kind}${device}${driver}${often}${range}`);
  const lines = wrap(title, page.width).map((line) => style.bold(line));
  const add = (mark: string, text: string, paint = (one: string) => one) => {
    const [first = '', ...more] = wrap(harmless(text), page.width - 2 - mark.length);
    lines.push(`  ${paint(`${mark}${first}`)}`, ...more.map((line) => `  ${' '.repeat(mark.length)}${paint(line)}`));
  };
  add('', `line ${fault.line}: ${fault.text}`, style.dim);
  add('', `${fault.says[0]!.toUpperCase()}${fault.says.slice(1)}.`);
  for (const detail of fault.details) add('- ', detail);
  if (fault.here.length > 0) lines.push('  On this host:');
  for (const text of fault.here) add('  - ', text);
  if (fault.usually.length > 0 && before !== undefined) lines.push(`  Usually, and what to look at: as for line ${before}.`);
  else if (fault.usually.length > 0) {
    lines.push('  Usually:');
    for (const text of fault.usually) add('  - ', text);
    lines.push('  Look at:');
    for (const text of fault.next) add('  - ', text);
  }
  return lines.join('\n');
}
