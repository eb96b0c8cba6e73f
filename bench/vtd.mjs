// The VT-d unit beside the same walks in C: the same tables, the same streams of addresses, equal checksums.
import { Memory } from '../dist/src/memory/memory.js';
import { cReference } from './c-reference.mjs';
import { DUMP_LIMIT, dump } from './vtd-dump.mjs';
import { vtdMemory } from './vtd-memory.mjs';
import { BUILT, buildTables } from './vtd-tables.mjs';

/** A unit that can all that the tables need: 4-level first and second stage, nested, host addresses of 46 bits. */
const MODEL = { cap: 0x19d2008c22780e06n, ecap: 0x133e99ea4f00fdfn, ver: 0x60, haw: 46 };
const GCMD_REG = 0x18;
const RTADDR_REG = 0x20;
const SRTP = 1 << 30;
const TE = 2 ** 31;
const SCALABLE = 1n << 10n;

const M = 1e6;
/** As in the C programs. `iotlb` false: every request walks. `ring`: pages in order. `limit`: the most that the ratio to `pool` may be. */
const WORKLOADS = {
  hit: { nested: false, pages: 1024, requests: 20 * M, iotlb: true, limit: 1.3 },
  hit_ring: { nested: false, pages: 256, requests: 20 * M, iotlb: true, ring: true },
  walk_ss_hot: { nested: false, pages: 1024, requests: 10 * M, iotlb: false, limit: 1.5 },
  walk_nested_hot: { nested: true, pages: 1024, requests: 4 * M, iotlb: false, limit: 1.2 },
  rand_ss_64m: { nested: false, pages: 2 ** 14, requests: 4 * M, iotlb: true },
  rand_ss_4g: { nested: false, pages: 2 ** 20, requests: 4 * M, iotlb: true, limit: 1.3 },
  rand_ss_64g: { nested: false, pages: 2 ** 24, requests: 4 * M, iotlb: true },
  rand_nested_64m: { nested: true, pages: 2 ** 14, requests: 2 * M, iotlb: true },
  rand_nested_4g: { nested: true, pages: 2 ** 20, requests: 2 * M, iotlb: true },
  rand_nested_64g: { nested: true, pages: 2 ** 24, requests: 2 * M, iotlb: true },
};
const RUNS = 3;

/** @returns whether every ratio and the memory are within their limits and every checksum is that of C */
export async function vtd() {
  const { VtdUnit } = await import('../dist/src/iommu/vtd/unit.js');
  const memory = new Memory([{ start: 0, end: BUILT.memoryBytes }]);
  const began = performance.now();
  const tables = buildTables(memory);
  console.log(`tables of 64 GiB, both stages: ${((performance.now() - began) / 1000).toFixed(1)} s to build`);
  const c = cReference(['pool', 'flat']);
  if (typeof c === 'string') console.log(c);

  let good = vtdMemory(c);
  console.log(`${''.padEnd(16)} ${['ns', 'pool', 'flat', '/pool', 'limit', '/flat'].map((name) => name.padStart(7)).join(' ')}`);
  for (const [name, load] of Object.entries(WORKLOADS))
    if (!compare(name, measure(unitFor(VtdUnit, memory, tables, load), load), load.limit, c)) good = false;
  if (!compare('dump_4g', await dump(memory, MODEL, tables.secondStage), DUMP_LIMIT, c)) good = false;
  return good;
}

/** Prints a line. @returns whether the ratio is within the limit and the checksum is that of C */
function compare(name, { ns, checksum }, limit, c) {
  const [pool, flat] = typeof c === 'string' ? [] : [c.pool[name], c.flat[name]];
  const ratio = pool && ns / pool.ns_min;
  const cells = [ns, pool?.ns_min, flat?.ns_min, ratio, limit, flat && ns / flat.ns_min];
  const wrong = pool && pool.chk !== checksum ? `  checksum ${checksum}, not ${pool.chk}` : '';
  const over = ratio > limit ? '  over the limit' : '';
  console.log(`${name.padEnd(16)} ${cells.map((cell) => (cell?.toFixed(2) ?? '-').padStart(7)).join(' ')}${over}${wrong}`);
  return !wrong && !over;
}

function unitFor(VtdUnit, memory, tables, { nested, iotlb }) {
  const unit = new VtdUnit({ ...MODEL, memory, ...(iotlb ? {} : { caches: { iotlb: 0 } }) });
  unit.write(RTADDR_REG, 8, nested ? tables.scalableRoot | SCALABLE : tables.legacyRoot);
  unit.write(GCMD_REG, 4, SRTP);
  unit.write(GCMD_REG, 4, TE);
  return unit;
}

/** CPU time for one request, the least of some runs after one that does not count, and the checksum of all results. */
function measure(unit, load) {
  let ns = Number.POSITIVE_INFINITY;
  let checksum = run(unit, load);
  for (let i = 0; i < RUNS; i++) {
    const { user, system } = process.cpuUsage();
    checksum = run(unit, load);
    const used = process.cpuUsage();
    ns = Math.min(ns, ((used.user + used.system - user - system) * 1000) / load.requests);
  }
  return { ns, checksum };
}

function run(unit, { nested, pages, requests, ring = false }) {
  const sid = nested ? BUILT.scalableSid : BUILT.legacySid;
  const { out } = unit;
  let x = 0x12345678;
  let checksum = 0;
  for (let i = 0; i < requests; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    const page = (ring ? i : x) & (pages - 1);
    const condition = unit.translate(sid, (page << 12) | (x >>> 20), page >>> 20, 1 + (x >>> 31), -1);
    checksum = (Math.imul(checksum, 31) + out.lo + out.hi + condition) | 0;
  }
  return checksum >>> 0;
}
