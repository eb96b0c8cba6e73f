import type { Memory } from '../../memory/memory.ts';
import type { Abilities } from './abilities.ts';
import type { AddressSpace } from './address-space.ts';
import type { Caches } from './caches.ts';
import { numberOf } from './faults.ts';
import { FirstStagePage4K, FirstStageTable, SecondStagePage4K } from './formats-paging.ts';
import { fieldWords } from './masks.ts';
import * as structures from './paging-structure-cache.ts';
import * as request from './request.ts';

// Walks of page tables: first-stage, second-stage, and nested, where each address of the first stage is one that the second
// translates. VT-d 5.10 §3.6, §3.7, §3.8. The code that translates is the code that explains: see `Trail`.

/** Kinds of entries that requests read. The level of a page-table entry is at the end of its name. */
export type EntryKind =
  | 'root'
  | 'ctx'
  | 'pdir'
  | 'pasid'
  | `fs${1 | 2 | 3 | 4 | 5}`
  | `ss${1 | 2 | 3 | 4 | 5}`
  | `hpt${1 | 2 | 3 | 4}`
  | 'irte'
  | 'pid';

/** Takes every entry that is read, in order, with its address: an array will do. */
export interface Trail {
  push(read: [kind: EntryKind, lo: number, hi: number]): unknown;
}

const FS_KIND = ['fs1', 'fs1', 'fs2', 'fs3', 'fs4', 'fs5'] as const satisfies readonly EntryKind[];
const SS_KIND = ['ss1', 'ss1', 'ss2', 'ss3', 'ss4', 'ss5'] as const satisfies readonly EntryKind[];

// What is imported is looked up and checked wherever it is used; a constant of the file is part of the code.
const { LEVEL, TABLE_AT, TABLE_HI, TABLE_LO } = structures;
const { READ, WRITE, ALL: BOTH } = request;

const SFS_1 = numberOf('SFS.1');
const SFS_2 = numberOf('SFS.2');
const SFS_3 = numberOf('SFS.3');
const SFS_4 = numberOf('SFS.4');
const SFS_5 = numberOf('SFS.5');
const SFS_6 = numberOf('SFS.6');
const SFS_7 = numberOf('SFS.7');
const SFS_8 = numberOf('SFS.8');
const SFS_9 = numberOf('SFS.9');
const SFS_10 = numberOf('SFS.10');
const SSS_1 = numberOf('SSS.1');
const SSS_2 = numberOf('SSS.2');
const SSS_3 = numberOf('SSS.3');
const SSS_4 = numberOf('SSS.4');
const SSS_5 = numberOf('SSS.5');
const SSS_6 = numberOf('SSS.6');

/** Bits of first-stage entries; the first two words of the flags are the rights that a walk accumulates. */
const P = fieldWords(FirstStageTable, 'P')[0]!;
export const RW = fieldWords(FirstStageTable, 'RW')[0]!;
export const US = fieldWords(FirstStageTable, 'US')[0]!;
const FS_RIGHTS = RW | US;
const A = fieldWords(FirstStageTable, 'A')[0]!;
const D = fieldWords(FirstStagePage4K, 'D')[0]!;
const EA = fieldWords(FirstStageTable, 'EA')[0]!;
/** Both stages. */
const PS = fieldWords(FirstStageTable, 'PS')[0]!;
/** Bits of second-stage entries. */
const SS_A = fieldWords(SecondStagePage4K, 'A')[0]!;
const SS_D = fieldWords(SecondStagePage4K, 'D')[0]!;
export const SNP: number = fieldWords(SecondStagePage4K, 'SNP')[0]!;
/** Where IR and IW are in the high word. */
export const IR_SHIFT = 29;

/** The low bits of a page by the level of its entry. */
export const PAGE_MASK: Int32Array = Int32Array.of(0, 0xfff, 0x1fffff, 0x3fffffff, 0, 0);
export const ADDRESS_HI = 0xfffff;
/** No condition has this number: the walk goes on. */
const TABLE = -2;
/** The bit of a first-stage paging-structure entry that says whether the second stage lets its table be written. */
const WRITABLE = 1;

/** A walk reads 5 first-stage entries at most, each after 5 of the second stage, and 5 for the page. */
const MOST_FLAGS = 35;

/** Byte offset into a table: the address bits that select the entry of a level, times 8. */
export function offsetOf(level: number, lo: number, hi: number): number {
  switch (level) {
    case 1:
      return (lo >>> 9) & 0xff8;
    case 2:
      return (lo >>> 18) & 0xff8;
    case 3:
      return ((hi << 5) | (lo >>> 27)) & 0xff8;
    case 4:
      return (hi >>> 4) & 0xff8;
    default:
      return (hi >>> 13) & 0xff8;
  }
}

/**
 * One request's way through the page tables of an address space. The fields of the first group are the answer. Functions return
 * 0 or the number of a condition, and allocate nothing.
 */
export class PageWalk {
  /** The output address and the level of the page that it is in. */
  lo = 0;
  hi = 0;
  level = 0;
  /** Rights in the first stage: RW and US. */
  fsRights = 0;
  /** Rights in the second stage: READ and WRITE. */
  ssRights = 0;
  /** SNP of the second-stage leaf, 0 or not. */
  SNP = 0;
  /** The level of the second-stage entry that met a fault; one more than there are when it is the root. */
  faultLevel = 0;
  /** Whether writes need no flag update any more, so that the permission may be cached: 0 or 1. */
  dirty = 0;

  /** When set, takes every entry that is read. */
  trail: Trail | undefined;

  private readonly memory: Memory;
  /** What is reserved: see `Abilities`. */
  private readonly ssPageLo: Int32Array;
  private readonly ssTableLo: Int32Array;
  private readonly fsPageLo: Int32Array;
  private readonly fsTableLo: Int32Array;
  private readonly addressReserved: number;
  private readonly ssCache: structures.PagingStructureCache;
  private readonly fsCache: structures.PagingStructureCache;
  /** Flags to set once the request is known to go through: where, which, and what forbids it. */
  private flags = 0;
  private readonly flagsAt = new Int32Array(MOST_FLAGS);
  private readonly flagsToSet = new Int32Array(MOST_FLAGS);
  private readonly flagsFault = new Int32Array(MOST_FLAGS);

  constructor(memory: Memory, can: Abilities, { firstStage, secondStage }: Caches) {
    this.memory = memory;
    this.ssPageLo = can.ssPageLo;
    this.ssTableLo = can.ssTableLo;
    this.fsPageLo = can.fsPageLo;
    this.fsTableLo = can.fsTableLo;
    this.addressReserved = can.addressReserved;
    this.fsCache = firstStage;
    this.ssCache = secondStage;
  }

  /** Before each request. */
  begin(): void {
    this.flags = 0;
    this.dirty = 1;
  }

  /**
   * Second-stage translation. §3.7. The address has been checked against the width.
   *
   * @param writes whether the page is written to, for its dirty flag
   * @param needs  rights whose lack comes before reserved bits of the same entry: then 0 is returned and `ssRights` lacks them
   */
  secondStage(space: AddressSpace, lo: number, hi: number, writes: boolean, needs: number): number {
    const { memory, ssCache: cache, trail } = this;
    let level = space.ssLevels;
    let tableLo = space.ssLo;
    let tableHi = space.ssHi;
    let tableAt = -1;
    this.ssRights = BOTH;
    cache.settle(memory);
    const held = cache.nearest(level, space.ssNumber, lo, hi);
    if (held >= 0) {
      level = (cache.words[held]! & LEVEL) - 1;
      tableLo = cache.words[held + TABLE_LO]! & ~0xfff;
      tableHi = cache.words[held + TABLE_HI]!;
      tableAt = cache.words[held + TABLE_AT]!;
      this.ssRights = cache.words[held + TABLE_LO]! & BOTH;
    }
    for (; ; level--) {
      const offset = offsetOf(level, lo, hi);
      if (trail !== undefined) trail.push([SS_KIND[level]!, tableLo | offset, tableHi]);
      const at = tableAt >= 0 ? tableAt + (offset >>> 2) : memory.locate(tableLo | offset, tableHi);
      if (at < 0) {
        this.faultLevel = level + 1;
        return level === space.ssLevels ? SSS_4 : SSS_1;
      }
      const fault = this.secondStageEntry(space, level, at, lo, needs);
      if (fault !== 0 && fault !== TABLE) return fault;
      if (space.SSADE) this.markSecondStage(space, at, tableLo | offset, tableHi, fault === 0, writes);
      if (fault === 0) return 0;
      tableLo = memory.words[at]! & ~0xfff;
      tableHi = memory.words[at + 1]! & ADDRESS_HI;
      // An entry is remembered once its flags are set.
      tableAt = this.flags === 0 ? cache.put(memory, level, space.ssNumber, lo, hi, tableLo, tableHi, this.ssRights) : -1;
    }
  }

  /** What an entry says that is at a place of `memory.words`: TABLE when it leads to one; otherwise the walk is over. */
  private secondStageEntry(space: AddressSpace, level: number, at: number, lo: number, needs: number): number {
    const { words } = this.memory;
    const word = words[at]!;
    const high = words[at + 1]!;
    const granted = (space.SSIRWE ? high >>> IR_SHIFT : word) & BOTH;
    const rights = this.ssRights & granted;
    this.ssRights = rights;
    this.faultLevel = level;
    if (granted === 0) return SSS_2;
    const leaf = level === 1 || (level <= 3 && (word & PS) !== 0);
    const reserved = leaf ? this.ssPageLo[level]! : this.ssTableLo[level]!;
    if ((word & reserved) | (high & space.ssReservedHi)) return (rights & needs) === needs ? SSS_3 : 0;
    if (!leaf) return TABLE;
    const mask = level === 1 ? 0xfff : PAGE_MASK[level]!;
    this.lo = (word & ~mask) | (lo & mask);
    this.hi = high & ADDRESS_HI;
    this.level = level;
    this.SNP = word & SNP;
    return 0;
  }

  /** The flags of an entry that is used. §3.7.2. */
  private markSecondStage(space: AddressSpace, at: number, lo: number, hi: number, leaf: boolean, writes: boolean): void {
    const word = this.memory.words[at]!;
    const wanted = leaf && writes && this.ssRights & WRITE ? SS_A | SS_D : SS_A;
    if (wanted & ~word) this.later(at, wanted, !space.snooped ? SSS_5 : this.memory.isWritable(lo, hi) ? 0 : SSS_6);
    if (leaf && !writes && (word & SS_D) === 0) this.dirty = 0;
  }

  /**
   * First-stage translation, of nested address spaces as well. §3.6, §3.8. The address is canonical. Leaves the output of the
   * first stage, which is guest-physical when nested.
   *
   * @param writes whether the page is written to, for its dirty flag
   * @param writesAnyway RW when the request may write to read-only pages, being privileged; else 0
   */
  firstStage(space: AddressSpace, lo: number, hi: number, writes: boolean, writesAnyway: number): number {
    const { memory, fsCache: cache } = this;
    const { nested } = space;
    let level = space.fsLevels;
    let tableLo = space.fsLo;
    let tableHi = space.fsHi;
    let tableAt = -1;
    let rights = FS_RIGHTS;
    // Whether the address of the table is guest-physical still; else, whether it may be written.
    let guest = nested;
    let writable = WRITABLE;
    cache.settle(memory);
    const held = cache.nearest(level, space.fsNumber, lo, hi);
    if (held >= 0) {
      const { words } = cache;
      const word = words[held + TABLE_LO]!;
      level = (words[held]! & LEVEL) - 1;
      tableLo = word & ~0xfff;
      tableHi = words[held + TABLE_HI]!;
      tableAt = words[held + TABLE_AT]!;
      rights = word & FS_RIGHTS;
      writable = word & WRITABLE;
      guest = 0;
    }
    for (; ; level--) {
      const offset = level === 1 ? (lo >>> 9) & 0xff8 : offsetOf(level, lo, hi);
      if (guest) {
        // With SSADE a read of a table counts as a write of its page: §3.8.1.
        const fault = this.secondStage(space, tableLo | offset, tableHi, space.SSADE !== 0, 0);
        if (fault !== 0) return fault;
        if (this.ssRights === 0) return SSS_2;
        const needed = space.SSADE ? BOTH : READ;
        if ((this.ssRights & needed) !== needed) return level === space.fsLevels ? SFS_6 : SFS_7;
        writable = this.ssRights === BOTH ? WRITABLE : 0;
        tableLo = this.lo & ~0xfff;
        tableHi = this.hi;
      }
      // The entry above led here: with the host address of the table, as §6.2.5 has it, and once flags are set.
      if (tableAt < 0 && level < space.fsLevels && this.flags === 0)
        tableAt = cache.put(memory, level + 1, space.fsNumber, lo, hi, tableLo, tableHi, rights | writable);
      if (this.trail !== undefined) this.trail.push([FS_KIND[level]!, tableLo | offset, tableHi]);
      const at = tableAt >= 0 ? tableAt + (offset >>> 2) : memory.locate(tableLo | offset, tableHi);
      if (at < 0) return level === space.fsLevels ? SFS_4 : SFS_1;
      const word = memory.words[at]!;
      const high = memory.words[at + 1]!;
      if ((word & P) === 0) return SFS_2;
      const leaf = level === 1 || (level <= 3 && (word & PS) !== 0);
      const reserved = leaf ? this.fsPageLo[level]! : this.fsTableLo[level]!;
      if ((word & reserved) | (high & this.addressReserved)) return SFS_3;
      if (nested && high & ADDRESS_HI & space.ssBeyond) return SFS_5;
      rights &= word;
      const wanted = A | (space.EAFE ? EA : 0) | (leaf && writes && (rights | writesAnyway) & RW ? D : 0);
      if (wanted & ~word) {
        const refused = memory.isWritable(tableLo | offset, tableHi) ? 0 : SFS_10;
        this.later(at, wanted, !space.snooped ? SFS_9 : writable ? refused : SFS_8);
      }
      if (leaf) {
        if (!writes && (word & D) === 0) this.dirty = 0;
        const mask = PAGE_MASK[level]!;
        this.lo = (word & ~mask) | (lo & mask);
        this.hi = high & ADDRESS_HI;
        this.level = level;
        this.fsRights = rights;
        return 0;
      }
      tableLo = word & ~0xfff;
      tableHi = high & ADDRESS_HI;
      tableAt = -1;
      guest = nested;
    }
  }

  /**
   * Sets the flags of the entries that were used, for a request that has all its rights. §3.6.2, §3.7.2.
   * @returns 0, or why one cannot be set; then none is
   */
  setFlags(): number {
    for (let i = 0; i < this.flags; i++) if (this.flagsFault[i] !== 0) return this.flagsFault[i]!;
    for (let i = 0; i < this.flags; i++) this.memory.words[this.flagsAt[i]!]! |= this.flagsToSet[i]!;
    return 0;
  }

  private later(at: number, flags: number, fault: number): void {
    this.flagsAt[this.flags] = at;
    this.flagsToSet[this.flags] = flags;
    this.flagsFault[this.flags] = fault;
    this.flags++;
  }
}
