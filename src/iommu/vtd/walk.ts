import type { Memory } from '../../memory/memory.ts';
import type { Abilities } from './abilities.ts';
import { type Caches, TABLE_HI, TABLE_LO } from './caches.ts';
import { numberOf } from './faults.ts';
import { FirstStagePage4K, FirstStageTable, SecondStagePage4K } from './formats-paging.ts';
import { fieldWords } from './masks.ts';

// Walks of page tables: first-stage, second-stage, and nested, where each address of the first stage is one that the second
// translates. VT-d 5.10 §3.6, §3.7, §3.8. The code that translates is the code that explains: see `Trail`.

/** Kinds of entries that requests read. The level of a page-table entry is at the end of its name. */
export type EntryKind = 'root' | 'ctx' | 'pdir' | 'pasid' | `fs${1 | 2 | 3 | 4 | 5}` | `ss${1 | 2 | 3 | 4 | 5}` | 'irte' | 'pid';

/** Takes every entry that is read, in order, with its address: an array will do. */
export interface Trail {
  push(read: [kind: EntryKind, lo: number, hi: number]): unknown;
}

const FS_KIND = ['fs1', 'fs1', 'fs2', 'fs3', 'fs4', 'fs5'] as const satisfies readonly EntryKind[];
const SS_KIND = ['ss1', 'ss1', 'ss2', 'ss3', 'ss4', 'ss5'] as const satisfies readonly EntryKind[];

const SFS_1 = numberOf('SFS.1');
const SFS_2 = numberOf('SFS.2');
const SFS_3 = numberOf('SFS.3');
const SFS_4 = numberOf('SFS.4');
const SFS_5 = numberOf('SFS.5');
const SFS_6 = numberOf('SFS.6');
const SFS_7 = numberOf('SFS.7');
const SFS_8 = numberOf('SFS.8');
const SFS_9 = numberOf('SFS.9');
const SSS_1 = numberOf('SSS.1');
const SSS_2 = numberOf('SSS.2');
const SSS_3 = numberOf('SSS.3');
const SSS_4 = numberOf('SSS.4');
const SSS_5 = numberOf('SSS.5');

export const READ = 1;
export const WRITE = 2;
const BOTH = READ | WRITE;

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
const SNP = fieldWords(SecondStagePage4K, 'SNP')[0]!;
/** Where IR and IW are in the high word. */
const IR_SHIFT = 29;

/** The low bits of a page by the level of its entry. */
const PAGE_MASK = Int32Array.of(0, 0xfff, 0x1fffff, 0x3fffffff, 0, 0);
const ADDRESS_HI = 0xfffff;
/** The bit of a first-stage paging-structure entry that says whether the second stage lets its table be written. */
const WRITABLE = 1;

/** Places below this are on the page that all untouched memory shares. */
const PAGE_WORDS = 1024;

/** A walk reads 5 first-stage entries at most, each after 5 of the second stage, and 5 for the page. */
const MOST_FLAGS = 35;

/** Byte offset into a table: the address bits that select the entry of a level, times 8. */
function offsetOf(level: number, lo: number, hi: number): number {
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
 * One request's way through page tables. The fields of the first group say what to walk and are set before; those of the
 * second are the answer. Functions return 0 or the number of a condition, and allocate nothing.
 */
export class PageWalk {
  /** Root of the second stage, its levels, and the bits of an upper half that are beyond its width. */
  ssLo = 0;
  ssHi = 0;
  ssLevels = 0;
  ssBeyond = 0;
  /** RTADDR_REG.SSIRWE and SSADE, EAFE, whether page walks snoop: 0 or 1. */
  SSIRWE = 0;
  SSADE = 0;
  EAFE = 0;
  snooped = 0;
  /** Root of the first stage, a guest-physical address when `nested` is 1, and its levels. */
  fsLo = 0;
  fsHi = 0;
  fsLevels = 0;
  nested = 0;
  /** RW when the request may write to read-only pages of the first stage, being privileged; else 0. */
  writesAnyway = 0;
  /** Tags of what is cached. */
  did = 0;
  pasid = 0;

  /** The output address and the level of the page that it is in. */
  lo = 0;
  hi = 0;
  level = 0;
  /** Rights in the first stage: RW and US. */
  fsRights = 0;
  /** Rights in the second stage: READ and WRITE. */
  ssRights = 0;
  /** SNP of the second-stage leaf, 0 or 1. */
  SNP = 0;
  /** Whether writes need no flag update any more, so that the permission may be cached: 0 or 1. */
  dirty = 0;

  /** When set, takes every entry that is read. */
  trail: Trail | undefined;

  private readonly memory: Memory;
  private readonly can: Abilities;
  private readonly caches: Caches;
  /** Flags to set once the request is known to go through: where, which, and what forbids it. */
  private flags = 0;
  private readonly flagsAt = new Int32Array(MOST_FLAGS);
  private readonly flagsToSet = new Int32Array(MOST_FLAGS);
  private readonly flagsFault = new Int32Array(MOST_FLAGS);

  constructor(memory: Memory, can: Abilities, caches: Caches) {
    this.memory = memory;
    this.can = can;
    this.caches = caches;
  }

  /** Before each request. */
  begin(): void {
    this.flags = 0;
    this.fsRights = FS_RIGHTS;
    this.ssRights = BOTH;
    this.SNP = 0;
    this.dirty = 1;
  }

  /**
   * Second-stage translation. §3.7. The address has been checked against the width.
   *
   * @param writes whether the page is written to, for its dirty flag
   * @param needs  rights whose lack comes before reserved bits of the same entry: then 0 is returned and `ssRights` lacks them
   */
  secondStage(lo: number, hi: number, writes: boolean, needs: number): number {
    const { memory, can, caches, trail } = this;
    const cache = caches.secondStage;
    const root = (this.ssHi << 20) | (this.ssLo >>> 12);
    let level = this.ssLevels;
    let tableLo = this.ssLo;
    let tableHi = this.ssHi;
    let rights = BOTH;
    let tableAt = -1;
    if (cache.size !== 0)
      // §6.2.7: the entry nearest to the page first.
      for (let held = 2; held <= level; held++) {
        const at = cache.find(held, this.did, 0, root, lo, hi);
        if (at < 0) continue;
        const word = cache.words[at + TABLE_LO]!;
        tableLo = word & ~0xfff;
        tableHi = cache.words[at + TABLE_HI]!;
        tableAt = cache.place(at, memory.generation);
        rights = word & BOTH;
        level = held - 1;
        break;
      }
    for (; ; level--) {
      const offset = offsetOf(level, lo, hi);
      if (trail !== undefined) trail.push([SS_KIND[level]!, tableLo | offset, tableHi]);
      const at = tableAt >= 0 ? tableAt + (offset >>> 2) : memory.locate(tableLo | offset, tableHi);
      if (at < 0) return level === this.ssLevels ? SSS_4 : SSS_1;
      const word = memory.words[at]!;
      const high = memory.words[at + 1]!;
      const granted = this.SSIRWE ? (high >>> IR_SHIFT) & BOTH : word & BOTH;
      this.ssRights = rights &= granted;
      if (granted === 0) return SSS_2;
      const leaf = level === 1 || (level <= 3 && (word & PS) !== 0);
      const reserved = leaf ? can.ssPageLo[level]! : can.ssTableLo[level]!;
      if ((word & reserved) | (high & (this.SSIRWE ? can.addressReserved : can.ssReservedHi)))
        return (rights & needs) === needs ? SSS_3 : 0;
      if (this.SSADE) {
        const wanted = leaf && writes && rights & WRITE ? SS_A | SS_D : SS_A;
        if (wanted & ~word) this.later(at, wanted, this.snooped ? 0 : SSS_5);
      }
      if (leaf) {
        if (this.SSADE && !writes && (word & SS_D) === 0) this.dirty = 0;
        const mask = PAGE_MASK[level]!;
        this.lo = (word & ~mask) | (lo & mask);
        this.hi = high & ADDRESS_HI;
        this.level = level;
        this.SNP = (word & SNP) === 0 ? 0 : 1;
        return 0;
      }
      tableLo = word & ~0xfff;
      tableHi = high & ADDRESS_HI;
      tableAt = -1;
      // An entry is remembered once its flags are set.
      if (cache.size !== 0 && this.flags === 0) {
        const place = memory.locate(tableLo, tableHi);
        tableAt = place < PAGE_WORDS ? -1 : place;
        cache.put(level, this.did, 0, root, lo, hi, tableLo | rights, tableHi, tableAt, memory.generation);
      }
    }
  }

  /**
   * First-stage translation, nested when `this.nested` is 1. §3.6, §3.8. The address is canonical. Leaves the output of the
   * first stage, which is guest-physical when nested.
   *
   * @param writes whether the page is written to, for its dirty flag
   */
  firstStage(lo: number, hi: number, writes: boolean): number {
    const { memory, can, caches, trail, nested } = this;
    const cache = caches.firstStage;
    const { did, pasid } = this;
    // Of both stages when nested.
    const root =
      (this.fsHi << 20) ^ (this.fsLo >>> 12) ^ (nested ? Math.imul((this.ssHi << 20) ^ (this.ssLo >>> 12), 0x9e3779b1) : 0);
    let level = this.fsLevels;
    let tableLo = this.fsLo;
    let tableHi = this.fsHi;
    let rights = FS_RIGHTS;
    // Whether the address of the table is guest-physical still; else, whether it may be written.
    let guest = nested;
    let writable = WRITABLE;
    let tableAt = -1;
    if (cache.size !== 0)
      for (let held = 2; held <= level; held++) {
        const at = cache.find(held, did, pasid, root, lo, hi);
        if (at < 0) continue;
        const word = cache.words[at + TABLE_LO]!;
        tableLo = word & ~0xfff;
        tableHi = cache.words[at + TABLE_HI]!;
        tableAt = cache.place(at, memory.generation);
        rights = word & FS_RIGHTS;
        writable = word & WRITABLE;
        guest = 0;
        level = held - 1;
        break;
      }
    for (; ; level--) {
      const offset = offsetOf(level, lo, hi);
      if (guest) {
        // With SSADE a read of a table counts as a write of its page: §3.8.1.
        const fault = this.secondStage(tableLo | offset, tableHi, this.SSADE !== 0, 0);
        if (fault !== 0) return fault;
        if (this.ssRights === 0) return SSS_2;
        const needed = this.SSADE ? BOTH : READ;
        if ((this.ssRights & needed) !== needed) return level === this.fsLevels ? SFS_6 : SFS_7;
        writable = this.ssRights === BOTH ? WRITABLE : 0;
        tableLo = this.lo & ~0xfff;
        tableHi = this.hi;
      }
      if (cache.size !== 0 && tableAt < 0) {
        const place = memory.locate(tableLo, tableHi);
        tableAt = place < PAGE_WORDS ? -1 : place;
        // The entry above led here: with the host address of the table, as §6.2.5 has it, and once flags are set.
        if (level < this.fsLevels && this.flags === 0)
          cache.put(level + 1, did, pasid, root, lo, hi, tableLo | rights | writable, tableHi, tableAt, memory.generation);
      }
      if (trail !== undefined) trail.push([FS_KIND[level]!, tableLo | offset, tableHi]);
      const at = tableAt >= 0 ? tableAt + (offset >>> 2) : memory.locate(tableLo | offset, tableHi);
      if (at < 0) return level === this.fsLevels ? SFS_4 : SFS_1;
      const word = memory.words[at]!;
      const high = memory.words[at + 1]!;
      if ((word & P) === 0) return SFS_2;
      const leaf = level === 1 || (level <= 3 && (word & PS) !== 0);
      const reserved = leaf ? can.fsPageLo[level]! : can.fsTableLo[level]!;
      if ((word & reserved) | (high & can.addressReserved)) return SFS_3;
      if (nested && high & ADDRESS_HI & this.ssBeyond) return SFS_5;
      rights &= word;
      const wanted = A | (this.EAFE ? EA : 0) | (leaf && writes && (rights | this.writesAnyway) & RW ? D : 0);
      if (wanted & ~word) this.later(at, wanted, this.snooped ? (writable ? 0 : SFS_8) : SFS_9);
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
