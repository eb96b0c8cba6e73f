// The usual way of requests, in AssemblyScript, which is compiled to WebAssembly: what the model does for requests that go through,
// ask for rights only and find their tables in the paging-structure caches, over the same words and with the same effect. All else
// is left to the model, from its beginning. It has no say in what is right: where both differ, this is wrong, and kernel.test.ts
// and the vectors, which are replayed with it and without, are to show it. `npm run kernel` compiles it.
import * as ram from '../../../../memory/layout';
import * as the from '../layout';

/** Bits of requests and answers: see request.ts. */
const READ: i32 = 1;
const WRITE: i32 = 2;
const ALL: i32 = 3;
const SNOOP: i32 = 1 << 8;
const LEVEL_AT: i32 = 9;

/** Bits of paging entries: VT-d 5.10 §9.7, §9.8. */
const P: i32 = 1;
const RW: i32 = 1 << 1;
const US: i32 = 1 << 2;
const D: i32 = 1 << 6;
const PS: i32 = 1 << 7;
const SNP: i32 = 1 << 11;
const IR_AT: i32 = 29;
const ADDRESS_HI: i32 = 0xfffff;
/** Of an entry that is held of the first stage: the second stage lets its table be written. */
const WRITABLE: i32 = 1;

/**
 * Where a walk leads is one number, 0 when it is left to the model: bits 51:0 are the address, those above are as `info` of a
 * `Translation`, with a bit for a page whose first write will have a dirty flag to set.
 */
const INFO_AT: i32 = 52;
const CLEAN: i32 = 1 << 4;
/** Bits 51:0 of it, and 51:12. */
const ADDRESS: u64 = 0xf_ffff_ffff_ffff;
const FRAME: u64 = 0xf_ffff_ffff_f000;
const LEVELS: i32 = 3 << LEVEL_AT;
const NOWHERE: u64 = 0;
/** No page has this number. */
const TABLE: u64 = 1;

/** Types of translation: see address-space.ts. */
const SECOND_STAGE: i32 = 2;
const NESTED: i32 = 3;

/** A level that the kernel does not search above. */
const HIGHEST: i32 = 4;

/** What was read ahead comes together here, so that it is read. */
let sink: u64 = 0;

/**
 * One request that the IOTLB has nothing for.
 * @returns whether it goes through; then the answer is at `SETUP_ANSWER`
 */
export function translate(unitAt: i32, mode: i32, sid: i32, lo: i32, hi: i32, access: i32, pasid: i32): i32 {
  const unit = bytes(unitAt);
  const space = spaceOf(unit, mode, sid, pasid);
  if (space == 0 || !isSettled(unit)) return 0;
  const page = walk(unit, space, lo, hi, access);
  if (page == NOWHERE) return 0;
  const mask = load<i32>(unit, the.SETUP_IOTLB_MASK * 4);
  if (mask >= 0) {
    const entry = entryOf(at(unit, the.SETUP_IOTLB), mask, load<i32>(space, the.SPACE_HASH * 4), lo, hi);
    hold(entry, space, lo, hi, page);
  }
  store<u64>(unit, page & ADDRESS, the.SETUP_ANSWER * 4);
  store<i32>(unit, infoOf(page), the.SETUP_ANSWER * 4 + 8);
  return 1;
}

/**
 * Requests of a batch, from one on, that the IOTLB has or that go through. Their conditions are left as they are.
 * @returns the first that is left to the model
 */
export function translateMany(unitAt: i32, mode: i32, batchAt: i32, capacity: i32, from: i32, length: i32): i32 {
  const unit = bytes(unitAt);
  const sids = bytes(batchAt);
  const column = <usize>capacity << 2;
  const pasids = sids + column * the.BATCH_PASID;
  const los = sids + column * the.BATCH_LO;
  const last = <usize>length << 2;
  let i = <usize>from << 2;
  while (i < last) {
    const space = spaceOf(unit, mode, load<i32>(sids + i), load<i32>(pasids + i));
    if (space == 0 || !isSettled(unit)) break;
    const end = endOfRun(sids, pasids, i, min(i + the.AHEAD * 4, last));
    i = runOf(unit, space, los, column, i, end);
    if (i < end) break;
  }
  return <i32>(i >> 2);
}

/** Requests of one requester. @param los where the column of low halves begins @returns the first that is left to the model */
function runOf(unit: usize, space: usize, los: usize, column: usize, from: usize, end: usize): usize {
  const mask = load<i32>(unit, the.SETUP_IOTLB_MASK * 4);
  const entries = at(unit, the.SETUP_IOTLB);
  const hash = load<i32>(space, the.SPACE_HASH * 4);
  let isAhead = false;
  for (let i = from; i < end; i += 4) {
    if (mask >= 0) {
      i = hitsOf(entries, mask, hash, space, los, column, i, end);
      if (i == end) break;
    }
    const lo = load<i32>(los + i);
    const hi = load<i32>(los + column * (the.BATCH_HI - the.BATCH_LO) + i);
    if (!isAhead) {
      isAhead = true;
      readAhead(unit, space, los + i, los + column * (the.BATCH_HI - the.BATCH_LO) + i, end - i);
    }
    const page = walk(unit, space, lo, hi, load<i32>(los + column * (the.BATCH_ACCESS - the.BATCH_LO) + i));
    if (page == NOWHERE) return i;
    if (mask >= 0) hold(entryOf(entries, mask, hash, lo, hi), space, lo, hi, page);
    store<i32>(los + column * (the.BATCH_OUT_LO - the.BATCH_LO) + i, <i32>page);
    store<i32>(los + column * (the.BATCH_OUT_HI - the.BATCH_LO) + i, upperOf(page));
    store<i32>(los + column * (the.BATCH_INFO - the.BATCH_LO) + i, infoOf(page));
  }
  return end;
}

/** Those that the IOTLB has. A function of its own: what it needs fits into the registers. @returns the first that it has not */
function hitsOf(entries: usize, mask: i32, hash: i32, space: usize, los: usize, column: usize, from: usize, end: usize): usize {
  const belowPage = load<i32>(space, the.SPACE_BELOW_PAGE * 4);
  const keyPasid = load<i32>(space, the.SPACE_KEY_PASID * 4);
  const last = los + end;
  let i = los + from;
  for (; i < last; i += 4) {
    const lo = load<i32>(i);
    const his = i + column * (the.BATCH_HI - the.BATCH_LO);
    const hi = load<i32>(his);
    const accesses = his + column * (the.BATCH_ACCESS - the.BATCH_HI);
    const entry = entryOf(entries, mask, hash, lo, hi);
    // What an entry is for, beside the page, was looked at when it was made.
    const out = load<u64>(entry, the.OUT_LO * 4);
    const other = load<u64>(entry) ^ both((lo & ~0xfff) | belowPage, hi);
    const lacks = (load<i32>(entry, the.KEY_PASID * 4) ^ keyPasid) | (~(<i32>out) & load<i32>(accesses));
    if ((other | <u64>(<u32>lacks)) != 0) break;
    const outLos = accesses + column * (the.BATCH_OUT_LO - the.BATCH_ACCESS);
    store<i32>(outLos, (<i32>out & ~0xfff) | (lo & 0xfff));
    store<i32>(outLos + column, <i32>(out >> 32));
    store<i32>(outLos + column * 2, <i32>out & 0xfff);
  }
  return i - los;
}

/** Where the first request is that has another requester than the one at `i`, or `last`. */
@inline
function endOfRun(sids: usize, pasids: usize, i: usize, last: usize): usize {
  const sid = load<i32>(sids + i);
  const pasid = load<i32>(pasids + i);
  let end = i + 4;
  while (end < last && ((load<i32>(sids + end) ^ sid) | (load<i32>(pasids + end) ^ pasid)) == 0) end += 4;
  return end;
}

// ---- address spaces and the IOTLB

/** The address space of a requester, or 0 when it is not known or not to be walked here. */
@inline
function spaceOf(unit: usize, mode: i32, sid: i32, pasid: i32): usize {
  const space = at(unit, the.SETUP_SPACES) + (<usize>((sid ^ (sid >>> 8) ^ pasid) & (the.SPACES - 1)) << (the.SPACE_STRIDE_BITS + 2));
  const other =
    (load<i32>(space, the.SPACE_SID * 4) ^ sid) |
    (load<i32>(space, the.SPACE_PASID * 4) ^ pasid) |
    (load<i32>(space, the.SPACE_MODE * 4) ^ mode);
  return other == 0 && load<i32>(space, the.SPACE_TYPE * 4) != 0 ? space : 0;
}

@inline
function entryOf(entries: usize, mask: i32, hash: i32, lo: i32, hi: i32): usize {
  return entries + (<usize>(((lo >>> 12) ^ (lo >>> 21) ^ hi ^ hash) & mask) << (the.IOTLB_STRIDE_BITS + 2));
}

/** A page becomes an entry, which grants no write that will have a dirty flag to set. */
@inline
function hold(entry: usize, space: usize, lo: i32, hi: i32, page: u64): void {
  const info = infoOf(page);
  const granted = isClean(page) ? info & ~WRITE : info;
  const key = both((lo & ~0xfff) | load<i32>(space, the.SPACE_BELOW_PAGE * 4), hi);
  v128.store(entry, i64x2(<i64>key, <i64>((page & FRAME) | granted)));
  v128.store(entry, v128.load(space, the.SPACE_KEY_PASID * 4), the.KEY_PASID * 4);
}

/** Two words that are beside each other. Few stores: a processor can have only so many under way. */
@inline
function both(low: i32, high: i32): u64 {
  return <u64>(<u32>low) | (<u64>(<u32>high) << 32);
}

// ---- walks: VT-d 5.10 §3.6, §3.7, §3.8

@inline
function pageOf(lo: i32, hi: i32, info: i32): u64 {
  return <u64>(<u32>lo) | (<u64>(<u32>(hi & ADDRESS_HI)) << 32) | (<u64>(<u32>info) << INFO_AT);
}

@inline
function upperOf(page: u64): i32 {
  return <i32>(page >> 32) & ADDRESS_HI;
}

@inline
function infoOf(page: u64): i32 {
  return <i32>(page >> INFO_AT) & ~CLEAN;
}

@inline
function isClean(page: u64): bool {
  return (<i32>(page >> INFO_AT) & CLEAN) != 0;
}

/** Where a request goes. */
@inline
function walk(unit: usize, space: usize, lo: i32, hi: i32, access: i32): u64 {
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
  if (own == 0 || (low & reserved(unit, the.SETUP_SS_PAGE, 1)) | (high & load<i32>(space, the.SPACE_SS_RESERVED_HI * 4))) return NOWHERE;
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
function firstStagePage(unit: usize, space: usize, entry: usize, level: i32, granted: i32, lo: i32, writes: bool, nested: bool): u64 {
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
function offsetOf(at: i32, lo: i32, hi: i32): usize {
  if (at == 1) return (lo >>> 9) & 0xff8;
  return (at == 2 ? lo >>> 18 : (hi << 5) | (lo >>> 27)) & 0xff8;
}

@inline
function inInterruptRange(lo: i32, hi: i32): bool {
  return (hi | ((lo >>> 20) ^ 0xfee)) == 0;
}

// ---- paging-structure caches: see paging-structure-cache.ts

/** The bits of the first word that are the level, and those below the address. */
const LEVEL: i32 = 7;
const BELOW_ADDRESS: i32 = (1 << 21) - 1;
/** Bits of an address that say which table of level 1 it is in. */
const ABOVE_TABLE: i32 = ~BELOW_ADDRESS;

/** The entry above level 2 that translates an address and is nearest to the page, or 0. §6.2.7. */
function nearestAbove(unit: usize, cache: i32, number: i32, lo: i32, hi: i32): usize {
  for (let level = 3; level <= HIGHEST; level++) {
    const key = keyOf(level, number, lo);
    const keyHi = keyHiOf(level, hi);
    const held = slotOf(unit, cache, level, key, lo, hi);
    if (((load<i32>(held) ^ key) | (load<i32>(held, the.KEY_HI * 4) ^ keyHi)) == 0) return held;
  }
  return 0;
}

/** Holds an entry. @returns where its table is */
function put(
  unit: usize,
  cache: i32,
  level: i32,
  number: i32,
  lo: i32,
  hi: i32,
  tableLo: i32,
  tableHi: i32,
  granted: i32,
): i32 {
  const table = place(unit, tableLo, tableHi);
  const key = keyOf(level, number, lo);
  const keyHi = keyHiOf(level, hi);
  const held = slotOf(unit, cache, level, key, lo, hi);
  store<i32>(held, key);
  store<i32>(held, keyHi, the.KEY_HI * 4);
  store<i32>(held, tableLo | granted, the.TABLE_LO * 4);
  store<i32>(held, tableHi, the.TABLE_HI * 4);
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
function tableSlotOf(unit: usize, cache: i32, lo: i32, hi: i32, tablesHash: i32): usize {
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

// ---- memory: see memory.ts

/** Whether tables are where the paging-structure caches have them: see `Memory.generation`. */
@inline
function isSettled(unit: usize): bool {
  return load<i32>(unit, the.SETUP_GENERATION * 4) == load<i32>(at(unit, the.SETUP_MEMORY), ram.GENERATION * 4);
}

/** Where something is that a unit was set up with. */
@inline
function at(unit: usize, what: i32): usize {
  return bytes(load<i32>(unit + (<usize>what << 2)));
}

@inline
function bytes(word: i32): usize {
  return <usize>word << 2;
}

/** Where a page of its own is in `Memory.words`; -1 when it is none. */
function place(unit: usize, lo: i32, hi: i32): i32 {
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

// ---- reading ahead

/**
 * Reads what walks of the next requests will read, and does nothing with it: a processor waits for many reads at once when none
 * of them needs another. Nothing changes. What is not held of the tables above is not looked for.
 */
function readAhead(unit: usize, space: usize, los: usize, his: usize, size: usize): void {
  const type = load<i32>(space, the.SPACE_TYPE * 4);
  if (type == SECOND_STAGE) return readSecondStage(unit, space, los, his, size);
  const key = load<i32>(space, the.SPACE_FS_KEY * 4);
  const hash = load<i32>(space, the.SPACE_FS_HASH * 4);
  const guests = unit + the.SETUP_GUESTS * 4;
  for (let i: usize = 0; i < size; i += 4) {
    const page = readPage(unit, the.SETUP_FS, key, hash, load<i32>(los + i), load<i32>(his + i));
    store<i32>(guests + i, <i32>page);
    store<i32>(guests + i, upperOf(page), the.AHEAD * 4);
  }
  if (type == NESTED) readSecondStage(unit, space, guests, guests + the.AHEAD * 4, size);
}

function readSecondStage(unit: usize, space: usize, los: usize, his: usize, size: usize): void {
  const key = load<i32>(space, the.SPACE_SS_KEY * 4);
  const hash = load<i32>(space, the.SPACE_SS_HASH * 4);
  let read: u64 = 0;
  for (let i: usize = 0; i < size; i += 4)
    read ^= readPage(unit, the.SETUP_SS, key, hash, load<i32>(los + i), load<i32>(his + i));
  sink = read;
}

/** The entry of a page of 4 KiB, if the one is held that leads to its table; or another word. */
@inline
function readPage(unit: usize, cache: i32, tables: i32, hash: i32, lo: i32, hi: i32): u64 {
  const held = tableSlotOf(unit, cache, lo, hi, hash);
  const other = (load<i32>(held) ^ ((lo & ABOVE_TABLE) | tables)) | (load<i32>(held, the.KEY_HI * 4) ^ hi);
  const table = other == 0 ? max(load<i32>(held, the.TABLE_AT * 4), 0) : 0;
  return load<u64>(bytes(table) + offsetOf(1, lo, hi));
}
