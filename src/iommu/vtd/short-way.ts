import type { Memory } from '../../memory/memory.ts';
import type { Abilities } from './abilities.ts';
import type { AddressSpace, AddressSpaces } from './address-space.ts';
import type { Batch } from './batch.ts';
import * as columns from './batch.ts';
import type { Caches } from './caches.ts';
import { inInterruptRange } from './interrupt-range.ts';
import * as tlb from './iotlb.ts';
import * as structureCache from './paging-structure-cache.ts';
import * as request from './request.ts';
import type { Active } from './state.ts';
import type { PageWalk } from './walk.ts';
import * as pages from './walk.ts';

// What is imported is looked up and checked at each use; constants of the file are part of the code.
const { TABLE_AT, TABLE_LO } = structureCache;
const STRUCTURE_HI = structureCache.KEY_HI;
const { DID_PGTT, EFFECTIVE_PASID, KEY_HI, KEY_PASID, OUT_HI, OUT_LO } = tlb;
const { ALL, LEVEL_AT, SNOOP } = request;
const { ADDRESS_HI, IR_SHIFT, SNP } = pages;
/** A page of 4 KiB. */
const LEVEL_1 = 1 << LEVEL_AT;

/**
 * The way that most requests take which the IOTLB has nothing for: they ask for rights only, their requester has a second stage
 * and nothing else that could refuse them, the table of their page is known, and they go through. What is left of the work is
 * one entry and three checks. A request that is anything else is judged step by step, from its beginning.
 */
export class ShortWay {
  private readonly memory: Memory;
  private readonly active: Active;
  private readonly known: AddressSpaces;
  private readonly structures: structureCache.PagingStructureCache;
  private readonly walk: PageWalk;
  private readonly out: request.Translation;
  private readonly iotlb: tlb.Iotlb;
  /** Bits of a page's entry that are reserved. */
  private readonly pageReserved: number;

  constructor(memory: Memory, can: Abilities, active: Active, caches: Caches, walk: PageWalk, out: request.Translation) {
    this.memory = memory;
    this.active = active;
    this.known = caches.spaces;
    this.structures = caches.secondStage;
    this.walk = walk;
    this.out = out;
    this.iotlb = caches.iotlb;
    this.pageReserved = can.ssPageLo[1]!;
  }

  /**
   * @returns what an untranslated request walked that took this way, with where it went in `out`; undefined when it is to be
   *   judged, and nothing has happened yet
   */
  passes(sid: number, lo: number, hi: number, access: number, pasid: number): AddressSpace | undefined {
    const { active, out, known, structures, memory } = this;
    const space = known.place(sid, pasid);
    if (!known.has(space, sid, pasid, active.TTM | (active.SSIRWE << 2)) || space.usual === 0) return undefined;
    if ((access & ~ALL) | (hi & space.ssBeyond) || inInterruptRange(lo, hi)) return undefined;
    const { words } = structures;
    const key = (lo & (-1 << 21)) | structures.pageTableKey(space.ssNumber);
    const at = structures.slotOf(structures.tablesHash(key), key, hi);
    const tableAt = words[at + TABLE_AT]!;
    if (words[at] !== key || words[at + STRUCTURE_HI] !== hi || tableAt < 0) return undefined;
    if (structures.generation !== memory.generation || this.walk.trail !== undefined) return undefined;
    const tables = memory.words;
    const entryAt = tableAt + ((lo >>> 11) & 0x3fe);
    const entry = tables[entryAt]!;
    const entryHi = tables[entryAt + 1]!;
    const granted = (space.SSIRWE ? entryHi >>> IR_SHIFT : entry) & ALL;
    const rights = granted & words[at + TABLE_LO]!;
    if (granted === 0 || access & ~rights || (entry & this.pageReserved) | (entryHi & space.ssReservedHi)) return undefined;
    const upper = entryHi & ADDRESS_HI;
    if (inInterruptRange(entry, upper)) return undefined;
    out.lo = (entry & ~0xfff) | (lo & 0xfff);
    out.hi = upper;
    out.info = rights | LEVEL_1 | (entry & SNP || space.PGSNP ? SNOOP : 0);
    return space;
  }

  /**
   * The requests of a batch, from one on, that the IOTLB has or that take this way: the same as one after the other by
   * `Iotlb.find`, `passes` and `Iotlb.put`, written as one loop. Nothing but the IOTLB changes on the way, so what they share is
   * looked up when the requester changes.
   * @returns the first that is to be looked at by itself
   */
  answer(batch: Batch, from: number): number {
    const { active, known, structures, iotlb, pageReserved } = this;
    const { generation, words: tables } = this.memory;
    const { length, capacity, words: all } = batch;
    const pasids = capacity * columns.PASID;
    const lows = capacity * columns.LO;
    const highs = capacity * columns.HI;
    const accesses = capacity * columns.ACCESS;
    const conditions = capacity * columns.CONDITION;
    const outLows = capacity * columns.OUT_LO;
    const outHighs = capacity * columns.OUT_HI;
    const infos = capacity * columns.INFO;
    const { words } = structures;
    const held = iotlb.words;
    const isHolding = iotlb.size !== 0;
    const mode = active.TTM | (active.SSIRWE << 2);
    if (this.walk.trail !== undefined || structures.generation !== generation) return from;
    let i = from;
    while (i < length) {
      const requester = all[i]!;
      const own = all[pasids + i]!;
      const space = known.place(requester, own);
      if (!known.has(space, requester, own, mode) || space.usual === 0) return i;
      const { ssBeyond, ssReservedHi, SSIRWE } = space;
      const snoops = space.PGSNP ? SNOOP : 0;
      const tablesKey = structures.pageTableKey(space.ssNumber);
      const tablesHash = structures.tablesHash(tablesKey);
      const requesterKey = iotlb.requesterKey(requester, 0, own);
      const spaceKey = iotlb.spaceKey(requester, own);
      const spaceHash = iotlb.spaceHash(requester, own);
      const madeOf = space.did | (space.type << 16);
      for (; i < length && all[i] === requester && all[pasids + i] === own; i++) {
        const low = all[lows + i]!;
        const high = all[highs + i]!;
        const asks = all[accesses + i]!;
        const page = (low & ~0xfff) | requesterKey;
        let place = 0;
        let word = 0;
        if (isHolding) {
          place = iotlb.slotOf(spaceHash, low, high);
          word = held[place + OUT_LO]!;
          // What an entry is for was looked at when it was made.
          const other = (held[place]! ^ page) | (held[place + KEY_HI]! ^ high) | (held[place + KEY_PASID]! ^ spaceKey);
          if ((other | (~word & asks)) === 0) {
            all[conditions + i] = 0;
            all[outLows + i] = (word & ~0xfff) | (low & 0xfff);
            all[outHighs + i] = held[place + OUT_HI]!;
            all[infos + i] = word & 0xfff;
            continue;
          }
        }
        if ((asks & ~ALL) | (high & ssBeyond) || inInterruptRange(low, high)) return i;
        const key = (low & (-1 << 21)) | tablesKey;
        const at = structures.slotOf(tablesHash, key, high);
        const tableAt = words[at + TABLE_AT]!;
        if (words[at] !== key || words[at + STRUCTURE_HI] !== high || tableAt < 0) return i;
        const entryAt = tableAt + ((low >>> 11) & 0x3fe);
        const entry = tables[entryAt]!;
        const entryHi = tables[entryAt + 1]!;
        const granted = (SSIRWE ? entryHi >>> IR_SHIFT : entry) & ALL;
        const rights = granted & words[at + TABLE_LO]!;
        if (granted === 0 || asks & ~rights || (entry & pageReserved) | (entryHi & ssReservedHi)) return i;
        word = (entry & ~0xfff) | rights | LEVEL_1 | (entry & SNP ? SNOOP : snoops);
        const upper = entryHi & ADDRESS_HI;
        if (inInterruptRange(word, upper)) return i;
        all[outHighs + i] = upper;
        if (isHolding) {
          held[place] = page;
          held[place + KEY_HI] = high;
          held[place + KEY_PASID] = spaceKey;
          held[place + OUT_LO] = word;
          held[place + OUT_HI] = upper;
          held[place + DID_PGTT] = madeOf;
          held[place + EFFECTIVE_PASID] = space.pasid;
        }
        all[conditions + i] = 0;
        all[outLows + i] = (word & ~0xfff) | (low & 0xfff);
        all[infos + i] = word & 0xfff;
      }
    }
    return i;
  }
}
