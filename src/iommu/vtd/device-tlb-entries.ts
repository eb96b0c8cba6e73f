import type { Completion } from './ats.ts';
import { inRange } from './cache-table.ts';
import { ALL, EXEC, PRIV, READ, WRITE } from './request.ts';

/** Words of an entry; the first is 0 when the entry is free. */
const FLAGS = 0;
const LO = 1;
const HI = 2;
const SPACE = 3;
const OUT_LO = 4;
const OUT_HI = 5;
const STRIDE = 6;
/** Flags beside READ, WRITE and PRIV, which are those of an access. */
const U = 1 << 4;
const N = 1 << 5;
const USED = 1 << 6;
/** How many address bits are within the page. */
const BITS_AT = 8;

/**
 * What a Device-TLB holds: translations as they were completed, found by address, PASID and privilege. Any entry may hold any
 * page, of any size; none is global, as the unit never sets G (§4.2.3). Plain data.
 */
export class DeviceTlbEntries {
  /** How many translations there is room for; with 0 each is used once and not kept. */
  readonly size: number;
  /** All that it holds; a copy of it, with `next`, is a snapshot. The last entry is for what is not kept. */
  readonly words: Int32Array;
  /** The entry that gives way when none is free. */
  next = 0;

  constructor(size: number) {
    this.size = size;
    this.words = new Int32Array((size + 1) * STRIDE);
  }

  /** Where in `words` the entry is that grants an access, or -1. @param pasid -1 for none */
  find(lo: number, hi: number, access: number, pasid: number): number {
    const at = this.place(lo, hi, access, pasid);
    return at >= 0 && this.grants(at, access) ? at : -1;
  }

  /** Whether an entry grants what an access needs. None does to execute, which a request without PASID cannot ask for: §4.2.3. */
  grants(at: number, access: number): boolean {
    if (access & EXEC && this.words[at + SPACE]! >= 0) return false;
    return (~this.words[at]! & access & ALL) === 0;
  }

  /** Whether the range may only be accessed untranslated. */
  untranslatedOnly(at: number): boolean {
    return (this.words[at]! & U) !== 0;
  }

  /** Whether translated requests must clear No Snoop. */
  snooped(at: number): boolean {
    return (this.words[at]! & N) !== 0;
  }

  outLo(at: number, lo: number): number {
    const mask = this.mask(at);
    return (this.words[at + OUT_LO]! & ~mask) | (lo & mask);
  }

  outHi(at: number): number {
    return this.words[at + OUT_HI]!;
  }

  /** Keeps a successful completion, in place of an older one of the same page. @returns where in `words` */
  put(lo: number, hi: number, access: number, pasid: number, completion: Completion): number {
    const { words, size } = this;
    let at = this.place(lo, hi, access, pasid);
    for (let each = 0; at < 0 && each < size; each++) if (words[each * STRIDE] === 0) at = each * STRIDE;
    if (at < 0) {
      at = this.next * STRIDE;
      this.next = size === 0 ? 0 : (this.next + 1) % size;
    }
    const { R, W, level } = completion;
    const flags = (R ? READ : 0) | (W ? WRITE : 0) | (completion.U ? U : 0) | (completion.N ? N : 0);
    words[at] = USED | flags | (pasid >= 0 ? access & PRIV : 0) | ((3 + 9 * level) << BITS_AT);
    words[at + LO] = lo;
    words[at + HI] = hi;
    words[at + SPACE] = pasid;
    words[at + OUT_LO] = completion.lo;
    words[at + OUT_HI] = completion.hi;
    return at;
  }

  /**
   * What an Invalidate Request drops. One without PASID drops all entries of its range, those with a PASID among them, and
   * one with Global Invalidate those of every PASID: PCI Express ATS.
   *
   * @param pasid -1 for none
   * @param S     1: the lowest 0 bit of the address, from bit 12 on, tells the size of the range
   */
  invalidate(pasid: number, global: boolean, lo: number, hi: number, S: number): void {
    const { words } = this;
    const range = S ? rangeBits(lo, hi) : 12;
    for (let at = 0; at < words.length; at += STRIDE) {
      if (words[at] === 0 || (pasid >= 0 && (global ? words[at + SPACE]! < 0 : words[at + SPACE] !== pasid))) continue;
      if (inRange(words[at + LO]!, words[at + HI]!, this.bits(at), lo, hi, range - 12)) words[at] = 0;
    }
  }

  flush(): void {
    this.words.fill(0);
  }

  private place(lo: number, hi: number, access: number, pasid: number): number {
    const { words, size } = this;
    const privilege = pasid >= 0 ? access & PRIV : 0;
    for (let at = 0; at < size * STRIDE; at += STRIDE) {
      if (words[at] === 0 || words[at + SPACE] !== pasid || (words[at]! & PRIV) !== privilege) continue;
      if (inRange(words[at + LO]!, words[at + HI]!, this.bits(at), lo, hi, 0)) return at;
    }
    return -1;
  }

  private bits(at: number): number {
    return this.words[at + FLAGS]! >>> BITS_AT;
  }

  private mask(at: number): number {
    return (1 << this.bits(at)) - 1;
  }
}

/** How many low bits of an address with S = 1 are within the range: 13 for 8 KiB, 64 for all there is. */
function rangeBits(lo: number, hi: number): number {
  let bits = 12;
  while (bits < 63 && (bits < 32 ? (lo >>> bits) & 1 : (hi >>> (bits - 32)) & 1)) bits++;
  return bits + 1;
}
