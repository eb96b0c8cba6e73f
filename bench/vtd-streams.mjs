// Streams of requests as the C programs make them: through a unit one by one, or in batches.
import { BUILT, translated } from './vtd-tables.mjs';

const RUNS = 3;
const BATCH = 4096;
const READ = 1;
const SEED = 0x12345678;

/**
 * CPU time for one request, the least of some runs after one that does not count, and the checksum of all results.
 *
 * What a unit refuses by VT-d 5.10 §3.15, because its address or its output is in the interrupt address range, counts as the walk
 * that C does: C knows of no such range. `refused` says how many these were.
 *
 * @param batch a `Batch`, to send requests in batches: then making and summing them up is not in the time
 */
export function measure(unit, load, tables, batch) {
  const sums = { checksum: 0, refused: 0, tables: { memory: unit.memory, ...tables }, nested: load.nested };
  const once = batch === undefined ? () => one(unit, load, sums) : () => many(unit, load, sums, batch);
  once();
  let ns = Number.POSITIVE_INFINITY;
  for (let i = 0; i < RUNS; i++) ns = Math.min(ns, (once() * 1000) / load.requests);
  return { ns, checksum: sums.checksum >>> 0, refused: sums.refused };
}

/** Microseconds of CPU time since. */
function since(start) {
  const { user, system } = process.cpuUsage(start);
  return user + system;
}

function one(unit, { nested, pages, requests, ring = false }, sums) {
  const sid = nested ? BUILT.scalableSid : BUILT.legacySid;
  const state = Int32Array.of(SEED, 0);
  sums.refused = 0;
  const start = process.cpuUsage();
  for (let from = 0; from < requests; from += BATCH)
    stream(unit, sid, pages - 1, from, Math.min(from + BATCH, requests), ring, state, sums);
  sums.checksum = state[1];
  return since(start);
}

/**
 * Some requests of a stream. A function of its own, with nothing but integers: a loop that is compiled while it runs, or that
 * might meet a fraction, costs as much as a request that hits.
 *
 * @param state of the generator, and the checksum
 */
function stream(unit, sid, mask, from, to, ring, state, sums) {
  const { out } = unit;
  let x = state[0];
  let checksum = state[1];
  for (let i = from; i < to; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    const page = (ring ? i : x) & mask;
    const condition = unit.translate(sid, (page << 12) | (x >>> 20), page >>> 20, READ + (x >>> 31), -1);
    const result = condition === 0 ? (out.lo + out.hi) | 0 : instead(sums, condition, page, x >>> 20) | 0;
    checksum = (Math.imul(checksum, 31) + result) | 0;
  }
  state[0] = x;
  state[1] = checksum;
}

function many(unit, { nested, pages, requests, ring = false }, sums, batch) {
  batch.sid.fill(nested ? BUILT.scalableSid : BUILT.legacySid);
  sums.refused = 0;
  sums.checksum = 0;
  let x = SEED;
  let used = 0;
  for (let from = 0; from < requests; from += BATCH) {
    batch.length = Math.min(BATCH, requests - from);
    x = fill(batch, x, pages, ring ? from : -1);
    const start = process.cpuUsage();
    unit.translateMany(batch);
    used += since(start);
    sumUp(batch, sums);
  }
  return used;
}

/** @param ring the first page of the batch, or -1 for random ones @returns the state of the generator */
function fill({ length, lo, hi, access }, state, pages, ring) {
  let x = state;
  for (let i = 0; i < length; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    const page = (ring < 0 ? x : ring + i) & (pages - 1);
    lo[i] = (page << 12) | (x >>> 20);
    hi[i] = page >>> 20;
    access[i] = READ + (x >>> 31);
  }
  return x;
}

function sumUp({ length, lo, hi, condition, outLo, outHi }, sums) {
  let { checksum } = sums;
  for (let i = 0; i < length; i++) {
    const result =
      condition[i] === 0 ? outLo[i] + outHi[i] : instead(sums, condition[i], (lo[i] >>> 12) | (hi[i] << 20), lo[i] & 0xfff);
    checksum = (Math.imul(checksum, 31) + result) | 0;
  }
  sums.checksum = checksum;
}

/** What C has for a request that was refused, if it was for either of its addresses; otherwise what cannot be equal. */
function instead(sums, condition, page, offset) {
  const [lo, hi] = translated(sums.tables, sums.nested, page, offset);
  if (page >>> 8 !== 0xfee && (hi !== 0 || lo >>> 20 !== 0xfee)) return condition;
  sums.refused++;
  return lo + hi;
}

export { BATCH };
