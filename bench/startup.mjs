// How long `sluice --version` takes next to a Node that does nothing: runs that alternate, so that a busy machine is unfair to both.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { prepare, root } from '../scripts/prepare.mjs';

const RUNS = 21;
/** Of the smallest times; see the README. */
const LIMIT = 1.6;

prepare();
const time = (args) => {
  const begin = process.hrtime.bigint();
  const { status } = spawnSync(process.execPath, args, { stdio: 'ignore' });
  if (status !== 0) throw new Error(`node ${args.join(' ')} ended with ${status}`);
  return Number(process.hrtime.bigint() - begin) / 1e6;
};
const sluice = [join(root, 'dist/bin/sluice.js'), '--version'];
time(sluice);
const ours = [];
const bare = [];
for (let i = 0; i < RUNS; i++) {
  bare.push(time(['-e', '0']));
  ours.push(time(sluice));
}
const least = (list) => Math.min(...list);
const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)];
const ratio = least(ours) / least(bare);
console.log(`node -e 0          min ${least(bare).toFixed(1)} ms  median ${median(bare).toFixed(1)} ms`);
console.log(`sluice --version   min ${least(ours).toFixed(1)} ms  median ${median(ours).toFixed(1)} ms`);
console.log(
  `ratio              min ${ratio.toFixed(2)}     median ${(median(ours) / median(bare)).toFixed(2)}     (limit ${LIMIT})`,
);
process.exitCode = ratio <= LIMIT ? 0 : 1;
