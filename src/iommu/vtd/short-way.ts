import type { Memory } from '../../memory/memory.ts';
import type { AddressSpace, AddressSpaces } from './address-space.ts';
import type { Caches } from './caches.ts';
import { inInterruptRange } from './interrupt-range.ts';
import * as structureCache from './paging-structure-cache.ts';
import * as request from './request.ts';
import type { Active } from './state.ts';
import type { PageWalk } from './walk.ts';

// What is imported is looked up and checked at each use; constants of the file are part of the code.
const { TABLE_AT, TABLE_LO } = structureCache;
const { ALL, LEVEL_AT, SNOOP } = request;

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

  constructor(memory: Memory, active: Active, caches: Caches, walk: PageWalk, out: request.Translation) {
    this.memory = memory;
    this.active = active;
    this.known = caches.spaces;
    this.structures = caches.secondStage;
    this.walk = walk;
    this.out = out;
  }

  /**
   * @returns what an untranslated request walked that took this way, with where it went in `out`; undefined when it is to be
   *   judged, and nothing has happened yet
   */
  passes(sid: number, lo: number, hi: number, access: number, pasid: number): AddressSpace | undefined {
    const { active, walk, out, known, structures } = this;
    const space = known.place(sid, pasid);
    if (!known.has(space, sid, pasid, active.TTM | (active.SSIRWE << 2)) || space.usual === 0) return undefined;
    if ((access & ~ALL) | (hi & space.ssBeyond) || inInterruptRange(lo, hi) || walk.trail !== undefined) return undefined;
    const held = structures.pageTable(this.memory.generation, space.ssNumber, lo, hi);
    if (held < 0) return undefined;
    const { words } = structures;
    if (walk.secondStagePage(space, words[held + TABLE_AT]!, words[held + TABLE_LO]! & ALL, lo, access) !== 0) return undefined;
    if (access & ~walk.ssRights || inInterruptRange(walk.lo, walk.hi)) return undefined;
    out.lo = walk.lo;
    out.hi = walk.hi;
    out.info = walk.ssRights | (1 << LEVEL_AT) | (walk.SNP | space.PGSNP ? SNOOP : 0);
    return space;
  }
}
