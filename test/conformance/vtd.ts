import { toHex } from '../../src/bits/bytes.ts';
import { COMPLETER_ABORT, SUCCESS } from '../../src/iommu/vtd/ats.ts';
import { CACHE_SIZES, NO_CACHES } from '../../src/iommu/vtd/caches.ts';
import { conditionOf } from '../../src/iommu/vtd/faults.ts';
import { inInterruptRange } from '../../src/iommu/vtd/interrupt-range.ts';
import { SCALABLE } from '../../src/iommu/vtd/state.ts';
import { ATOMIC, EXEC, NO_WRITE, PRIV, READ, WRITE, ZERO_LENGTH } from '../../src/iommu/vtd/translate.ts';
import { VtdUnit } from '../../src/iommu/vtd/unit.ts';
import type { Memory } from '../../src/memory/memory.ts';
import { type ConformanceSet, partOf, Tally } from './set.ts';
import { caseFiles, casesOf, highHalf, lowHalf, memoryOf, readWord, type VtdCase, type VtdOp, writeWords } from './vtd-cases.ts';
import { type AtsOp, type Completion, type DmaOp, difference, excused, type RequestAnswer, type Rules } from './vtd-requests.ts';

const GSTS_REG = 0x1c;
const CCMD_REG = 0x28;
const FSTS_REG = 0x34;
const IOTLB_REG = 0xf8;
const FRCD_REG = 0x220;
const IQH_REG = 0x80;
const IQT_REG = 0x88;
const IQA_REG = 0x90;
const PASID_CACHE_DESCRIPTOR = 7;

const joined = (lo: number, hi: number): bigint => (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0);

/** One case, on a unit of its own. */
class Replay {
  private readonly unit: VtdUnit;
  private readonly memory: Memory;
  /** Memory as software alone would have made it. */
  private readonly software: Memory;
  private readonly one: VtdCase;
  private readonly fresh: boolean;
  private readonly quirks: ReadonlySet<string>;
  /** The rest of the case is not judged. */
  private ended = false;
  /** An answer differed with good reason, so that memory and records may as well. */
  private differed = false;
  /** A walk met a fault: flags may have been set or not. */
  private faulted = false;

  /** @param fresh on a unit without caches */
  constructor(one: VtdCase, fresh: boolean) {
    this.one = one;
    this.fresh = fresh;
    this.memory = memoryOf(one);
    this.software = memoryOf(one);
    // 7.2 does so everywhere; the quirk is named where `expect` shows it, and not where only `expectFresh` does.
    this.quirks = new Set(one.qemu?.startsWith('7.2') ? [...one.quirks, 'all-pasid-errors-are-0x58'] : one.quirks);
    const likeQemu = one.quirks.length > 0;
    this.unit = new VtdUnit({
      cap: BigInt(one.cap),
      ecap: BigInt(one.ecap),
      ver: Number(one.ver ?? 0x10),
      haw: one.haw ?? one.aw,
      memory: this.memory,
      caches: fresh ? NO_CACHES : CACHE_SIZES,
      // Where QEMU is known to deviate the unit does as well, so that all that follows can be compared.
      deviations: { gatedPasidFields: likeQemu, unsnoopedFlags: likeQemu },
    });
  }

  /** By operation: why it differs, or undefined; and for memory at the end, as the number after the last. */
  run(): Map<number, string | undefined> {
    const verdicts = new Map<number, string | undefined>();
    for (const [at, op] of this.one.ops.entries()) {
      if (this.ended) return verdicts;
      const verdict = this.step(op);
      if (verdict !== 'not judged') verdicts.set(at, verdict);
    }
    if (!this.differed) verdicts.set(this.one.ops.length, this.memoryDiffers());
    return verdicts;
  }

  private step(op: VtdOp): string | undefined {
    switch (op.op) {
      case 'mem':
        for (const each of [this.memory, this.software]) writeWords(each, op.at, op.q);
        return 'not judged';
      case 'w32':
      case 'w64':
        if (op.off === IQT_REG && this.unknownDescriptors(BigInt(op.val))) this.ended = true;
        else if (op.off === IQT_REG) this.submit(BigInt(op.val));
        else this.unit.write(op.off, op.op === 'w32' ? 4 : 8, BigInt(op.val));
        return 'not judged';
      case 'r32':
      case 'r64':
        return this.readRegister(op.off, op.op === 'r32' ? 4 : 8, BigInt(op.expect.val));
      case 'flush':
        this.unit.flush();
        return 'not judged';
      case 'msi':
        return this.message(op);
      case 'dma':
        return this.judge(op, this.dma(op));
      case 'ats':
        return this.judge(op, this.ats(op));
    }
  }

  private readRegister(offset: number, size: 4 | 8, expected: bigint): string | undefined {
    if (this.differed || this.narrowQueue()) return 'not judged';
    let mask = -1n;
    // PV without PP, both of a request without PASID, and reasons of legacy mode.
    if (offset === FRCD_REG + 8) {
      if (this.quirks.has('pp-set-for-request-without-pasid')) mask = ~((0xfffffn << 40n) | (1n << 31n));
      if (this.unit.active.TTM === SCALABLE) mask &= ~(0xffn << 32n);
      if ((expected & (1n << 31n)) === 0n) mask &= ~(0xfffffn << 40n);
    }
    // RTPS is left over from the case before, and CFIS is not there in every version.
    if (offset === GSTS_REG) mask = ~((1n << 30n) | (1n << 23n));
    // CAIG and IAIG: an invalidation may be coarser than asked for.
    if (offset === CCMD_REG) mask = ~(3n << 59n);
    if (offset === IOTLB_REG) mask = ~(3n << 57n);
    const value = this.unit.read(offset, size);
    if ((value & mask) === (expected & mask)) return undefined;
    // The queue goes on in one of the two and has stopped in the other. A wait descriptor that asks for nothing is no error
    // by §6.5.2.9.
    if (
      ['descriptor-type-known-to-newer-spec', 'wait-reserved-bits'].some((quirk) => this.quirks.has(quirk)) ||
      this.one.tags.includes('qierr:wait-without-action')
    ) {
      this.ended = true;
      this.differed = true;
      return 'not judged';
    }
    return `register 0x${offset.toString(16)} holds 0x${value.toString(16)}, not 0x${expected.toString(16)}`;
  }

  private narrowQueue(): boolean {
    return (
      this.quirks.has('scalable-mode-with-128-bit-queue') &&
      this.unit.active.TTM === SCALABLE &&
      (this.unit.read(IQA_REG, 8) & 0x800n) === 0n
    );
  }

  /** What PASID-cache descriptors in a queue of 128 bits do is told by no two versions alike. */
  private unknownDescriptors(tail: bigint): boolean {
    if (!this.narrowQueue()) return false;
    const base = this.unit.read(IQA_REG, 8);
    for (let at = 0n; at < tail; at += 16n) {
      const word = readWord(this.memory, (base & ~0xfffn) + at);
      if (word !== undefined && (word & 0xfn) === BigInt(PASID_CACHE_DESCRIPTOR)) return true;
    }
    return false;
  }

  /** Descriptors go to the unit. Status words of wait descriptors are not listed in `memAfter`, so they are software's own. */
  private submit(tail: bigint): void {
    if (this.narrowQueue()) {
      // §6.5.2: all descriptors are invalid there. QEMU takes most of them, so caches are dropped in their place.
      this.unit.flush();
      return;
    }
    const before = this.unit.read(IQH_REG, 8);
    const base = this.unit.read(IQA_REG, 8);
    const status: bigint[] = [];
    for (let at = before; at < tail; at += 16n) {
      const word = readWord(this.memory, (base & ~0xfffn) + at);
      const address = readWord(this.memory, (base & ~0xfffn) + at + 8n);
      if (word !== undefined && address !== undefined && (word & 0xe2fn) === 0x25n) status.push(address & ~7n);
    }
    this.unit.write(IQT_REG, 8, tail);
    for (const address of status) {
      const word = readWord(this.memory, address);
      if (word !== undefined) writeWords(this.software, `0x${address.toString(16)}`, [`0x${word.toString(16)}`]);
    }
  }

  /** Interrupt requests are judged elsewhere; outside of FEEx_xxxxh it is a write of 4 bytes. */
  private message(op: VtdOp & { op: 'msi' }): string | undefined {
    const address = BigInt(op.addr);
    if (inInterruptRange(lowHalf(address), highHalf(address))) {
      this.unit.interrupt(op.sid, lowHalf(address), op.data);
      if (op.clear) this.clear();
      return 'not judged';
    }
    const request = { ...op, op: 'dma', iova: op.addr, write: true, len: 4 } as unknown as DmaOp;
    return this.judge(request, this.dma(request));
  }

  private dma(op: DmaOp): RequestAnswer {
    const { unit, memory } = this;
    const pasid = op.pasid ?? -1;
    const kind = op.atomic ? ATOMIC | READ | WRITE : op.write ? WRITE : op.len === 0 ? READ | ZERO_LENGTH : READ;
    const access = kind | (op.priv ? PRIV : 0) | (op.er ? EXEC : 0);
    const answer = this.begin();
    const bytes = Uint8Array.from(Buffer.from(op.write ? (op.expect.data ?? '') : '', 'hex'));
    const data: (Uint8Array | undefined)[] = [];
    let iova = BigInt(op.iova);
    let left = op.len;
    do {
      const length = Math.min(left, Number(4096n - (iova & 0xfffn)));
      const lo = lowHalf(iova);
      const hi = highHalf(iova);
      const number = op.translated
        ? unit.translated(op.sid, lo, hi, access, pasid)
        : unit.translate(op.sid, lo, hi, access, pasid);
      const hpa = number === 0 ? joined(unit.out.lo, unit.out.hi) : undefined;
      answer.pieces.push({ iova, hpa, length });
      if (number === 0) {
        const part = bytes.subarray(op.len - left, op.len - left + length);
        if (op.write) data.push(memory.writeBytes(unit.out.lo, unit.out.hi, part) ? part : undefined);
        else data.push(memory.readBytes(unit.out.lo, unit.out.hi, length));
      } else this.refused(answer, number);
      iova += BigInt(length);
      left -= length;
    } while (left > 0);
    answer.data = data.includes(undefined) ? undefined : data.map((part) => toHex(part!)).join('');
    return this.finish(answer, op.clear);
  }

  private ats(op: AtsOp): RequestAnswer {
    const { unit } = this;
    const { completion } = unit;
    const access = (op.nw ? NO_WRITE : 0) | (op.priv ? PRIV : 0) | (op.er ? EXEC : 0);
    const answer = this.begin();
    const iova = BigInt(op.iova);
    const number = unit.translateAts(op.sid, lowHalf(iova), highHalf(iova), access, op.pasid ?? -1);
    if (number !== 0 && completion.status !== SUCCESS) this.refused(answer, number);
    answer.completion = shownCompletion(completion);
    return this.finish(answer, op.clear);
  }

  private begin(): RequestAnswer {
    const reads: [string, bigint][] = [];
    this.unit.trail = { push: ([kind, lo, hi]) => reads.push([kind, joined(lo, hi)]) };
    return { r: 'ok', pieces: [], data: undefined, reasons: [], fault: undefined, completion: undefined, fsts: 0, reads };
  }

  private refused(answer: RequestAnswer, number: number): void {
    this.faulted = true;
    answer.reasons.push(conditionOf(number)?.reason ?? 0);
    if (this.unit.reported) answer.r = 'fault';
    else if (answer.r === 'ok') answer.r = 'blocked';
  }

  private finish(answer: RequestAnswer, clear: boolean): RequestAnswer {
    this.unit.trail = undefined;
    answer.fsts = Number(this.unit.read(FSTS_REG, 4));
    answer.fault = recorded(this.unit);
    if (clear) this.clear();
    return answer;
  }

  private clear(): void {
    this.unit.write(FRCD_REG + 12, 4, 0x80000000n);
    this.unit.write(FSTS_REG, 4, 1n);
  }

  private judge(op: DmaOp | AtsOp, ours: RequestAnswer): string | undefined {
    const { quirks } = this;
    const { can, active } = this.unit;
    const rules: Rules = {
      reads: this.fresh,
      log: !this.differed,
      data: !this.differed && !(this.fresh && op.expectFresh),
      quirks,
      pasids: can.PASID === 1,
      info: joined(-1, can.faultInfoHi),
      scalable: active.TTM === SCALABLE,
    };
    const { expect, expectFresh, accept = [] } = op;
    // Without caches there is nothing stale.
    const first = this.fresh ? (expectFresh ?? expect) : expect;
    const why = difference(first, ours, rules);
    if (why === undefined) {
      if (this.fresh && expectFresh !== undefined && difference(expect, ours, rules) !== undefined) this.differed = true;
      return undefined;
    }
    const others = [...accept, ...(expectFresh ? [expect, expectFresh] : [])];
    if (
      others.some((other) => difference(other, ours, { ...rules, reads: false, data: rules.data && !expectFresh }) === undefined)
    ) {
      if (!accept.length) this.differed = true;
      return undefined;
    }
    // Invalidations that are meant to miss: versions differ in what they drop nevertheless.
    if (!this.fresh && this.one.tags.some((tag) => /wrong|other|-only/.test(tag))) {
      this.differed = true;
      return undefined;
    }
    // A stale context with fresh tables: QEMU blocks it from its IOTLB, where a walk reports the permission.
    const permission = [0x5, 0x6, 0x85, 0x86];
    if (!this.fresh && expectFresh && expect.r === 'blocked' && ours.reasons.every((reason) => permission.includes(reason))) {
      this.differed = true;
      return undefined;
    }
    if (
      [expect, ...(expectFresh ? [expectFresh] : [])].some((each) => excused(op, each, ours, quirks, this.one.haw ?? this.one.aw))
    ) {
      this.differed = true;
      return undefined;
    }
    return why;
  }

  /** At the end memory is what software wrote, with what the case lists in addition. */
  private memoryDiffers(): string | undefined {
    const { memory, software, one, quirks } = this;
    for (const [at, word] of one.memAfter) writeWords(software, at, [word]);
    const loose = new Map((one.memLoose ?? []).map(([at, mask]) => [BigInt(at), BigInt(mask)]));
    const flags = (this.faulted ? 0x60n : 0n) | (quirks.has('dirty-bit-not-set-on-cached-write') ? 0x40n : 0n);
    const addresses = new Set([...memory.snapshot().frames, ...software.snapshot().frames]);
    for (const frame of addresses)
      for (let at = BigInt(frame) * 4096n, end = at + 4096n; at < end; at += 8n) {
        const [ours, theirs] = [readWord(memory, at) ?? 0n, readWord(software, at) ?? 0n];
        if (ours === theirs) continue;
        const ignored = loose.get(at) ?? (one.qemu === undefined ? 0n : flags);
        if (((ours ^ theirs) & ~ignored) !== 0n)
          return `0x${at.toString(16)} holds 0x${ours.toString(16)}, not 0x${theirs.toString(16)}`;
      }
    return undefined;
  }
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

/** The fault record, when it holds one. */
function recorded(unit: VtdUnit): RequestAnswer['fault'] {
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

/** Judges one case: on a unit without caches, and on one with them. */
export function judgeCase(one: VtdCase, tally: Tally): void {
  const fresh = new Replay(one, true).run();
  // What that quirk's versions hold when is not told, so stale answers cannot be.
  const cached = one.quirks.includes('qemu-has-partial-pasid-cache') ? fresh : new Replay(one, false).run();
  for (const at of new Set([...fresh.keys(), ...cached.keys()])) {
    const what = at === one.ops.length ? `${one.id}, memory` : `${one.id}, op ${at}`;
    const without = fresh.get(at);
    const withCaches = cached.get(at);
    tally.add(what, without ?? (withCaches === undefined ? undefined : `with caches: ${withCaches}`));
  }
}

/**
 * Judges the cases in one part of the collection.
 *
 * @param stride takes one of so many, for tests that have to be quick
 * @returns undefined when the folder has none
 */
export function judgeRequests(folder: string, part: string, stride = 1): Tally | undefined {
  const path = partOf(folder, part);
  if (path === undefined) return undefined;
  const tally = new Tally();
  let number = 0;
  for (const file of caseFiles(path)) for (const one of casesOf(file)) if (number++ % stride === 0) judgeCase(one, tally);
  return tally.total ? tally : undefined;
}

/** Memory and translation requests, and registers that are read: as QEMU answers them, and as the specification has them. */
export const VTD: readonly ConformanceSet[] = ['vtd', 'vtd-spec'].map((part) => ({
  name: part,
  run: (folder) => judgeRequests(folder, part),
}));
