// What the benches share: runs that alternate, so that a busy machine is unfair to both sides, and the smallest times.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { root } from '../scripts/prepare.mjs';

export const SLUICE = [process.execPath, join(root, 'dist/bin/sluice.js')];

/** Milliseconds of one run; exit codes above 1 are failures. */
function time([program, ...args]) {
  const begin = process.hrtime.bigint();
  const { status, error } = spawnSync(program, args, { stdio: 'ignore' });
  if (error || status === null || status > 1) throw new Error(`${program} ${args.join(' ')} ended with ${error ?? status}`);
  return Number(process.hrtime.bigint() - begin) / 1e6;
}

/** Times of several commands, each after one run that does not count. */
export function alternate(commands, runs) {
  for (const command of commands) time(command);
  const times = commands.map(() => []);
  for (let i = 0; i < runs; i++) for (const [n, command] of commands.entries()) times[n].push(time(command));
  return times.map((list) => ({ min: Math.min(...list), median: list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)] }));
}

/** Most memory that a Node program had, in MB. */
export function peakMemory([program, ...args]) {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-peak-'));
  const file = join(folder, 'peak');
  try {
    const hook = fileURLToPath(new URL('./peak.mjs', import.meta.url));
    spawnSync(program, ['--import', hook, ...args], { stdio: 'ignore', env: { ...process.env, BENCH_PEAK: file } });
    return Number(readFileSync(file, 'utf8')) / 1000;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export function line(name, { min, median }) {
  return `${name.padEnd(34)} min ${min.toFixed(1).padStart(7)} ms  median ${median.toFixed(1).padStart(7)} ms`;
}
