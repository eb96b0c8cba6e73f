import * as the from '../layout';
import { at, place } from './memory';
import { upperOf } from './page';

// Paging-structure caches: see paging-structure-cache.ts.

/** A level that the kernel does not search above. */
const HIGHEST: i32 = 4;
/** The bits of the first word that are the level, and those below the address. */
export const LEVEL: i32 = 7;
const BELOW_ADDRESS: i32 = (1 << 21) - 1;
/** Bits of an address that say which table of level 1 it is in. */
export const ABOVE_TABLE: i32 = ~BELOW_ADDRESS;

/** The entry above level 2 that translates an address and is nearest to the page, or 0. §6.2.7. */
export function nearestAbove(unit: usize, cache: i32, number: i32, lo: i32, hi: i32): usize {
  for (let level = 3; level <= HIGHEST; level++) {
    const key = keyOf(level, number, lo);
    const keyHi = keyHiOf(level, hi);
    const held = slotOf(unit, cache, level, key, lo, hi);
    if (((load<i32>(held) ^ key) | (load<i32>(held, the.KEY_HI * 4) ^ keyHi)) == 0) return held;
  }
  return 0;
}

/** Holds an entry that leads to the table in a frame. @returns where that is */
export function put(
  unit: usize,
  cache: i32,
  level: i32,
  number: i32,
  lo: i32,
  hi: i32,
  frame: u64,
  granted: i32,
): i32 {
  const table = place(unit, <i32>frame, upperOf(frame));
  const key = keyOf(level, number, lo);
  const keyHi = keyHiOf(level, hi);
  const held = slotOf(unit, cache, level, key, lo, hi);
  store<i32>(held, key);
  store<i32>(held, keyHi, the.KEY_HI * 4);
  store<u64>(held, frame | <u64>granted, the.TABLE_LO * 4);
  store<i32>(held, table, the.TABLE_AT * 4);
  return table;
}

@inline
function keyOf(level: i32, number: i32, lo: i32): i32 {
  const address = level == 2 ? lo & (-1 << 21) : level == 3 ? lo & (-1 << 30) : 0;
  return address | (number << the.NUMBER_AT) | level;
}

@inline
function keyHiOf(level: i32, hi: i32): i32 {
  return level == 4 ? hi & (-1 << 7) : hi;
}

/** Where the entry would be that leads to a table of level 1. @param tablesHash the part that its tables have in the hash */
@inline
export function tableSlotOf(unit: usize, cache: i32, lo: i32, hi: i32, tablesHash: i32): usize {
  return slotAt(unit, cache, (lo >>> 21) | (hi << 11), tablesHash);
}

/** The same at any level. @param key the first word of the entry */
@inline
function slotOf(unit: usize, cache: i32, level: i32, key: i32, lo: i32, hi: i32): usize {
  const table = level == 2 ? (lo >>> 21) | (hi << 11) : level == 3 ? (lo >>> 30) | (hi << 2) : hi >>> 7;
  return slotAt(unit, cache, table, (key & BELOW_ADDRESS) * the.TABLES_HASH);
}

@inline
function slotAt(unit: usize, cache: i32, table: i32, tablesHash: i32): usize {
  const mask = load<i32>(unit + (<usize>(cache + 1) << 2));
  const hash = table ^ (table >>> 16) ^ tablesHash;
  return at(unit, cache) + (<usize>(hash & mask) << (the.STRUCTURE_STRIDE_BITS + 2));
}
