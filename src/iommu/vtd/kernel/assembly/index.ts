// The usual way of requests, in AssemblyScript, which is compiled to WebAssembly: what the model does for requests that go
// through, ask for rights only and find their tables in the paging-structure caches, over the same words and with the same
// effect. All else is left to the model, from its beginning. It has no say in what is right: where both differ, this is wrong,
// and kernel.test.ts and the vectors, which are replayed with it and without, are to show it. `npm run kernel` compiles it.
import * as the from '../layout';
import { readAhead } from './ahead';
import { at, bytes, isSettled } from './memory';
import { ADDRESS, FRAME, infoOf, isClean, NOWHERE, upperOf, WRITE } from './page';
import { walk } from './walk';

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
  const index = <usize>((sid ^ (sid >>> 8) ^ pasid) & (the.SPACES - 1));
  const space = at(unit, the.SETUP_SPACES) + (index << (the.SPACE_STRIDE_BITS + 2));
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
