import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { labFolder, realFile } from '../../test/real-qemu.ts';
import { HostError } from '../host/host.ts';
import { liveHost } from '../host/live/index.ts';
import { connectAgent } from './agent.ts';
import { QmpError } from './qmp.ts';

const found = await realFile('SLUICE_QGA', 'root/usr/sbin/qemu-ga');
const program = found.path;
const options = { skip: found.skip, timeout: 60_000 };
const host = liveHost();
const home = mkdtempSync(join(tmpdir(), 'sluice-qga-'));
const socket = join(home, 'agent.sock');
let agent: ChildProcess | undefined;

// The agent itself, without a guest around it: the program is the same, and so is its protocol.
before(async () => {
  if (program === '') return;
  const lab = await labFolder();
  const libraries =
    lab && !process.env.SLUICE_QGA
      ? { LD_LIBRARY_PATH: `${lab}/root/usr/lib/x86_64-linux-gnu:${lab}/root/lib/x86_64-linux-gnu` }
      : {};
  agent = spawn(program, ['-m', 'unix-listen', '-p', socket, '-t', home, '-f', join(home, 'pid')], {
    stdio: 'ignore',
    env: { ...process.env, ...libraries },
  });
  for (let i = 0; i < 100 && !(await host.files.exists(socket)); i++) await host.clock.sleep(50);
});
after(async () => {
  if (agent && agent.exitCode === null) {
    const ended = new Promise((resolve) => agent?.once('exit', resolve));
    agent.kill('SIGTERM');
    await ended;
  }
  rmSync(home, { recursive: true });
});

/** Leaves text in the agent's parser as a conversation does that was cut off. */
async function leave(text: string): Promise<void> {
  const raw = createConnection(socket);
  await new Promise<void>((resolve) => raw.write(text, () => resolve()));
  await host.clock.sleep(100);
  raw.destroy();
}

test('a real agent runs programs and gives their status and output', options, async () => {
  const guest = await connectAgent(host, socket, 10_000);
  await guest.ping();
  const exit = await guest.exec('/bin/sh', ['-c', 'printf "a\\0é"; echo no >&2; exit 7']);
  assert.deepEqual([exit.code, Buffer.from(exit.stdout).toString(), Buffer.from(exit.stderr).toString()], [7, 'a\0é', 'no\n']);
  const big = await guest.exec('/usr/bin/head', ['-c', '3000000', '/dev/zero']);
  assert.deepEqual([big.code, big.stdout.length, big.stdout.some((byte) => byte !== 0)], [0, 3_000_000, false]);
  assert.deepEqual(await guest.exec('/bin/sh', ['-c', 'kill -9 $$']).then((e) => [e.code, e.signal]), [undefined, 9]);
  await assert.rejects(guest.exec('/no/such/program', []), (error) => error instanceof QmpError);
  await assert.rejects(
    guest.exec('/bin/sleep', ['3'], { timeout: 300 }),
    (error) => error instanceof HostError && error.errno === 'ETIMEDOUT',
  );
  await guest.ping();
  guest.close();
});

test('a real agent reads files, those of procfs too', options, async () => {
  const content = Uint8Array.from({ length: 200_000 }, (_, i) => (i * 7) & 0xff);
  writeFileSync(join(home, 'file'), content);
  const guest = await connectAgent(host, socket, 10_000);
  assert.ok(Buffer.from(content).equals(await guest.readFile(join(home, 'file'))));
  assert.match(Buffer.from(await guest.readFile('/proc/interrupts')).toString(), /CPU0/);
  await assert.rejects(guest.readFile(join(home, 'none')), (error) => error instanceof QmpError);
  guest.close();
});

for (const [what, text] of [
  ['half a command', '{"execute": "guest-exec", "arguments": {"path": '],
  ['half a string', '{"execute": "guest-pi'],
  ['open brackets', '{"execute": [[[{'],
  ['garbage', 'hello\n}}}]]"'],
] as const)
  test(`an earlier conversation that ended in ${what} does not disturb a real agent`, options, async () => {
    await leave(text);
    const guest = await connectAgent(host, socket, 10_000);
    await guest.ping();
    guest.close();
  });
