// Memory that WebAssembly reads: pages of a machine, and beside them what goes with them.
import { PAGE_WORDS, PLACE_BITS } from './layout.ts';
import { type LinearMemory, webAssembly } from './web-assembly.ts';

/** Address space that a linear memory takes: it is backed as it is used. Where the system refuses so much there are fewer pages. */
export interface LinearSize {
  /** How many pages may have content. Together with the room they are up to 4 GiB. */
  readonly pages: number;
  /** Bytes for what is beside the pages: a unit with the usual caches takes 2.3 MiB, a batch 36 bytes a request. */
  readonly room: number;
}

/** Enough for most. */
export const LINEAR: LinearSize = { pages: 2 ** PLACE_BITS, room: 2 ** 27 };

const PAGE_BYTES = 4 * PAGE_WORDS;
/** Of the index of pages, with all that it gave up on the way to so many. */
const INDEX_BYTES = 64;
const LINEAR_PAGE_BYTES = 2 ** 16;
const MOST_BYTES = 2 ** 32;
/** Pages that are worth trying with when more were refused. */
const FEW_PAGES = 2 ** 14;

/** A linear memory: pages, then room that is given out and never comes back. */
export class LinearSpace {
  readonly memory: LinearMemory;
  /** How many pages may have content. */
  readonly pages: number;
  /** All of it: the pages first. */
  readonly words: Int32Array;
  /** From here on there is room. */
  private at: number;

  /** @returns undefined when the system refuses the address space for it, even for few pages */
  static reserve({ pages, room }: LinearSize): LinearSpace | undefined {
    const most = Math.floor((MOST_BYTES - LINEAR_PAGE_BYTES - room) / (PAGE_BYTES + INDEX_BYTES));
    for (let count = Math.min(pages, most); ; count >>>= 1) {
      const initial = Math.ceil((count * (PAGE_BYTES + INDEX_BYTES) + room) / LINEAR_PAGE_BYTES) + 1;
      try {
        return new LinearSpace(new webAssembly.Memory({ initial, maximum: initial }), count);
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        if (count <= FEW_PAGES) return undefined;
      }
    }
  }

  private constructor(memory: LinearMemory, pages: number) {
    this.memory = memory;
    this.pages = pages;
    this.words = new Int32Array(memory.buffer);
    this.at = pages * PAGE_WORDS;
  }

  /** Words of zeros, for as long as the memory lives; undefined when there is no more room for them. */
  room(words: number): Int32Array | undefined {
    return this.at + words + (this.pages * INDEX_BYTES) / 4 > this.words.length ? undefined : this.indexRoom(words);
  }

  /** The same for the index of pages, of which there always is enough. */
  indexRoom(words: number): Int32Array {
    const { at } = this;
    // Nobody shares a line of the processor's caches.
    this.at += (words + 15) & -16;
    return this.words.subarray(at, at + words);
  }
}
