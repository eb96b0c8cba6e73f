import * as the from '../layout';
import { bytes } from './memory';
import { FRAME, upperOf } from './page';
import { ABOVE_TABLE, tableSlotOf } from './structures';
import { NESTED, offsetOf, SECOND_STAGE } from './walk';

/** What was read ahead comes together here, so that it is read. */
let sink: u64 = 0;

/**
 * Reads what walks of the next requests will read, and does nothing with it: a processor waits for many reads at once when none
 * of them needs another. Nothing changes. What is not held of the tables above is not looked for.
 */
export function readAhead(unit: usize, space: usize, los: usize, his: usize, size: usize): void {
  const type = load<i32>(space, the.SPACE_TYPE * 4);
  if (type == SECOND_STAGE) return readSecondStage(unit, space, los, his, size);
  const key = load<i32>(space, the.SPACE_FS_KEY * 4);
  const hash = load<i32>(space, the.SPACE_FS_HASH * 4);
  const guests = unit + the.SETUP_GUESTS * 4;
  for (let i: usize = 0; i < size; i += 4) {
    const page = readPage(unit, the.SETUP_FS, key, hash, load<i32>(los + i), load<i32>(his + i));
    store<i32>(guests + i, <i32>page);
    store<i32>(guests + i, upperOf(page & FRAME), the.AHEAD * 4);
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
