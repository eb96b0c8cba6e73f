import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { bigTree, writeTree } from '../../test/big-tree.ts';
import { capturedHost } from '../../test/captured-host.ts';
import { captures, tellCaptures } from '../../test/captures.ts';
import { mutationRuns, mutations } from '../../test/mutate.ts';
import { Tree, treeHost } from '../../test/tree-host.ts';
import { inspect } from '../check/inspect.ts';
import { PROBLEMS } from '../check/problems/index.ts';
import { HostError } from '../host/host.ts';
import { type Picture, readPicture } from '../host/picture.ts';
import { recording } from '../host/record.ts';
import { redacted } from '../host/redact.ts';
import { replaying } from '../host/replay.ts';
import type { Snapshot } from '../host/snapshot.ts';
import { EXIT, UsageError } from './exit.ts';
import { runCommandLine } from './run.ts';
import { packSnapshot, readSnapshotFile, unpackSnapshot } from './snapshot-file.ts';
import { snapshotFile, snapshotReport } from './snapshot-report.ts';

const found = captures();
const folder = mkdtempSync(join(tmpdir(), 'sluice-snapshot-'));
after(() => rmSync(folder, { recursive: true }));
const tree = join(folder, 'tree');
writeTree(tree, bigTree(80));
const file = join(folder, 'host.json.gz');

async function sluice(...argv: string[]) {
  const out: string[] = [];
  const err: string[] = [];
  const code = await runCommandLine(argv, {
    stdout: { write: (piece) => out.push(String(piece)) },
    stderr: { write: (piece) => err.push(String(piece)) },
    env: {},
    uid: 1000,
  });
  return { code, out: out.join(''), err: err.join('') };
}
await sluice('snapshot', '-o', file, '--root', tree);

test('inspect says the same of a snapshot as of the host it was taken from, but for its name', async () => {
  const [host, record] = await Promise.all([
    sluice('inspect', '--json', '--root', tree),
    sluice('inspect', '--json', '--host', file),
  ]);
  assert.deepEqual({ ...JSON.parse(record.out), host: '' }, { ...JSON.parse(host.out), host: '' });
  assert.equal(record.code, host.code);
  assert.equal(JSON.parse(host.out).functions.length, 80);
});

test('of another tree, what only a machine itself can answer is unread and not that of this one', async () => {
  const { unread, kvm } = JSON.parse((await sluice('inspect', '--json', '--root', tree)).out) as {
    unread: { what: string; because: string }[];
    kvm: { usable: boolean };
  };
  assert.equal(kvm.usable, false);
  for (const what of ['network interfaces', 'KVM'])
    assert.match(unread.find((one) => one.what === what)?.because ?? '', /a tree of files does not tell/, what);
});

test('the file follows its schema, is for its owner, and taking it is told', async () => {
  const { code, out } = await sluice('snapshot', '-o', file, '--root', tree, '--json');
  assert.equal(code, EXIT.ok);
  const report = snapshotReport.parse(JSON.parse(out));
  assert.deepEqual([report.functions, report.output, report.bytes], [80, file, statSync(file).size]);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  snapshotFile.parse(await readSnapshotFile(file));
});

test('a snapshot of a snapshot is the same, but for when it was written', async () => {
  const copy = join(folder, 'copy.json.gz');
  assert.equal((await sluice('snapshot', '-o', copy, '--host', file)).code, EXIT.ok);
  assert.deepEqual(await readSnapshotFile(copy), await readSnapshotFile(file));
});

test('verbs that change a host refuse a record with one message', async () => {
  const spec = join(folder, 'vm.yaml');
  writeFileSync(spec, 'name: x\n');
  for (const argv of [['apply', spec], ['verify', 'x'], ['revert', 'x'], ['status']]) {
    const { code, err } = await sluice(...argv, '--host', file);
    assert.equal(code, EXIT.usage, argv.join(' '));
    assert.match(err, /is a record of a host and cannot be changed/, argv.join(' '));
  }
  const both = await sluice('inspect', '--host', file, '--root', tree);
  assert.deepEqual([both.code, /exclude each other/.test(both.err)], [EXIT.usage, true]);
});

test('a file that is no snapshot is told with the place of the mistake', async () => {
  const good = JSON.stringify(await readSnapshotFile(file));
  const changed = (change: (record: { [member: string]: unknown; places: Record<string, unknown> }) => void): Uint8Array => {
    const record = JSON.parse(good) as { places: Record<string, unknown> };
    change(record);
    return gzipSync(JSON.stringify(record));
  };
  const cases: [string, Uint8Array, RegExp][] = [
    ['nothing', new Uint8Array(), /no JSON/],
    ['text', Buffer.from('lspci says'), /no JSON/],
    ['broken gzip', Buffer.from([0x1f, 0x8b, 1, 2, 3]), /gzip data are damaged/],
    ['cut gzip', readFileSync(file).subarray(0, 2000), /gzip data are damaged/],
    // Members of one gzip file follow each other.
    ['bomb', Buffer.concat(Array<Uint8Array>(130).fill(gzipSync(Buffer.alloc(1024 * 1024, 0x20)))), /unpacks to more than/],
    ['null', gzipSync('null'), /schema is absent/],
    ['a list', gzipSync('[1]'), /schema is absent/],
    ['a newer one', changed((record) => Object.assign(record, { schema: 'sluice/snapshot/2' })), /"sluice\/snapshot\/2".*\n?.*/],
    ['no places', changed((record) => Object.assign(record, { places: undefined })), /places/],
    ['wrong places', changed((record) => Object.assign(record, { places: [] })), /places/],
    ['relative', changed((record) => Object.assign(record.places, { '../..': { etc: {} } })), /places > \.\.\/\.\./],
    [
      'a list of numbers',
      changed((record) => (record.places['/x'] = { y: { list: ['a', 7] } })),
      /places > \/x > y > list.*string/,
    ],
    [
      'no base64',
      changed((record) => Object.assign(record.places, { '/x': { y: { content: { base64: '!' } } } })),
      /places > \/x > y > content/,
    ],
    [
      'many zeros',
      changed((record) => Object.assign(record.places, { '/x': { y: { content: { base64: '', zeros: 1e12 } } } })),
      /zeros/,
    ],
    ['no time', changed((record) => Object.assign(record, { taken: 'today' })), /taken/],
    ['another member', changed((record) => Object.assign(record, { more: 1 })), /more/],
  ];
  for (const [name, bytes, says] of cases) {
    const error = await unpackSnapshot(bytes, 'x.json.gz').then(
      () => assert.fail(name),
      (thrown: unknown) => thrown,
    );
    assert.ok(error instanceof UsageError, name);
    assert.match(error.message, says, name);
    assert.match(error.message, /^x\.json\.gz/, name);
    assert.ok(error.message.length < 700, name);
  }
});

test('the name of the host is asked for to be redacted, and is nowhere in the file', async () => {
  const named = join(folder, 'named');
  const name = 'attic-of-bob';
  writeTree(
    named,
    new Map([...bigTree(3), ['/proc/sys/kernel/hostname', `${name}\n`], ['/proc/iomem', `fe000000-fe00ffff : ${name} window\n`]]),
  );
  const out = join(folder, 'clean.json.gz');
  const told = async (...how: string[]) => {
    assert.equal((await sluice('snapshot', '-o', out, '--root', named, ...how)).code, EXIT.ok);
    return JSON.stringify(await readSnapshotFile(out));
  };
  assert.match(await told(), /attic-of-bob window/);
  assert.doesNotMatch(await told('--redact'), /attic|bob/);
});

test('paths that lead out of a record lead nowhere', async () => {
  const record = await readSnapshotFile(file);
  record.places['/sys/bus/pci/devices']!['..'] = { content: { text: 'out' } };
  const { files } = replaying(record, 'record');
  assert.equal(await files.readText('/sys/bus/pci/devices/../../../../etc/passwd'), undefined);
});

/** Every verdict in a report, in its order. */
function verdicts(report: unknown): string[] {
  if (Array.isArray(report)) return report.flatMap(verdicts);
  if (typeof report !== 'object' || report === null) return [];
  return Object.entries(report).flatMap(([name, value]) =>
    name === 'is' && typeof value === 'string' ? [value] : verdicts(value),
  );
}

test(`inspect and every rule say the same of a redacted snapshot (${tellCaptures(found)})`, async () => {
  let count = 0;
  for (const [n, capture] of found.all.entries()) {
    if (n % 12 !== 0) continue;
    const { host, snapshot } = recording(capturedHost(capture, capture.states.at(-1)!), '0.0.0');
    const [plain, clean] = [await readPicture(host), await readPicture(replaying(redacted(snapshot()), 'record'))];
    const judged = (picture: Picture) => [
      ...verdicts(inspect(picture)),
      ...PROBLEMS.flatMap(({ rules }) =>
        rules.flatMap((rule) => {
          if (rule.about === 'host') return rule.run(picture).is;
          return rule.about === 'function' ? picture.functions.map((one) => rule.run(picture, one).is) : [];
        }),
      ),
    ];
    const said = judged(plain);
    assert.deepEqual(judged(clean), said, capture.name);
    count += said.length;
  }
  assert.ok(count > 100, `${count}`);
});

/** Of few functions, and without the long texts of /proc. */
async function smallRecord(): Promise<Snapshot> {
  const places = new Tree(Object.fromEntries([...bigTree(4)].filter(([path]) => !/cpuinfo|power|uevent|dma_mask/.test(path))));
  const { host, snapshot } = recording(treeHost(places), '0.0.0');
  await readPicture(host);
  return snapshot();
}

test('a damaged snapshot is read, or refused with a message: it never breaks the program', async () => {
  const small = await smallRecord();
  const text = Buffer.from(JSON.stringify(small));
  // A slice of a Buffer is no copy.
  const samples = [text, packSnapshot(small)].map((bytes) => new Uint8Array(bytes));
  let read = 0;
  for (const bytes of mutations(6, mutationRuns(), samples)) {
    try {
      const picture = await readPicture(replaying(await unpackSnapshot(bytes, 'x'), 'x'));
      read += picture.functions.length > 0 ? 1 : 0;
    } catch (error) {
      assert.ok(error instanceof UsageError || error instanceof HostError, String((error as Error).stack));
    }
  }
  assert.ok(read > 0);
});
