// Physical memory of a machine as its remapping units read it: sparse, and fast to find one's way in.

/** Bytes from `start` up to `end`, which is not included. */
export interface AddressRange {
  readonly start: number;
  readonly end: number;
}

/** All that was written to a memory, for `restore`. Plain data. */
export interface MemorySnapshot {
  /** Frame numbers (address / 4096) of the pages that have content of their own, ascending. */
  readonly frames: readonly number[];
  /** The 1024 words of each, in the order of `frames`. */
  readonly words: Int32Array;
}

export const PAGE_BYTES = 4096;
const PAGE_WORDS = PAGE_BYTES / 4;
const TWO_32 = 2 ** 32;
/** Directories cover 16 MiB each, and more when there would be too many of them. */
const LEAST_SHIFT = 24;
const MOST_DIRECTORIES = 2 ** 20;
const MOST_BITS = 52;

/**
 * RAM at the given ranges; there is nothing behind other addresses. A page takes space from the first write on; before
 * that it reads as zeros.
 *
 * Addresses travel as two int32 halves, `hi:lo`, so that no number in a walk leaves the integers.
 */
export class Memory {
  readonly ranges: readonly AddressRange[];
  /** Pages of 1024 words, page 0 being zeros for all that nobody wrote. A write may replace the array: read it anew. */
  words: Int32Array;
  /** Where writes are refused, as by ROM. */
  private readonly readOnly: AddressRange[] = [];
  /** Counts the times that pages lost their place (`restore`). An index from `locate` holds as long as it stays. */
  generation = 0;
  private pages = 1;
  /** The frame number of each page, for snapshots. */
  private frames: number[] = [-1];
  /** For each block of `1 << shift` bytes where its directory begins; directory 0 belongs to blocks without pages. */
  private readonly blocks: Int32Array;
  /** Directories, one after the other: the page of each frame of a block, 0 when nobody wrote to it. */
  private directories: Int32Array;
  private used: number;
  private readonly shift: number;
  private readonly mask: number;
  private readonly lastHi: number;

  /**
   * @param ranges whole pages, below 2^52
   * @throws RangeError when a range is not
   */
  constructor(ranges: readonly AddressRange[]) {
    for (const { start, end } of ranges)
      if (!(start >= 0 && start <= end && end <= 2 ** MOST_BITS && start % PAGE_BYTES === 0 && end % PAGE_BYTES === 0))
        throw new RangeError(`memory from ${start} to ${end} is no range of whole pages below 2^52`);
    this.ranges = ranges.map(({ start, end }) => ({ start, end }));
    const last = Math.max(PAGE_BYTES, ...ranges.map(({ end }) => end)) - 1;
    this.lastHi = Math.floor(last / TWO_32);
    let shift = LEAST_SHIFT;
    while ((this.lastHi + 1) * 2 ** (32 - shift) > MOST_DIRECTORIES && shift < 32) shift++;
    this.shift = shift;
    this.mask = 2 ** (shift - 12) - 1;
    this.blocks = new Int32Array((this.lastHi + 1) * 2 ** (32 - shift));
    this.used = this.mask + 1;
    this.directories = new Int32Array(this.used * 4);
    this.words = new Int32Array(PAGE_WORDS * 16);
  }

  /** How many pages have content of their own. */
  get pageCount(): number {
    return this.pages - 1;
  }

  /**
   * Where in `words` the 4-byte word at an address is, or -1 when nothing is there. Do not write to the place: before its
   * first write a page shares that of all others. See `touch`.
   */
  locate(lo: number, hi: number): number {
    if (hi >>> 0 > this.lastHi) return -1;
    const page = this.directories[this.blocks[this.block(lo, hi)]! + ((lo >>> 12) & this.mask)]!;
    if (page === 0 && !this.has(lo, hi)) return -1;
    return page * PAGE_WORDS + ((lo >>> 2) & (PAGE_WORDS - 1));
  }

  /** As `locate`, and the page becomes one of its own, to be written to; -1 as well where writes are refused. */
  touch(lo: number, hi: number): number {
    if (!this.isWritable(lo, hi)) return -1;
    const at = this.locate(lo, hi);
    if (at < 0 || at >= PAGE_WORDS) return at;
    return this.addPage(lo, hi) * PAGE_WORDS + at;
  }

  /** From now on what is written to a range is lost. It keeps what it has; a snapshot does not tell of it. */
  makeReadOnly(range: AddressRange): void {
    this.readOnly.push(range);
  }

  /** Whether an address takes writes, if anything is there. */
  isWritable(lo: number, hi: number): boolean {
    return !inAny(this.readOnly, lo, hi);
  }

  /** The word at an address that is a multiple of 4, as int32; undefined when nothing is there. */
  read32(lo: number, hi: number): number | undefined {
    const at = this.locate(lo, hi);
    return at < 0 ? undefined : this.words[at];
  }

  /** @returns whether it is written: something is there that takes writes */
  write32(lo: number, hi: number, value: number): boolean {
    const at = this.touch(lo, hi);
    if (at < 0) return false;
    this.words[at] = value;
    return true;
  }

  /** The 8 bytes at an address that is a multiple of 8; undefined when nothing is there. */
  read64(lo: number, hi: number): bigint | undefined {
    const at = this.locate(lo, hi);
    if (at < 0) return undefined;
    return (BigInt(this.words[at + 1]! >>> 0) << 32n) | BigInt(this.words[at]! >>> 0);
  }

  /** @returns whether it is written: something is there that takes writes */
  write64(lo: number, hi: number, value: bigint): boolean {
    const at = this.touch(lo, hi);
    if (at < 0) return false;
    this.words[at] = Number(BigInt.asIntN(32, value));
    this.words[at + 1] = Number(BigInt.asIntN(32, value >> 32n));
    return true;
  }

  /** Bytes from any address on; undefined when nothing is behind one of them. */
  readBytes(lo: number, hi: number, length: number): Uint8Array | undefined {
    const out = new Uint8Array(length);
    for (let i = 0; i < length; i++) {
      const at = this.locate((lo + i) | 0, carried(lo, hi, i));
      if (at < 0) return undefined;
      out[i] = this.words[at]! >>> (8 * ((lo + i) & 3));
    }
    return out;
  }

  /** Writes bytes from any address on, up to the first that takes none. @returns whether all were written */
  writeBytes(lo: number, hi: number, bytes: ArrayLike<number>): boolean {
    for (let i = 0; i < bytes.length; i++) {
      const at = this.touch((lo + i) | 0, carried(lo, hi, i));
      if (at < 0) return false;
      const shift = 8 * ((lo + i) & 3);
      this.words[at] = (this.words[at]! & ~(0xff << shift)) | (bytes[i]! << shift);
    }
    return true;
  }

  /** Everything that was written. */
  snapshot(): MemorySnapshot {
    const order = [...this.frames.keys()].slice(1).sort((a, b) => this.frames[a]! - this.frames[b]!);
    const words = new Int32Array(order.length * PAGE_WORDS);
    order.forEach((page, i) => {
      words.set(this.words.subarray(page * PAGE_WORDS, (page + 1) * PAGE_WORDS), i * PAGE_WORDS);
    });
    return { frames: order.map((page) => this.frames[page]!), words };
  }

  /**
   * Makes the content exactly that of the snapshot.
   * @throws RangeError when the snapshot has a page where this memory has none
   */
  restore({ frames, words }: MemorySnapshot): void {
    for (const frame of frames)
      if (!this.has((frame << 12) | 0, Math.floor(frame / 2 ** 20))) throw new RangeError(`there is no memory at frame ${frame}`);
    this.generation++;
    this.blocks.fill(0);
    this.used = this.mask + 1;
    this.pages = 1;
    this.frames = [-1];
    frames.forEach((frame, i) => {
      const page = this.addPage((frame << 12) | 0, Math.floor(frame / 2 ** 20));
      this.words.set(words.subarray(i * PAGE_WORDS, (i + 1) * PAGE_WORDS), page * PAGE_WORDS);
    });
  }

  private block(lo: number, hi: number): number {
    // Two shifts: by 32 - shift = 0 bits when directories cover 4 GiB.
    return (hi << (32 - this.shift)) | ((lo >>> (this.shift - 1)) >>> 1);
  }

  private has(lo: number, hi: number): boolean {
    return inAny(this.ranges, lo, hi);
  }

  private addPage(lo: number, hi: number): number {
    const block = this.block(lo, hi);
    if (this.blocks[block] === 0) {
      const size = this.mask + 1;
      if (this.used + size > this.directories.length) this.directories = larger(this.directories);
      // Space of an earlier life (`restore`) is used again.
      this.directories.fill(0, this.used, this.used + size);
      this.blocks[block] = this.used;
      this.used += size;
    }
    const page = this.pages++;
    if (this.pages * PAGE_WORDS > this.words.length) this.words = larger(this.words);
    this.words.fill(0, page * PAGE_WORDS, this.pages * PAGE_WORDS);
    this.directories[this.blocks[block]! + ((lo >>> 12) & this.mask)] = page;
    this.frames.push((hi >>> 0) * 2 ** 20 + (lo >>> 12));
    return page;
  }
}

function inAny(ranges: readonly AddressRange[], lo: number, hi: number): boolean {
  const at = (hi >>> 0) * TWO_32 + (lo >>> 0);
  for (let i = 0; i < ranges.length; i++) if (at >= ranges[i]!.start && at < ranges[i]!.end) return true;
  return false;
}

/** The upper half of `hi:lo + i`. */
function carried(lo: number, hi: number, i: number): number {
  return (lo >>> 0) + i >= TWO_32 ? (hi + 1) | 0 : hi;
}

function larger(words: Int32Array): Int32Array {
  const out = new Int32Array(words.length * 2);
  out.set(words);
  return out;
}
