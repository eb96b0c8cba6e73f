import { CacheTable } from './cache-table.ts';
import { PASID_CACHE_DOMAIN, PASID_CACHE_GLOBAL } from './granularity.ts';

/**
 * PASID-table entries by requester and PASID. Words: two tags, FPD of the directory entry, the first 192 bits of the entry, and
 * the 96 bits from 256 on, which tell of the host permission table. VT-d 5.10 §6.2.3.
 */
export class PasidCache extends CacheTable {
  constructor(size: number) {
    super(size, 12);
  }

  /** Where in `words` FPD of the directory entry is, with the entry behind it, or -1. */
  find(sid: number, pasid: number): number {
    const at = this.slot(sid, pasid);
    return this.words[at] === sid + 1 && this.words[at + 1] === pasid ? at + 2 : -1;
  }

  put(sid: number, pasid: number, FPD: number, entry: Int32Array, from: number): void {
    if (this.size === 0) return;
    const at = this.slot(sid, pasid);
    this.words[at] = sid + 1;
    this.words[at + 1] = pasid;
    this.words[at + 2] = FPD;
    for (let word = 0; word < 6; word++) this.words[at + 3 + word] = entry[from + word]!;
    for (let word = 0; word < 3; word++) this.words[at + 9 + word] = entry[from + 8 + word]!;
  }

  /** VT-d 5.10 §6.5.2.2. */
  invalidate(granularity: number, did: number, pasid: number): void {
    this.drop((at) => {
      if (granularity === PASID_CACHE_GLOBAL) return true;
      if ((this.words[at + 5]! & 0xffff) !== did) return false;
      return granularity === PASID_CACHE_DOMAIN || this.words[at + 1] === pasid;
    });
  }

  private slot(sid: number, pasid: number): number {
    return ((pasid ^ sid ^ (sid >>> 8)) & this.mask) * this.stride;
  }
}
