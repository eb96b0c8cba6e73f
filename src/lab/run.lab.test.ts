import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { exec, execBytes } from './exec.ts';
import { type Flavour, type Lab, openLab, type RunOptions, type RunResult, runInLab, setupLab, shellInLab } from './index.ts';

const ci = ['1', 'true'].includes(process.env.CI ?? '');
const labs: Record<Flavour, Lab | undefined> = {
  backports: await openLab({ flavour: 'backports' }),
  stock: await openLab({ flavour: 'stock' }),
};
const skip = (flavour: Flavour) =>
  labs[flavour] === undefined && !ci ? `no ${flavour} lab is set up: sluice lab setup --flavour ${flavour}` : false;

// Run folders of these tests lie in a folder of their own, so that "nothing is left" can be seen.
const home = await mkdtemp(join(tmpdir(), 'sluice-lab-test-'));
process.env.TMPDIR = home;
after(() => rm(home, { recursive: true }));
before(async () => {
  if (!ci) return;
  for (const flavour of ['backports', 'stock'] as const)
    labs[flavour] = await setupLab({ flavour, progress: (line) => console.log(line) });
});

const left = () => readdirSync(home).filter((name) => name.startsWith('sluice-lab-'));
/** QEMU processes of runs in our folder. */
const machines = () =>
  readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(`${home}/sluice-lab-`);
    } catch {
      return false;
    }
  });
const nothingLeft = () => {
  assert.deepEqual(left(), []);
  assert.deepEqual(machines(), []);
};

async function run(
  flavour: Flavour,
  argv: readonly string[],
  more: Partial<RunOptions> = {},
): Promise<RunResult & { stdout: Buffer; stderr: string }> {
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  const lab = labs[flavour];
  assert.ok(lab);
  const result = await runInLab(lab, {
    argv,
    timeout: 120,
    devices: 'igb' in lab.abilities.devices ? 'igb+nvme' : 'nvme',
    onStdout: (piece) => stdout.push(piece),
    onStderr: (piece) => stderr.push(piece),
    ...more,
  });
  return { ...result, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString() };
}

const backports = { skip: skip('backports'), timeout: 400_000 };

test('a command gets its arguments as they are; both outputs and its exit code come back', backports, async () => {
  const odd = ['', ' a  b ', "it's", '"$(exit 9)"', '`x`', 'line\n\n', '\\n*?[a]', 'ünïcode ✓', '-n', '--', 'A=B'];
  const program =
    'process.stdout.write(JSON.stringify(process.argv.slice(1))); process.stderr.write(process.env.ODD); process.exit(7)';
  const result = await run('backports', [process.execPath, '-e', program, '--', ...odd], { env: { ODD: 'to\nstderr\n' } });
  assert.deepEqual(JSON.parse(result.stdout.toString()), odd);
  assert.equal(result.stderr, 'to\nstderr\n');
  assert.deepEqual([result.reason, result.code], ['exit', 7]);
  assert.ok(result.bootSeconds > 0 && result.bootSeconds < result.seconds);
  nothingLeft();
});

test('output comes through whole and unchanged, megabytes of every byte', backports, async () => {
  const program = 'const b = Buffer.alloc(3_000_001, Buffer.from([...Array(256).keys()])); process.stdout.write(b)';
  const { stdout, code } = await run('backports', [process.execPath, '-e', program]);
  assert.equal(code, 0);
  assert.ok(stdout.equals(Buffer.alloc(3_000_001, Buffer.from([...Array(256).keys()]))));
});

test("L1 is a machine with VT-d, SR-IOV devices, SVM, its modules, a QEMU, and this machine's files", backports, async () => {
  const script = `set -e
test "$(id -u)" = 0
pwd
cat /sys/bus/pci/devices/0000:01:00.0/sriov_totalvfs /sys/bus/pci/devices/0000:02:00.0/sriov_totalvfs
ls /sys/class/iommu
readlink /sys/bus/pci/devices/0000:01:00.0/iommu_group | sed 's/.*iommu_groups.*/group/'
test -c /dev/kvm
head -c 5 /dev/nvme0n1; echo
test ! -e /sys/bus/pci/drivers/vfio-pci
modprobe vfio-pci && ls /sys/bus/pci/drivers/vfio-pci/new_id
qemu-system-x86_64 -device intel-iommu,help | grep -o caching-mode
test -r /lab/guest/vmlinuz && test -r /lab/guest/initrd.gz && test -r "$SLUICE_LAB_KERNEL" && test -r "$SLUICE_LAB_INITRD"
cat /proc/sys/net/ipv6/conf/default/disable_ipv6
echo changed > "$FILE"; echo shared > "$SLUICE_LAB_SHARE/x"; touch /run/x /tmp/x
`;
  const file = join(home, 'kept');
  await writeFile(file, 'as it was');
  const { stdout, stderr, code } = await run('backports', ['sh', '-c', script], {
    token: 'hello from below',
    env: { FILE: file },
  });
  assert.equal(code, 0, stderr);
  assert.deepEqual(stdout.toString().split('\n'), [
    ...[process.cwd(), '7', '4', 'dmar0', 'group', 'hello', '/sys/bus/pci/drivers/vfio-pci/new_id', 'caching-mode', '0', ''],
  ]);
  assert.equal(readFileSync(file, 'utf8'), 'as it was');
});

test(
  'a command that leaves something running behind does not hold up the end, and what it printed is there',
  backports,
  async () => {
    const { stdout, code, seconds, bootSeconds } = await run('backports', [
      'sh',
      '-c',
      '(sleep 60; echo late) & echo early; exit 3',
    ]);
    assert.deepEqual([stdout.toString(), code], ['early\n', 3]);
    assert.ok(seconds - bootSeconds < 30);
  },
);

test('a command that is not there is 127, as in a shell', backports, async () => {
  const { code, stderr } = await run('backports', ['sluice-no-such-program']);
  assert.equal(code, 127);
  assert.match(stderr, /sluice-no-such-program: not found/);
});

test('a command that takes too long is ended, and its console is there to look at', backports, async () => {
  const lines: string[] = [];
  const result = await run('backports', ['sleep', '100'], { timeout: 1, onConsole: (line) => lines.push(line) });
  assert.deepEqual([result.reason, result.code], ['timeout', undefined]);
  assert.ok(result.consoleTail.length > 5 && result.consoleTail.length <= 30);
  assert.ok(lines.some((line) => line.includes('Linux version')));
  nothingLeft();
});

test('a panic of the kernel is told as one', backports, async () => {
  const result = await run('backports', ['sh', '-c', 'echo 1 > /proc/sys/kernel/sysrq; echo c > /proc/sysrq-trigger; sleep 60']);
  assert.deepEqual([result.reason, result.code], ['panic', undefined]);
  assert.ok(result.consoleTail.some((line) => line.includes('Kernel panic')));
  nothingLeft();
});

test('an abort ends the machine, and one before the start starts none', backports, async () => {
  const stop = new AbortController();
  const result = await run('backports', ['sh', '-c', 'echo up; sleep 100'], {
    signal: stop.signal,
    onStdout: () => stop.abort(),
  });
  assert.equal(result.reason, 'interrupted');
  nothingLeft();
  const none = await run('backports', ['true'], { signal: AbortSignal.abort() });
  assert.deepEqual([none.reason, none.bootSeconds], ['interrupted', 0]);
});

test('an abort while it boots leaves nothing either, whenever it comes', backports, async () => {
  for (const delay of [1, 20, 300, 1500]) {
    const result = await run('backports', ['sleep', '100'], { signal: AbortSignal.timeout(delay) });
    assert.deepEqual([result.reason, result.bootSeconds], ['interrupted', 0]);
    assert.ok(result.seconds < delay / 1000 + 5);
    nothingLeft();
  }
});

/** Another process that runs something long in L1 and says when it is up. */
async function sluice(): Promise<ChildProcess> {
  const program = `import { openLab, runInLab } from ${JSON.stringify(new URL('./index.js', import.meta.url).href)};
const result = await runInLab(await openLab({ flavour: 'backports' }), { argv: ['sh', '-c', 'echo up; sleep 100'], timeout: 100, devices: 'nvme', onStdout: (b) => process.stdout.write(b), onStderr() {} });
console.log(result.reason, result.by);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise((resolve) => child.stdout.once('data', resolve));
  assert.equal(left().length, 1);
  assert.equal(machines().length, 1);
  return child;
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  test(`${signal} in the middle leaves no process and no folder`, backports, async () => {
    const child = await sluice();
    let said = '';
    child.stdout!.on('data', (piece: Buffer) => {
      said += piece.toString();
    });
    child.kill(signal);
    await new Promise((resolve) => child.once('close', resolve));
    assert.equal(said, `interrupted ${signal}\n`);
    nothingLeft();
  });

test('when it is killed outright its QEMU dies with it, and the next run sweeps the folder', backports, async () => {
  const child = await sluice();
  const [pid] = machines();
  child.kill('SIGKILL');
  await new Promise((resolve) => child.once('close', resolve));
  for (let tries = 0; existsSync(`/proc/${pid}`) && tries < 50; tries++) await new Promise((resolve) => setTimeout(resolve, 100));
  assert.ok(!existsSync(`/proc/${pid}`));
  assert.equal(left().length, 1);
  await run('backports', ['true']);
  nothingLeft();
});

test('busybox, a reader that is not ours, unpacks the images that we write', backports, async () => {
  const lab = labs.backports!;
  const busybox = ['bin/busybox', 'usr/bin/busybox']
    .map((path) => join(lab.folder, 'root', path))
    .find((path) => existsSync(path))!;
  const raw = join(home, 'image');
  await writeFile(raw, gunzipSync(readFileSync(join(lab.folder, lab.guestInitrd))));
  const list = await exec(busybox, ['cpio', '-t', '-F', raw]);
  assert.equal(list.code, 0, list.stderr);
  const names = list.stdout.split('\n');
  for (const name of ['init', 'bin/busybox', 'bin/sha256sum', 'bin/qemu-ga', 'mod/igbvf.ko', 'mod/nvme.ko', 'modules'])
    assert.ok(names.includes(name), name);
  const ours = readFileSync(busybox);
  assert.ok((await execBytes(busybox, ['cpio', '-i', '--to-stdout', '-F', raw, 'bin/busybox'])).equals(ours));
});

test('a shell refuses to start without a terminal', backports, async () => {
  const script = `import { openLab, shellInLab } from ${JSON.stringify(new URL('./index.js', import.meta.url).href)};
await shellInLab(await openLab({ flavour: 'backports' })).catch((error) => console.log(error.name, error.message));`;
  const { stdout } = await exec(process.execPath, ['--input-type=module', '-e', script]);
  assert.match(stdout, /^LabError a shell needs a terminal/);
  assert.equal(typeof shellInLab, 'function');
});

test('the stock flavour boots with the NVMe device alone, and says that it has no igb', {
  skip: skip('stock'),
  timeout: 400_000,
}, async () => {
  const script =
    'cat /sys/bus/pci/devices/0000:02:00.0/sriov_totalvfs; ls /sys/bus/pci/drivers/igb 2>/dev/null | grep -c 0000; ls /sys/class/iommu; test -c /dev/kvm';
  const { stdout, code } = await run('stock', ['sh', '-c', script]);
  assert.deepEqual([stdout.toString(), code], ['4\n0\ndmar0\n', 0]);
  if (!('igb' in labs.stock!.abilities.devices))
    await assert.rejects(
      run('stock', ['true'], { devices: 'igb+nvme' }),
      /no device igb: this flavour boots with the NVMe device alone/,
    );
  nothingLeft();
});
