import { SCALABLE } from '../../src/iommu/vtd/state.ts';
import type { VtdUnit } from '../../src/iommu/vtd/unit.ts';
import type { Memory } from '../../src/memory/memory.ts';
import {
  hex,
  type MsiOp,
  memoryOf,
  readWord,
  SCRATCH,
  type VtdCase,
  type VtdOp,
  type WriteOp,
  writeWord,
  writeWords,
} from './vtd-cases.ts';
import { askInterrupt, askPage, Driver, isInterrupt, pagesOf, type RequestOp, shownInterrupt, shownPage } from './vtd-driver.ts';
import { type InterruptAnswer, interruptDiffers, interruptExcused } from './vtd-interrupts.ts';
import { DEVIATIONS, excused } from './vtd-quirks.ts';
import {
  CCMD_REG,
  FRCD_REG,
  GCMD_REG,
  IQA_REG,
  IQH_REG,
  IQT_REG,
  iotlbReg,
  type Past,
  registerDiffers,
} from './vtd-registers.ts';
import { difference, type RequestAnswer, type RequestExpect, type Rules } from './vtd-requests.ts';
import { ALL_DMA, type Asker, CONTEXT_CACHE, EVERYTHING, History, IOTLB, invalidationOf } from './vtd-stale.ts';

const SRTP = 1n << 30n;
const SIRTP = 1n << 24n;
const CFI = 1n << 23n;
const DW = 0x800n;
const ICC = 1n << 63n;
const IVT = 1n << 63n;
const PASID_CACHE_DESCRIPTOR = 7n;
const WAIT = 5n;
const FIRST_UNKNOWN_TYPE = 9n;
/** Of first-stage entries. */
const FLAGS = 0x60n;
const DIRTY = 0x40n;

/** Why something differs, or undefined. */
export type Verdict = string | undefined;
const NOT_JUDGED = 'not judged';

/** What a unit without caches answered to the operations, for one with caches to be compared with. */
type Answers = Map<number, string>;

/** One case, on a unit of its own. */
export class Replay {
  /** What was answered, and the first-stage entries that were read. */
  readonly answers: Answers = new Map();
  readonly entries: Set<bigint>;
  private readonly driver: Driver;
  private readonly unit: VtdUnit;
  private readonly memory: Memory;
  /** Memory as software alone would have made it, with what wait descriptors write. */
  private readonly software: Memory;
  private readonly one: VtdCase;
  private readonly quirks: ReadonlySet<string>;
  /** With caches: a unit without, and what may be held. */
  private readonly truth: Replay | undefined;
  private readonly history: History | undefined;
  private readonly past: Past;
  /** The rest of the case is not judged. */
  private ended = false;
  /** Words that an answer which differed with good reason may have left otherwise. */
  private readonly loose = new Set<bigint>();
  /** A walk met a fault: flags may have been set or not. */
  private faulted = false;
  /** An answer differed with good reason, so that other flags are set. */
  private parted = false;
  /** The queue has a descriptor that others read in another way. */
  private doubtful = false;
  /** The queue has 128-bit descriptors in scalable mode; see `submit`. */
  private narrow = false;
  private at = 0;
  /** The fault record that the case has at present, and whether that of the request under way was there before it. */
  private record: string | undefined;
  private older = false;

  /**
   * @param deviations whether the unit deviates where QEMU is known to
   * @param truth      for a unit with caches: the run without
   * @param entries    that other runs read
   */
  constructor(
    one: VtdCase,
    deviations: boolean,
    truth?: Replay,
    entries: Iterable<bigint> = truth?.entries ?? [],
    kernel = false,
  ) {
    this.one = one;
    this.entries = new Set(entries);
    this.truth = truth;
    this.driver = new Driver(one, truth !== undefined, deviations, kernel);
    ({ unit: this.unit, memory: this.memory } = this.driver);
    this.software = memoryOf(one);
    const quirks = new Set(one.quirks);
    // 7.2 does so everywhere; the quirk is named where `expect` shows it, and not where only `expectFresh` does.
    if (one.qemu?.startsWith('7.2')) quirks.add('all-pasid-errors-are-0x58');
    for (const quirk of DEVIATIONS)
      if (deviations) quirks.delete(quirk);
      else if (one.quirks.length > 0) quirks.add(quirk);
    this.quirks = quirks;
    this.history = truth && new History(this.unit);
    if (this.history) this.driver.beforeWrite = (address) => this.history!.changes(address, false);
    const nothing = { pointed: false, compatibility: false, context: false, iotlb: false, scalable: false };
    this.past = { ...nothing, ecap: one.ecap, log: true, quirks };
  }

  /** By operation: why it differs, or undefined; and for memory at the end, as the number after the last. */
  run(): Map<number, Verdict> {
    const verdicts = new Map<number, Verdict>();
    for (const [at, op] of this.one.ops.entries()) {
      if (this.ended) return verdicts;
      this.at = at;
      if (this.history) this.history.now = at;
      this.driver.messages.length = 0;
      const verdict = this.step(op);
      if (verdict !== NOT_JUDGED) verdicts.set(at, verdict);
    }
    verdicts.set(this.one.ops.length, this.memoryDiffers());
    return verdicts;
  }

  private step(op: VtdOp): Verdict {
    switch (op.op) {
      case 'mem':
        for (let i = 0; i < op.q.length; i++) this.history?.changes(BigInt(op.at) + BigInt(i) * 8n, true);
        for (const each of [this.memory, this.software]) writeWords(each, op.at, op.q);
        return NOT_JUDGED;
      case 'w32':
      case 'w64':
        return this.write(op) ?? (this.ended || this.doubtful ? NOT_JUDGED : this.messagesDiffer(op.expect?.events));
      case 'r32':
      case 'r64':
        return this.read(op.off, op.op === 'r32' ? 4 : 8, BigInt(op.expect.val));
      case 'flush':
        this.unit.flush();
        this.history?.invalidates(EVERYTHING);
        return NOT_JUDGED;
      case 'dma':
      case 'ats':
      case 'msi':
        return this.ask(op);
    }
  }

  private ask(op: RequestOp): Verdict {
    const record = JSON.stringify(op.expect.fault);
    this.older = record !== undefined && record === this.record;
    this.record = op.clear ? undefined : record;
    const why = op.op === 'msi' && isInterrupt(op) ? this.interrupt(op) : this.request(op);
    const events = this.past.log ? this.messagesDiffer(op.expect.events) : NOT_JUDGED;
    if (op.clear) {
      this.driver.clear();
      // Nothing is left of what differed.
      this.past.log = true;
    }
    return why ?? (events === NOT_JUDGED ? undefined : events);
  }

  // ---- registers and the queue

  private write({ op, off, val }: WriteOp): Verdict {
    const { past, unit, one } = this;
    const value = BigInt(val);
    past.scalable = unit.active.TTM === SCALABLE;
    if (off === FRCD_REG + 12) this.record = undefined;
    if (off === GCMD_REG) {
      this.history?.commands();
      past.pointed ||= (value & SRTP) !== 0n;
      past.compatibility ||= (value & CFI) !== 0n;
      // CAP_REG.ESRTPS and ESIRTPS.
      if (value & SRTP && BigInt(one.cap) >> 63n) this.history?.invalidates(ALL_DMA);
      if (value & SIRTP && (BigInt(one.cap) >> 62n) & 1n) this.history?.invalidates(EVERYTHING);
    }
    if (off === IQA_REG) this.narrow = past.scalable && this.quirks.has('scalable-mode-with-128-bit-queue') && !(value & DW);
    if (off === IQA_REG && this.narrow) {
      // The same number of descriptors, in another place.
      this.queue = value;
      unit.write(off, 8, BigInt(SCRATCH) | DW | ((value & 7n) + 1n));
    } else if (off === IQT_REG) this.submit(value);
    else unit.write(off, op === 'w32' ? 4 : 8, value);
    if (off === CCMD_REG && value & ICC) {
      past.context = true;
      this.invalidated(CONTEXT_CACHE, (value >> 61n) & 3n, ((value & 0xffffn) << 16n) | (((value >> 16n) & 0x3ffffn) << 32n), 0n);
    }
    if (off === iotlbReg(one.ecap) && value & IVT) {
      past.iotlb = true;
      this.invalidated(IOTLB, (value >> 60n) & 3n, ((value >> 32n) & 0xffffn) << 16n, this.address);
    }
    if (off === iotlbReg(one.ecap) - 8) this.address = value;
    return undefined;
  }

  /** As software wrote them: IQA_REG of a narrow queue, and IVA_REG. */
  private queue = 0n;
  private address = 0n;

  /** By registers: as the descriptor with the same fields. */
  private invalidated(type: number, granularity: bigint, fields: bigint, high: bigint): void {
    const of = invalidationOf(BigInt(type) | (granularity << 4n) | fields, high);
    if (of) this.history?.invalidates(of);
  }

  /**
   * Descriptors go to the unit, and what they do is written down. A queue of 128-bit descriptors in scalable mode is an
   * error (§6.5.2) that some implementations do not see: there the same descriptors go through one of 256 bits.
   */
  private submit(tail: bigint): void {
    const { unit, memory } = this;
    const iqa = this.narrow ? this.queue : unit.read(IQA_REG, 8);
    const base = iqa & ~0xfffn;
    const bytes = 4096n << (iqa & 7n);
    const width = iqa & DW ? 32n : 16n;
    const scale = this.narrow ? 2n : 1n;
    const before = unit.read(IQH_REG, 8) / scale;
    const descriptor = (head: bigint) => [0n, 8n].map((word) => readWord(memory, base + head + word) ?? 0n) as [bigint, bigint];
    const last = tail & -width;
    for (let head = before & -width; head !== last && last < bytes; head = (head + width) % bytes) {
      const [low, high] = descriptor(head);
      const type = low & 0xfn;
      if (this.narrow && type === PASID_CACHE_DESCRIPTOR) {
        this.ended = true;
        return;
      }
      if (this.narrow)
        for (const each of [memory, this.software])
          for (const [i, word] of [low, high, 0n, 0n].entries())
            writeWord(each, BigInt(SCRATCH) + head * 2n + BigInt(i) * 8n, word);
      // §6.5.2.9: it may do nothing but wait. Some implementations stop there.
      if (type === WAIT && (this.quirks.has('wait-reserved-bits') || (low & 0x30n) === 0n)) this.doubtful = true;
      if (type >= FIRST_UNKNOWN_TYPE && this.quirks.has('descriptor-type-known-to-newer-spec')) this.doubtful = true;
    }
    unit.write(IQT_REG, 8, tail * scale);
    for (let head = before & -width, after = unit.read(IQH_REG, 8) / scale; head !== after; head = (head + width) % bytes) {
      const [low, high] = descriptor(head);
      const of = invalidationOf(low, high);
      if (of) this.history?.invalidates(of);
      if ((low & 0x2fn) === (0x20n | WAIT)) this.status(high & ~3n, low >> 32n);
    }
  }

  /** A wait descriptor with SW was executed. */
  private status(address: bigint, data: bigint): void {
    const word = readWord(this.software, address & ~7n);
    if (word === undefined) return;
    const shift = address & 4n ? 32n : 0n;
    writeWord(this.software, address & ~7n, (word & ~(0xffffffffn << shift)) | (data << shift));
  }

  private read(offset: number, size: 4 | 8, theirs: bigint): Verdict {
    const { unit, past } = this;
    past.scalable = unit.active.TTM === SCALABLE;
    let ours = unit.read(offset, size);
    if (this.narrow && (offset === IQH_REG || offset === IQT_REG)) ours /= 2n;
    const why = registerDiffers(offset, theirs, ours, past);
    if (why === undefined || !this.doubtful) return why;
    // The queue goes on in one of the two and has stopped in the other.
    this.ended = true;
    return NOT_JUDGED;
  }

  private messagesDiffer(events: readonly { addr: string; data: string }[] = []): Verdict {
    const theirs = events.map(({ addr, data }) => `${hex(BigInt(addr))}:${hex(BigInt(data))}`).join();
    const ours = this.driver.messages.join();
    if (theirs === '' && ours === '') return NOT_JUDGED;
    return theirs === ours ? undefined : `messages are ${ours || 'none'}, not ${theirs || 'none'}`;
  }

  // ---- requests

  private request(op: RequestOp): Verdict {
    const before = this.looseBytes(op);
    const ours = this.driver.request(op);
    if (ours.r !== 'ok') this.faulted = true;
    for (const [kind, at] of ours.reads) if (kind.startsWith('fs')) this.entries.add(at);
    this.answers.set(this.at, ours.pieces.map(({ shown }) => shown).join());
    const why = this.requestDiffers(op, ours, before);
    if (difference(op.expect as RequestExpect, ours, this.rules(before)) !== undefined) this.part(op, ours);
    return why;
  }

  private requestDiffers(op: RequestOp, ours: RequestAnswer, loose: boolean): Verdict {
    const expect = op.expect as RequestExpect;
    const expectFresh = op.expectFresh as RequestExpect | undefined;
    const accept = (op.accept ?? []) as RequestExpect[];
    const fresh = this.truth === undefined;
    const rules = this.rules(loose);
    const first = (fresh && expectFresh) || expect;
    const why = difference(first, ours, { ...rules, reads: fresh, legacyReasons: rules.legacyReasons || first === expectFresh });
    if (why === undefined) return undefined;
    if (accept.some((other) => difference(other, ours, rules) === undefined)) return undefined;
    const quirk = fresh ? excused(this.quirks, first, ours, this.driver) : undefined;
    if (quirk !== undefined) return undefined;
    if (fresh) return why;
    if (expectFresh && difference(expectFresh, ours, { ...rules, legacyReasons: true }) === undefined) return undefined;
    return this.explained(
      op,
      ours.pieces.map(({ shown }) => shown),
    )
      ? undefined
      : why;
  }

  /** An answer that a unit with caches may give: that of one without, or one that was right before. */
  private explained(op: RequestOp, ours: string[]): boolean {
    if (this.truth!.answers.get(this.at) === ours.join()) return true;
    return [...askersOf(op)].every((asker, i) => this.history!.explains(asker, ours[i]!));
  }

  private interrupt(op: MsiOp): Verdict {
    const ours = this.driver.interrupt(op);
    const shown = shownInterrupt(ours);
    this.answers.set(this.at, shown);
    const why = this.interruptDiffers(op, ours, shown);
    if (interruptDiffers({ ...op, accept: [] }, { ...ours, reads: undefined }, { log: true, older: this.older }) !== undefined)
      this.past.log = false;
    return why;
  }

  private interruptDiffers(op: MsiOp, ours: InterruptAnswer, shown: string): Verdict {
    const rules = { log: this.past.log, older: this.older };
    if (this.truth) {
      const why = interruptDiffers(op, { ...ours, reads: undefined }, rules);
      return why === undefined || this.explained(op, [shown]) ? undefined : why;
    }
    const why = interruptDiffers(op, ours, rules);
    return why === undefined || interruptExcused(op, this.quirks, ours) ? undefined : why;
  }

  private rules(loose: boolean): Rules {
    const { one, quirks, unit, past } = this;
    const widths = (BigInt(one.cap) >> 8n) & 0x1fn;
    const widest = widths & 8n ? 57n : widths & 4n ? 48n : 39n;
    return {
      reads: false,
      log: past.log,
      older: this.older,
      data: !loose,
      // Without PASIDs they are reserved, which the specification's vectors overlook (VT-d 5.10 §11.4.7.6).
      pasids: ((BigInt(one.ecap) >> 40n) & 1n) === 1n && !quirks.has('pp-set-for-request-without-pasid'),
      info: (1n << widest) - 1n,
      legacyReasons: unit.active.TTM === SCALABLE && quirks.has('legacy-reasons-in-scalable-mode'),
    };
  }

  // ---- memory

  /** Whether a read comes to bytes that may be other ones. */
  private looseBytes(op: RequestOp): boolean {
    return this.loose.size > 0 && [...wordsOf(op, [])].some((at) => this.loose.has(at));
  }

  /** The answer is another one with good reason: records differ until they are cleared, and so do the bytes written. */
  private part(op: RequestOp, ours: RequestAnswer): void {
    this.past.log = false;
    this.parted = true;
    if (op.op === 'msi' || (op.op === 'dma' && op.write)) for (const at of wordsOf(op, ours.pieces)) this.loose.add(at);
  }

  /** At the end memory is what software wrote, with what the case lists in addition. */
  private memoryDiffers(): Verdict {
    const { memory, software, one, quirks, loose } = this;
    // First-stage entries: what was read as one, and what only flags were set in.
    const entries = new Set(this.entries);
    for (const [at, word] of one.memAfter) {
      const before = readWord(software, BigInt(at));
      if (before !== undefined && ((before ^ BigInt(word)) & ~FLAGS) === 0n && before & 1n) entries.add(BigInt(at));
      writeWords(software, at, [word]);
    }
    const free = new Map((one.memLoose ?? []).map(([at, mask]) => [BigInt(at), BigInt(mask)]));
    const flags = (this.faulted || this.parted ? FLAGS : 0n) | (quirks.has('dirty-bit-not-set-on-cached-write') ? DIRTY : 0n);
    const frames = new Set([...memory.snapshot().frames, ...software.snapshot().frames]);
    for (const frame of frames)
      for (let at = BigInt(frame) * 4096n, end = at + 4096n; at < end; at += 8n) {
        const [ours, theirs] = [readWord(memory, at) ?? 0n, readWord(software, at) ?? 0n];
        if (ours === theirs || loose.has(at)) continue;
        const ignored = free.get(at) ?? (one.qemu !== undefined && entries.has(at) ? flags : 0n);
        if (((ours ^ theirs) & ~ignored) !== 0n) return `${hex(at)} holds ${hex(ours)}, not ${hex(theirs)}`;
      }
    return undefined;
  }
}

/** The words that a request went to: here, where it was recorded, and without caches there. */
function* wordsOf(op: RequestOp, ours: RequestAnswer['pieces']): Generator<bigint> {
  const places = ours.map(({ hpa, length }) => [hpa, length] as const);
  for (const { hpa, pieces } of [op.expect, op.expectFresh ?? {}] as RequestExpect[]) {
    if (hpa !== undefined) places.push([BigInt(hpa), op.op === 'dma' ? op.len : 4]);
    for (const [, where, length] of pieces ?? []) places.push([where === null ? undefined : BigInt(where), length]);
  }
  for (const [hpa, length] of places)
    if (hpa !== undefined) for (let at = hpa & ~7n; at < hpa + BigInt(length); at += 8n) yield at;
}

/** The questions that a request puts, one for each page. */
function* askersOf(op: RequestOp): Generator<Asker> {
  if (op.op === 'msi' && isInterrupt(op)) {
    const ask: Asker['ask'] = (unit) => {
      const answer = askInterrupt(unit, op);
      return { shown: shownInterrupt(answer), held: answer.reason === 0 };
    };
    const handle = BigInt(op.addr);
    const index = Number(((handle >> 5n) & 0x7fffn) | ((handle & 4n) << 13n)) + (handle & 8n ? op.data & 0xffff : 0);
    yield { sid: op.sid, iova: 0n, index, ask };
    return;
  }
  for (const [iova] of pagesOf(op)) {
    const ask: Asker['ask'] = (unit) => {
      const answer = askPage(unit, op, iova);
      return { shown: shownPage(answer), held: answer.hpa !== undefined };
    };
    yield { sid: op.sid, pasid: op.op === 'msi' ? undefined : op.pasid, iova, index: -1, ask };
  }
}
