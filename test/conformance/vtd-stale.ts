import { NO_CACHES } from '../../src/iommu/vtd/caches.ts';
import type { InterruptRules } from '../../src/iommu/vtd/remap.ts';
import { type Active, SCALABLE } from '../../src/iommu/vtd/state.ts';
import { VtdUnit } from '../../src/iommu/vtd/unit.ts';
import { Memory } from '../../src/memory/memory.ts';
import { joined, readWord, writeWord } from './vtd-cases.ts';

// What a unit with caches may answer: what the tables hold, or held at some moment after which no invalidation covers it.
// VT-d 5.10 §6.2, §6.5.2. This knows nothing of how the unit keeps its caches.

/** Granularities of descriptors. */
const GLOBAL = 1;
const DOMAIN = 2;
const SELECTIVE = 3;
const PASID_CACHE_GLOBAL = 3;
const PASID_CACHE_DOMAIN = 0;

/** One command to forget. */
export interface Invalidation {
  /** Of descriptors the type; 0 for everything, -1 for all that has to do with DMA. */
  type: number;
  G: number;
  did: number;
  sid: number;
  fm: number;
  pasid: number;
  address: bigint;
  am: number;
  ih: number;
}
export const CONTEXT_CACHE = 1;
export const IOTLB = 2;
const INTERRUPT_ENTRIES = 4;
const PASID_IOTLB = 6;
const PASID_CACHE = 7;
export const EVERYTHING: Invalidation = { type: 0, G: 0, did: 0, sid: 0, fm: 0, pasid: 0, address: 0n, am: 0, ih: 0 };
export const ALL_DMA: Invalidation = { ...EVERYTHING, type: -1 };

/** A descriptor by its first two words, or undefined when it makes nothing be forgotten. §6.5.2.1 to §6.5.2.8. */
export function invalidationOf(low: bigint, high: bigint): Invalidation | undefined {
  const bits = (word: bigint, from: number, count: number) => Number((word >> BigInt(from)) & ((1n << BigInt(count)) - 1n));
  const type = bits(low, 0, 4);
  const known = [CONTEXT_CACHE, IOTLB, INTERRUPT_ENTRIES, PASID_IOTLB, PASID_CACHE];
  if (bits(low, 9, 3) !== 0 || !known.includes(type)) return undefined;
  if (type === INTERRUPT_ENTRIES)
    return { ...EVERYTHING, type, G: bits(low, 4, 1), address: BigInt(bits(low, 32, 16)), am: bits(low, 27, 5) };
  return {
    type,
    G: bits(low, 4, 2),
    did: bits(low, 16, 16),
    sid: bits(low, 32, 16),
    fm: bits(low, 48, 2),
    pasid: bits(low, 32, 20),
    address: high & ~0xfffn,
    am: bits(high, 0, 6),
    ih: bits(high, 6, 1),
  };
}

/** What an answer was made of. */
interface Tags {
  sid: number;
  /** Undefined when no entry told it. */
  did: number | undefined;
  scalable: boolean;
  /** 0 in legacy mode. */
  pgtt: number;
  pasid: number;
  iova: bigint;
  index: number;
}

const FIRST_STAGE = 1;
const NESTED = 3;
const usesFirstStage = ({ pgtt }: Tags) => pgtt === FIRST_STAGE || pgtt === NESTED;
/** Table 21. */
const FUNCTION_MASK = [0xffff, 0xfffb, 0xfff9, 0xfff8];
const sharesBytes = (one: bigint, other: bigint, bits: number) => one >> BigInt(bits) === other >> BigInt(bits);

/** Whether a translation has to be forgotten. Tables 23 and 24. */
function coversTranslation(of: Invalidation, tags: Tags): boolean {
  if (of.type === IOTLB) {
    if (of.G === GLOBAL) return true;
    if (of.did !== tags.did) return false;
    return of.G === DOMAIN || usesFirstStage(tags) || sharesBytes(of.address, tags.iova, 12 + of.am);
  }
  if (of.type !== PASID_IOTLB || of.did !== tags.did || of.pasid !== tags.pasid) return false;
  return of.G === DOMAIN || (usesFirstStage(tags) && sharesBytes(of.address, tags.iova, 12 + of.am));
}

/** Whether an entry that leads to a table has to be forgotten: a region of `bits` below it. */
function coversTable(of: Invalidation, tags: Tags, first: boolean, bits: number): boolean {
  // The second stage of nested translation is asked for other addresses than that of the request: it is left to whole domains.
  const known = first || tags.pgtt !== NESTED;
  const inRange = known && of.ih === 0 && sharesBytes(of.address, tags.iova, Math.max(12 + of.am, bits));
  if (of.type === IOTLB) return of.G === GLOBAL || (of.did === tags.did && (of.G === DOMAIN || first || inRange));
  return of.type === PASID_IOTLB && first && of.did === tags.did && of.pasid === tags.pasid && (of.G === DOMAIN || inRange);
}

/** Whether an entry of the kind, read on the way, has to be forgotten. */
function coversEntry(of: Invalidation, tags: Tags, kind: string): boolean {
  if (of.type === 0) return true;
  if (kind === 'irte') return of.type === INTERRUPT_ENTRIES && (of.G === 0 || sharesBytes(of.address, BigInt(tags.index), of.am));
  if (of.type === -1) return true;
  switch (kind) {
    case 'root':
    case 'ctx': {
      if (of.type !== CONTEXT_CACHE) return false;
      // §6.5.2.1: in scalable mode they have no domain.
      const domain = tags.scalable || of.did === tags.did;
      const device = ((of.sid ^ tags.sid) & FUNCTION_MASK[of.fm]!) === 0;
      return of.G === GLOBAL || (domain && (of.G === DOMAIN || (of.G === SELECTIVE && device)));
    }
    case 'pdir':
    case 'pasid':
      if (of.type !== PASID_CACHE) return false;
      return of.G === PASID_CACHE_GLOBAL || (of.did === tags.did && (of.G === PASID_CACHE_DOMAIN || of.pasid === tags.pasid));
    default:
      return coversTable(of, tags, kind.startsWith('fs'), 3 + 9 * Number(kind.at(-1)));
  }
}

/** Of entries of level 2 and 3: they are of a page. */
const PS = 0x80n;

/** Words of 64 bits in an entry of each kind. */
const WORDS: Readonly<Record<string, number>> = { root: 2, ctx: 4, pasid: 8, irte: 2 };

/** An answer, and what it was made of. */
interface Outcome {
  shown: string;
  /** Whether a unit holds such an answer as a translation. */
  held: boolean;
  /** The kind of the entry that was read last. */
  last: string | undefined;
  tags: Tags;
}

/** Asks a unit without caches, and shows the answer in a line; whether the unit would hold it. */
export type Question = (unit: VtdUnit) => { shown: string; held: boolean };
export interface Asker {
  sid: number;
  /** Undefined when the request has none. */
  pasid?: number | undefined;
  iova: bigint;
  /** Of an interrupt request; -1 for others. */
  index: number;
  ask: Question;
}

/** What was in memory and registers before, and what was invalidated when. Operations are counted. */
export class History {
  /** The number of the operation under way. */
  now = 0;
  private readonly unit: VtdUnit;
  private readonly earlier = new Map<bigint, { until: number; word: bigint }[]>();
  private readonly pointers: { until: number; active: Active; rules: InterruptRules }[] = [];
  private readonly moments = new Set<number>();
  private readonly invalidations: { at: number; of: Invalidation }[] = [];

  private readonly holdsFaults: boolean;

  constructor(unit: VtdUnit) {
    this.unit = unit;
    this.holdsFaults = unit.can.CM === 1;
  }

  /** A word is about to change. @param software whether it is software that changes it: then it may be of a table */
  changes(address: bigint, software: boolean): void {
    const word = readWord(this.unit.memory, address);
    if (word === undefined) return;
    const list = this.earlier.get(address) ?? [];
    list.push({ until: this.now, word });
    this.earlier.set(address, list);
    if (software) this.moments.add(this.now);
  }

  /** A command is about to be given. */
  commands(): void {
    const { active, interruptRules } = this.unit;
    this.pointers.push({ until: this.now, active: { ...active }, rules: { ...interruptRules } });
    this.moments.add(this.now);
  }

  invalidates(of: Invalidation): void {
    this.invalidations.push({ at: this.now, of });
    // What was held of one cache may have been taken over by another one until then.
    this.moments.add(this.now);
  }

  /** Whether a unit with caches may answer so. */
  explains(asker: Asker, shown: string): boolean {
    // Answers to interrupts are not held, only their entries.
    const moments = asker.index < 0 ? [...this.moments].sort((a, b) => b - a) : [];
    for (const until of [Infinity, ...moments]) {
      const pointers = this.pointers.find((each) => each.until >= until);
      if (until !== Infinity && (pointers?.active ?? this.unit.active).TES === 0) continue;
      if (
        this.walks(
          until,
          asker,
          pointers,
          (one) =>
            one.shown === shown &&
            (until === Infinity || (this.holds(one) && !this.forgotten(until, Infinity, (of) => this.drops(of, one)))),
        )
      )
        return true;
    }
    return false;
  }

  /** §6.1: with CM = 1 faults may be held as well, but not of first-stage entries. */
  private holds({ held, last }: Outcome): boolean {
    return held || (this.holdsFaults && last !== undefined && !last.startsWith('fs'));
  }

  /** Whether an answer that was right has to be forgotten. A fault has domain 0 until one is known: §6.2.2, §6.2.3. */
  private drops(of: Invalidation, { held, last, tags }: Outcome): boolean {
    if (of.type <= 0) return true;
    if (held) return coversTranslation(of, tags);
    if (last === undefined || last === 'ss1') return coversTranslation(of, tags);
    return coversEntry(of, last.startsWith('ss') ? tags : { ...tags, did: 0 }, last);
  }

  /** Whether anything since an operation, and before another, covers. */
  private forgotten(from: number, until: number, covers: (of: Invalidation) => boolean): boolean {
    return this.invalidations.some(({ at, of }) => at >= from && at < until && covers(of));
  }

  /** Walks the tables as they were before an operation, taking entries from memory or from earlier. */
  private walks(
    until: number,
    asker: Asker,
    pointers: { active: Active; rules: InterruptRules } | undefined,
    accepts: (one: Outcome) => boolean,
  ): boolean {
    const memory = new Memory(this.unit.memory.ranges);
    memory.restore(this.unit.memory.snapshot());
    for (const address of this.earlier.keys()) writeWord(memory, address, this.wordBefore(address, until));
    const base = memory.snapshot();
    /** @param stale entries that are as they were before an operation, by their place among the reads */
    const explore = (stale: ReadonlyMap<number, { kind: string; at: bigint; since: number }>, from: number): boolean => {
      const unit = new VtdUnit({ ...this.unit.config, memory, caches: NO_CACHES, send: () => {} });
      Object.assign(unit.active, pointers?.active ?? this.unit.active);
      Object.assign(unit.interruptRules, pointers?.rules ?? this.unit.interruptRules);
      memory.restore(base);
      const reads: [string, bigint][] = [];
      // An entry is as it was for this read of it only: a trail is told before the read.
      unit.trail = {
        push: ([kind, lo, hi]) => {
          const at = joined(lo, hi);
          const since = stale.get(reads.length)?.since ?? until;
          for (const word of wordsOf(kind, at)) if (this.earlier.has(word)) writeWord(memory, word, this.wordBefore(word, since));
          reads.push([kind, at]);
        },
      };
      const { shown, held } = asker.ask(unit);
      const tags = tagsOf(asker, unit, reads, memory);
      const possible = [...stale].every(([read, { kind, at, since }]) => {
        // What met a fault is not held, and pages are held as translations.
        const last = read === reads.length - 1 && (!held || /^[fs]s/.test(kind));
        const same = reads[read]?.[0] === kind && reads[read][1] === at;
        if (!same || last) return false;
        const below = this.below(reads, read, since, (place) => stale.get(place)?.since ?? until);
        return [kind, ...below].some((each) => !this.forgotten(since, until, (of) => coversEntry(of, tags, each)));
      });
      if (possible && accepts({ shown, held, last: reads.at(-1)?.[0], tags })) return true;
      for (const [read, [kind, at]] of reads.entries()) {
        if (read < from) continue;
        for (const since of new Set(wordsOf(kind, at).flatMap((word) => this.changesOf(word))))
          if (since < until && explore(new Map([...stale, [read, { kind, at, since }]]), read + 1)) return true;
      }
      return false;
    };
    return explore(new Map(), 0);
  }

  /**
   * Kinds of entries below one of a page table, on the same way, which have led to a table ever since. §6.2.5: what is held of
   * them has the rights of all above, so an entry may still tell through them when it is forgotten itself.
   *
   * @param takenAt how each was read: as before which operation
   */
  private below(reads: readonly [string, bigint][], read: number, since: number, takenAt: (read: number) => number): string[] {
    const stage = reads[read]![0].slice(0, 2);
    const found: string[] = [];
    if (stage !== 'fs' && stage !== 'ss') return found;
    let above = Number(reads[read]![0].at(-1));
    for (let next = read + 1; next < reads.length; next++) {
      const [kind, at] = reads[next]!;
      // Between entries of the first stage are the second-stage walks of their tables.
      if (stage === 'fs' && kind.startsWith('ss')) continue;
      const level = Number(kind.at(-1));
      const word = this.wordBefore(at, takenAt(next));
      const isTable = level > 3 || (level > 1 && (word & PS) === 0n);
      if (!kind.startsWith(stage) || level >= above || !isTable || word !== this.wordBefore(at, since)) break;
      found.push(kind);
      above = level;
    }
    return found;
  }

  /** The operations that changed a word, but for those that wrote what was there. */
  private changesOf(address: bigint): number[] {
    const list = this.earlier.get(address) ?? [];
    const next = (i: number) => list[i + 1]?.word ?? readWord(this.unit.memory, address);
    return list.filter(({ word }, i) => word !== next(i)).map(({ until }) => until);
  }

  private wordBefore(address: bigint, time: number): bigint {
    const old = this.earlier.get(address)?.find(({ until }) => until >= time);
    return old?.word ?? readWord(this.unit.memory, address) ?? 0n;
  }
}

function wordsOf(kind: string, at: bigint): bigint[] {
  return Array.from({ length: WORDS[kind] ?? 1 }, (_, i) => at + BigInt(i) * 8n);
}

function tagsOf({ sid, pasid, iova, index }: Asker, unit: VtdUnit, reads: [string, bigint][], memory: Memory): Tags {
  const word = (kind: string, at: bigint) => {
    const entry = reads.find(([each]) => each === kind)?.[1];
    return entry === undefined ? undefined : readWord(memory, entry + at);
  };
  const scalable = unit.active.TTM === SCALABLE;
  const told = scalable ? word('pasid', 8n) : word('ctx', 8n);
  const did = told === undefined ? undefined : Number((told >> (scalable ? 0n : 8n)) & 0xffffn);
  return {
    sid,
    did,
    scalable,
    pgtt: scalable ? Number(((word('pasid', 0n) ?? 0n) >> 6n) & 7n) : 0,
    pasid: pasid ?? (scalable ? Number((word('ctx', 8n) ?? 0n) & 0xfffffn) : 0),
    iova,
    index,
  };
}
