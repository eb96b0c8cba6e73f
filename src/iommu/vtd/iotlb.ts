import { type AddressSpace, FIRST_STAGE, NESTED } from './address-space.ts';
import type { Batch } from './batch.ts';
import { CacheTable, inRange } from './cache-table.ts';
import { DOMAIN, GLOBAL, PASID } from './granularity.ts';
import * as request from './request.ts';

const { PRIV } = request;
/** Bits of an access that an entry has to have; execution and zero length it never has. */
const NEEDED = 0b10111;

/** Words of an entry; the first is the page. */
const KEY_HI = 1;
const KEY_PASID = 2;
const OUT_LO = 3;
const OUT_HI = 4;
const DID_PGTT = 5;
const EFFECTIVE_PASID = 6;
const STRIDE_BITS = 3;

export { DID_PGTT, EFFECTIVE_PASID, KEY_HI, KEY_PASID, OUT_HI, OUT_LO };

/**
 * Translations by requester, PASID and page. Larger pages are held as the 4-KByte pieces that were asked for, as §6.2.4.1
 * allows. A request with PASID has entries for each privilege; one without has its own, which know the PASID they stand for.
 * Each page has one place: looking for the right one of several costs more than the walks it saves.
 */
export class Iotlb extends CacheTable {
  constructor(size: number) {
    super(size, 1 << STRIDE_BITS);
  }

  /**
   * Where in `words` the entry for a request is, or -1 when there is none that grants it.
   *
   * @param access as of a request: what it needs, and whether it is privileged
   * @param pasid  -1 for none
   */
  find(sid: number, lo: number, hi: number, access: number, pasid: number): number {
    const { words } = this;
    const at = this.slot(sid, lo, hi, pasid);
    const other =
      (words[at]! ^ this.pageKey(sid, lo, access, pasid)) |
      (words[at + KEY_HI]! ^ hi) |
      (words[at + KEY_PASID]! ^ this.spaceKey(sid, pasid));
    return (other | (~words[at + OUT_LO]! & access & NEEDED)) === 0 ? at : -1;
  }

  /** Where a request goes whose entry was found. */
  give(at: number, lo: number, out: request.Translation): void {
    const word = this.words[at + OUT_LO]!;
    out.lo = (word & ~0xfff) | (lo & 0xfff);
    out.hi = this.words[at + OUT_HI]!;
    out.info = word & 0xfff;
  }

  /**
   * Answers requests of a batch, from one on, for as long as there are entries for them.
   * @returns the first that has none
   */
  answer(batch: Batch, from: number): number {
    const { words } = this;
    const { length, sid, lo, hi, access, pasid, condition, outLo, outHi, info } = batch;
    let i = from;
    for (; i < length; i++) {
      const at = this.find(sid[i]!, lo[i]!, hi[i]!, access[i]!, pasid[i]!);
      if (at < 0) break;
      const word = words[at + OUT_LO]!;
      condition[i] = 0;
      outLo[i] = (word & ~0xfff) | (lo[i]! & 0xfff);
      outHi[i] = words[at + OUT_HI]!;
      info[i] = word & 0xfff;
    }
    return i;
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
    const at = this.slot(sid, lo, hi, pasid);
    words[at] = this.pageKey(sid, lo, access, pasid);
    words[at + KEY_HI] = hi;
    words[at + KEY_PASID] = this.spaceKey(sid, pasid);
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

  /** The page, with bits 7:0 of the requester, whether there is a PASID and how privileged it is. Never 0. */
  private pageKey(sid: number, lo: number, access: number, pasid: number): number {
    return (lo & ~0xfff) | this.requesterKey(sid, access, pasid);
  }

  /** What a request's page key has below the page. */
  requesterKey(sid: number, access: number, pasid: number): number {
    return ((sid & 0xff) << 4) | (pasid < 0 ? 1 : 3 | ((access & PRIV) >>> 1));
  }

  spaceKey(sid: number, pasid: number): number {
    return (pasid & 0xfffff) | ((sid >>> 8) << 20);
  }

  private slot(sid: number, lo: number, hi: number, pasid: number): number {
    return this.slotOf(this.spaceHash(sid, pasid), lo, hi);
  }

  /** Each requester has its pages elsewhere: drivers hand out the same addresses. */
  spaceHash(sid: number, pasid: number): number {
    return Math.imul(sid ^ (pasid << 16) ^ (pasid >>> 16), 0x9e3779b1) >>> 16;
  }

  slotOf(spaceHash: number, lo: number, hi: number): number {
    const hash = (lo >>> 12) ^ (lo >>> 21) ^ hi ^ spaceHash;
    return (hash & this.mask) << STRIDE_BITS;
  }
}

function isFirstStage(made: number): boolean {
  const pgtt = made >>> 16;
  return pgtt === FIRST_STAGE || pgtt === NESTED;
}
