import type { Memory } from '../../memory/memory.ts';
import type { Abilities } from './abilities.ts';
import type { AddressSpace } from './address-space.ts';
import { CacheTable, inRange } from './cache-table.ts';
import { bitsOf, hiMask } from './fault-cache.ts';
import { SecondStageTable } from './formats-paging.ts';
import { DOMAIN, GLOBAL } from './granularity.ts';
import { fieldWords } from './masks.ts';
import { ALL } from './request.ts';
import { ADDRESS_HI, IR_SHIFT, offsetOf } from './walk.ts';

const PS = fieldWords(SecondStageTable, 'PS')[0]!;

/** Words of a table that is held. The first is its level and the address of what it translates; the second the upper half. */
const HI = 1;
const SID = 2;
const REQUEST_PASID = 3;
const DID = 4;
const PASID = 5;
/** One bit for each of its 512 entries: whether it is absent. */
const BITS = 6;
const ENTRIES = 512;
const STRIDE = BITS + ENTRIES / 32;

/**
 * Second-stage tables that requests met, with those of their entries that are not present: in a unit with CAP_REG.CM = 1 each of
 * these stays absent until it is invalidated, whether a request asked for it or not. So a page that is mapped and not
 * invalidated is not there, as it is not in the shadow that a host makes of the tables. VT-d 5.10 §6.1, §6.2.5.5.
 */
export class AbsentEntries extends CacheTable {
  constructor(size: number) {
    super(size, STRIDE);
  }

  /** Whether an entry that translates the address is held as absent. @param pasid of the request, -1 for none */
  has(levels: number, sid: number, lo: number, hi: number, pasid: number): boolean {
    for (let level = levels; level >= 1; level--) {
      const at = this.find(level, sid, lo, hi, pasid);
      const index = indexOf(level, lo, hi);
      if (at >= 0 && this.words[at + BITS + (index >>> 5)]! & (1 << (index & 31))) return true;
    }
    return false;
  }

  /** Holds the tables that translate an address, as they are in memory: a new one whole, of another the entry of this address. */
  hold(memory: Memory, can: Abilities, space: AddressSpace, sid: number, lo: number, hi: number, pasid: number): void {
    if (this.size === 0) return;
    let tableLo = space.ssLo;
    let tableHi = space.ssHi;
    for (let level = space.ssLevels; level >= 1; level--) {
      const table = memory.locate(tableLo, tableHi);
      if (table < 0) return;
      const { words } = memory;
      const entry = table + (offsetOf(level, lo, hi) >>> 2);
      const word = words[entry]!;
      const high = words[entry + 1]!;
      const absent = isAbsent(space, word, high);
      const at = this.find(level, sid, lo, hi, pasid);
      if (at < 0) this.take(level, space, sid, lo, hi, pasid, words, table);
      else if (absent) this.mark(at, indexOf(level, lo, hi));
      const leaf = level === 1 || (level <= 3 && (word & PS) !== 0);
      const reserved = leaf ? can.ssPageLo[level]! : can.ssTableLo[level]!;
      if (absent || leaf || (word & reserved) | (high & space.ssReservedHi)) return;
      tableLo = word & ~0xfff;
      tableHi = high & ADDRESS_HI;
    }
  }

  /** IOTLB invalidation. @param ih 1: entries that lead to tables did not change; see `FaultCache.invalidatePages` */
  invalidate(granularity: number, did: number, lo: number, hi: number, am: number, ih: number): void {
    if (granularity === GLOBAL) return this.flush();
    const { words } = this;
    this.drop((at) => {
      if (words[at + DID] !== did) return false;
      const level = words[at]! & 7;
      if (granularity === DOMAIN) return true;
      if (!inRange(words[at]!, words[at + HI]!, bitsOf(level + 1), lo, hi, am)) return false;
      const more = 12 + am - bitsOf(level);
      if (more >= 9) return true;
      // The range is within the table: some of its entries, or a part of one.
      if (more < 0 && ih) return false;
      const count = more > 0 ? 1 << more : 1;
      const first = indexOf(level, lo, hi) & ~(count - 1);
      for (let index = first; index < first + count; index++) words[at + BITS + (index >>> 5)]! &= ~(1 << (index & 31));
      return false;
    });
  }

  /** PASID-selective PASID-based IOTLB invalidation. */
  invalidatePasid(did: number, pasid: number): void {
    this.drop((at) => this.words[at + DID] === did && this.words[at + PASID] === pasid);
  }

  private take(
    level: number,
    space: AddressSpace,
    sid: number,
    lo: number,
    hi: number,
    pasid: number,
    from: Int32Array,
    table: number,
  ): void {
    const at = this.slot(level, sid, lo, hi, pasid);
    this.words[at] = keyOf(level, lo);
    this.words[at + HI] = hi & hiMask(level + 1);
    this.words[at + SID] = sid;
    this.words[at + REQUEST_PASID] = pasid;
    this.words[at + DID] = space.did;
    this.words[at + PASID] = space.pasid;
    this.words.fill(0, at + BITS, at + STRIDE);
    for (let index = 0; index < ENTRIES; index++)
      if (isAbsent(space, from[table + index * 2]!, from[table + index * 2 + 1]!)) this.mark(at, index);
  }

  private mark(at: number, index: number): void {
    this.words[at + BITS + (index >>> 5)]! |= 1 << (index & 31);
  }

  private find(level: number, sid: number, lo: number, hi: number, pasid: number): number {
    const { words } = this;
    const at = this.slot(level, sid, lo, hi, pasid);
    const found =
      words[at] === keyOf(level, lo) &&
      words[at + HI] === (hi & hiMask(level + 1)) &&
      words[at + SID] === sid &&
      words[at + REQUEST_PASID] === pasid;
    return found ? at : -1;
  }

  private slot(level: number, sid: number, lo: number, hi: number, pasid: number): number {
    const key = keyOf(level, lo);
    const hash =
      Math.imul(key ^ (key >>> 21), 0x9e3779b1) ^ Math.imul((hi & hiMask(level + 1)) ^ (sid << 8) ^ (pasid << 4), 0x85ebca6b);
    return ((hash >>> 16) & this.mask) * STRIDE;
  }
}

/** An entry that permits nothing is not present. §9.8. */
function isAbsent(space: AddressSpace, word: number, high: number): boolean {
  return ((space.SSIRWE ? high >>> IR_SHIFT : word) & ALL) === 0;
}

/** The level, and what of the low half is the same for all that a table of this level translates. Never 0. */
function keyOf(level: number, lo: number): number {
  return (level >= 3 ? 0 : lo & (-1 << bitsOf(level + 1))) | level;
}

function indexOf(level: number, lo: number, hi: number): number {
  return offsetOf(level, lo, hi) >>> 3;
}
