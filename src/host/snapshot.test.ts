import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { anyText } from '../../test/any-text.ts';
import { capturedHost } from '../../test/captured-host.ts';
import { captures, tellCaptures } from '../../test/captures.ts';
import { fakeHost, machine } from '../../test/fake-host.ts';
import { Tree, treeHost } from '../../test/tree-host.ts';
import { type Host, HostError } from './host.ts';
import { readPicture } from './picture.ts';
import { recording } from './record.ts';
import { replaying } from './replay.ts';
import { bytesOf, contentOf, fromBase64, type Snapshot, toBase64 } from './snapshot.ts';
import { fromUtf8, toUtf8 } from './utf8.ts';

const found = captures();
const told = tellCaptures(found);
const byErrno = (errno: string) => (error: unknown) => error instanceof HostError && error.errno === errno;

/** The record as it is after it went through its file. */
async function recordOf(host: Host, read: (host: Host) => Promise<unknown> = readPicture): Promise<Snapshot> {
  const { host: watched, snapshot } = recording(host, '0.0.0');
  await read(watched);
  return JSON.parse(JSON.stringify(snapshot())) as Snapshot;
}

test(`a picture of a record is that of the host it was taken from (${told})`, async () => {
  const hosts: Host[] = [fakeHost(machine())];
  // The first and the last moment of each fourth: every moment would take long and show the same.
  for (const [n, capture] of found.all.entries())
    for (const state of n % 4 === 0 ? [capture.states[0]!, capture.states.at(-1)!] : []) hosts.push(capturedHost(capture, state));
  for (const host of hosts) {
    const seen = await readPicture(host);
    const replayed = await readPicture(replaying(await recordOf(host), host.name));
    assert.deepEqual(replayed, seen, host.name);
  }
  assert.ok(hosts.length > 5);
});

test('two records of one host are the same to the letter, and a record of a record too', async () => {
  const [capture] = found.all;
  const host = () => capturedHost(capture!, capture!.states[0]!);
  const first = await recordOf(host());
  assert.equal(JSON.stringify(await recordOf(host())), JSON.stringify(first));
  assert.equal(JSON.stringify(await recordOf(replaying(first, 'x'))), JSON.stringify(first));
});

test('every answer comes back: bytes, text, parts, links, folders, errors, absence, claims', async () => {
  const host = treeHost(
    new Tree({
      '/bytes': Uint8Array.of(0, 255, 1, 0, 0),
      '/text': 'ein Ä\n',
      '/folder/link': { link: '../text' },
      '/no': { errno: 'EACCES' },
      '/dev/sda': { block: 'claimed' },
    }),
  );
  const { host: watched, snapshot } = recording(host, '0.0.0');
  const questions: ((host: Host) => Promise<unknown>)[] = [
    ({ files }) => files.read('/bytes'),
    ({ files }) => files.readText('/text'),
    ({ files }) => files.readAt('/bytes', 1, 2),
    ({ files }) => files.link('/folder/link'),
    ({ files }) => files.list('/folder'),
    ({ files }) => files.list('/none'),
    ({ files }) => files.read('/folder/none'),
    ({ files }) => files.exists('/text'),
    ({ files }) => files.exists('/none'),
    ({ files }) => files.claimed('/dev/sda'),
    ({ files }) => files.claimed('/text'),
    ({ files }) => files.kernelLog(),
    ({ links }) => links.list(),
    ({ modules }) => modules.loaded(),
    ({ hypervisor }) => hypervisor.kvm(),
  ];
  for (const ask of questions) await ask(watched);
  await assert.rejects(watched.files.read('/no'), byErrno('EACCES'));
  await assert.rejects(watched.nvme.admin('/dev/nvme0', { opcode: 6 }), byErrno('ENODEV'));
  const again = replaying(snapshot(), 'record');
  for (const ask of questions) assert.deepEqual(await ask(again), await ask(host), ask.toString());
  for (const ask of [(one: Host) => one.files.read('/no'), (one: Host) => one.nvme.admin('/dev/nvme0', { opcode: 6 })]) {
    const message = await ask(host).catch((error: Error) => error.message);
    await assert.rejects(ask(again), { message });
  }
});

test('what follows from an answer is known; what was not asked is an error that says so', async () => {
  const host = treeHost(new Tree({ '/sys/a/one': 'x', '/sys/a/two': 'y', '/sys/a/config': new Uint8Array(64) }));
  const { files } = replaying(
    await recordOf(host, async (watched) => {
      await watched.files.list('/sys/a');
      await watched.files.readText('/sys/a/one');
      await watched.files.readAt('/sys/a/config', 0, 4096);
      await watched.files.list('/sys/b');
    }),
    'record',
    '/home/me/state',
  );
  assert.equal(await files.readText('/sys/a/three'), undefined);
  assert.equal(await files.exists('/sys/a/three/below'), false);
  assert.equal(await files.exists('/sys/a/one'), true);
  assert.equal(await files.readText('/sys/b/any'), undefined);
  assert.equal(await files.list('/home/me/state'), undefined);
  assert.equal((await files.readAt('/sys/a/config', 16, 256))?.length, 48);
  assert.equal((await files.read('/sys/a/config'))?.length, 64);
  for (const ask of [files.readText('/sys/a/two'), files.list('/sys'), files.link('/sys/a/one'), files.readText('/proc/version')])
    await assert.rejects(ask, (error: unknown) => byErrno('ENODATA')(error) && /was not recorded/.test(String(error)));
});

test('a record without a part that readers want makes that part unread, and nothing fails', async () => {
  const capture = found.all[0]!;
  const record = await recordOf(capturedHost(capture, capture.states[0]!));
  for (const member of ['log', 'interfaces', 'modules', 'kvm'] as const) delete record[member];
  delete record.places['/sys/kernel/iommu_groups'];
  const picture = await readPicture(replaying(record, 'record'));
  const unread = picture.unread.map(({ what, because }) => `${what}: ${because}`).join('\n');
  for (const what of ['the kernel log', 'network interfaces', 'kernel modules'])
    assert.match(unread, new RegExp(`${what}.*was not recorded`));
  assert.equal(picture.kvm.usable, false);
});

test('a record refuses every change with EROFS, also while it is taken', async () => {
  const source = fakeHost(machine());
  const { host: watched, snapshot } = recording(source, '0.0.0');
  await readPicture(watched);
  const before = await source.files.readText('/sys/bus/pci/devices/0000:01:00.0/sriov_numvfs');
  for (const host of [watched, replaying(snapshot(), 'record')]) {
    const at = '/sys/bus/pci/devices/0000:01:00.0/sriov_numvfs';
    for (const change of [
      () => host.files.write(at, '1'),
      () => host.files.replace(at, '1'),
      () => host.files.append(at, '1'),
      () => host.files.makeFolder(at),
      () => host.files.remove(at),
      () => host.files.lock(at),
      () => host.links.setUp('eth0', true),
      () => host.links.setVf('eth0', 0, {}),
      () => host.modules.load('vfio-pci'),
      () => host.modules.unload('vfio-pci'),
      () => host.vfio.open('0000:01:00.0', 1),
      () => host.hypervisor.start(['qemu'], { output: '/x' }),
      () => host.hypervisor.signal(4000, 'SIGKILL'),
    ])
      await assert.rejects(change, byErrno('EROFS'), change.toString());
  }
  assert.equal(await source.files.readText('/sys/bus/pci/devices/0000:01:00.0/sriov_numvfs'), before);
});

test('bytes, base64 and UTF-8 are those of Node', () =>
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), anyText(60), (bytes, text) => {
      assert.equal(toBase64(bytes), Buffer.from(bytes).toString('base64'));
      assert.deepEqual([...fromBase64(toBase64(bytes))], [...bytes]);
      assert.deepEqual([...bytesOf(contentOf(bytes))], [...bytes]);
      assert.deepEqual([...toUtf8(text)], [...Buffer.from(text)]);
      assert.equal(fromUtf8(Buffer.from(text)), Buffer.from(text).toString());
      const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
      let expected: string | undefined;
      try {
        expected = strict.decode(bytes);
      } catch {}
      assert.equal(fromUtf8(bytes), expected);
    }),
    { seed: 9, numRuns: 40 },
  ));
