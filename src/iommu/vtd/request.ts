import { UNTRANSLATED } from './faults.ts';

// What requests ask for and what they get, in the numbers that travel through a unit.

/** Rights. What a request asks for is a sum of these; an atomic request is `ATOMIC | READ | WRITE`. */
export const READ = 1;
export const WRITE = 2;
export const EXEC = 4;
export const PRIV = 8;
/** A read of no bytes, with READ. */
export const ZERO_LENGTH = 16;
export const ATOMIC = 32;
/** Translation requests: the NW flag. */
export const NO_WRITE = 64;

/** The rights that a page may give. */
export const ALL: number = READ | WRITE;

/** `info` of a page has the rights that it gives, then whether accesses must snoop, then the level. It takes 12 bits. */
export const SNOOP = 1 << 8;
export const LEVEL_AT = 9;

/** Where a request goes that was not refused: three words, which a kernel may write. */
export class Translation {
  private readonly words: Int32Array;

  constructor(words: Int32Array = new Int32Array(3)) {
    this.words = words;
  }

  get lo(): number {
    return this.words[0]!;
  }
  set lo(lo: number) {
    this.words[0] = lo;
  }
  get hi(): number {
    return this.words[1]!;
  }
  set hi(hi: number) {
    this.words[1] = hi;
  }
  /** Rights, snoop and level of the page. */
  get info(): number {
    return this.words[2]!;
  }
  set info(info: number) {
    this.words[2] = info;
  }

  /** The page that both addresses share: 1 is 4 KiB, 2 is 2 MiB, 3 is 1 GiB. */
  get level(): number {
    return (this.info >>> LEVEL_AT) & 3;
  }
  /** 1 when the same requester may read there. */
  get read(): number {
    return this.info & READ;
  }
  /** 1 when it may write there. A dirty flag may have to be set for it, so do not skip the request. */
  get write(): number {
    return (this.info & WRITE) >>> 1;
  }
  /** Whether accesses must snoop: PGSNP, or SNP of the second-stage leaf. */
  get snoop(): number {
    return this.info & SNOOP ? 1 : 0;
  }
}

/** Rights that a request must have; a translation request takes what there is. @param kind a column of Table 30 */
export function needs(kind: number, access: number): number {
  return kind === UNTRANSLATED && (access & ZERO_LENGTH) === 0 ? access & ALL : 0;
}
