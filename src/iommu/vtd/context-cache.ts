import { CacheTable } from './cache-table.ts';
import { DEVICE, GLOBAL } from './granularity.ts';

/**
 * Context entries by requester. Words: the tag, then the first 128 bits of the entry. The mode of the tables is part of the
 * tag, so that an entry of one format is never taken for one of the other. VT-d 5.10 §6.2.1.
 */
export class ContextCache extends CacheTable {
  constructor(size: number) {
    super(size, 5);
  }

  /** Where in `words` the entry begins, or -1. */
  find(sid: number, TTM: number): number {
    const at = this.slot(sid);
    return this.words[at] === tagOf(sid, TTM) ? at + 1 : -1;
  }

  put(sid: number, TTM: number, word0: number, word1: number, word2: number, word3: number): void {
    if (this.size === 0) return;
    const at = this.slot(sid);
    this.words[at] = tagOf(sid, TTM);
    this.words[at + 1] = word0;
    this.words[at + 2] = word1;
    this.words[at + 3] = word2;
    this.words[at + 4] = word3;
  }

  /**
   * VT-d 5.10 §6.5.2.1. Entries of scalable mode are not tagged with a domain: there DOMAIN is GLOBAL and a device is
   * dropped whatever its domain.
   */
  invalidate(granularity: number, did: number, sid: number, fm: number): void {
    const sidMask = sidMaskOf(fm);
    this.drop((at) => {
      if (granularity === GLOBAL) return true;
      const tag = this.words[at]!;
      const legacy = tag >>> 16 === 1;
      if (granularity === DEVICE && ((tag ^ sid) & sidMask) !== 0) return false;
      return !legacy || ((this.words[at + 3]! >>> 8) & 0xffff) === did;
    });
  }

  private slot(sid: number): number {
    return ((sid ^ (sid >>> 8)) & this.mask) * this.stride;
  }
}

/** The bits of a source-id that count with a function mask. Table 21. */
export function sidMaskOf(fm: number): number {
  return 0xffff & ~[0, 4, 6, 7][fm & 3]!;
}

function tagOf(sid: number, TTM: number): number {
  return sid | ((TTM + 1) << 16);
}
