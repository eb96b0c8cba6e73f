// The VT-d unit beside the same walks in C: the same tables, the same streams of addresses, equal checksums.
import { Memory } from '../dist/src/memory/memory.js';
import { cReference } from './c-reference.mjs';
import { DUMP_LIMIT, dump } from './vtd-dump.mjs';
import { vtdMemory } from './vtd-memory.mjs';
import { BATCH, measure } from './vtd-streams.mjs';
import { BUILT, buildTables } from './vtd-tables.mjs';

/** A unit that can all that the tables need: 4-level first and second stage, nested, host addresses of 46 bits. */
const MODEL = { cap: 0x19d2008c22780e06n, ecap: 0x133e99ea4f00fdfn, ver: 0x60, haw: 46 };
const GCMD_REG = 0x18;
const RTADDR_REG = 0x20;
const SRTP = 1 << 30;
const TE = 2 ** 31;
const SCALABLE = 1n << 10n;

const M = 1e6;
/** Apart from each other in time, as the C programs run before and after. */
const ROUNDS = 2;
/**
 * As in the C programs. `iotlb` false: every request walks. `ring`: pages in order. `limit`: the most that the ratio to `pool` may
 * be, of single requests; `flat`: the most that the ratio to `flat` may be, of requests in batches.
 */
const WORKLOADS = {
  hit: { nested: false, pages: 1024, requests: 20 * M, iotlb: true, limit: 1.3 },
  hit_ring: { nested: false, pages: 256, requests: 20 * M, iotlb: true, ring: true },
  walk_ss_hot: { nested: false, pages: 1024, requests: 10 * M, iotlb: false, limit: 1.5, flat: 2 },
  walk_nested_hot: { nested: true, pages: 1024, requests: 4 * M, iotlb: false, limit: 1.2, flat: 2 },
  rand_ss_64m: { nested: false, pages: 2 ** 14, requests: 4 * M, iotlb: true },
  rand_ss_4g: { nested: false, pages: 2 ** 20, requests: 4 * M, iotlb: true, limit: 1.3 },
  rand_ss_64g: { nested: false, pages: 2 ** 24, requests: 4 * M, iotlb: true },
  rand_nested_64m: { nested: true, pages: 2 ** 14, requests: 2 * M, iotlb: true },
  rand_nested_4g: { nested: true, pages: 2 ** 20, requests: 2 * M, iotlb: true },
  rand_nested_64g: { nested: true, pages: 2 ** 24, requests: 2 * M, iotlb: true },
};
/** The most that the ratio to `pool` may be of requests in batches, whatever they are. */
const BATCH_LIMIT = 1.1;
const DUMP = 'dump_4g';
export const WORKLOAD_NAMES = [...Object.keys(WORKLOADS), DUMP];

/**
 * @param only names of workloads; all, and what memory takes, when there are none
 * @returns whether every ratio and the memory are within their limits and every checksum is that of C
 */
export async function vtd(only) {
  const { VtdUnit } = await import('../dist/src/iommu/vtd/unit.js');
  const { Batch } = await import('../dist/src/iommu/vtd/batch.js');
  const memory = new Memory([{ start: 0, end: BUILT.memoryBytes }]);
  const began = performance.now();
  const tables = buildTables(memory);
  console.log(`tables of 64 GiB, both stages: ${((performance.now() - began) / 1000).toFixed(1)} s to build`);
  // Before and after: others may have kept the machine busy in one of both.
  const before = cReference(['pool', 'flat']);
  if (typeof before === 'string') console.log(before);
  let good = only.length > 0 || vtdMemory(before);

  const wanted = (name) => only.length === 0 || only.includes(name);
  const loads = Object.entries(WORKLOADS).filter(([name]) => wanted(name));
  const results = new Map();
  const keep = (name, limits, load, result) => {
    const known = results.get(name)?.result;
    results.set(name, { limits, load, result: known !== undefined && known.ns <= result.ns ? known : result });
  };
  for (let round = 0; round < ROUNDS; round++)
    for (const [name, load] of loads) {
      keep(name, { limit: load.limit }, name, measure(unitFor(VtdUnit, memory, tables, load), load, tables));
      const batched = measure(unitFor(VtdUnit, memory, tables, load), load, tables, new Batch(BATCH));
      keep(`${name} in batches`, { limit: BATCH_LIMIT, flat: load.flat }, name, batched);
    }
  if (wanted(DUMP)) keep(DUMP, { limit: DUMP_LIMIT }, DUMP, await dump(memory, MODEL, tables.secondStage));

  const c = typeof before === 'string' ? before : faster(before, cReference(['pool', 'flat']));
  console.log(`${''.padEnd(27)} ${['ns', 'pool', 'flat', '/pool', 'limit', '/flat'].map((name) => name.padStart(7)).join(' ')}`);
  for (const [name, { limits, load, result }] of results) if (!compare(name, result, limits, c, load)) good = false;
  return good;
}

/** By program and workload, what took less time. */
function faster(one, other) {
  const least = (a, b) => (a.ns_min <= b.ns_min ? a : b);
  const both = (a, b) =>
    Object.fromEntries(Object.keys(a).map((name) => [name, a[name].ns_min ? least(a[name], b[name]) : a[name]]));
  return Object.fromEntries(Object.keys(one).map((program) => [program, both(one[program], other[program])]));
}

/** Prints a line. @returns whether the ratio is within the limit and the checksum is that of C */
function compare(name, { ns, checksum, refused = 0 }, { limit, flat: flatLimit }, c, load) {
  const [pool, flat] = typeof c === 'string' ? [] : [c.pool[load], c.flat[load]];
  const ratio = pool && ns / pool.ns_min;
  const cells = [ns, pool?.ns_min, flat?.ns_min, ratio, limit, flat && ns / flat.ns_min];
  const wrong = pool && pool.chk !== checksum ? `  checksum ${checksum}, not ${pool.chk}` : '';
  const tooMuch = ratio > limit || (flat && ns / flat.ns_min > flatLimit);
  const over = tooMuch ? '  over the limit' : '';
  const note = flatLimit ? `  (limit of /flat ${flatLimit})` : '';
  const apart = refused ? `  ${refused} to FEEx_xxxx refused` : '';
  const line = cells.map((cell) => (cell?.toFixed(2) ?? '-').padStart(7)).join(' ');
  console.log(`${name.padEnd(27)} ${line}${note}${over}${wrong}${apart}`);
  return !wrong && !over;
}

function unitFor(VtdUnit, memory, tables, { nested, iotlb }) {
  const unit = new VtdUnit({ ...MODEL, memory, ...(iotlb ? {} : { caches: { iotlb: 0 } }) });
  unit.write(RTADDR_REG, 8, nested ? tables.scalableRoot | SCALABLE : tables.legacyRoot);
  unit.write(GCMD_REG, 4, SRTP);
  unit.write(GCMD_REG, 4, TE);
  return unit;
}
