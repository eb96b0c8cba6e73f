import * as the from '../layout';
import { bytes } from './memory';
import { ADDRESS_HI, ALL, CLEAN, FRAME, LEVELS, NOWHERE, pageOf, READ, SNOOP, TABLE, upperOf, WRITE } from './page';
import { ABOVE_TABLE, LEVEL, nearestAbove, put, tableSlotOf } from './structures';

// Walks: VT-d 5.10 §3.6, §3.7, §3.8. Whether an address is within the width of its tables, or canonical, is not looked at here:
// all are looked up among entries that are held, and for one that is not there are none. See `mayWalk` in space.ts.

/** Bits of paging entries: VT-d 5.10 §9.7, §9.8. */
const P: i32 = 1;
const RW: i32 = 1 << 1;
const US: i32 = 1 << 2;
const D: i32 = 1 << 6;
const PS: i32 = 1 << 7;
/** Shifted by this it is `SNOOP`. */
const SNP: i32 = 1 << 11;
const SNP_TO_SNOOP: i32 = 3;
/** Of an entry that is held of the first stage: the second stage lets its table be written. */
const WRITABLE: i32 = 1;

/** Of an address that is in the interrupt address range, bits 63:20. §3.15 */
const INTERRUPTS: i32 = 0xfee;

/** Types of translation: see address-space.ts. */
const NOT_HERE: i32 = 0;
export const SECOND_STAGE: i32 = 2;
export const NESTED: i32 = 3;

/** The page that a request goes to. */
@inline
export function walk(unit: usize, space: usize, lo: i32, hi: i32, access: i32): u64 {
  if (<u32>(access - 1) >= <u32>ALL) return NOWHERE;
  if ((hi | ((lo >>> 20) ^ INTERRUPTS)) == 0) return NOWHERE;
  const type = load<i32>(space, the.SPACE_TYPE * 4);
  let page: u64;
  if (type == SECOND_STAGE) page = secondStage(unit, space, lo, hi);
  else if (type == NOT_HERE) return NOWHERE;
  else page = firstStage(unit, space, lo, hi, (access & WRITE) != 0, type == NESTED);
  // NOWHERE has no rights.
  if (access & ~(<i32>page)) return NOWHERE;
  if (page >> 20 == <u64>INTERRUPTS) return NOWHERE;
  return page | <u64>load<u32>(space, the.SPACE_SNOOP * 4);
}

/** @returns a page, which may be without rights, or NOWHERE */
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
  const entry = load<u64>(bytes(table) + offsetOf(1, lo, hi));
  if (reservedOf(unit, space, the.SETUP_SS_PAGE, 1, entry) != 0) return NOWHERE;
  return pageOf(entry, 1, lo, (<i32>entry & load<i32>(held, the.TABLE_LO * 4) & ALL) | snoopOf(entry));
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
    const entry = load<u64>(bytes(table) + offsetOf(level, lo, hi));
    const own = <i32>entry & ALL;
    const isPage = (<i32>entry & PS) != 0;
    if (own == 0) return NOWHERE;
    if (reservedOf(unit, space, isPage ? the.SETUP_SS_PAGE : the.SETUP_SS_TABLE, level, entry) != 0) return NOWHERE;
    granted &= own;
    if (isPage) return pageOf(entry, level, lo, granted | snoopOf(entry));
    table = put(unit, the.SETUP_SS, level, number, lo, hi, entry & FRAME, granted);
  }
  return TABLE;
}

/** Bits that an entry has and should not. */
@inline
function reservedOf(unit: usize, space: usize, masks: i32, level: i32, entry: u64): u64 {
  return entry & (<u64>(<u32>reserved(unit, masks, level)) | load<u64>(space, the.SPACE_SS_RESERVED * 4));
}

@inline
function snoopOf(entry: u64): i32 {
  return (<i32>entry & SNP) >> SNP_TO_SNOOP;
}

/** The first stage, and the second below it when it is nested. */
function firstStage(unit: usize, space: usize, lo: i32, hi: i32, writes: bool, nested: bool): u64 {
  const key = (lo & ABOVE_TABLE) | load<i32>(space, the.SPACE_FS_KEY * 4);
  const held = tableSlotOf(unit, the.SETUP_FS, lo, hi, load<i32>(space, the.SPACE_FS_HASH * 4));
  let page: u64 = TABLE;
  if ((load<i32>(held) ^ key) | (load<i32>(held, the.KEY_HI * 4) ^ hi))
    page = firstStageFromAbove(unit, space, lo, hi, writes, nested);
  if (page == TABLE) {
    const table = load<i32>(held, the.TABLE_AT * 4);
    if (table < 0) return NOWHERE;
    const entry = bytes(table) + offsetOf(1, lo, hi);
    page = firstStagePage(unit, space, entry, 1, load<i32>(held, the.TABLE_LO * 4), lo, writes);
  }
  if (page == NOWHERE || !nested) return page;
  const host = secondStage(unit, space, <i32>page, upperOf(page));
  if (host == NOWHERE) return NOWHERE;
  // The rights of both, the smaller page, and what the second stage says of snooping.
  const own = <i32>page;
  const info = <i32>host;
  const both = (own & info & ALL) | (min(own & LEVELS, info & LEVELS)) | (info & SNOOP) | (own & CLEAN);
  return (host & FRAME) | <u64>both;
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
    if (low & PS) return firstStagePage(unit, space, entry, level, granted, lo, writes);
    if (isRefused(unit, space, entry, reserved(unit, the.SETUP_FS_TABLE, level))) return NOWHERE;
    granted &= low;
    let frame = load<u64>(entry) & FRAME;
    let writable = WRITABLE;
    if (nested) {
      const host = secondStage(unit, space, <i32>frame, upperOf(frame));
      if ((<i32>host & READ) == 0) return NOWHERE;
      writable = <i32>host & WRITE ? WRITABLE : 0;
      frame = host & FRAME;
    }
    table = put(unit, the.SETUP_FS, level, number, lo, hi, frame, (granted & (RW | US)) | writable);
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
): u64 {
  const low = load<i32>(entry);
  const own = granted & low;
  if ((own & US) == 0 || isRefused(unit, space, entry, reserved(unit, the.SETUP_FS_PAGE, level))) return NOWHERE;
  const isDirty = (low & D) != 0;
  if (writes && ((own & RW) == 0 || !isDirty)) return NOWHERE;
  return pageOf(load<u64>(entry), level, lo, (own & RW ? ALL : READ) | (isDirty ? 0 : CLEAN));
}

/** Whether a first-stage entry is not present, not valid, or has a flag to set. */
@inline
function isRefused(unit: usize, space: usize, entry: usize, reservedLo: i32): bool {
  const low = load<i32>(entry);
  const reservedHi = load<i32>(unit, the.SETUP_ADDRESS_RESERVED * 4);
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
