// How long inspect takes over a tree of many functions next to lspci -vvv over the same, and how much memory.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { alternate, line, peakMemory, SLUICE } from './measure.mjs';

const RUNS = 5;
/** As a ratio of the smallest times. */
const LIMIT = 1;
const MEMORY = 200; // MB

export async function inspect() {
  const lspci = ['lspci', '/usr/bin/lspci', '/usr/sbin/lspci', '/sbin/lspci'].find(
    (name) => spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0,
  );
  if (lspci === undefined) {
    console.log('inspect is compared with lspci, which is not installed. On Debian: apt-get install pciutils');
    return false;
  }
  const { bigTree, MANY, writeTree } = await import('../dist/test/big-tree.js');
  // In memory where that can be: a disk would be measured otherwise.
  const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'sluice-bench-'));
  try {
    writeTree(folder, bigTree());
    const commands = [
      [lspci, '-O', `sysfs.path=${folder}/sys/bus/pci`, '-A', 'linux-sysfs', '-vvv'],
      [...SLUICE, 'inspect', '--json', '--root', folder],
    ];
    const [theirs, ours] = alternate(commands, RUNS);
    const memory = peakMemory(commands[1]);
    const ratio = ours.min / theirs.min;
    console.log(line(`lspci -vvv of ${MANY} functions`, theirs));
    console.log(line('sluice inspect --json of the same', ours));
    console.log(`ratio ${ratio.toFixed(2)} (limit ${LIMIT}), memory ${memory.toFixed(0)} MB (limit ${MEMORY})`);
    return ratio <= LIMIT && memory <= MEMORY;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
