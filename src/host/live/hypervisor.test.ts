import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { HostError } from '../host.ts';
import { liveHypervisor } from './hypervisor.ts';
import { errnoOfModule } from './modules.ts';
import { rootAt } from './root.ts';
import { nativeSys } from './sys.ts';

const folder = mkdtempSync(join(tmpdir(), 'sluice-hypervisor-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const hypervisor = liveHypervisor(rootAt('/'), nativeSys);
const refusedWith = (errno: string) => (error: unknown) => error instanceof HostError && error.errno === errno;
const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

test('a program is run to its end with its code and both outputs, and sees no shell', async () => {
  assert.deepEqual(await hypervisor.run(['printf', '%s', '$HOME;x']), { code: 0, stdout: '$HOME;x', stderr: '' });
  const failed = await hypervisor.run(['sh', '-c', 'echo out; echo err >&2; exit 7']);
  assert.deepEqual(failed, { code: 7, stdout: 'out\n', stderr: 'err\n' });
  assert.equal((await hypervisor.run(['sh', '-c', 'kill -9 $$'])).code, 137);
});

test('output beyond 4 MiB is cut', async () => {
  const { code, stdout } = await hypervisor.run(['head', '-c', '5000000', '/dev/zero']);
  assert.equal(code, 0);
  assert.equal(stdout.length, 4 * 1024 * 1024);
});

test('a program that is not there and one that does not end are told apart', async () => {
  await assert.rejects(hypervisor.run(['no-such-program-here']), refusedWith('ENOENT'));
  const before = Date.now();
  await assert.rejects(hypervisor.run(['sleep', '60'], { timeout: 50 }), refusedWith('ETIMEDOUT'));
  assert.ok(Date.now() - before < 30_000);
});

test('a started program has its own process id, session, memory limit and output', async (t) => {
  const output = join(folder, 'deep/out.log');
  if (!existsSync('/usr/bin/prlimit')) return t.skip('this machine has no prlimit (util-linux)');
  const pid = await hypervisor.start(['sh', '-c', 'echo hello; echo there >&2; exec sleep 60'], { memlock: 65536, output });
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [, , group, session] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    assert.deepEqual([Number(group), Number(session)], [pid, pid]);
    assert.match(readFileSync(`/proc/${pid}/limits`, 'utf8'), /^Max locked memory +65536 +65536/m);
    assert.match(readFileSync(`/proc/${pid}/comm`, 'utf8'), /^(sh|dash|bash|sleep)$/m);
    for (let i = 0; i < 500 && readFileSync(output, 'utf8') !== 'hello\nthere\n'; i++) await pause(10);
    assert.equal(readFileSync(output, 'utf8'), 'hello\nthere\n');
  } finally {
    assert.equal(await hypervisor.signal(pid, 'SIGTERM'), true);
  }
  for (let i = 0; i < 500 && (await hypervisor.signal(pid, 'SIGTERM')); i++) await pause(10);
  assert.equal(await hypervisor.signal(pid, 'SIGTERM'), false);
});

test('a started program outlives the process that started it', async () => {
  const output = join(folder, 'outlives.log');
  const live = new URL('./index.js', import.meta.url).href;
  const program = `import { liveHost } from '${live}';
    console.log(await liveHost().hypervisor.start(['sleep', '60'], { output: ${JSON.stringify(output)} }));`;
  const parent = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  parent.stdout.on('data', (piece: Buffer) => {
    said += piece.toString();
  });
  await new Promise((done) => parent.once('close', done));
  const pid = Number(said);
  assert.match(readFileSync(`/proc/${pid}/comm`, 'utf8'), /^sleep$/m);
  assert.equal(await hypervisor.signal(pid, 'SIGKILL'), true);
});

test('a program that cannot be started is an error', async () => {
  const output = join(folder, 'never.log');
  await assert.rejects(hypervisor.start(['no-such-program-here'], { output }), refusedWith('ENOENT'));
  await assert.rejects(hypervisor.start(['no-such-program-here'], { memlock: 'unlimited', output }), refusedWith('ENOENT'));
  writeFileSync(join(folder, 'no-program'), 'x', { mode: 0o600 });
  await assert.rejects(hypervisor.start([join(folder, 'no-program')], { output }), HostError);
});

test('no signal goes to init or to a group of processes', async () => {
  for (const pid of [-1, 0, 1, 1.5]) await assert.rejects(hypervisor.signal(pid, 'SIGTERM'), refusedWith('EINVAL'));
});

test('a conversation with a socket sends, receives whole characters, waits in vain and ends', async () => {
  const path = join(folder, 'qmp.sock');
  const server = createServer((socket) => {
    socket.write('{"QMP": "');
    const euro = Buffer.from('\u20ac"}\n');
    socket.write(euro.subarray(0, 1));
    setTimeout(() => socket.write(euro.subarray(1)), 20);
    socket.on('data', (piece) => socket.end(`got ${piece.toString()}`));
  });
  await new Promise<void>((done) => server.listen(path, done));
  try {
    const channel = await hypervisor.connect(path, 1000);
    let greeting = '';
    while (!greeting.endsWith('\n')) greeting += await channel.receive(2000);
    assert.equal(greeting, '{"QMP": "\u20ac"}\n');
    await assert.rejects(channel.receive(30), refusedWith('ETIMEDOUT'));
    await channel.send('hello');
    assert.equal(await channel.receive(2000), 'got hello');
    assert.equal(await channel.receive(2000), undefined);
    await assert.rejects(channel.send('again'), refusedWith('EPIPE'));
    channel.close();
  } finally {
    await new Promise((done) => server.close(done));
  }
});

test('a socket that is not there and one that nobody serves are told apart', async () => {
  await assert.rejects(hypervisor.connect(join(folder, 'absent.sock'), 1000), refusedWith('ENOENT'));
  writeFileSync(join(folder, 'dead.sock'), '');
  await assert.rejects(hypervisor.connect(join(folder, 'dead.sock'), 1000), refusedWith('ECONNREFUSED'));
});

test('whether KVM is usable is answered with a reason, whatever this machine has', async () => {
  const { usable, because } = await hypervisor.kvm();
  assert.ok(because.length > 20, because);
  if (!existsSync('/dev/kvm')) assert.equal(usable, false);
});

test('the words of modprobe and rmmod become an errno', () => {
  assert.equal(errnoOfModule('rmmod: ERROR: Module vfio is in use by: vfio_pci'), 'EBUSY');
  assert.equal(errnoOfModule("rmmod: can't unload module 'vfio': Resource temporarily unavailable"), 'EBUSY');
  assert.equal(errnoOfModule('modprobe: FATAL: Module nonsense not found in directory /lib/modules/6.12.95'), 'ENOENT');
  assert.equal(errnoOfModule("modprobe: ERROR: could not insert 'kvm_intel': Operation not permitted"), 'EPERM');
});
