// How long verbs take to start next to a Node that does nothing.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { alternate, line, SLUICE } from './measure.mjs';

const RUNS = 15;
/** Of `--version`, which loads nothing: as a ratio of the smallest times. */
const LIMIT = 1.6;
/** Of a verb that works: milliseconds over a bare Node. */
const OVER = 100;

export async function startup() {
  const { bigTree, writeTree } = await import('../dist/test/big-tree.js');
  const folder = mkdtempSync(join(tmpdir(), 'sluice-startup-'));
  try {
    writeTree(folder, bigTree(5));
    const commands = {
      'node -e 0': [process.execPath, '-e', '0'],
      'sluice --version': [...SLUICE, '--version'],
      'sluice groups --help': [...SLUICE, 'groups', '--help'],
      'sluice inspect of 5 functions': [...SLUICE, 'inspect', '--root', folder],
    };
    const times = alternate(Object.values(commands), RUNS);
    const [bare] = times;
    for (const [n, name] of Object.keys(commands).entries())
      console.log(
        `${line(name, times[n])}  ratio ${(times[n].min / bare.min).toFixed(2)}  over ${(times[n].min - bare.min).toFixed(0)} ms`,
      );
    console.log(`limits: ${LIMIT} times for --version, ${OVER} ms over for the others\n`);
    return times[1].min / bare.min <= LIMIT && times.slice(2).every(({ min }) => min - bare.min <= OVER);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
