// Physical memory of a machine as its remapping units read it: sparse, and fast to find one's way in.
import * as layout from './layout.ts';
import { type LinearSize, LinearSpace } from './linear.ts';
import type { LinearMemory } from './web-assembly.ts';

export { LINEAR } from './linear.ts';

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

// What is imported is looked up and checked at each use; constants of the file are part of the code.
const { GOLDEN, PAGE_WORDS, PLACE_BITS } = layout;
export const PAGE_BYTES = 4096;
const TWO_32 = 2 ** 32;
const MOST_BITS = 52;

/** So much can be written: up to 4 GiB. */
const MOST_PAGES = 2 ** PLACE_BITS;
const PLACE = MOST_PAGES - 1;
/** Up to here arrays grow twofold; then one that is never full is asked for. See `longer`. */
const SMALL_WORDS = 2 ** 18;

export interface MemoryOptions {
  /** For a memory that WebAssembly can read, so that units translate many requests in little time. */
  readonly linear?: LinearSize;
}

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
  /**
   * A hash table, at most half full, of two words a slot: bits 31:0 of a frame number; bits 39:32 of it above the page's
   * place in `words`, which is 0 in a free slot. A frame is in the first slot from that of its hash on that was free.
   */
  private slots: Int32Array;
  /** How far the hash of a frame is shifted to be the number of a slot. */
  private shift: number;
  private readonly mostPages: number;
  private readonly space: LinearSpace | undefined;
  /** Tells WebAssembly of the slots, as layout.ts has it; undefined where that cannot read. */
  readonly index: Int32Array | undefined;

  /**
   * @param ranges whole pages, below 2^52
   * @throws RangeError when a range is not
   */
  constructor(ranges: readonly AddressRange[], { linear }: MemoryOptions = {}) {
    let most = 1;
    for (const { start, end } of ranges) {
      if (!(start >= 0 && start <= end && end <= 2 ** MOST_BITS && start % PAGE_BYTES === 0 && end % PAGE_BYTES === 0))
        throw new RangeError(`memory from ${start} to ${end} is no range of whole pages below 2^52`);
      most += (end - start) / PAGE_BYTES;
    }
    this.ranges = ranges.map(({ start, end }) => ({ start, end }));
    most = Math.min(most, MOST_PAGES);
    this.space = linear && LinearSpace.reserve({ ...linear, pages: Math.min(most, linear.pages) });
    this.mostPages = this.space?.pages ?? most;
    this.words = this.space?.words ?? new Int32Array(PAGE_WORDS * 16);
    this.index = this.space?.indexRoom(layout.INDEX_WORDS);
    this.slots = this.newSlots(2 * 64);
    this.shift = 32 - 6;
    this.tellSlots();
  }

  /** What WebAssembly reads; undefined when this is an ordinary memory. `words` is all of it. */
  get linear(): LinearMemory | undefined {
    return this.space?.memory;
  }

  /**
   * Words of zeros beside the pages, for something that WebAssembly shall read. They are taken for as long as the memory lives.
   * @returns undefined when there is no such room: the memory is an ordinary one, or has none left
   */
  room(words: number): Int32Array | undefined {
    return this.space?.room(words);
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
    const { slots } = this;
    const frame = (hi << 20) | (lo >>> 12);
    for (let at = slotOf(frame, hi, this.shift); ; at = (at + 2) & (slots.length - 1)) {
      const place = slots[at + 1]!;
      if (slots[at] === frame && place >>> PLACE_BITS === hi >>> 12 && place !== 0)
        return (place & PLACE) * PAGE_WORDS + ((lo >>> 2) & (PAGE_WORDS - 1));
      if (place === 0) return this.has(lo, hi) ? (lo >>> 2) & (PAGE_WORDS - 1) : -1;
    }
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
    const { slots } = this;
    const found: { frame: number; from: number }[] = [];
    for (let at = 0; at < slots.length; at += 2) {
      const place = slots[at + 1]!;
      if (place !== 0)
        found.push({ frame: (place >>> PLACE_BITS) * TWO_32 + (slots[at]! >>> 0), from: (place & PLACE) * PAGE_WORDS });
    }
    found.sort((a, b) => a.frame - b.frame);
    const words = new Int32Array(found.length * PAGE_WORDS);
    found.forEach(({ from }, i) => {
      words.set(this.words.subarray(from, from + PAGE_WORDS), i * PAGE_WORDS);
    });
    return { frames: found.map(({ frame }) => frame), words };
  }

  /**
   * Makes the content exactly that of the snapshot.
   * @throws RangeError when the snapshot has a page where this memory has none
   */
  restore({ frames, words }: MemorySnapshot): void {
    for (const frame of frames)
      if (!this.has((frame << 12) | 0, Math.floor(frame / 2 ** 20))) throw new RangeError(`there is no memory at frame ${frame}`);
    this.generation++;
    if (this.index) this.index[layout.GENERATION] = this.generation;
    this.slots.fill(0);
    this.pages = 1;
    frames.forEach((frame, i) => {
      const page = this.addPage((frame << 12) | 0, Math.floor(frame / 2 ** 20));
      this.words.set(words.subarray(i * PAGE_WORDS, (i + 1) * PAGE_WORDS), page * PAGE_WORDS);
    });
  }

  private has(lo: number, hi: number): boolean {
    return inAny(this.ranges, lo, hi);
  }

  private addPage(lo: number, hi: number): number {
    if (this.pages >= this.mostPages) throw new RangeError(`more than ${this.mostPages} pages of memory would have content`);
    const page = this.pages++;
    if (this.pages * PAGE_WORDS > this.words.length) this.words = longer(this.words, this.mostPages * PAGE_WORDS);
    // Space of an earlier life (`restore`) is used again.
    this.words.fill(0, page * PAGE_WORDS, this.pages * PAGE_WORDS);
    if (this.pages * 4 > this.slots.length) this.widen();
    insert(this.slots, this.shift, (hi << 20) | (lo >>> 12), ((hi >>> 12) << PLACE_BITS) | page);
    return page;
  }

  private widen(): void {
    const wider = this.newSlots(this.slots.length * 2);
    this.shift--;
    for (let at = 0; at < this.slots.length; at += 2)
      if (this.slots[at + 1] !== 0) insert(wider, this.shift, this.slots[at]!, this.slots[at + 1]!);
    this.slots = wider;
    this.tellSlots();
  }

  private newSlots(words: number): Int32Array {
    return this.space?.indexRoom(words) ?? new Int32Array(words);
  }

  private tellSlots(): void {
    if (!this.index) return;
    this.index[layout.SLOTS_AT] = this.slots.byteOffset / 4;
    this.index[layout.SLOTS_MASK] = this.slots.length - 1;
    this.index[layout.SLOTS_SHIFT] = this.shift;
  }
}

/** Where the search for a frame begins, given bits 31:0 of its number and the upper half of its address. */
function slotOf(frame: number, hi: number, shift: number): number {
  return (Math.imul(frame ^ (hi >>> 12), GOLDEN) >>> shift) << 1;
}

function insert(slots: Int32Array, shift: number, frame: number, place: number): void {
  let at = slotOf(frame, (place >>> PLACE_BITS) << 12, shift);
  while (slots[at + 1] !== 0) at = (at + 2) & (slots.length - 1);
  slots[at] = frame;
  slots[at + 1] = place;
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

/**
 * A copy with more room. Once it is not small it has all the room that can ever be needed: operating systems find memory for
 * an array of zeros as it is written to, so room costs nothing, where copies that are left behind would. Where so much is
 * refused, beyond a limit of address space, it has twice the room.
 *
 * @throws RangeError when that is refused as well
 */
function longer(words: Int32Array, most: number): Int32Array {
  const twice = words.length * 2;
  if (twice <= SMALL_WORDS || most <= twice) return copied(words, twice);
  try {
    return copied(words, most);
  } catch (error) {
    if (error instanceof RangeError) return copied(words, twice);
    throw error;
  }
}

function copied(words: Int32Array, length: number): Int32Array {
  const out = new Int32Array(length);
  out.set(words);
  return out;
}
