import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Fault, parseFault } from '../../src/iommu/index.ts';
import { type ConformanceSet, partOf, Tally } from './set.ts';

/** A fault line of a real kernel, and its parts. What is absent was not in the line. */
export interface RecordedFault {
  line: string;
  wrapped?: boolean;
  vendor: string;
  type: string;
  device?: string | null;
  driver?: string | null;
  address?: string | null;
  index?: string | null;
  reason?: number | null;
  reasonText?: string | null;
  pasid?: string | number | null;
  fields?: Readonly<Record<string, string>>;
}

/** A file of such lines, one JSON object each. */
export function readRecords<T>(path: string): T[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => JSON.parse(line) as T);
}

/** The parts that we find, in the words of the recording. */
function partsOf(fault: Fault): Record<string, unknown> {
  const hex = (value: bigint | number | undefined) => (value === undefined ? undefined : `0x${value.toString(16)}`);
  if (fault.unit === 'amd-vi')
    return {
      vendor: 'amd',
      type: fault.type,
      device: fault.requester,
      driver: fault.driver,
      address: hex(fault.address),
      pasid: fault.pasid,
      fields: fault.fields,
    };
  if (fault.kind === 'dma' || fault.kind === 'interrupt')
    return {
      vendor: 'intel',
      type: fault.kind === 'interrupt' ? 'INTR-REMAP' : `DMA_${fault.access?.toUpperCase()}`,
      device: fault.requester,
      address: hex(fault.address),
      index: hex(fault.index),
      reason: fault.reason,
      reasonText: fault.reasonText,
      pasid: fault.pasid,
    };
  return { vendor: 'intel', type: fault.kind.toUpperCase() };
}

/** All that a recording may state; what it is about in general stands beside it. */
const STATED = ['vendor', 'type', 'device', 'driver', 'address', 'index', 'reason', 'reasonText', 'pasid', 'fields'] as const;

/** Undefined when every part that is stated is what we find. */
export function compareFault(recorded: RecordedFault): string | undefined {
  const fault = parseFault(recorded.line);
  if (fault === undefined) return 'not recognised as a fault';
  const ours = partsOf(fault);
  const different = STATED.flatMap((name) => {
    const theirs = recorded[name];
    if (theirs === undefined || theirs === null) return [];
    const [expected, found] = [plain(name, theirs), plain(name, ours[name])];
    return expected === found ? [] : [`${name} is ${expected}, we say ${found}`];
  });
  return different.length === 0 ? undefined : different.join('; ');
}

/** Numbers alike, however many digits they were written with. */
function plain(name: string, value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  if (name === 'fields') {
    const fields = Object.entries(value as Record<string, string>).sort(([a], [b]) => a.localeCompare(b));
    return fields.map(([key, text]) => `${key}=${text}`).join(' ');
  }
  const text = `${value as string | number}`.toLowerCase();
  return /^(0x[0-9a-f]{1,16}|\d{1,10})$/.test(text) ? BigInt(text).toString() : text;
}

export const faultLines: ConformanceSet = {
  name: 'logs/faults',
  run(folder) {
    const part = partOf(folder, 'logs');
    const path = part === undefined ? undefined : join(part, 'faults.jsonl');
    if (path === undefined || !existsSync(path)) return undefined;
    const tally = new Tally();
    for (const recorded of readRecords<RecordedFault>(path)) tally.add(recorded.line, compareFault(recorded));
    return tally;
  },
};
