import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { INIT_REACHED } from './init-scripts.ts';
import { type RunResult, runInLab } from './run.ts';
import type { Lab } from './store.ts';

const home = await mkdtemp(join(tmpdir(), 'sluice-run-'));
process.env.TMPDIR = home;
after(() => rm(home, { recursive: true }));

/** A lab whose QEMU is this shell script; `$SHARE` in it is the folder that L1 would see. */
async function runWith(script: string): Promise<{ result: RunResult; starts: number; stdout: string; stderr: string }> {
  const folder = await mkdtemp(join(home, 'lab-'));
  await mkdir(join(folder, 'bin'));
  const find =
    'for a in "$@"; do case $a in local,id=run,path=*) SHARE=${a#local,id=run,path=}; SHARE=${SHARE%%,*} ;; esac; done';
  await writeFile(
    join(folder, 'bin/qemu-system-x86_64'),
    `#!/bin/sh\nprintf . >> '${folder}/starts'\n${find}\nread -r mark < "$SHARE/job/mark"\n${script}\n`,
    { mode: 0o755 },
  );
  const lab: Lab = {
    flavour: 'stock',
    folder,
    release: '6.1.0',
    modules: 'modules',
    kernel: 'vmlinuz',
    initrd: 'initrd.gz',
    guestKernel: 'guest/vmlinuz',
    guestInitrd: 'guest/initrd.gz',
    bin: 'bin',
    packages: [],
    abilities: {
      version: 'a script',
      devices: {
        nvme: ['sriov_max_vfs', 'sriov_vq_flexible', 'sriov_vi_flexible', 'max_ioqpairs', 'msix_qsize'],
        'intel-iommu': ['intremap', 'caching-mode', 'device-iotlb'],
      },
    },
    bytes: 0,
    format: 1,
  };
  let [stdout, stderr] = ['', ''];
  const result = await runInLab(lab, {
    argv: ['true'],
    timeout: 20,
    devices: 'nvme',
    onStdout: (piece) => {
      stdout += piece.toString();
    },
    onStderr: (piece) => {
      stderr += piece.toString();
    },
  });
  assert.deepEqual(
    readdirSync(home).filter((name) => name.startsWith('sluice-lab-')),
    [],
  );
  return { result, starts: (await readFile(join(folder, 'starts'), 'utf8')).length, stdout, stderr };
}

test('a boot that never reaches our init is tried once more, and what QEMU complained about is in the tail', async () => {
  const { result, starts } = await runWith("echo 'no such machine' >&2; exit 1");
  assert.equal(starts, 2);
  assert.deepEqual([result.reason, result.code, result.bootSeconds], ['qemu', undefined, 0]);
  assert.deepEqual(result.consoleTail, ['qemu: no such machine']);
});

test('a machine that ends after our init was reached is not started again', async () => {
  const { result, starts } = await runWith(
    `printf '${INIT_REACHED}\\r\\n[    3.1] Kernel panic - not syncing: no root\\r\\n' >&3`,
  );
  assert.equal(starts, 1);
  assert.deepEqual([result.reason, result.code], ['panic', undefined]);
  assert.deepEqual(result.consoleTail, [INIT_REACHED, '[    3.1] Kernel panic - not syncing: no root']);
});

test('the end waits for both streams to arrive, in whatever order, and then ends QEMU', async () => {
  const { result, starts, stdout, stderr } = await runWith(
    'echo "ready 1.0" >&4; echo "exit 5" >&4; printf %s "$mark" >&6; sleep 0.3; printf "late output%s" "$mark" >&5; exec sleep 60',
  );
  assert.equal(starts, 1);
  assert.deepEqual([result.reason, result.code], ['exit', 5]);
  assert.deepEqual([stdout, stderr], ['late output', '']);
  assert.ok(result.seconds < 15);
});

test('output without its mark still comes when the machine dies', async () => {
  const { result, stdout } = await runWith(`echo '${INIT_REACHED}' >&3; echo "ready 1.0" >&4; printf half >&5`);
  assert.deepEqual([result.reason, stdout], ['qemu', 'half']);
});

test('the folder of a run is there while it runs', async () => {
  const { stdout } = await runWith(
    'echo "ready 1" >&4; cat "$SHARE/job/cwd" >&5; printf %s "$mark" >&5; printf %s "$mark" >&6; echo "exit 0" >&4; exec sleep 60',
  );
  assert.equal(Buffer.from(stdout.trim(), 'base64').toString(), `${process.cwd()}.`);
  assert.ok(!existsSync(join(home, 'share')));
});
