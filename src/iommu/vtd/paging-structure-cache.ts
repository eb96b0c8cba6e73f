import type { Memory } from '../../memory/memory.ts';
import { CacheTable, inRange } from './cache-table.ts';

/** Words of an entry. The first has the address bits of its level, the number of its tables and the level. */
const KEY_HI = 1;
/** The table that the entry leads to, with the rights up to there in its low 12 bits. */
export const TABLE_LO = 2;
export const TABLE_HI = 3;
/** Where that table is in `Memory.words`; -1 when it has no place of its own. */
export const TABLE_AT = 4;
const STRIDE_BITS = 3;

/** By level of the entry, 2 to 5: the address bits below those that select it. */
const SHIFT = Int32Array.of(0, 12, 21, 30, 39, 48);
const LO_MASK = Int32Array.of(0, 0, -1 << 21, -1 << 30, 0, 0);
const HI_MASK = Int32Array.of(0, 0, -1, -1, -1 << 7, -1 << 16);
/** Where the first word has the number. */
const NUMBER_AT = 3;
const BELOW_ADDRESS = (1 << 21) - 1;

/** What a number stands for: the domain and 1, the PASID, the root, and the root of the second stage when it is nested. */
const DID = 0;
const PASID = 1;
const ROOTS = 2;
const NUMBER_STRIDE = 6;
const NUMBERS = 256;
/** So many places are looked at for a number. */
const TRIES = 16;

/** Places in `Memory.words` below this are on the page that all untouched memory shares. */
const PAGE_WORDS = 1024;

/**
 * Entries that lead to a table, by domain (and PASID, for the first stage) and address: PML5-, PML4-, PDPE- and PDE-caches
 * in one array, the level being part of the tag. VT-d 5.10 §6.2.5. The roots are part of it as well, so that tables which
 * software put under one domain against §6.2.2.1 do not mix. In the tag one number stands for all but the address.
 */
export class PagingStructureCache extends CacheTable {
  /** What each number stands for. */
  private readonly numbers: Int32Array;
  /** The life of the memory (`Memory.generation`) that the places are of. */
  private generation = -1;

  constructor(size: number) {
    super(size, 1 << STRIDE_BITS);
    this.numbers = new Int32Array(this.size === 0 ? 0 : NUMBERS * NUMBER_STRIDE);
  }

  override held(): Int32Array[] {
    return [...super.held(), this.numbers];
  }

  /**
   * The number of tables, which is theirs until `renumber`.
   *
   * @param pasid  0 in the second stage
   * @param lo     the root; its low 12 bits say how the tables are read
   * @param underLo the same of the second stage below; 0 when there is none
   * @returns -1 when no number is left
   */
  number(did: number, pasid: number, lo: number, hi: number, underLo: number, underHi: number): number {
    if (this.size === 0) return 0;
    const { numbers } = this;
    const hash = Math.imul((lo >>> 12) ^ (hi << 20) ^ (underLo >>> 12) ^ pasid ^ (did << 16), 0x9e3779b1) >>> 24;
    for (let tries = 0; tries < TRIES; tries++) {
      const number = (hash + tries) & (NUMBERS - 1);
      const at = number * NUMBER_STRIDE;
      if (numbers[at + DID] === 0) numbers.set([did + 1, pasid, lo, hi, underLo, underHi], at);
      if (
        numbers[at + DID] === did + 1 &&
        numbers[at + PASID] === pasid &&
        numbers[at + ROOTS] === lo &&
        numbers[at + ROOTS + 1] === hi &&
        numbers[at + ROOTS + 2] === underLo &&
        numbers[at + ROOTS + 3] === underHi
      )
        return number;
    }
    return -1;
  }

  /** Drops everything, and the numbers too. */
  renumber(): void {
    this.flush();
    this.numbers.fill(0);
  }

  /** Where in `words` the entry of a level is that translates the address, or -1. */
  find(level: number, number: number, lo: number, hi: number): number {
    const { words } = this;
    const key = keyOf(level, number, lo);
    const keyHi = hi & HI_MASK[level]!;
    const at = this.slot(key, keyHi);
    return words[at] === key && words[at + KEY_HI] === keyHi ? at : -1;
  }

  /**
   * @param tableLo with the rights in its low 12 bits
   * @param tableAt as `placeOf` gives it
   */
  put(level: number, number: number, lo: number, hi: number, tableLo: number, tableHi: number, tableAt: number): void {
    const { words } = this;
    const key = keyOf(level, number, lo);
    const keyHi = hi & HI_MASK[level]!;
    const at = this.slot(key, keyHi);
    words[at] = key;
    words[at + KEY_HI] = keyHi;
    words[at + TABLE_LO] = tableLo;
    words[at + TABLE_HI] = tableHi;
    words[at + TABLE_AT] = tableAt;
  }

  /** Finds the places of all tables anew when the memory lives another life. */
  settle(memory: Memory): void {
    if (this.generation === memory.generation) return;
    this.generation = memory.generation;
    const { words } = this;
    for (let at = 0; at < words.length; at += this.stride)
      if (words[at] !== 0) words[at + TABLE_AT] = placeOf(memory, words[at + TABLE_LO]! & ~0xfff, words[at + TABLE_HI]!);
  }

  /** Makes the places unknown: the entries are from elsewhere. */
  unsettle(): void {
    this.generation = -1;
  }

  invalidateDomain(did: number): void {
    this.drop((at) => this.didAt(at) === did);
  }

  invalidatePasid(did: number, pasid: number): void {
    this.drop((at) => this.didAt(at) === did && this.pasidAt(at) === pasid);
  }

  /** Entries that translate an address of the range. @param pasid 0 in the second stage */
  invalidateRange(did: number, pasid: number, lo: number, hi: number, am: number): void {
    const { words } = this;
    this.drop(
      (at) =>
        this.didAt(at) === did &&
        this.pasidAt(at) === pasid &&
        inRange(words[at]!, words[at + KEY_HI]!, SHIFT[words[at]! & 7]!, lo, hi, am),
    );
  }

  private didAt(at: number): number {
    return this.numbers[this.numberAt(at) + DID]! - 1;
  }

  private pasidAt(at: number): number {
    return this.numbers[this.numberAt(at) + PASID]!;
  }

  private numberAt(at: number): number {
    return ((this.words[at]! & BELOW_ADDRESS) >>> NUMBER_AT) * NUMBER_STRIDE;
  }

  private slot(key: number, keyHi: number): number {
    const hash = (key >>> 21) ^ (keyHi << 11) ^ (keyHi >>> 5) ^ Math.imul(key & BELOW_ADDRESS, 0x9e5);
    return (hash & this.mask) << STRIDE_BITS;
  }
}

/** Bits 31:21 of the address as far as they count, the number and the level. Never 0. */
function keyOf(level: number, number: number, lo: number): number {
  return (lo & LO_MASK[level]!) | (number << NUMBER_AT) | level;
}

/** Where a table is in `Memory.words` for as long as `Memory.generation` stays; -1 when it has no place of its own. */
export function placeOf(memory: Memory, lo: number, hi: number): number {
  const at = memory.locate(lo, hi);
  return at < PAGE_WORDS ? -1 : at;
}
