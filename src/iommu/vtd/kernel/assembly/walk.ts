import * as the from '../layout';
import { bytes } from './memory';
import {
  ADDRESS_HI,
  ALL,
  CLEAN,
  INFO_AT,
  infoOf,
  LEVEL_AT,
  LEVELS,
  NOWHERE,
  pageOf,
  READ,
  SNOOP,
  TABLE,
  upperOf,
  WRITE,
} from './page';
import { ABOVE_TABLE, LEVEL, nearestAbove, put, tableSlotOf } from './structures';

// Walks: VT-d 5.10 §3.6, §3.7, §3.8.

/** Bits of paging entries: VT-d 5.10 §9.7, §9.8. */
const P: i32 = 1;
const RW: i32 = 1 << 1;
const US: i32 = 1 << 2;
const D: i32 = 1 << 6;
const PS: i32 = 1 << 7;
const SNP: i32 = 1 << 11;
const IR_AT: i32 = 29;
/** Of an entry that is held of the first stage: the second stage lets its table be written. */
const WRITABLE: i32 = 1;

/** Types of translation: see address-space.ts. */
export const SECOND_STAGE: i32 = 2;
export const NESTED: i32 = 3;

/** Where a request goes. */
@inline
export function walk(unit: usize, space: usize, lo: i32, hi: i32, access: i32): u64 {
  if (access & ~ALL || inInterruptRange(lo, hi)) return NOWHERE;
  const type = load<i32>(space, the.SPACE_TYPE * 4);
  let page: u64;
  if (type == SECOND_STAGE) page = hi & load<i32>(space, the.SPACE_SS_BEYOND * 4) ? NOWHERE : secondStage(unit, space, lo, hi);
  else page = firstStage(unit, space, lo, hi, (access & WRITE) != 0, type == NESTED);
  if (access & ~infoOf(page) || (infoOf(page) & ALL) == 0 || inInterruptRange(<i32>page, upperOf(page))) return NOWHERE;
  return page | (<u64>load<i32>(space, the.SPACE_SNOOP * 4) << INFO_AT);
}

@inline
function secondStage(unit: usize, space: usize, lo: i32, hi: i32): u64 {
  const key = (lo & ABOVE_TABLE) | load<i32>(space, the.SPACE_SS_KEY * 4);
  const held = tableSlotOf(unit, the.SETUP_SS, lo, hi, load<i32>(space, the.SPACE_SS_HASH * 4));
  if ((load<i32>(held) ^ key) | (load<i32>(held, the.KEY_HI * 4) ^ hi)) {
    const page = secondStageFromAbove(unit, space, lo, hi);
    if (page != TABLE) return page;
  }
  const table = load<i32>(held, the.TABLE_AT * 4);
  if (table < 0) return NOWHERE;
  const entry = bytes(table) + offsetOf(1, lo, hi);
  const low = load<i32>(entry);
  const high = load<i32>(entry, 4);
  const own = secondStageRights(space, low, high);
  const reservedHi = load<i32>(space, the.SPACE_SS_RESERVED_HI * 4);
  if (own == 0 || (low & reserved(unit, the.SETUP_SS_PAGE, 1)) | (high & reservedHi)) return NOWHERE;
  const info = (own & load<i32>(held, the.TABLE_LO * 4)) | (1 << LEVEL_AT) | (low & SNP ? SNOOP : 0);
  return pageOf((low & ~0xfff) | (lo & 0xfff), high, info);
}

/** When the entry is not held that leads to the table of a page of 4 KiB. @returns TABLE when it is now */
function secondStageFromAbove(unit: usize, space: usize, lo: i32, hi: i32): u64 {
  const number = load<i32>(space, the.SPACE_SS_KEY * 4) >>> the.NUMBER_AT;
  const held = nearestAbove(unit, the.SETUP_SS, number, lo, hi);
  if (held == 0) return NOWHERE;
  let granted = load<i32>(held, the.TABLE_LO * 4) & ALL;
  let table = load<i32>(held, the.TABLE_AT * 4);
  for (let level = (load<i32>(held) & LEVEL) - 1; level > 1; level--) {
    if (table < 0) return NOWHERE;
    const entry = bytes(table) + offsetOf(level, lo, hi);
    const low = load<i32>(entry);
    const high = load<i32>(entry, 4);
    const own = secondStageRights(space, low, high);
    if (own == 0 || high & load<i32>(space, the.SPACE_SS_RESERVED_HI * 4)) return NOWHERE;
    granted &= own;
    if (low & PS) {
      if (low & reserved(unit, the.SETUP_SS_PAGE, level)) return NOWHERE;
      const mask = (1 << (3 + 9 * level)) - 1;
      return pageOf((low & ~mask) | (lo & mask), high, granted | (level << LEVEL_AT) | (low & SNP ? SNOOP : 0));
    }
    if (low & reserved(unit, the.SETUP_SS_TABLE, level)) return NOWHERE;
    table = put(unit, the.SETUP_SS, level, number, lo, hi, low & ~0xfff, high & ADDRESS_HI, granted);
  }
  return TABLE;
}

@inline
function secondStageRights(space: usize, low: i32, high: i32): i32 {
  return (load<i32>(space, the.SPACE_SSIRWE * 4) ? high >>> IR_AT : low) & ALL;
}

/** The first stage, and the second below it when it is nested. */
function firstStage(unit: usize, space: usize, lo: i32, hi: i32, writes: bool, nested: bool): u64 {
  const sign = hi >> load<i32>(space, the.SPACE_FS_SIGN * 4);
  if (sign != 0 && sign != -1) return NOWHERE;
  const key = (lo & ABOVE_TABLE) | load<i32>(space, the.SPACE_FS_KEY * 4);
  const held = tableSlotOf(unit, the.SETUP_FS, lo, hi, load<i32>(space, the.SPACE_FS_HASH * 4));
  let page: u64 = TABLE;
  if ((load<i32>(held) ^ key) | (load<i32>(held, the.KEY_HI * 4) ^ hi))
    page = firstStageFromAbove(unit, space, lo, hi, writes, nested);
  if (page == TABLE) {
    const table = load<i32>(held, the.TABLE_AT * 4);
    if (table < 0) return NOWHERE;
    const entry = bytes(table) + offsetOf(1, lo, hi);
    page = firstStagePage(unit, space, entry, 1, load<i32>(held, the.TABLE_LO * 4), lo, writes, nested);
  }
  if (page == NOWHERE || !nested) return page;
  const host = secondStage(unit, space, <i32>page, upperOf(page));
  if (host == NOWHERE) return NOWHERE;
  // The rights of both, the smaller page, and what the second stage says of snooping.
  const own = <i32>(page >> INFO_AT);
  const info = <i32>(host >> INFO_AT);
  const both = (own & info & ALL) | (min(own & LEVELS, info & LEVELS)) | (info & SNOOP) | (own & CLEAN);
  return pageOf(<i32>host, upperOf(host), both);
}

/** When the entry is not held that leads to the table of a page of 4 KiB. @returns TABLE when it is now */
function firstStageFromAbove(unit: usize, space: usize, lo: i32, hi: i32, writes: bool, nested: bool): u64 {
  const number = load<i32>(space, the.SPACE_FS_KEY * 4) >>> the.NUMBER_AT;
  const held = nearestAbove(unit, the.SETUP_FS, number, lo, hi);
  if (held == 0) return NOWHERE;
  let granted = load<i32>(held, the.TABLE_LO * 4);
  let table = load<i32>(held, the.TABLE_AT * 4);
  for (let level = (load<i32>(held) & LEVEL) - 1; level > 1; level--) {
    if (table < 0) return NOWHERE;
    const entry = bytes(table) + offsetOf(level, lo, hi);
    const low = load<i32>(entry);
    if (low & PS) return firstStagePage(unit, space, entry, level, granted, lo, writes, nested);
    if (isRefused(unit, space, entry, reserved(unit, the.SETUP_FS_TABLE, level), nested)) return NOWHERE;
    granted &= low;
    let tableLo = low & ~0xfff;
    let tableHi = load<i32>(entry, 4) & ADDRESS_HI;
    let writable = WRITABLE;
    if (nested) {
      const host = secondStage(unit, space, tableLo | <i32>offsetOf(level - 1, lo, hi), tableHi);
      if ((infoOf(host) & READ) == 0) return NOWHERE;
      writable = infoOf(host) & WRITE ? WRITABLE : 0;
      tableLo = <i32>host & ~0xfff;
      tableHi = upperOf(host);
    }
    table = put(unit, the.SETUP_FS, level, number, lo, hi, tableLo, tableHi, (granted & (RW | US)) | writable);
  }
  return TABLE;
}

/** @param granted RW and US of the entries above */
function firstStagePage(
  unit: usize,
  space: usize,
  entry: usize,
  level: i32,
  granted: i32,
  lo: i32,
  writes: bool,
  nested: bool,
): u64 {
  const low = load<i32>(entry);
  const own = granted & low;
  if ((own & US) == 0 || isRefused(unit, space, entry, reserved(unit, the.SETUP_FS_PAGE, level), nested)) return NOWHERE;
  const isDirty = (low & D) != 0;
  if (writes && !isDirty) return NOWHERE;
  const mask = (1 << (3 + 9 * level)) - 1;
  const info = (own & RW ? ALL : READ) | (level << LEVEL_AT) | (isDirty ? 0 : CLEAN);
  return pageOf((low & ~mask) | (lo & mask), load<i32>(entry, 4), info);
}

/** Whether a first-stage entry is not present, not valid, or has a flag to set. */
@inline
function isRefused(unit: usize, space: usize, entry: usize, reservedLo: i32, nested: bool): bool {
  const low = load<i32>(entry);
  const beyond = nested ? load<i32>(space, the.SPACE_SS_BEYOND * 4) & ADDRESS_HI : 0;
  const reservedHi = load<i32>(unit, the.SETUP_ADDRESS_RESERVED * 4) | beyond;
  const wanted = P | load<i32>(space, the.SPACE_FS_FLAGS * 4);
  return ((~low & wanted) | (low & reservedLo) | (load<i32>(entry, 4) & reservedHi)) != 0;
}

/** Bits of a low half that are reserved at a level. @param masks of pages or tables of a stage: `SETUP_...` */
@inline
function reserved(unit: usize, masks: i32, level: i32): i32 {
  return load<i32>(unit + (<usize>(masks + level) << 2));
}

/** Byte offset into a table of level 1 to 3. */
@inline
export function offsetOf(level: i32, lo: i32, hi: i32): usize {
  if (level == 1) return (lo >>> 9) & 0xff8;
  return (level == 2 ? lo >>> 18 : (hi << 5) | (lo >>> 27)) & 0xff8;
}

@inline
function inInterruptRange(lo: i32, hi: i32): bool {
  return (hi | ((lo >>> 20) ^ 0xfee)) == 0;
}
