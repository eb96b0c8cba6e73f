/** Bits of requests and answers: see request.ts. */
export const READ: i32 = 1;
export const WRITE: i32 = 2;
export const ALL: i32 = 3;
export const SNOOP: i32 = 1 << 8;
export const LEVEL_AT: i32 = 9;

export const ADDRESS_HI: i32 = 0xfffff;
export const OFFSET: i32 = 0xfff;

/**
 * Where a walk leads is one number, 0 when it is left to the model: bits 51:12 are the frame, those below are as `info` of a
 * `Translation`, with a bit for a page whose first write will have a dirty flag to set.
 */
export const FRAME: u64 = 0xf_ffff_ffff_f000;
export const CLEAN: i32 = 1 << 4;
export const LEVELS: i32 = 3 << LEVEL_AT;
export const NOWHERE: u64 = 0;
/** No page has this number: a table was found, and the walk goes on. */
export const TABLE: u64 = 1;

/** What an entry of a level leads to, of which a request wants the 4 KiB that `lo` is in. */
@inline
export function pageOf(entry: u64, level: i32, lo: i32, info: i32): u64 {
  const inside = <u64>(((1 << (3 + 9 * level)) - 1) & ~OFFSET);
  return (entry & FRAME & ~inside) | (<u64>(<u32>lo) & inside) | <u64>(info | (level << LEVEL_AT));
}

/** Where a request goes. */
@inline
export function addressOf(page: u64, lo: i32): u64 {
  return (page & FRAME) | <u64>(lo & OFFSET);
}

@inline
export function upperOf(page: u64): i32 {
  return <i32>(page >> 32);
}

@inline
export function infoOf(page: u64): i32 {
  return <i32>page & (OFFSET ^ CLEAN);
}
