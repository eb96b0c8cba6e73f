import type { Memory } from '../../memory/memory.ts';

/** One array of entries that are found by a hash of their tags. The first word of an entry is 0 when it is not in use. */
export class CacheTable {
  /** How many entries it holds: a power of two, or 0 for a unit without this cache. */
  readonly size: number;
  /** The entries; one that is never used when there are none, so that looking for one needs no other way. */
  readonly words: Int32Array;
  /** One less than the places that an entry may be in. */
  readonly mask: number;
  protected readonly stride: number;

  /** @param memory beside whose pages the entries are to be, when it has room: kernels read them there */
  constructor(size: number, stride: number, memory?: Memory) {
    this.size = size > 0 ? 1 << (31 - Math.clz32(size)) : 0;
    this.mask = Math.max(0, this.size - 1);
    this.stride = stride;
    const words = (this.mask + 1) * stride;
    this.words = memory?.room(words) ?? new Int32Array(words);
  }

  flush(): void {
    this.words.fill(0);
  }

  /** All that it holds: a copy of these is a snapshot. */
  held(): Int32Array[] {
    return [this.words.subarray(0, this.size * this.stride)];
  }

  /** Drops entries in use for which `gone` holds. */
  protected drop(gone: (at: number) => boolean): void {
    for (let at = 0; at < this.words.length; at += this.stride) if (this.words[at] !== 0 && gone(at)) this.words[at] = 0;
  }
}

/** Whether the `1 << bits` bytes from `hi:lo` on share one with the `1 << 12 + am` bytes around `otherHi:otherLo`. */
export function inRange(lo: number, hi: number, bits: number, otherLo: number, otherHi: number, am: number): boolean {
  const ignored = Math.max(12 + am, bits);
  const loMask = ignored >= 32 ? 0 : -1 << ignored;
  const hiMask = ignored <= 32 ? -1 : ignored >= 64 ? 0 : -1 << (ignored - 32);
  return ((lo ^ otherLo) & loMask) === 0 && ((hi ^ otherHi) & hiMask) === 0;
}
