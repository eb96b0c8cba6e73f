import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import {
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { HostError, type HostFiles } from '../host.ts';
import { liveFiles } from './files.ts';
import { mayBlock, readGuarded } from './guarded.ts';
import { rootAt } from './root.ts';

let tree = '';
let files: HostFiles;
const noSys = (): Promise<never> => Promise.reject(new HostError('koffi', 'not in this test'));
const refusedWith = (errno: string) => (error: unknown) => error instanceof HostError && error.errno === errno;

beforeEach(() => {
  tree = mkdtempSync(join(tmpdir(), 'sluice-files-'));
  files = liveFiles(rootAt(tree), noSys);
});
afterEach(() => rmSync(tree, { recursive: true, force: true }));

test('a file that is not there is undefined, also when a file stands where its folder should be', async () => {
  writeFileSync(join(tree, 'plain'), 'x');
  assert.equal(await files.read('/nothing'), undefined);
  assert.equal(await files.readText('/plain/below'), undefined);
  assert.equal(await files.list('/nothing'), undefined);
  assert.equal(await files.link('/nothing'), undefined);
  assert.equal(await files.link('/plain'), undefined);
  assert.equal(await files.readAt('/nothing', 0, 4), undefined);
  assert.equal(await files.exists('/nothing'), false);
  assert.equal(await files.exists('/plain'), true);
});

test('what was written is read back, whole and in part, and a folder lists its names in order', async () => {
  mkdirSync(join(tree, 'd'));
  for (const name of ['b', 'a', 'c']) writeFileSync(join(tree, 'd', name), 'hällo');
  assert.equal(await files.readText('/d/a'), 'hällo');
  assert.equal(Buffer.from((await files.readAt('/d/a', 1, 2)) ?? []).toString(), 'ä');
  assert.equal((await files.readAt('/d/a', 4, 100))?.length, 2);
  assert.deepEqual(await files.list('/d'), ['a', 'b', 'c']);
});

test('a file that grows beyond what its size said is read to its end', async () => {
  // procfs says 0 bytes for every file.
  const real = liveFiles(rootAt('/'), noSys);
  assert.match((await real.readText('/proc/self/status')) ?? '', /^Name:\s+node/);
});

test('reading a folder as a file fails with the path and the errno', async () => {
  mkdirSync(join(tree, 'd'));
  await assert.rejects(files.read('/d'), (error: unknown) => {
    assert.ok(error instanceof HostError);
    assert.equal(error.subject, '/d');
    assert.equal(error.errno, 'EISDIR');
    return true;
  });
});

test('a symbolic link of a recorded tree never leads out of it', async () => {
  mkdirSync(join(tree, 'sys/devices/x'), { recursive: true });
  mkdirSync(join(tree, 'etc'));
  writeFileSync(join(tree, 'etc/hostname'), 'recorded');
  writeFileSync(join(tree, 'sys/devices/x/vendor'), '0x8086');
  symlinkSync('/etc/hostname', join(tree, 'absolute'));
  symlinkSync('../../../../../../../../etc/hostname', join(tree, 'upward'));
  symlinkSync('/sys/devices', join(tree, 'folder'));
  symlinkSync('../folder/x', join(tree, 'sys/alias'));
  assert.equal(await files.readText('/absolute'), 'recorded');
  assert.equal(await files.readText('/upward'), 'recorded');
  assert.equal(await files.readText('/../../etc/hostname'), 'recorded');
  assert.equal(await files.readText('/sys/alias/vendor'), '0x8086');
  assert.equal(await files.link('/absolute'), '/etc/hostname');
  assert.deepEqual(await files.list('/folder'), ['x']);
});

test('links that lead in a circle are refused', async () => {
  symlinkSync('/two', join(tree, 'one'));
  symlinkSync('/one', join(tree, 'two'));
  await assert.rejects(files.readText('/one'), refusedWith('ELOOP'));
});

test('a path must be absolute', async () => {
  await assert.rejects(files.readText('etc/hostname'), refusedWith('EINVAL'));
});

test('write changes an existing file and never creates one', async () => {
  writeFileSync(join(tree, 'attribute'), '0\n');
  await files.write('/attribute', '4');
  assert.equal(readFileSync(join(tree, 'attribute'), 'utf8'), '4');
  await assert.rejects(files.write('/absent', '4'), refusedWith('ENOENT'));
  assert.equal(existsSync(join(tree, 'absent')), false);
});

test('replace puts the new content in place and leaves nothing beside it', async () => {
  await files.replace('/state/a/run.json', 'one');
  await files.replace('/state/a/run.json', 'two');
  assert.equal(readFileSync(join(tree, 'state/a/run.json'), 'utf8'), 'two');
  assert.deepEqual(readdirSync(join(tree, 'state/a')), ['run.json']);
  assert.equal(statSync(join(tree, 'state/a/run.json')).mode & 0o777, 0o600);
  assert.equal(statSync(join(tree, 'state')).mode & 0o777, 0o700);
});

test('append adds to the end and creates what is missing for this user alone', async () => {
  await files.append('/var/lib/journal', 'a\n');
  await files.append('/var/lib/journal', 'b\n');
  assert.equal(readFileSync(join(tree, 'var/lib/journal'), 'utf8'), 'a\nb\n');
  assert.equal(statSync(join(tree, 'var/lib/journal')).mode & 0o777, 0o600);
  assert.equal(statSync(join(tree, 'var/lib')).mode & 0o777, 0o700);
});

test('remove takes a folder or a link away, not what the link points to', async () => {
  mkdirSync(join(tree, 'keep'));
  writeFileSync(join(tree, 'keep/file'), 'x');
  symlinkSync('keep', join(tree, 'link'));
  await files.makeFolder('/gone/deep');
  await files.remove('/link');
  await files.remove('/gone');
  await files.remove('/never/was');
  assert.deepEqual(readdirSync(tree), ['keep']);
  assert.deepEqual(readdirSync(join(tree, 'keep')), ['file']);
});

test('a lock is held by one, names its holder, and can be taken again after its release', async () => {
  const release = await files.lock('/run/lock');
  assert.equal(typeof release, 'function');
  const holder = await files.lock('/run/lock');
  assert.match(String(holder), new RegExp(`^process ${process.pid} started \\d+ boot \\S+: .*test`));
  if (typeof release === 'function') await release();
  assert.equal(await files.exists('/run/lock'), false);
  const again = await files.lock('/run/lock');
  assert.equal(typeof again, 'function');
  assert.deepEqual(readdirSync(join(tree, 'run')), ['lock']);
});

test('a lock whose holder is gone is taken over, also when another process has its number now', async () => {
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  const gone = spawn('true');
  await new Promise((done) => gone.once('close', done));
  mkdirSync(join(tree, 'run'));
  // The last three: a number in use by a process that started at another time, or in another boot of the machine.
  for (const text of [
    `process ${gone.pid} started 5 boot ${boot}: x\n`,
    `process ${process.pid} started 5 boot ${boot}: x\n`,
    `process 1 started 0 boot 00000000-0000-0000-0000-000000000000: x\n`,
  ]) {
    writeFileSync(join(tree, 'run/lock'), text);
    const release = await files.lock('/run/lock');
    assert.equal(typeof release, 'function', text);
    if (typeof release === 'function') await release();
  }
});

test('of several that find a stale lock at once, one gets it', async () => {
  mkdirSync(join(tree, 'run'));
  writeFileSync(join(tree, 'run/lock'), 'process 1 started 0 boot elsewhere: x\n');
  const taken = await Promise.all(Array.from({ length: 8 }, () => files.lock('/run/lock')));
  assert.equal(taken.filter((one) => typeof one === 'function').length, 1);
});

test('a lock file that is no lock of ours is left alone', async () => {
  writeFileSync(join(tree, 'lock'), 'mine, hands off\n');
  assert.equal(await files.lock('/lock'), 'mine, hands off');
  assert.equal(readFileSync(join(tree, 'lock'), 'utf8'), 'mine, hands off\n');
});

test('the attributes whose readers wait for the lock of a device are read in a process of their own', () => {
  assert.equal(mayBlock('/sys/bus/pci/devices/0000:01:00.0/sriov_numvfs'), true);
  assert.equal(mayBlock('/sys/devices/pci0000:00/0000:00:02.0/0000:01:00.0/driver_override'), true);
  assert.equal(mayBlock('/sys/bus/pci/devices/0000:01:00.0/sriov_totalvfs'), false);
});

test('a guarded read gives the content, undefined for nothing, and ETIMEDOUT for what never answers', async () => {
  writeFileSync(join(tree, 'numvfs'), '2\n');
  assert.equal(Buffer.from((await readGuarded(join(tree, 'numvfs'), 5000)) ?? []).toString(), '2\n');
  assert.equal(await readGuarded(join(tree, 'absent'), 5000), undefined);
  await assert.rejects(readGuarded(tree, 5000), HostError);
  execFileSync('mkfifo', [join(tree, 'stuck')]);
  await assert.rejects(readGuarded(join(tree, 'stuck'), 50), refusedWith('ETIMEDOUT'));
});

test('a process that gave a guarded read up can still end', async () => {
  execFileSync('mkfifo', [join(tree, 'stuck')]);
  const guarded = new URL('./guarded.js', import.meta.url).href;
  const program = `import { readGuarded } from '${guarded}';
    await readGuarded(${JSON.stringify(join(tree, 'stuck'))}, 50).catch((error) => console.log(error.errno));`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  child.stdout.on('data', (piece: Buffer) => {
    said += piece.toString();
  });
  const code = await new Promise((done) => child.once('close', done));
  assert.equal(said.trim(), 'ETIMEDOUT');
  assert.equal(code, 0);
});

test('only block devices are asked for exclusive users, and only those of this very machine', async () => {
  const real = liveFiles(rootAt('/'), noSys);
  writeFileSync(join(tree, 'plain'), 'x');
  for (const path of [join(tree, 'plain'), tree, '/dev/null', join(tree, 'nothing'), join(tree, 'plain/below')])
    assert.equal(await real.claimed(path), undefined, path);
  assert.equal(await files.claimed('/plain'), undefined);
});

/** An idle loop device: nobody has it, and asking for it changes nothing. */
const idle = ['loop7', 'loop6', 'loop5'].find(
  (name) => existsSync(`/dev/${name}`) && !existsSync(`/sys/block/${name}/loop/backing_file`),
);
test('a block device that somebody has opened exclusively is claimed, and free before and after', {
  skip: process.getuid?.() !== 0 ? 'needs root' : idle === undefined ? 'no idle loop device here' : false,
}, async () => {
  const real = liveFiles(rootAt('/'), noSys);
  const node = `/dev/${idle}`;
  // Several who ask at once are not in each other's way.
  const answers = await Promise.all(Array.from({ length: 20 }, () => real.claimed(node)));
  assert.deepEqual([...new Set(answers)], [false]);
  const held = await open(node, constants.O_RDONLY | constants.O_EXCL | constants.O_NONBLOCK);
  let released: Promise<void> | undefined;
  try {
    assert.equal(await real.claimed(node), true);
    // A claim that is given up while we ask was one of a moment.
    const asked = real.claimed(node);
    released = new Promise((resolve) => setTimeout(resolve, 10)).then(() => held.close());
    assert.equal(await asked, false);
  } finally {
    await (released ?? held.close());
  }
  assert.equal(await real.claimed(node), false);
});

test('a tree holds nobody up: what is no regular file is refused at once', async () => {
  execFileSync('mkfifo', [join(tree, 'pipe')]);
  mkdirSync(join(tree, 'sys/bus/pci/devices/0000:01:00.0'), { recursive: true });
  execFileSync('mkfifo', [join(tree, 'sys/bus/pci/devices/0000:01:00.0/sriov_numvfs')]);
  symlinkSync('/pipe', join(tree, 'link'));
  for (const path of ['/pipe', '/link', '/sys/bus/pci/devices/0000:01:00.0/sriov_numvfs']) {
    await assert.rejects(files.readText(path), refusedWith('EINVAL'), path);
    await assert.rejects(files.readAt(path, 0, 16), refusedWith('EINVAL'), path);
  }
});

test('parts of many files are those of each, alike or not', async () => {
  const contents = Array.from({ length: 40 }, (_, n) => Buffer.alloc(4096, n % 12));
  for (const [n, content] of contents.entries()) writeFileSync(join(tree, `f${n}`), content);
  const parts: (Uint8Array | undefined)[] = [];
  for (const n of contents.keys()) parts.push(await files.readAt(`/f${n}`, 0, 4096));
  for (const [n, content] of contents.entries()) assert.deepEqual(Buffer.from(parts[n] ?? []), content);
  assert.equal((await files.readAt('/f0', 0, 64))?.length, 64);
});

test('texts are those of files and of links within the tree, before a folder is listed and after, and nothing else is read', async () => {
  const folder = join(tree, 'd');
  mkdirSync(join(folder, 'below'), { recursive: true });
  writeFileSync(join(folder, 'a'), 'hällo\n');
  writeFileSync(join(folder, 'long'), 'x'.repeat(100_000));
  writeFileSync(join(tree, 'other'), 'inside');
  symlinkSync('../../../other', join(folder, 'link'));
  symlinkSync('/etc/hostname', join(folder, 'out'));
  execFileSync('mkfifo', [join(folder, 'pipe')]);
  const names = ['a', 'long', 'link', 'out', 'nothing'];
  const texts = ['hällo\n', 'x'.repeat(100_000), 'inside', undefined, undefined];
  for (const listed of [false, true]) {
    if (listed) assert.deepEqual(await files.list('/d'), ['a', 'below', 'link', 'long', 'out', 'pipe']);
    assert.deepEqual(await Promise.all(names.map((name) => files.readText(`/d/${name}`))), texts);
    await assert.rejects(files.readText('/d/pipe'), refusedWith('EINVAL'));
    await assert.rejects(files.readText('/d/below'), refusedWith('EISDIR'));
  }
});

test('long files of a tree are read whole, or refused beyond 64 MiB', async () => {
  const long = Buffer.alloc(3 * 1024 * 1024 + 17, 'long ');
  writeFileSync(join(tree, 'long'), long);
  assert.equal(Buffer.compare(Buffer.from((await files.read('/long')) ?? []), long), 0);
  assert.equal((await files.readAt('/long', 1024 * 1024, 100_000))?.length, 100_000);
  execFileSync('truncate', ['-s', '65M', join(tree, 'huge')]);
  await assert.rejects(files.read('/huge'), refusedWith('EFBIG'));
});
