import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { GUEST_INIT, GUEST_SHUTDOWN, L1_INIT, L1_JOB } from './init-scripts.ts';
import { labsInUse, makeRunFolder, sweepRunFolders } from './run-folder.ts';

const home = await mkdtemp(join(tmpdir(), 'sluice-runs-'));
process.env.TMPDIR = home;
after(() => rm(home, { recursive: true }));

const JOB = { argv: ['a'], env: {}, cwd: '/', token: 'the token', lab: '/cache/lab-1' };
const space = /\d+/.exec(readlinkSync('/proc/self/ns/pid'))![0];

test('a run folder holds a sparse disk with the token first, and is of nobody else', async () => {
  const run = await makeRunFolder(JOB);
  assert.equal(readFileSync(run.disk, 'latin1').slice(0, 10), 'the token\n');
  assert.equal(statSync(run.disk).size, 64 * 2 ** 20);
  assert.ok(statSync(run.disk).blocks * 512 < 2 ** 20);
  assert.equal(statSync(run.path).mode & 0o777, 0o700);
  assert.deepEqual(await labsInUse(), ['/cache/lab-1']);
  await sweepRunFolders();
  assert.ok(existsSync(run.path), 'a living run is not swept');
  await rm(run.path, { recursive: true });
});

test('what a dead process left is swept, and nothing else', async () => {
  const dead = spawnSync('true').pid;
  const folders = {
    dead: `sluice-lab-${space}-${dead}-1-00`,
    reused: `sluice-lab-${space}-${process.pid}-1-00`,
    elsewhere: `sluice-lab-${Number(space) + 1}-${dead}-1-00`,
    other: 'sluice-lab-notes',
  };
  for (const name of Object.values(folders)) {
    await mkdir(join(home, name));
    await writeFile(join(home, name, 'nvme.raw'), '');
  }
  await sweepRunFolders();
  const left = Object.entries(folders).flatMap(([what, name]) => (existsSync(join(home, name)) ? [what] : []));
  assert.deepEqual(left, ['elsewhere', 'other']);
});

test('the scripts of both machines are shell', () => {
  for (const text of [L1_INIT, L1_JOB, GUEST_INIT, GUEST_SHUTDOWN]) {
    const { status, stderr } = spawnSync('/bin/sh', ['-n'], { input: text });
    assert.equal(status, 0, stderr.toString());
  }
});
