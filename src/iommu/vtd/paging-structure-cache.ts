import type { Memory } from '../../memory/memory.ts';
import { CacheTable, inRange } from './cache-table.ts';
import * as layout from './kernel/layout.ts';

// What is imported is looked up and checked at each use; constants of the file are part of the code.
const { KEY_HI, NUMBER_AT, STRUCTURE_STRIDE_BITS: STRIDE_BITS, TABLE_AT, TABLE_HI, TABLE_LO, TABLES_HASH } = layout;
/** The bits of the first word that are the level. */
const LEVEL = 7;

export { LEVEL, TABLE_AT, TABLE_HI, TABLE_LO };

const BELOW_ADDRESS = (1 << 21) - 1;
const LEVELS = 5;
/** Pages of 4 KiB, as a power of two, that share a table of level 1 and all above it. */
const ONE_TABLE = 9;

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
  generation = -1;

  constructor(size: number, memory?: Memory) {
    super(size, 1 << STRIDE_BITS, memory);
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

  /**
   * Where in `words` the entry is that translates the address and is nearest to the page, or -1. §6.2.7.
   * @param levels of the tables
   */
  nearest(levels: number, number: number, lo: number, hi: number): number {
    for (let level = 2; level <= levels; level++) {
      const at = this.find(level, number, lo, hi);
      if (at >= 0) return at;
    }
    return -1;
  }

  private find(level: number, number: number, lo: number, hi: number): number {
    const { words } = this;
    const key = this.key(level, number, lo);
    const keyHi = this.keyHi(level, hi);
    const at = this.slot(level, key, lo, hi);
    return words[at] === key && words[at + KEY_HI] === keyHi ? at : -1;
  }

  /**
   * Holds an entry, by its level.
   *
   * @param rights of the tables up to there: bits of the low 12
   * @returns where the table is that it leads to, as `TABLE_AT`
   */
  put(
    memory: Memory,
    level: number,
    number: number,
    lo: number,
    hi: number,
    tableLo: number,
    tableHi: number,
    rights: number,
  ): number {
    if (this.size === 0) return -1;
    const { words } = this;
    const key = this.key(level, number, lo);
    const keyHi = this.keyHi(level, hi);
    const at = this.slot(level, key, lo, hi);
    const tableAt = placeOf(memory, tableLo, tableHi);
    words[at] = key;
    words[at + KEY_HI] = keyHi;
    words[at + TABLE_LO] = tableLo | rights;
    words[at + TABLE_HI] = tableHi;
    words[at + TABLE_AT] = tableAt;
    return tableAt;
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
    this.dropNumbers(this.numbersOf(did));
  }

  invalidatePasid(did: number, pasid: number): void {
    this.dropNumbers(this.numbersOf(did, pasid));
  }

  /** Entries that translate an address of the range. @param pasid 0 in the second stage */
  invalidateRange(did: number, pasid: number, lo: number, hi: number, am: number): void {
    const { words } = this;
    const numbers = this.numbersOf(did, pasid);
    if (am > ONE_TABLE) {
      const isInRange = (at: number): boolean =>
        inRange(words[at]!, words[at + KEY_HI]!, 3 + 9 * (words[at]! & LEVEL), lo, hi, am);
      return this.dropNumbers(numbers, isInRange);
    }
    for (const number of numbers)
      for (let level = 2; level <= LEVELS; level++) {
        const at = this.find(level, number, lo, hi);
        if (at >= 0) words[at] = 0;
      }
  }

  /** Drops entries of numbers, or those among them for which `gone` holds. Most often there are none, and nothing to look through. */
  private dropNumbers(numbers: readonly number[], gone: (at: number) => boolean = () => true): void {
    if (numbers.length > 0) this.drop((at) => numbers.includes(this.numberOf(at)) && gone(at));
  }

  /** The numbers of a domain, or of one PASID in it. */
  private numbersOf(did: number, pasid?: number): number[] {
    const { numbers } = this;
    const found: number[] = [];
    for (let at = 0; at < numbers.length; at += NUMBER_STRIDE)
      if (numbers[at + DID] === did + 1 && (pasid === undefined || numbers[at + PASID] === pasid)) found.push(at / NUMBER_STRIDE);
    return found;
  }

  private numberOf(at: number): number {
    return (this.words[at]! & BELOW_ADDRESS) >>> NUMBER_AT;
  }

  /** Bits 31:21 of the address as far as they count at a level, the number and the level. Never 0. */
  private key(level: number, number: number, lo: number): number {
    const address = level === 2 ? lo & (-1 << 21) : level === 3 ? lo & (-1 << 30) : 0;
    return address | tablesKey(level, number);
  }

  private keyHi(level: number, hi: number): number {
    return level <= 3 ? hi : level === 4 ? hi & (-1 << 7) : hi & (-1 << 16);
  }

  private slot(level: number, key: number, lo: number, hi: number): number {
    const table = level === 2 ? (lo >>> 21) | (hi << 11) : level === 3 ? (lo >>> 30) | (hi << 2) : hi >>> (level === 4 ? 7 : 16);
    const hash = table ^ (table >>> 16) ^ tablesHash(key);
    return (hash & this.mask) << STRIDE_BITS;
  }
}

/** What the first word of an entry has below the address. */
export function tablesKey(level: number, number: number): number {
  return (number << NUMBER_AT) | level;
}

/** The part that this has in the hash of an entry's tags. */
export function tablesHash(key: number): number {
  return Math.imul(key & BELOW_ADDRESS, TABLES_HASH);
}

/** Where a table is in `Memory.words` for as long as `Memory.generation` stays; -1 when it has no place of its own. */
function placeOf(memory: Memory, lo: number, hi: number): number {
  const at = memory.locate(lo, hi);
  return at < PAGE_WORDS ? -1 : at;
}
