/** Words of a slot: the index and 1, so that 0 is an empty slot, then the four words of the entry. */
const TAG = 0;
const ENTRY = 1;
const SLOT = 5;

/**
 * Interrupt-entry cache: IRTEs as they were read, by interrupt_index. Each index has one slot. VT-d 5.10 §6.4.
 * What an entry allows is checked at every use, so an entry serves any requester that it names.
 */
export class InterruptEntryCache {
  /** How many entries it holds; 0 for a unit without one. */
  readonly size: number;
  /** All that it holds; a copy of it is a snapshot. */
  readonly words: Int32Array;

  constructor(size: number) {
    this.size = size;
    this.words = new Int32Array(size * SLOT);
  }

  /** Where in `words` the entry of an index begins, or -1 when it is not held. */
  find(index: number): number {
    if (this.size === 0) return -1;
    const at = (index % this.size) * SLOT;
    return this.words[at + TAG] === index + 1 ? at + ENTRY : -1;
  }

  /** Holds an entry, in place of the one that had its slot. */
  put(index: number, word0: number, word1: number, word2: number, word3: number): void {
    if (this.size === 0) return;
    const at = (index % this.size) * SLOT;
    this.words[at + TAG] = index + 1;
    this.words[at + ENTRY] = word0;
    this.words[at + ENTRY + 1] = word1;
    this.words[at + ENTRY + 2] = word2;
    this.words[at + ENTRY + 3] = word3;
  }

  /** Global invalidation. */
  invalidateAll(): void {
    this.words.fill(0);
  }

  /**
   * Index-selective invalidation. VT-d 5.10 §6.5.2.8, Table 25.
   *
   * @param index interrupt_index; its low `mask` bits do not count
   * @param mask  0 to 31: 2 to the power of this many indexes are dropped
   */
  invalidate(index: number, mask: number): void {
    if (mask >= 16 || 1 << mask >= this.size) {
      for (let at = 0; at < this.words.length; at += SLOT) {
        const tag = this.words[at + TAG]!;
        if (tag !== 0 && (tag - 1) >>> mask === index >>> mask) this.words[at + TAG] = 0;
      }
      return;
    }
    const first = (index >>> mask) << mask;
    for (let each = first; each < first + (1 << mask); each++) {
      const at = (each % this.size) * SLOT;
      if (this.words[at + TAG] === each + 1) this.words[at + TAG] = 0;
    }
  }
}
