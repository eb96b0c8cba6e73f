import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { exec } from './exec.ts';
import { FORMAT, type Lab, lockStore, publishLab, readLab, storeFolder } from './store.ts';
import { Unpacked } from './unpacked.ts';
import { wrapper } from './wrappers.ts';

const home = await mkdtemp(join(tmpdir(), 'sluice-store-'));
after(() => rm(home, { recursive: true }));

async function lab(name: string, change: Partial<Lab> = {}): Promise<void> {
  const folder = join(home, name);
  await mkdir(join(folder, 'guest'), { recursive: true });
  for (const file of ['vmlinuz', 'initrd.gz', 'guest/initrd.gz', 'modules']) await writeFile(join(folder, file), '');
  const record = {
    flavour: 'backports',
    kernel: 'vmlinuz',
    initrd: 'initrd.gz',
    guestInitrd: 'guest/initrd.gz',
    modules: 'modules',
    format: FORMAT,
    ...change,
  };
  await writeFile(join(folder, 'lab.json'), JSON.stringify(record));
}

test('the store is below XDG_CACHE_HOME, or else .cache of the home folder', () => {
  assert.equal(storeFolder({ XDG_CACHE_HOME: '/c', HOME: '/h' }), '/c/sluice/lab');
  assert.equal(storeFolder({ XDG_CACHE_HOME: 'relative', HOME: '/h' }), '/h/.cache/sluice/lab');
  assert.equal(storeFolder({ HOME: '/h' }), '/h/.cache/sluice/lab');
  assert.throws(() => storeFolder({ XDG_CACHE_HOME: '/a,b' }), /set XDG_CACHE_HOME/);
});

test('a lab is there once it is published, and not before', async () => {
  await lab('backports-1');
  assert.equal(await readLab(home, 'backports'), undefined);
  await publishLab(home, 'backports', 'backports-1');
  assert.equal((await readLab(home, 'backports'))?.folder, join(home, 'backports-1'));
  assert.equal(await readLab(home, 'stock'), undefined);
});

test('a lab with a file missing, a torn record or another format is none', async () => {
  for (const [name, spoil] of [
    ['backports-2', () => rm(join(home, 'backports-2/initrd.gz'))],
    ['backports-3', () => writeFile(join(home, 'backports-3/lab.json'), '{"flavour": "backp')],
    ['backports-4', () => lab('backports-4', { format: FORMAT - 1 })],
    ['backports-5', () => rm(join(home, 'backports-5/lab.json'))],
  ] as const) {
    await lab(name);
    await publishLab(home, 'backports', name);
    assert.ok(await readLab(home, 'backports'), name);
    await spoil();
    assert.equal(await readLab(home, 'backports'), undefined, name);
  }
});

test('the lock is held by one at a time', async () => {
  const order: string[] = [];
  const first = await lockStore(home, () => order.push('never'));
  const second = lockStore(home, () => order.push('waiting')).then((release) => {
    order.push('second');
    release();
  });
  await new Promise((resolve) => setTimeout(resolve, 500));
  order.push('first done');
  first();
  await second;
  assert.deepEqual(order, ['waiting', 'first done', 'second']);
});

test('the lock of a killed process is free', async () => {
  const module = new URL('./store.js', import.meta.url).href;
  const script = `import { lockStore } from ${JSON.stringify(module)}; await lockStore(${JSON.stringify(home)}, () => {}); console.log('held'); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise((resolve) => child.stdout.once('data', resolve));
  child.kill('SIGKILL');
  (await lockStore(home, () => {}))();
});

test('a wrapper starts the unpacked program with its libraries, and hands on its arguments unchanged', async () => {
  const tree = join(home, 'tree');
  await mkdir(join(tree, 'root/usr/bin'), { recursive: true });
  await mkdir(join(tree, 'bin'));
  const program = '#!/bin/sh\necho "$LD_LIBRARY_PATH"\nfor a in "$@"; do printf "<%s>" "$a"; done\n';
  const text = wrapper('usr/bin/tool', ['usr/lib'], ['-L', 'usr/share/tool']);
  for (const [path, content] of [
    ['root/usr/bin/tool', program],
    ['bin/tool', text],
  ] as const) {
    await writeFile(join(tree, path), content);
    await chmod(join(tree, path), 0o755);
  }
  const { stdout } = await exec(join(tree, 'bin/tool'), ['a b', '', '$(x)', "'"], { env: {} });
  const [path, args] = stdout.split('\n');
  assert.equal(path, `${tree}/bin/../root/usr/lib`);
  assert.equal(args, `<-L><${tree}/bin/../root/usr/share/tool><a b><><$(x)><'>`);
});

test('a program that is a link to the root of the file system is found within the tree', async () => {
  const root = join(home, 'linked');
  await mkdir(join(root, 'bin'), { recursive: true });
  await mkdir(join(root, 'sbin'));
  await writeFile(join(root, 'bin/sluice-no-such-tool'), '');
  await symlink('/bin/sluice-no-such-tool', join(root, 'sbin/probe'));
  const unpacked = new Unpacked(root);
  assert.equal(unpacked.find('probe'), undefined);
  unpacked.relink();
  assert.equal(unpacked.find('probe'), 'sbin/probe');
  assert.throws(() => unpacked.program('absent'), /none of the downloaded packages has the program absent/);
});
