import * as ram from '../../../../memory/layout';
import * as the from '../layout';

// What a unit was set up with, and where pages are: see memory.ts of the memory.

/** 0 when tables are where the paging-structure caches have them: see `Memory.generation`. */
@inline
export function isMoved(unit: usize): i32 {
  return load<i32>(unit, the.SETUP_GENERATION * 4) ^ load<i32>(at(unit, the.SETUP_MEMORY), ram.GENERATION * 4);
}

/** Where something is that a unit was set up with. */
@inline
export function at(unit: usize, what: i32): usize {
  return bytes(load<i32>(unit + (<usize>what << 2)));
}

@inline
export function bytes(word: i32): usize {
  return <usize>word << 2;
}

/** Where a page of its own is in `Memory.words`; -1 when it is none. */
export function place(unit: usize, lo: i32, hi: i32): i32 {
  const frame = (hi << 20) | (lo >>> 12);
  const index = at(unit, the.SETUP_MEMORY);
  const slots = bytes(load<i32>(index, ram.SLOTS_AT * 4));
  const mask = load<i32>(index, ram.SLOTS_MASK * 4);
  let number = (<u32>((frame ^ (hi >>> 12)) * ram.GOLDEN) >>> load<i32>(index, ram.SLOTS_SHIFT * 4)) << 1;
  while (true) {
    const slot = slots + (<usize>number << 2);
    const found = load<i32>(slot, 4);
    if (found == 0) return -1;
    if (load<i32>(slot) == frame && found >>> ram.PLACE_BITS == hi >>> 12)
      return (found & ((1 << ram.PLACE_BITS) - 1)) * ram.PAGE_WORDS;
    number = (number + 2) & mask;
  }
}
