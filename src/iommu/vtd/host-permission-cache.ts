import { CacheTable, inRange } from './cache-table.ts';
import { DOMAIN, GLOBAL } from './granularity.ts';
import { ALL } from './request.ts';

/** Words of an entry; the first is the page, with bits 7:0 of the requester. */
const KEY_HI = 1;
const KEY_PASID = 2;
/** The permissions, the level of the entry that they are from, and the HPT domain-id. */
const INFO = 3;
const LEVEL_AT = 4;
const DID_AT = 16;

/**
 * Permissions by requester, PASID and 4-KByte page, with the level of the entry that they are from: leaf contents, of which
 * no permission may be one. VT-d 5.10 §6.2.6.
 */
export class HostPermissionCache extends CacheTable {
  constructor(size: number) {
    super(size, 4);
  }

  /** The permissions of a page, READ and WRITE, or -1 when they are not held. @param pasid of the request, -1 for none */
  find(sid: number, lo: number, hi: number, pasid: number): number {
    const { words } = this;
    const at = this.slot(sid, lo, hi, pasid);
    if (words[at] !== keyOf(sid, lo, pasid) || words[at + KEY_HI] !== keyHi(sid, hi) || words[at + KEY_PASID] !== pasid)
      return -1;
    return words[at + INFO]! & ALL;
  }

  put(sid: number, lo: number, hi: number, pasid: number, rights: number, level: number, did: number): void {
    if (this.size === 0) return;
    const { words } = this;
    const at = this.slot(sid, lo, hi, pasid);
    words[at] = keyOf(sid, lo, pasid);
    words[at + KEY_HI] = keyHi(sid, hi);
    words[at + KEY_PASID] = pasid;
    words[at + INFO] = rights | (level << LEVEL_AT) | (did << DID_AT);
  }

  /**
   * HPT cache invalidation.
   *
   * @param granularity as of the descriptor
   * @param am          for pages: 2 to the power of this many 4-KByte pages around `hi:lo`
   * @param ih          0 to 3: what is from levels above `ih + 1` stays, unless all is dropped
   */
  invalidate(granularity: number, did: number, lo: number, hi: number, am: number, ih: number): void {
    if (granularity === GLOBAL) return this.flush();
    this.drop((at) => {
      const info = this.words[at + INFO]!;
      if (info >>> DID_AT !== did || ((info >>> LEVEL_AT) & 7) > ih + 1) return false;
      return granularity === DOMAIN || inRange(this.words[at]!, this.words[at + KEY_HI]! & 0xfffff, 12, lo, hi, am);
    });
  }

  private slot(sid: number, lo: number, hi: number, pasid: number): number {
    const hash = (lo >>> 12) ^ (lo >>> 21) ^ hi ^ sid ^ pasid;
    return (hash & this.mask) * this.stride;
  }
}

/** Never 0. */
function keyOf(sid: number, lo: number, pasid: number): number {
  return (lo & ~0xfff) | ((sid & 0xff) << 4) | (pasid < 0 ? 1 : 3);
}

/** An address has at most 52 bits. */
function keyHi(sid: number, hi: number): number {
  return hi | ((sid >>> 8) << 20);
}
