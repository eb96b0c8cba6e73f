// The usual way of requests, in AssemblyScript, which is compiled to WebAssembly: what the model does for requests that go
// through, ask for rights only and find their page in the IOTLB or their tables in the paging-structure caches, over the same
// words and with the same effect. All else is left to the model, from its beginning. It has no say in what is right: where both
// differ, this is wrong, and kernel.test.ts and the vectors, which are replayed with it and without, are to show it.
// `npm run kernel` compiles it.
import * as the from '../layout';
import { readAhead } from './ahead';
import { at, bytes, isMoved } from './memory';
import { addressOf, CLEAN, infoOf, NOWHERE, OFFSET, upperOf, WRITE } from './page';
import { walk } from './walk';

/** The access in `ask`, below the PASID. */
const ACCESS: i32 = 0xff;

/**
 * One request.
 *
 * @param ask the access, and from bit 8 on the PASID or -1: more than five arguments would not be in registers
 * @returns 1 when it goes through; then the answer is at `SETUP_ANSWER`
 */
export function translate(unitAt: i32, sid: i32, lo: i32, hi: i32, ask: i32): i32 {
  const unit = bytes(unitAt);
  const key = keyPasid(sid, ask >> 8);
  const tag = both((lo & ~OFFSET) | belowPage(sid), hi);
  const entry = entryOf(unit, spaceHash(key), lo, hi);
  let page = load<u64>(entry, the.OUT_LO * 4);
  const lacks = (load<i32>(entry, the.KEY_PASID * 4) ^ key) | (~(<i32>page) & ask & ACCESS);
  if (((load<u64>(entry) ^ tag) | <u64>(<u32>lacks)) != 0) {
    page = missed(unit, entry, tag, key, ask & ACCESS);
    if (page == NOWHERE) return 0;
  }
  // Word by word, as they are read: a load waits for a store that has more than it wants.
  const address = addressOf(page, lo);
  store<i32>(unit, <i32>address, the.SETUP_ANSWER * 4);
  store<i32>(unit, upperOf(address), the.SETUP_ANSWER * 4 + 4);
  store<i32>(unit, infoOf(page), the.SETUP_ANSWER * 4 + 8);
  return 1;
}

/**
 * The page that a request goes to which the IOTLB has nothing for.
 *
 * @param entry where it would be
 * @param tag   its first two words: the page, which is all that counts of an address, and `belowPage`
 * @param key   as of `keyPasid`
 */
@inline
function missed(unit: usize, entry: usize, tag: u64, key: i32, access: i32): u64 {
  const space = spaceOf(unit, key, <i32>tag & OFFSET);
  if (space == 0) return NOWHERE;
  if (isMoved(unit)) return NOWHERE;
  const page = walk(unit, space, <i32>tag, <i32>(tag >> 32), access);
  if (page == NOWHERE) return NOWHERE;
  if (load<i32>(unit, the.SETUP_HAS_IOTLB * 4)) hold(entry, tag, space, page);
  return page;
}

/**
 * Requests of a batch, from one on, that the IOTLB has or that go through. Their conditions are left as they are.
 * @returns the first that is left to the model
 */
export function translateMany(unitAt: i32, batchAt: i32, capacity: i32, from: i32, length: i32): i32 {
  const unit = bytes(unitAt);
  const sids = bytes(batchAt);
  const column = <usize>capacity << 2;
  const pasids = sids + column * the.BATCH_PASID;
  const los = sids + column * the.BATCH_LO;
  const last = <usize>length << 2;
  let i = <usize>from << 2;
  while (i < last) {
    const sid = load<i32>(sids + i);
    const pasid = load<i32>(pasids + i);
    const space = spaceOf(unit, keyPasid(sid, pasid), belowPage(sid));
    if (space == 0 || isMoved(unit)) break;
    const end = endOfRun(sids, pasids, i, min(i + the.AHEAD * 4, last));
    i = runOf(unit, space, los, column, i, end);
    if (i < end) break;
  }
  return <i32>(i >> 2);
}

/** Requests of one requester. @param los where the column of low halves begins @returns the first that is left to the model */
function runOf(unit: usize, space: usize, los: usize, column: usize, from: usize, end: usize): usize {
  const hasIotlb = load<i32>(unit, the.SETUP_HAS_IOTLB * 4);
  const hash = spaceHash(load<i32>(space, the.SPACE_KEY_PASID * 4));
  let isAhead = false;
  for (let i = from; i < end; i += 4) {
    if (hasIotlb) {
      i = hitsOf(unit, hash, space, los, column, i, end);
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
    const tag = both((lo & ~OFFSET) | load<i32>(space, the.SPACE_BELOW_PAGE * 4), hi);
    if (hasIotlb) hold(entryOf(unit, hash, lo, hi), tag, space, page);
    store<i32>(los + column * (the.BATCH_OUT_LO - the.BATCH_LO) + i, <i32>addressOf(page, lo));
    store<i32>(los + column * (the.BATCH_OUT_HI - the.BATCH_LO) + i, upperOf(page));
    store<i32>(los + column * (the.BATCH_INFO - the.BATCH_LO) + i, infoOf(page));
  }
  return end;
}

/** Those that the IOTLB has. A function of its own: what it needs fits into registers. @returns the first that it has not */
function hitsOf(unit: usize, hash: i32, space: usize, los: usize, column: usize, from: usize, end: usize): usize {
  const below = load<i32>(space, the.SPACE_BELOW_PAGE * 4);
  const key = load<i32>(space, the.SPACE_KEY_PASID * 4);
  const last = los + end;
  let i = los + from;
  for (; i < last; i += 4) {
    const lo = load<i32>(i);
    const his = i + column * (the.BATCH_HI - the.BATCH_LO);
    const hi = load<i32>(his);
    const accesses = his + column * (the.BATCH_ACCESS - the.BATCH_HI);
    const entry = entryOf(unit, hash, lo, hi);
    const out = load<u64>(entry, the.OUT_LO * 4);
    const other = load<u64>(entry) ^ both((lo & ~OFFSET) | below, hi);
    const lacks = (load<i32>(entry, the.KEY_PASID * 4) ^ key) | (~(<i32>out) & load<i32>(accesses));
    if ((other | <u64>(<u32>lacks)) != 0) break;
    const outLos = accesses + column * (the.BATCH_OUT_LO - the.BATCH_ACCESS);
    store<i32>(outLos, <i32>addressOf(out, lo));
    store<i32>(outLos + column, upperOf(out));
    store<i32>(outLos + column * 2, <i32>out & OFFSET);
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

/** The address space of a requester, or 0 when it is not known: both are what its entries in the IOTLB have. */
@inline
function spaceOf(unit: usize, key: i32, below: i32): usize {
  const index = <usize>(spaceHash(key) & (the.SPACES - 1));
  const space = at(unit, the.SETUP_SPACES) + (index << (the.SPACE_STRIDE_BITS + 2));
  const other = (load<i32>(space, the.SPACE_KEY_PASID * 4) ^ key) | (load<i32>(space, the.SPACE_BELOW_PAGE * 4) ^ below);
  return other == 0 ? space : 0;
}

/** The place in the IOTLB. @param hash as of `spaceHash` */
@inline
function entryOf(unit: usize, hash: i32, lo: i32, hi: i32): usize {
  const place = ((lo >>> 12) ^ (lo >>> 21) ^ hi ^ hash) & load<i32>(unit, the.SETUP_IOTLB_MASK * 4);
  return at(unit, the.SETUP_IOTLB) + (<usize>place << (the.IOTLB_STRIDE_BITS + 2));
}

/** As in iotlb-keys.ts, of a request that is not privileged. */
@inline
function belowPage(sid: i32): i32 {
  return ((sid & 0xff) << 4) | 1;
}

@inline
function keyPasid(sid: i32, pasid: i32): i32 {
  return pasid ^ (sid << 12);
}

@inline
function spaceHash(key: i32): i32 {
  return (key * the.KEY_HASH) >>> 16;
}

/** A page becomes an entry. @param space which it is of */
@inline
function hold(entry: usize, tag: u64, space: usize, page: u64): void {
  store<u64>(entry, tag);
  store<u64>(entry, page, the.OUT_LO * 4);
  // No write is granted that will have a dirty flag to set.
  if (<i32>page & CLEAN) store<u64>(entry, page & ~<u64>(CLEAN | WRITE), the.OUT_LO * 4);
  v128.store(entry, v128.load(space, the.SPACE_KEY_PASID * 4), the.KEY_PASID * 4);
}

/** Two words that are beside each other. */
@inline
function both(low: i32, high: i32): u64 {
  return <u64>(<u32>low) | (<u64>(<u32>high) << 32);
}
