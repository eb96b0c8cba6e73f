import { REASONS } from './vtd-reasons.ts';

/** A request that a VT-d unit refused, as Linux or Xen printed it. */
export interface VtdFault {
  unit: 'vtd';
  kind: 'dma' | 'interrupt';
  /** Of a DMA. The kernel prints an AtomicOp as a read. */
  access?: 'read' | 'write' | 'execute';
  /** `02:00.1`: Linux prints no PCI segment; with one when it is there. */
  requester: string;
  /** Of a DMA: the page that was asked for. */
  address?: bigint;
  /** Of an interrupt: the index into the interrupt-remapping table, as the handle of the request says. */
  index?: number;
  /** VT-d 5.10 Table 30 or Table 15; undefined where the line ends before it. */
  reason?: number;
  /** As printed; absent when nothing was. */
  reasonText?: string;
  /** Absent for a request without one, and where older kernels print none. */
  pasid?: number;
}

/** `DRHD: handling fault status reg`: FSTS_REG when the kernel looked. VT-d 5.10 §11.4.7.1. */
export interface VtdStatus {
  unit: 'vtd';
  kind: 'status';
  value: number;
}

/** An error of the invalidation queue. */
export interface VtdInvalidation {
  unit: 'vtd';
  kind: 'invalidation';
  error: 'queue' | 'time-out' | 'completion';
  /** Of the queue: VT-d 5.10 §11.4.9.9, IQERCD_REG.IQEI. */
  reason?: number;
  /** The requester that did not answer; FFFFh when the unit does not tell. */
  sid?: number;
}

// dmar_fault_do_one of drivers/iommu/intel/dmar.c, over the years:
//   until 4.x   DMAR:[DMA Write] Request device [02:00.1] fault addr 10002000 \nDMAR:[fault reason 05] PTE Write ...
//   until 5.13  DMAR: [DMA Write] Request device [02:00.1] PASID ffffffff fault addr 10002000 [fault reason 05] PTE ...
//   5.14        DMAR: [DMA Write NO_PASID] Request device [0x02:0x00.1] fault addr 0x10002000 [fault reason 0x05] PTE ...
//   since 5.15  the same without 0x in the device
// Addresses and indices were always hexadecimal; the reason was decimal until it got its 0x. Xen prints the segment.
const REQUEST =
  /\[(DMA Read|DMA Write|DMA Execute|INTR-REMAP)(?: (NO_PASID|PASID (?:0x)?[0-9a-f]{1,8}))?\] Request device \[([0-9a-fx]{4,8}:)?(?:0x)?([0-9a-f]{2}):(?:0x)?([0-9a-f]{2})\.(?:0x)?([0-7])\](?: PASID ([0-9a-f]{1,8}))? fault (?:addr|index)(?: (?:0x)?([0-9a-f]{1,16}))?\b/i;
const REASON = /(?:\[fault reason |\breason )(0x[0-9a-f]{1,2}|\d{1,3})(?:\]| -) *(.*)/i;
const STATUS = /DRHD: handling fault status reg (?:0x)?([0-9a-f]{1,8})\b/;
const INVALIDATION =
  /VT-d detected Invalidation (Queue|Time-out|Completion) Error: (?:Reason (?:0x)?([0-9a-f]{1,2})|SID (?:0x)?([0-9a-f]{1,4}))\b/;

/** In a request without a PASID the older kernels print all ones. */
const NO_PASID = 0xffffffff;

/** What a line says of a VT-d unit, or undefined when it says nothing of one. Old kernels put the reason on the next line: {@link parseVtdReason}. */
export function parseVtdLine(text: string): VtdFault | VtdStatus | VtdInvalidation | undefined {
  return parseRequest(text) ?? parseStatus(text) ?? parseInvalidation(text);
}

function parseRequest(text: string): VtdFault | undefined {
  const match = REQUEST.exec(text);
  if (match === null) return undefined;
  const [all, what = '', newPasid, segment = '', bus, device, fn, oldPasid, value] = match;
  const pasid = readPasid(newPasid, oldPasid);
  const fault: VtdFault = {
    unit: 'vtd',
    kind: what === 'INTR-REMAP' ? 'interrupt' : 'dma',
    requester: `${segment}${bus}:${device}.${fn}`.toLowerCase(),
  };
  if (fault.kind === 'dma') fault.access = what.slice('DMA '.length).toLowerCase() as NonNullable<VtdFault['access']>;
  if (value !== undefined && fault.kind === 'dma') fault.address = BigInt(`0x${value}`);
  if (value !== undefined && fault.kind === 'interrupt') fault.index = Number.parseInt(value, 16);
  if (pasid !== undefined) fault.pasid = pasid;
  return { ...fault, ...parseVtdReason(text.slice(match.index + all.length)) };
}

function readPasid(between: string | undefined, behind: string | undefined): number | undefined {
  const digits = between?.startsWith('PASID ') ? between.slice('PASID '.length).replace(/^0x/i, '') : behind;
  if (digits === undefined) return undefined;
  const pasid = Number.parseInt(digits, 16);
  return pasid === NO_PASID ? undefined : pasid;
}

/** The reason, from the rest of a line or from the line below it; undefined when there is none. */
export function parseVtdReason(text: string): { reason: number; reasonText?: string } | undefined {
  const match = REASON.exec(text);
  if (match === null) return undefined;
  const words = match[2]!.trim();
  return { reason: Number(match[1]), ...(words === '' ? {} : { reasonText: words }) };
}

function parseStatus(text: string): VtdStatus | undefined {
  const match = STATUS.exec(text);
  return match === null ? undefined : { unit: 'vtd', kind: 'status', value: Number.parseInt(match[1]!, 16) };
}

function parseInvalidation(text: string): VtdInvalidation | undefined {
  const match = INVALIDATION.exec(text);
  if (match === null) return undefined;
  const [, error = '', reason, sid] = match;
  return {
    unit: 'vtd',
    kind: 'invalidation',
    error: error.toLowerCase() as VtdInvalidation['error'],
    ...(reason === undefined ? {} : { reason: Number.parseInt(reason, 16) }),
    ...(sid === undefined ? {} : { sid: Number.parseInt(sid, 16) }),
  };
}

/**
 * What does not fit together in a fault: a text that belongs to another number, a refusal that the printed access cannot meet.
 * Undefined when all fits.
 */
export function contradictionIn({ reason, reasonText, access }: VtdFault): string | undefined {
  if (reason === undefined) return undefined;
  const known = REASONS[reason]?.kernel;
  if (reasonText !== undefined && reasonText !== 'Unknown') {
    // Mail and pagers cut lines: what is left must begin as the kernel's words do.
    const start = reasonText.replace(/[$>]?\s*$/, '').toLowerCase();
    if (known === undefined || !start.startsWith(known.slice(0, start.length).toLowerCase())) {
      const other = Object.entries(REASONS).find(([, { kernel }]) => kernel?.toLowerCase() === start)?.[0];
      if (other !== undefined) return `the words are those of reason 0x${Number(other).toString(16)}`;
    }
  }
  if (access === 'read' && (reason === 0x5 || reason === 0x85))
    return 'a read needs no write permission: it was an AtomicOp, which the kernel prints as a read';
  return undefined;
}

/** Bits of FSTS_REG in words, the lowest first. VT-d 5.10 §11.4.7.1. */
export function statusBits(value: number): string[] {
  const bits = [
    'PFO: more faults came than the unit could record',
    'PPF: a fault is recorded',
    'AFO: the fault log in memory is full',
    'APF: a fault is in the log in memory',
    'IQE: the invalidation queue holds a descriptor that the unit does not take',
    'ICE: a device answered an invalidation wrongly',
    'ITE: a device did not answer an invalidation in time',
    'PRO: more page requests came than the queue holds',
  ];
  const set = bits.filter((_, bit) => value & (1 << bit));
  return value & 2 ? [...set, `FRI: the fault is in recording register ${(value >> 8) & 0xff}`] : set;
}
