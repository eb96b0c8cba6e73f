// The VT-d unit beside the same walks in C: the same tables, the same streams of addresses, equal checksums.
import { LINEAR, Memory } from '../dist/src/memory/memory.js';
import { withCPrograms } from './c-reference.mjs';
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
/**
 * Of all workloads, in which each is measured right after it was in C; the least time of each counts. Others use the machine, and
 * more of its caches than of its time: what is over a limit is measured again, in C as well, up to so many rounds in all.
 */
const ROUNDS = 3;
const MOST_ROUNDS = 8;
const PROGRAMS = ['pool', 'flat'];
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
  return await withCPrograms(PROGRAMS, async (run) => await compareAll(only, run));
}

async function compareAll(only, run) {
  const { VtdUnit } = await import('../dist/src/iommu/vtd/unit.js');
  const { Batch } = await import('../dist/src/iommu/vtd/batch.js');
  const memory = new Memory([{ start: 0, end: BUILT.memoryBytes }], { linear: LINEAR });
  const began = performance.now();
  const tables = buildTables(memory);
  console.log(`tables of 64 GiB, both stages: ${((performance.now() - began) / 1000).toFixed(1)} s to build`);

  const wanted = (name) => only.length === 0 || only.includes(name);
  const names = WORKLOAD_NAMES.filter(wanted);
  const batch = new Batch(BATCH, memory);
  const least = new Map();
  const keep = (name, result) => least.set(name, faster(least.get(name), result));
  let good = true;
  const measureAll = async (now, programs) => {
    for (const name of now) {
      for (const [program, of] of programs ?? []) keep(`${program} ${name}`, inC(await of.of(name)));
      if (name === DUMP) {
        keep(DUMP, await dump(memory, MODEL, tables.secondStage));
        continue;
      }
      const load = WORKLOADS[name];
      keep(name, measure(unitFor(VtdUnit, memory, tables, load), load, tables));
      keep(`${name} in batches`, measure(unitFor(VtdUnit, memory, tables, load), load, tables, batch));
    }
  };
  let now = names;
  for (let round = 0; round < MOST_ROUNDS && now.length > 0; round++) {
    const programs = run && PROGRAMS.map((name) => [name, run(name)]);
    await measureAll(now, programs);
    if (round === 0 && only.length === 0) good = vtdMemory(programs && (await memoryInC(programs)));
    for (const [, of] of programs ?? []) await of.end();
    if (round < ROUNDS - 1) continue;
    now = names.filter((name) => rowsOf(name, least).some(isOver));
    if (now.length > 0 && round < MOST_ROUNDS - 1)
      console.log(`over a limit after ${round + 1} rounds, once more: ${now.join(', ')}`);
  }

  console.log(`${''.padEnd(27)} ${['ns', 'pool', 'flat', '/pool', 'limit', '/flat'].map((name) => name.padStart(7)).join(' ')}`);
  for (const name of names) for (const row of rowsOf(name, least)) if (!show(row)) good = false;
  return good;
}

/** What is compared of a workload, by the least times. */
function rowsOf(name, least) {
  const [pool, flat] = PROGRAMS.map((program) => least.get(`${program} ${name}`));
  const row = (what, limits) => ({ what, ...least.get(what), ...limits, pool, flat });
  if (name === DUMP) return [row(DUMP, { limit: DUMP_LIMIT })];
  const { limit, flat: flatLimit } = WORKLOADS[name];
  return [row(name, { limit }), row(`${name} in batches`, { limit: BATCH_LIMIT, flatLimit })];
}

function isOver({ ns, pool, flat, limit, flatLimit }) {
  return (pool && ns / pool.ns > limit) || (flat && ns / flat.ns > flatLimit) || false;
}

const inC = ({ ns_min, chk }) => ({ ns: ns_min, checksum: chk });
const faster = (one, other) => (one !== undefined && one.ns <= other.ns ? one : other);

/** What the tables take in C: `pool` and `flat`. */
async function memoryInC(programs) {
  const figures = async (of) => ({ bytes: await of.of('bytes_per_mapped_page_4g'), mib: await of.of('rss_mb') });
  return Object.fromEntries(await Promise.all(programs.map(async ([name, of]) => [name, await figures(of)])));
}

/** Prints a line. @returns whether the ratios are within their limits and the checksum is that of C */
function show(row) {
  const { what, ns, checksum, refused = 0, limit, flatLimit, pool, flat } = row;
  const cells = [ns, pool?.ns, flat?.ns, pool && ns / pool.ns, limit, flat && ns / flat.ns];
  const wrong = pool && pool.checksum !== checksum ? `  checksum ${checksum}, not ${pool.checksum}` : '';
  const over = isOver(row) ? '  over the limit' : '';
  const note = flatLimit ? `  (limit of /flat ${flatLimit})` : '';
  const apart = refused ? `  ${refused} to FEEx_xxxx refused` : '';
  const line = cells.map((cell) => (cell?.toFixed(2) ?? '-').padStart(7)).join(' ');
  console.log(`${what.padEnd(27)} ${line}${note}${over}${wrong}${apart}`);
  return !wrong && !over;
}

function unitFor(VtdUnit, memory, tables, { nested, iotlb }) {
  const unit = new VtdUnit({ ...MODEL, memory, ...(iotlb ? {} : { caches: { iotlb: 0 } }) });
  unit.write(RTADDR_REG, 8, nested ? tables.scalableRoot | SCALABLE : tables.legacyRoot);
  unit.write(GCMD_REG, 4, SRTP);
  unit.write(GCMD_REG, 4, TE);
  return unit;
}
