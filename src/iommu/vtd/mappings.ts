import type { Memory } from '../../memory/memory.ts';
import type { Abilities } from './abilities.ts';
import { type AddressSpace, FIRST_STAGE, NESTED, SECOND_STAGE } from './address-space.ts';
import { Caches, NO_CACHES } from './caches.ts';
import { FirstStageTable, SecondStagePage4K } from './formats-paging.ts';
import { fieldWords } from './masks.ts';
import { ALL, LEVEL_AT, READ, SNOOP, WRITE } from './request.ts';
import { ADDRESS_HI, IR_SHIFT, PAGE_MASK, PageWalk, RW, US } from './walk.ts';

// All that page tables map, in the order of addresses: first-stage, second-stage, and nested, where what the first stage maps
// is looked up in the second. VT-d 5.10 §3.6, §3.7, §3.8. Rules are those of `PageWalk`. Addresses of pages are frame numbers
// (address / 4096), which a number holds exactly.

/** In `info`, with READ, WRITE, SNOOP and the level: requests that are not privileged are let through. */
export const USER = 4;

const P = fieldWords(FirstStageTable, 'P')[0]!;
const PS = fieldWords(FirstStageTable, 'PS')[0]!;
const SNP = fieldWords(SecondStagePage4K, 'SNP')[0]!;
/** What entries of a table have to agree in to be taken together. */
const FS_FLAGS = P | RW | US;
const SS_FLAGS = ALL | SNP;

const ENTRIES = 512;
const TABLE_WORDS = ENTRIES * 2;
/** Pages of 4 KiB that an entry covers, by level. */
const FRAMES = Float64Array.of(0, 1, 2 ** 9, 2 ** 18, 2 ** 27, 2 ** 36);
/** One more than the last frame of a 64-bit address. */
export const END_OF_ADDRESSES: number = 2 ** 52;
/** The tables that a call reads at most, and at least: with these it always gets on. */
const MOST_TABLES = 2 ** 16;
const LEAST_TABLES = 64;

/**
 * Mappings, by number from 0 to `count`, in the order of their addresses. Consecutive pages of one size with the same rights are
 * a stretch, whatever they are mapped to: what holds for all of it is kept once.
 */
export class Mappings {
  readonly size: number;
  readonly tables: number;
  count = 0;
  stretches = 0;
  /** The frame to go on from: all mappings before it are listed. */
  next = 0;
  /** By stretch: the number of its first mapping. */
  readonly first: Int32Array;
  /** By stretch: its first frame, as devices use it. Bits above the width are those of a canonical address. */
  readonly from: Float64Array;
  /** By stretch: rights, USER, SNOOP, and the level of the pages from LEVEL_AT on. */
  readonly info: Uint16Array;
  /** Two words each: the address of the page, and other bits of the entry that maps it. See `lo` and `hi`. */
  private readonly entries: Int32Array;
  /** The frame that the last stretch would go on with. */
  private end = 0;

  /**
   * @param size   how many mappings there is room for
   * @param tables how many tables a call reads at most: tables may lead to each other without end
   */
  constructor(size: number, tables: number = MOST_TABLES) {
    this.size = size;
    this.tables = Math.max(tables, LEAST_TABLES);
    this.first = new Int32Array(size);
    this.from = new Float64Array(size);
    this.info = new Uint16Array(size);
    this.entries = new Int32Array(size * 2);
  }

  /** The stretch that a mapping is part of. */
  stretchOf(i: number): number {
    let low = 0;
    let high = this.stretches - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.first[middle]! <= i) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** The first frame of a mapping, in a stretch. */
  iova(i: number, stretch: number = this.stretchOf(i)): number {
    return this.from[stretch]! + (i - this.first[stretch]!) * this.frames(stretch);
  }

  /** How many frames each page of a stretch has. */
  frames(stretch: number): number {
    return FRAMES[this.level(stretch)]!;
  }

  /** 1 for a stretch of pages of 4 KiB, 2 for 2 MiB, 3 for 1 GiB. */
  level(stretch: number): number {
    return this.info[stretch]! >>> LEVEL_AT;
  }

  /** The address that a page is mapped to, as int32 halves. */
  lo(i: number): number {
    return this.entries[2 * i]! & ~PAGE_MASK[1]!;
  }
  hi(i: number): number {
    return this.entries[2 * i + 1]! & ADDRESS_HI;
  }

  clear(): void {
    this.count = 0;
    this.stretches = 0;
  }

  /** Adds a page. @returns whether there was room */
  put(iova: number, lo: number, hi: number, info: number): boolean {
    if (this.count === this.size) {
      this.next = iova;
      return false;
    }
    this.stretch(iova, info, 1);
    this.entries[2 * this.count] = lo;
    this.entries[2 * this.count + 1] = hi;
    this.count++;
    return true;
  }

  /** Adds the pages of a table of level 1 whose first entry is at `at`. There is room for them. */
  putTable(iova: number, words: Int32Array, at: number, info: number): void {
    this.stretch(iova, info, ENTRIES);
    this.entries.set(words.subarray(at, at + TABLE_WORDS), 2 * this.count);
    this.count += ENTRIES;
  }

  /** Goes on with the last stretch, if these pages do, or begins one. */
  private stretch(iova: number, info: number, pages: number): void {
    const last = this.stretches - 1;
    if (last < 0 || this.end !== iova || this.info[last] !== info) {
      this.first[last + 1] = this.count;
      this.from[last + 1] = iova;
      this.info[last + 1] = info;
      this.stretches++;
    }
    this.end = iova + pages * FRAMES[info >>> LEVEL_AT]!;
  }
}

/** Neighbouring pages that are mapped to neighbouring pages, with the same rights. */
export interface MappedRun {
  /** Frames from `from` up to `to`, which is not included. */
  readonly from: number;
  to: number;
  /** The frame that `from` is mapped to. */
  readonly target: number;
  /** READ, WRITE, USER and SNOOP. */
  readonly info: number;
}

/**
 * Joins neighbours.
 *
 * @param runs what was found before, when the listing goes on; its last run may grow
 * @returns `runs`
 */
export function joinMappings(mappings: Mappings, runs: MappedRun[] = []): MappedRun[] {
  for (let stretch = 0; stretch < mappings.stretches; stretch++) {
    const info = mappings.info[stretch]! & ((1 << LEVEL_AT) - 1);
    const frames = mappings.frames(stretch);
    const end = stretch + 1 < mappings.stretches ? mappings.first[stretch + 1]! : mappings.count;
    let from = mappings.from[stretch]!;
    for (let i = mappings.first[stretch]!; i < end; i++, from += frames) {
      const target = frameOf(mappings.lo(i), mappings.hi(i));
      const last = runs.at(-1);
      if (last !== undefined && last.to === from && last.target + last.to - last.from === target && last.info === info)
        last.to = from + frames;
      else runs.push({ from, to: from + frames, target, info });
    }
  }
  return runs;
}

/** Lists what address spaces map. */
export class MappingReader {
  private readonly memory: Memory;
  private readonly can: Abilities;
  /** For the tables of the first stage, which are at guest-physical addresses when nested. */
  private readonly walk: PageWalk;
  private space!: AddressSpace;
  private out!: Mappings;
  private tables = 0;
  /** Frames that were asked for. */
  private from = 0;
  private to = 0;
  /** Frames of the second stage that are looked at, and by how much less they are than those of the device. */
  private ssFrom = 0;
  private ssTo = 0;
  private shift = 0;
  /** The page of the first stage: where it begins, its level, and its rights. */
  private fsFrame = 0;
  private fsLevel = 0;
  private fsRights = 0;

  constructor(memory: Memory, can: Abilities) {
    this.memory = memory;
    this.can = can;
    this.walk = new PageWalk(memory, can, new Caches(NO_CACHES));
  }

  /**
   * Lists pages with a frame from `from` up to `to`, which is not included, as far as there is room; a page that begins before
   * is listed whole. What no request has a right to is not listed, and the interrupt range is nothing special. When
   * `out.next` is less than `to`, the listing goes on from there.
   *
   * @param space what is walked; of pass-through there is nothing to list
   * @param from  frames of 64-bit addresses: the upper half of a first stage ends at END_OF_ADDRESSES
   * @param out   is overwritten
   */
  read(space: AddressSpace, from: number, to: number, out: Mappings): void {
    this.space = space;
    this.out = out;
    this.from = from;
    this.to = to;
    this.tables = out.tables;
    out.clear();
    let complete = true;
    if (space.type === SECOND_STAGE) {
      const width = 2 ** (20 + 32 - Math.clz32(~space.ssBeyond));
      complete = this.throughSecondStage(0, 0, width, 3, ALL | USER);
    } else if (space.type === FIRST_STAGE || space.type === NESTED) {
      const root = (base: number): boolean => this.firstStage(space.fsLo, space.fsHi, space.fsLevels, base, RW | US);
      // Canonical addresses: the lower half of the root table is at the beginning, the upper half at the end.
      const all = FRAMES[space.fsLevels]! * ENTRIES;
      this.to = Math.min(to, all / 2);
      complete = this.from >= this.to || root(0);
      if (complete) {
        this.from = Math.max(from, END_OF_ADDRESSES - all / 2);
        this.to = to;
        complete = this.from >= this.to || root(END_OF_ADDRESSES - all);
      }
    }
    if (complete) out.next = to;
  }

  /** @returns false when it could not be finished: then `out.next` is set */
  private firstStage(lo: number, hi: number, level: number, base: number, rights: number): boolean {
    const { space, memory, can, out, walk } = this;
    const { nested } = space;
    this.tables -= nested ? space.ssLevels : 1;
    if (this.tables < 0) {
      out.next = Math.max(base, this.from);
      return false;
    }
    let tableLo = lo;
    let tableHi = hi;
    if (nested) {
      // With SSADE a read of a table counts as a write of its page: §3.8.1.
      const needed = space.SSADE ? ALL : READ;
      walk.begin();
      if (walk.secondStage(space, lo, hi, false, 0) !== 0 || (walk.ssRights & needed) !== needed) return true;
      tableLo = walk.lo;
      tableHi = walk.hi;
    }
    const table = memory.locate(tableLo, tableHi);
    if (table < 0) return true;
    const { words } = memory;
    const step = FRAMES[level]!;
    const first = Math.max(0, Math.floor((this.from - base) / step));
    const end = Math.min(ENTRIES, Math.ceil((this.to - base) / step));
    if (level === 1 && !nested && end - first === ENTRIES && out.count + ENTRIES <= out.size) {
      const flags = common(words, table, FS_FLAGS, can.fsPageLo[1]!, can.addressReserved);
      if (flags & P) {
        out.putTable(base, words, table, fsInfo(flags & rights) | (1 << LEVEL_AT));
        return true;
      }
    }
    for (let index = first; index < end; index++) {
      const word = words[table + 2 * index]!;
      const high = words[table + 2 * index + 1]!;
      if ((word & P) === 0) continue;
      const leaf = level === 1 || (level <= 3 && (word & PS) !== 0);
      if ((word & (leaf ? can.fsPageLo : can.fsTableLo)[level]!) | (high & can.addressReserved)) continue;
      if (nested && high & ADDRESS_HI & space.ssBeyond) continue;
      const frame = base + index * step;
      const granted = rights & word;
      const to = word & ~(leaf ? PAGE_MASK[level]! : PAGE_MASK[1]!);
      const toHi = high & ADDRESS_HI;
      const going = !leaf
        ? this.firstStage(to, toHi, level - 1, frame, granted)
        : nested
          ? this.throughSecondStage(frame, frameOf(to, toHi), step, level, fsInfo(granted))
          : out.put(frame, to, toHi, fsInfo(granted) | (level << LEVEL_AT));
      if (!going) return false;
    }
    return true;
  }

  /** Lists `frames` pages that are at `frame` for the device and at `guest` for the second stage. */
  private throughSecondStage(frame: number, guest: number, frames: number, level: number, rights: number): boolean {
    const { space } = this;
    this.shift = frame - guest;
    this.ssFrom = Math.max(guest, this.from - this.shift);
    this.ssTo = Math.min(guest + frames, this.to - this.shift);
    this.fsFrame = guest;
    this.fsLevel = level;
    this.fsRights = rights;
    return this.ssFrom >= this.ssTo || this.secondStage(space.ssLo, space.ssHi, space.ssLevels, 0, ALL);
  }

  private secondStage(lo: number, hi: number, level: number, base: number, rights: number): boolean {
    const { space, memory, can, out, shift, fsLevel, fsRights } = this;
    if (--this.tables < 0) {
      out.next = Math.max(base, this.ssFrom) + shift;
      return false;
    }
    const table = memory.locate(lo, hi);
    if (table < 0) return true;
    const { words } = memory;
    const step = FRAMES[level]!;
    const first = Math.max(0, Math.floor((this.ssFrom - base) / step));
    const end = Math.min(ENTRIES, Math.ceil((this.ssTo - base) / step));
    if (level === 1 && !space.SSIRWE && end - first === ENTRIES && out.count + ENTRIES <= out.size) {
      const flags = common(words, table, SS_FLAGS, can.ssPageLo[1]!, space.ssReservedHi);
      const granted = flags & rights & fsRights;
      if (granted !== 0) {
        out.putTable(base + shift, words, table, granted | (fsRights & USER) | (flags & SNP ? SNOOP : 0) | (1 << LEVEL_AT));
        return true;
      }
    }
    for (let index = first; index < end; index++) {
      const word = words[table + 2 * index]!;
      const high = words[table + 2 * index + 1]!;
      const granted = rights & (space.SSIRWE ? high >>> IR_SHIFT : word);
      if ((granted & fsRights) === 0) continue;
      const leaf = level === 1 || (level <= 3 && (word & PS) !== 0);
      if ((word & (leaf ? can.ssPageLo : can.ssTableLo)[level]!) | (high & space.ssReservedHi)) continue;
      const frame = base + index * step;
      const toHi = high & ADDRESS_HI;
      if (!leaf) {
        if (!this.secondStage(word & ~PAGE_MASK[1]!, toHi, level - 1, frame, granted)) return false;
        continue;
      }
      // Of a page that is larger than that of the first stage, a part as large.
      const guest = Math.max(frame, this.fsFrame);
      const to = (word & ~PAGE_MASK[level]!) | ((guest - frame) << 12);
      const info = (granted & fsRights) | (fsRights & USER) | (word & SNP ? SNOOP : 0) | (Math.min(level, fsLevel) << LEVEL_AT);
      if (!out.put(guest + shift, to, toHi, info)) return false;
    }
    return true;
  }
}

/** READ, WRITE and USER of first-stage rights. What privileged requests may write to besides depends on WPE. §3.6.1. */
function fsInfo(rights: number): number {
  return READ | (rights & RW ? WRITE : 0) | (rights & US ? USER : 0);
}

function frameOf(lo: number, hi: number): number {
  return hi * 2 ** 20 + (lo >>> 12);
}

/** The flags that all entries of a table have, when they have the same and nothing that is reserved; else 0. */
function common(words: Int32Array, at: number, flags: number, reserved: number, reservedHi: number): number {
  let all = -1;
  let any = 0;
  let anyHi = 0;
  for (let i = at; i < at + TABLE_WORDS; i += 8) {
    const first = words[i]!;
    const second = words[i + 2]!;
    const third = words[i + 4]!;
    const fourth = words[i + 6]!;
    all &= first & second & third & fourth;
    any |= first | second | third | fourth;
    anyHi |= words[i + 1]! | words[i + 3]! | words[i + 5]! | words[i + 7]!;
  }
  return (any & reserved) | (anyHi & reservedHi) | ((any ^ all) & flags) ? 0 : all & flags;
}
