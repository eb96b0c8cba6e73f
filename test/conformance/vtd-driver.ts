import { toHex } from '../../src/bits/bytes.ts';
import { COMPLETER_ABORT, SUCCESS } from '../../src/iommu/vtd/ats.ts';
import { CACHE_SIZES, NO_CACHES } from '../../src/iommu/vtd/caches.ts';
import { BLOCKED as BLOCKED_REQUEST, conditionOf } from '../../src/iommu/vtd/faults.ts';
import { inInterruptRange } from '../../src/iommu/vtd/interrupt-range.ts';
import { BLOCKED, POSTED, REMAPPED } from '../../src/iommu/vtd/remap.ts';
import { ATOMIC, EXEC, NO_WRITE, PRIV, READ, WRITE, ZERO_LENGTH } from '../../src/iommu/vtd/translate.ts';
import { VtdUnit } from '../../src/iommu/vtd/unit.ts';
import type { Memory } from '../../src/memory/memory.ts';
import { hex, highHalf, joined, lowHalf, type MsiOp, memoryOf, readWord, type VtdCase } from './vtd-cases.ts';
import type { InterruptAnswer } from './vtd-interrupts.ts';
import type { AtsOp, Completion, DmaOp, Recorded, RequestAnswer } from './vtd-requests.ts';

export const FSTS_REG = 0x34;
export const FRCD_REG = 0x220;

/** A request as the cases have it: to memory, for a translation, or an interrupt. */
export type RequestOp = DmaOp | AtsOp | MsiOp;

/** Whether a write of 4 bytes is an interrupt request. */
export function isInterrupt(op: RequestOp): boolean {
  return op.op === 'msi' && inInterruptRange(lowHalf(BigInt(op.addr)), highHalf(BigInt(op.addr)));
}

/** The pages that a request touches, by the first byte in each. */
export function* pagesOf(op: RequestOp): Generator<[iova: bigint, length: number]> {
  let iova = BigInt(op.op === 'msi' ? op.addr : op.iova);
  let left = op.op === 'dma' ? op.len : op.op === 'msi' ? 4 : 0;
  do {
    const length = Math.min(left, Number(4096n - (iova & 0xfffn)));
    yield [iova, length];
    iova = (iova + BigInt(length)) & 0xffff_ffff_ffff_ffffn;
    left -= length;
  } while (left > 0);
}

/** What a unit says to one page of a request. */
export interface PageAnswer {
  /** Where it went; of a translation request, that something is granted. */
  hpa: bigint | undefined;
  /** Of a refusal: the reason, 0 when there is none, and whether it was reported. */
  reason: number;
  reported: boolean;
  completion: Completion | undefined;
}

/** Asks a unit for one page of a memory or translation request. */
export function askPage(unit: VtdUnit, op: RequestOp, iova: bigint): PageAnswer {
  const [lo, hi] = [lowHalf(iova), highHalf(iova)];
  if (op.op === 'ats') {
    const access = (op.nw ? NO_WRITE : 0) | (op.priv ? PRIV : 0) | (op.er ? EXEC : 0);
    const number = unit.translateAts(op.sid, lo, hi, access, op.pasid ?? -1);
    const refused = number !== 0 && unit.completion.status !== SUCCESS;
    const completion = shownCompletion(unit.completion);
    if (!refused) return { hpa: completion.addr, reason: 0, reported: false, completion };
    return { hpa: undefined, reason: reasonOf(number), reported: unit.reported, completion };
  }
  const { atomic, write, len, priv, er, pasid = -1, translated } = op.op === 'dma' ? op : WRITE_OF_4;
  const kind = atomic ? ATOMIC | READ | WRITE : write ? WRITE : len === 0 ? READ | ZERO_LENGTH : READ;
  const access = kind | (priv ? PRIV : 0) | (er ? EXEC : 0);
  const number = translated ? unit.translated(op.sid, lo, hi, access, pasid) : unit.translate(op.sid, lo, hi, access, pasid);
  if (number !== 0) return { hpa: undefined, reason: reasonOf(number), reported: unit.reported, completion: undefined };
  return { hpa: joined(unit.out.lo, unit.out.hi), reason: 0, reported: false, completion: undefined };
}

const WRITE_OF_4 = { write: true, len: 4 } as Partial<DmaOp>;

function reasonOf(number: number): number {
  return number === BLOCKED_REQUEST ? 0 : (conditionOf(number)?.reason ?? 0);
}

/** One line for what is compared when two units are asked the same. */
export function shownPage({ hpa, reason, reported, completion }: PageAnswer): string {
  const granted = completion === undefined ? '' : Object.values(completion).join();
  return hpa === undefined ? `${hex(reason)} ${reported} ${granted}` : `${hex(hpa)} ${granted}`;
}

/** Asks a unit for an interrupt. What was recorded is added by `Driver`. */
export function askInterrupt(unit: VtdUnit, { sid, addr, data }: Pick<MsiOp, 'sid' | 'addr' | 'data'>): InterruptAnswer {
  const kind = unit.interrupt(sid, lowHalf(BigInt(addr)), data);
  const { interrupted: out, reported } = unit;
  return {
    r: kind === BLOCKED ? (reported ? 'fault' : 'dropped') : kind === POSTED ? 'posted' : 'irq',
    remapped: kind === REMAPPED,
    index: out.index,
    message: out.message ? { lo: out.lo, hi: out.hi, data: out.data } : undefined,
    vector: out.vector,
    pid: joined(out.pidLo, out.pidHi),
    reason: out.reason,
    fault: undefined,
    fsts: 0,
    reads: undefined,
    irte: undefined,
  };
}

export function shownInterrupt({ r, remapped, index, message, vector, pid, reason }: InterruptAnswer): string {
  const went = message && `${hex(joined(message.lo, message.hi))} ${hex(message.data)}`;
  return [r, remapped, index, went, vector, hex(pid), hex(reason)].join();
}

/** Large enough to hold all that a case asks for, and to be dropped in no time. */
const SOME_CACHES = { ...CACHE_SIZES, firstStage: 256, secondStage: 256 };

/** Cases write to few pages, and a memory of many takes time to make: so many, or more where there is more to write. */
const LITTLE = { pages: 2 ** 8, room: 2 ** 18 };
const linearFor = ({ mem, ops }: VtdCase) => ({ ...LITTLE, pages: Math.max(LITTLE.pages, 2 * (mem.length + ops.length)) });

/** A unit with the memory of a case, to which the operations of the case are done. */
export class Driver {
  readonly memory: Memory;
  readonly unit: VtdUnit;
  private readonly kernel: boolean;
  /** Messages that the unit sent itself since somebody looked. */
  readonly messages: string[] = [];
  /** Told of every 64-bit word that a device is about to write. */
  beforeWrite: (address: bigint) => void = () => {};

  /**
   * @param deviations whether the unit deviates where QEMU does
   * @param kernel     whether a kernel may answer: then nobody hears what is read for requests to memory
   */
  constructor(one: VtdCase, cached: boolean, deviations: boolean, kernel: boolean) {
    this.kernel = kernel;
    this.memory = memoryOf(one, kernel ? { linear: linearFor(one) } : {});
    this.unit = new VtdUnit({
      cap: BigInt(one.cap),
      ecap: BigInt(one.ecap),
      ver: Number(one.ver ?? 0x10),
      haw: one.haw ?? one.aw,
      memory: this.memory,
      caches: cached ? SOME_CACHES : NO_CACHES,
      deviations: { gatedPasidFields: deviations, unsnoopedFlags: deviations },
      send: (lo, hi, data) => this.messages.push(`${hex(joined(lo, hi))}:${hex(data >>> 0)}`),
    });
  }

  /** A request to memory or for a translation. */
  request(op: DmaOp | AtsOp | MsiOp): RequestAnswer {
    const reads = this.kernel ? [] : this.listen();
    const pieces: RequestAnswer['pieces'] = [];
    const data: (Uint8Array | undefined)[] = [];
    const bytes = bytesOf(op);
    let done = 0;
    let completion: Completion | undefined;
    for (const [iova, length] of pagesOf(op)) {
      const answer = askPage(this.unit, op, iova);
      ({ completion } = answer);
      pieces.push({ iova, length, hpa: answer.hpa, reason: answer.reason, reported: answer.reported, shown: shownPage(answer) });
      if (answer.hpa !== undefined && op.op !== 'ats') {
        const writes = op.op === 'msi' || op.write;
        data.push(this.move(answer.hpa, writes ? bytes.subarray(done, done + length) : length));
      }
      done += length;
    }
    const refused = pieces.filter(({ hpa }) => hpa === undefined);
    return {
      r: refused.length === 0 ? 'ok' : refused.some(({ reported }) => reported) ? 'fault' : 'blocked',
      pieces,
      data: data.includes(undefined) ? undefined : data.map((part) => toHex(part!)).join(''),
      reasons: refused.map(({ reason }) => reason),
      completion,
      ...this.heard(reads),
    };
  }

  interrupt(op: MsiOp): InterruptAnswer {
    const reads = this.listen();
    const answer = { ...askInterrupt(this.unit, op), ...this.heard(reads) };
    const at = reads.find(([kind]) => kind === 'irte')?.[1];
    const [low, high] = at === undefined ? [] : [readWord(this.memory, at), readWord(this.memory, at + 8n)];
    return { ...answer, irte: low === undefined || high === undefined ? undefined : { low, high } };
  }

  /** What software does after a request of which the case says so. */
  clear(): void {
    this.unit.write(FRCD_REG + 12, 4, 0x80000000n);
    this.unit.write(FSTS_REG, 4, 1n);
  }

  private listen(): [string, bigint][] {
    const reads: [string, bigint][] = [];
    this.unit.trail = { push: ([kind, lo, hi]) => reads.push([kind, joined(lo, hi)]) };
    return reads;
  }

  private heard(reads: [string, bigint][]): Pick<RequestAnswer, 'reads' | 'fsts' | 'fault'> {
    this.unit.trail = undefined;
    return { reads, fsts: Number(this.unit.read(FSTS_REG, 4)), fault: recorded(this.unit) };
  }

  /** Moves bytes between a device and memory. Undefined when nothing is behind the address. */
  private move(hpa: bigint, what: Uint8Array | number): Uint8Array | undefined {
    const [lo, hi] = [lowHalf(hpa), highHalf(hpa)];
    if (typeof what === 'number') return this.memory.readBytes(lo, hi, what);
    for (let at = hpa & ~7n; at < hpa + BigInt(what.length); at += 8n) this.beforeWrite(at);
    return this.memory.writeBytes(lo, hi, what) ? what : undefined;
  }
}

/** What the device of a write sends. */
function bytesOf(op: RequestOp): Uint8Array {
  if (op.op === 'msi') return new Uint8Array(Uint32Array.of(op.data).buffer);
  if (op.op === 'ats' || !op.write) return new Uint8Array();
  const known = [op.expect, op.expectFresh, ...(op.accept ?? [])].find((one) => one?.data !== undefined);
  return Uint8Array.from(Buffer.from(known?.data ?? '', 'hex'));
}

function shownCompletion({ status, R, W, U, PRIV, N, S, lo, hi, level }: VtdUnit['completion']): Completion {
  return {
    status: status === SUCCESS ? 'success' : status === COMPLETER_ABORT ? 'CA' : 'UR',
    r: R,
    w: W,
    u: U,
    priv: PRIV,
    s: S,
    n: N,
    addr: joined(lo, hi),
    size: [0n, 0x1000n, 0x200000n, 0x40000000n][level]!,
  };
}

/** The fault record, when it holds one. VT-d 5.10 §11.4.7.6. */
function recorded(unit: VtdUnit): Recorded | undefined {
  const high = unit.read(FRCD_REG + 8, 8);
  if (high >> 63n === 0n) return undefined;
  const bits = (from: number, count: number) => Number((high >> BigInt(from)) & ((1n << BigInt(count)) - 1n));
  return {
    reason: bits(32, 8),
    sid: bits(0, 16),
    type: bits(62, 1),
    t2: bits(28, 1),
    at: bits(60, 2),
    pp: bits(31, 1),
    pasid: bits(40, 20),
    priv: bits(29, 1),
    info: unit.read(FRCD_REG, 8),
  };
}
