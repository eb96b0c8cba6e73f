// How what a `Memory` is searched by lies in memory: for itself, and for kernels, which are compiled with this file.

export const PAGE_WORDS = 1024;

/** A page's place has so many bits of the second word of a slot. */
export const PLACE_BITS = 20;
/** 2^32 divided by the golden ratio: neighbouring frames get slots far from each other. */
export const GOLDEN = -1640531535;

// ---- the index: where the slots begin (in words), one less than their words, and how far a hash is shifted

export const SLOTS_AT = 0;
export const SLOTS_MASK = 1;
export const SLOTS_SHIFT = 2;
/** The life of the memory: `Memory.generation`. */
export const GENERATION = 3;
export const INDEX_WORDS = 4;
