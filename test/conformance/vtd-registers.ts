import { inInterruptRange } from '../../src/iommu/vtd/interrupt-range.ts';
import { READ, WRITE } from '../../src/iommu/vtd/translate.ts';
import { VtdUnit } from '../../src/iommu/vtd/unit.ts';
import type { Memory } from '../../src/memory/memory.ts';
import { type ConformanceSet, partOf, Tally } from './set.ts';
import { caseFiles, casesOf, highHalf, lowHalf, memoryOf, readWord, type VtdCase, writeWords } from './vtd-cases.ts';

// What software reads in registers, the messages that the unit sends, and what wait descriptors write: all that a case says
// beside the answers to requests.

const GCMD_REG = 0x18;
const GSTS_REG = 0x1c;
const CCMD_REG = 0x28;
const FSTS_REG = 0x34;
const IQH_REG = 0x80;
const IQT_REG = 0x88;
const IQA_REG = 0x90;
const FRCD_REG = 0x220;

const SRTP = 1n << 30n;
const CFIS = 1n << 23n;
const RTPS = 1n << 30n;
const CAIG = 3n << 59n;
/** FSTS_REG: what the recordings are judged by. */
const PFO_PPF = 0b11n;
const IQE = 1n << 4n;
const RECORD_SID = 0xffffn;
const RECORD_F = 1n << 63n;
const WAIT = 0x5n;
const WAIT_ACTS = 0b110000n;

/** Cases whose queue other implementations read in another way. */
const QUEUE_QUIRKS = ['scalable-mode-with-128-bit-queue', 'descriptor-type-known-to-newer-spec', 'wait-reserved-bits'];

interface Expect {
  r?: string;
  val?: string;
  events?: { addr: string; data: string }[];
}
type Op = {
  op: string;
  off: number;
  val: string;
  at: string;
  q: string[];
  sid: number;
  iova: string;
  addr: string;
  data: number;
  write: boolean;
  len: number;
  clear: boolean;
  expect?: Expect;
  expectFresh?: Expect;
};

/** One case on a unit as it is built by default. */
class RegisterReplay {
  private readonly unit: VtdUnit;
  private readonly memory: Memory;
  private readonly messages: [address: bigint, data: bigint][] = [];
  /** An answer to a request differed: fault records and events may as well. */
  private differed = false;
  /** GCMD_REG.SRTP was written. */
  private pointed = false;
  private queueJudged: boolean;

  constructor(one: VtdCase) {
    this.memory = memoryOf(one);
    this.queueJudged = !QUEUE_QUIRKS.some((quirk) => one.quirks.includes(quirk));
    this.unit = new VtdUnit({
      cap: BigInt(one.cap),
      ecap: BigInt(one.ecap),
      ver: Number(one.ver ?? 0x10),
      haw: one.haw ?? one.aw,
      memory: this.memory,
      send: (lo, hi, data) => this.messages.push([(BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0), BigInt(data >>> 0)]),
    });
  }

  /** Why the unit differs, undefined when it does not, and `not judged`. */
  step(op: Op): string | undefined {
    this.messages.length = 0;
    switch (op.op) {
      case 'mem':
        writeWords(this.memory, op.at, op.q);
        // VT-d 5.10 §6.5.2.9: a wait descriptor may do nothing but wait. Some implementations stop there.
        if ((BigInt(op.q[0]!) & 0xfn) === WAIT && (BigInt(op.q[0]!) & WAIT_ACTS) === 0n) this.queueJudged = false;
        return 'not judged';
      case 'w32':
      case 'w64':
        if (op.off === GCMD_REG && BigInt(op.val) & SRTP) this.pointed = true;
        this.unit.write(op.off, op.op === 'w32' ? 4 : 8, BigInt(op.val));
        return op.off === IQT_REG && !this.queueJudged ? 'not judged' : this.eventsDiffer(op.expect);
      case 'r32':
      case 'r64':
        return this.readDiffers(op);
      case 'flush':
        this.unit.flush();
        return 'not judged';
      case 'ats':
        return 'not judged';
      default:
        return this.request(op);
    }
  }

  private request(op: Op): string | undefined {
    const fault = this.send(op);
    if (fault !== (op.expect?.r === 'fault') || op.expectFresh) this.differed = true;
    const why = op.expectFresh ? 'not judged' : this.eventsDiffer(op.expect);
    if (op.clear) {
      this.unit.write(FRCD_REG + 12, 4, 0x80000000n);
      this.unit.write(FSTS_REG, 4, 1n);
    }
    return why;
  }

  /** Sends a request, and tells whether a fault was reported. */
  private send({ op, sid, iova, addr, data, write, len }: Op): boolean {
    const { unit } = this;
    const first = BigInt(op === 'msi' ? addr : iova);
    if (op === 'msi' && inInterruptRange(lowHalf(first), highHalf(first))) {
      unit.interrupt(sid, lowHalf(first), data);
      return unit.reported;
    }
    const end = first + BigInt(op === 'msi' ? 4 : len);
    let reported = false;
    for (let at = first; at < end; at = (at | 0xfffn) + 1n) {
      const refused = unit.translate(sid, lowHalf(at), highHalf(at), write || op === 'msi' ? WRITE : READ, -1);
      if (refused !== 0 && unit.reported) reported = true;
    }
    return reported;
  }

  private readDiffers({ op, off, expect }: Op): string | undefined {
    const theirs = BigInt(expect!.val!);
    const ours = this.unit.read(off, op === 'r32' ? 4 : 8);
    const mask = this.judgedBits(off);
    if (off === CCMD_REG && (theirs & CAIG) !== 0n && (ours & CAIG) < (theirs & CAIG))
      return `actual granularity is 0x${(ours & CAIG).toString(16)}, coarser than 0x${(theirs & CAIG).toString(16)}`;
    if (mask === 0n) return 'not judged';
    if ((ours & mask) === (theirs & mask)) return undefined;
    return `register 0x${off.toString(16)} is 0x${ours.toString(16)}, not 0x${theirs.toString(16)}`;
  }

  /** Bits of a register that a recording decides. */
  private judgedBits(off: number): bigint {
    const all = (1n << 64n) - 1n;
    switch (off) {
      case GSTS_REG:
        // CFIS is what CFI was written to (§11.4.4.2), and QEMU has neither. It also does not clear RTPS at reset.
        return all & ~CFIS & ~(this.pointed ? 0n : RTPS);
      case CCMD_REG:
        // Any coarser granularity is right.
        return all & ~CAIG;
      case IQH_REG:
        return this.queueJudged ? all : 0n;
      case FSTS_REG:
        return (this.differed ? 0n : PFO_PPF) | (this.queueJudged ? IQE : 0n);
      case FRCD_REG + 8:
        // The rest of a record is judged with the request that left it.
        return this.differed ? 0n : RECORD_SID | RECORD_F;
      default:
        return this.differed ? 0n : all;
    }
  }

  private eventsDiffer(expect: Expect | undefined): string | undefined {
    const theirs = (expect?.events ?? []).map(({ addr, data }) => `${BigInt(addr)}:${BigInt(data)}`).join();
    const ours = this.messages.map(([address, data]) => `${address}:${data}`).join();
    if (this.differed || (theirs === '' && ours === '')) return 'not judged';
    return theirs === ours ? undefined : `messages are ${ours || 'none'}, not ${theirs || 'none'}`;
  }

  /** A wait descriptor that the head has passed wrote its status, and no other one did. */
  *statuses(ops: readonly Op[]): Generator<[address: bigint, why: string | undefined]> {
    if (!this.queueJudged) return;
    const iqa = this.unit.read(IQA_REG, 8);
    const [first, end] = [iqa & ~0xfffn, (iqa & ~0xfffn) + (4096n << (iqa & 7n))];
    for (const { op, at, q } of ops) {
      if (op !== 'mem' || BigInt(at) < first || BigInt(at) >= end || (BigInt(q[0]!) & 0x2fn) !== 0x25n) continue;
      const data = BigInt(q[0]!) >> 32n;
      const address = BigInt(q[1]!) & ~3n;
      const word = readWord(this.memory, address & ~7n) ?? 0n;
      const found = address & 4n ? word >> 32n : word & 0xffffffffn;
      yield [address, found === data ? undefined : `status is 0x${found.toString(16)}, not 0x${data.toString(16)}`];
    }
  }
}

/** Judges the register reads, the messages and the wait descriptors of one case. */
export function judgeRegisters(one: VtdCase, tally: Tally): void {
  const replay = new RegisterReplay(one);
  const ops = one.ops as unknown as Op[];
  let stopped = false;
  for (const [at, op] of ops.entries()) {
    const why = replay.step(op);
    if (why !== 'not judged') tally.add(`${one.id}, op ${at}`, why);
    if (op.op === 'r32' && op.off === FSTS_REG && BigInt(op.expect!.val!) & IQE) stopped = true;
  }
  // A queue that stopped has descriptors that were not executed.
  if (!stopped) for (const [address, why] of replay.statuses(ops)) tally.add(`${one.id}, status 0x${address.toString(16)}`, why);
}

export const VTD_REGISTERS: ConformanceSet = {
  name: 'vtd/registers',
  run(folder) {
    const path = partOf(folder, 'vtd');
    if (path === undefined) return undefined;
    const tally = new Tally();
    for (const file of caseFiles(path)) for (const one of casesOf(file)) judgeRegisters(one, tally);
    return tally.total ? tally : undefined;
  },
};
