import type { Memory } from '../../memory/memory.ts';
import { type AddressSpace, FIRST_STAGE, NESTED } from './address-space.ts';
import { CacheTable, inRange } from './cache-table.ts';
import { DOMAIN, GLOBAL, PASID } from './granularity.ts';
import * as keys from './iotlb-keys.ts';
import * as layout from './kernel/layout.ts';
import type { Translation } from './request.ts';

/** Bits of an access that an entry has to have; execution and zero length it never has. */
const NEEDED = 0b10111;

// What is imported is looked up and checked at each use; constants of the file are part of the code.
const { DID_PGTT, EFFECTIVE_PASID, IOTLB_STRIDE_BITS: STRIDE_BITS, KEY_HI, KEY_PASID, OUT_HI, OUT_LO } = layout;
const { belowPage, keyPasid, spaceHash } = keys;

/**
 * Translations by requester, PASID and page. Larger pages are held as the 4-KByte pieces that were asked for, as §6.2.4.1
 * allows. Requests without PASID have entries of their own, which know the PASID they stand for, and each privilege has.
 * Each page has one place: looking for the right one of several costs more than the walks it saves.
 */
export class Iotlb extends CacheTable {
  constructor(size: number, memory?: Memory) {
    super(size, 1 << STRIDE_BITS, memory);
  }

  /**
   * Whether there is an entry for a request that grants it, which then says where it goes.
   *
   * @param access as of a request: what it needs, and whether it is privileged
   * @param pasid  -1 for none
   */
  answers(sid: number, lo: number, hi: number, access: number, pasid: number, out: Translation): boolean {
    const { words } = this;
    const key = keyPasid(sid, pasid);
    const at = this.slot(key, lo, hi);
    const word = words[at | OUT_LO]!;
    const other =
      (words[at]! ^ ((lo & ~0xfff) | belowPage(sid, access))) | (words[at | KEY_HI]! ^ hi) | (words[at | KEY_PASID]! ^ key);
    if ((other | (~word & access & NEEDED)) !== 0) return false;
    out.lo = (word & ~0xfff) | (lo & 0xfff);
    out.hi = words[at | OUT_HI]!;
    out.info = word & 0xfff;
    return true;
  }

  /**
   * Holds a translation.
   *
   * @param outLo  low half of the output address, with `info` in its low 12 bits
   * @param space  what was walked
   */
  put(
    sid: number,
    lo: number,
    hi: number,
    access: number,
    pasid: number,
    outLo: number,
    outHi: number,
    space: AddressSpace,
  ): void {
    if (this.size === 0) return;
    const { words } = this;
    const key = keyPasid(sid, pasid);
    const at = this.slot(key, lo, hi);
    words[at] = (lo & ~0xfff) | belowPage(sid, access);
    words[at + KEY_HI] = hi;
    words[at + KEY_PASID] = key;
    words[at + OUT_LO] = outLo;
    words[at + OUT_HI] = outHi;
    words[at + DID_PGTT] = space.did | (space.type << 16);
    words[at + EFFECTIVE_PASID] = space.pasid;
  }

  /** VT-d 5.10 §6.5.2.3, Table 23: an address selects second-stage, pass-through and legacy entries; others go by domain. */
  invalidate(granularity: number, did: number, lo: number, hi: number, am: number): void {
    if (granularity === GLOBAL) return this.flush();
    this.drop((at) => {
      const made = this.words[at + DID_PGTT]!;
      if ((made & 0xffff) !== did) return false;
      return granularity === DOMAIN || isFirstStage(made) || this.covers(at, lo, hi, am);
    });
  }

  /** VT-d 5.10 §6.5.2.4, Table 24. */
  invalidatePasid(granularity: number, did: number, pasid: number, lo: number, hi: number, am: number): void {
    this.drop((at) => {
      const made = this.words[at + DID_PGTT]!;
      if ((made & 0xffff) !== did || this.words[at + EFFECTIVE_PASID] !== pasid) return false;
      return granularity === PASID || (isFirstStage(made) && this.covers(at, lo, hi, am));
    });
  }

  private covers(at: number, lo: number, hi: number, am: number): boolean {
    return inRange(this.words[at]!, this.words[at + KEY_HI]!, 12, lo, hi, am);
  }

  private slot(key: number, lo: number, hi: number): number {
    const hash = (lo >>> 12) ^ (lo >>> 21) ^ hi ^ spaceHash(key);
    return (hash & this.mask) << STRIDE_BITS;
  }
}

function isFirstStage(made: number): boolean {
  const pgtt = made >>> 16;
  return pgtt === FIRST_STAGE || pgtt === NESTED;
}
