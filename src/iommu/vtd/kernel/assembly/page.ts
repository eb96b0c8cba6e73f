/** Bits of requests and answers: see request.ts. */
export const READ: i32 = 1;
export const WRITE: i32 = 2;
export const ALL: i32 = 3;
export const SNOOP: i32 = 1 << 8;
export const LEVEL_AT: i32 = 9;

export const ADDRESS_HI: i32 = 0xfffff;

/**
 * Where a walk leads is one number, 0 when it is left to the model: bits 51:0 are the address, those above are as `info` of a
 * `Translation`, with a bit for a page whose first write will have a dirty flag to set.
 */
export const INFO_AT: i32 = 52;
export const CLEAN: i32 = 1 << 4;
/** Bits 51:0 of it, and 51:12. */
export const ADDRESS: u64 = 0xf_ffff_ffff_ffff;
export const FRAME: u64 = 0xf_ffff_ffff_f000;
export const LEVELS: i32 = 3 << LEVEL_AT;
export const NOWHERE: u64 = 0;
/** No page has this number: a table was found, and the walk goes on. */
export const TABLE: u64 = 1;

@inline
export function pageOf(lo: i32, hi: i32, info: i32): u64 {
  return <u64>(<u32>lo) | (<u64>(<u32>(hi & ADDRESS_HI)) << 32) | (<u64>(<u32>info) << INFO_AT);
}

@inline
export function upperOf(page: u64): i32 {
  return <i32>(page >> 32) & ADDRESS_HI;
}

@inline
export function infoOf(page: u64): i32 {
  return <i32>(page >> INFO_AT) & ~CLEAN;
}

@inline
export function isClean(page: u64): bool {
  return (<i32>(page >> INFO_AT) & CLEAN) != 0;
}
