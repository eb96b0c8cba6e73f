// What tables in memory cost: as a program of its own it builds them and prints JSON; `vtdMemory` runs it beside the C programs.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(import.meta.url);
/** Table pages alone are 8.03 bytes for each page of 4 KiB that they map. */
const LIMIT = 14;

if (process.argv[1] === PROGRAM) {
  const { LINEAR, Memory } = await import('../dist/src/memory/memory.js');
  const { BUILT, buildTables } = await import('./vtd-tables.mjs');
  const empty = () => new Memory([{ start: 0, end: BUILT.memoryBytes }], { linear: LINEAR });
  // The compiler comes into memory as it is first used: that shall be before.
  buildTables(empty(), 2 ** 12);
  const memory = empty();
  const before = process.memoryUsage.rss();
  let first = 0;
  buildTables(memory, undefined, () => {
    first = process.memoryUsage.rss();
  });
  console.log(JSON.stringify({ bytes: (first - before) / 2 ** 20, mib: process.memoryUsage.rss() / 2 ** 20 }));
}

/**
 * Prints how resident memory grows by page while the first 4 GiB are mapped, and all of it once 64 GiB are mapped in both stages.
 *
 * @param c the same of the C programs, by name; undefined without them
 * @returns whether the growth is within its limit
 */
export function vtdMemory(c) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [PROGRAM], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${PROGRAM} ended with ${status}: ${stderr}`);
  const { bytes, mib } = JSON.parse(stdout);
  const good = bytes <= LIMIT;
  const beside = (of) => (c ? `, in C ${of(c.pool)} (pool) and ${of(c.flat)} (flat)` : '');
  const over = good ? '' : '  over the limit';
  console.log(`bytes by mapped page: ${bytes.toFixed(2)}, limit ${LIMIT}${beside((its) => its.bytes)}${over}`);
  console.log(`MiB with tables of 64 GiB, both stages: ${mib.toFixed(0)}${beside((its) => its.mib)}`);
  return good;
}
