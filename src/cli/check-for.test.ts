import assert from 'node:assert/strict';
import { test } from 'node:test';
import { capturedHost } from '../../test/captured-host.ts';
import { captures, tellCaptures } from '../../test/captures.ts';
import { HostError } from '../host/host.ts';
import { readPicture } from '../host/picture.ts';
import { recording } from '../host/record.ts';
import { replaying } from '../host/replay.ts';
import { applianceReport, checkFor, readForAppliances, renderAppliance } from './check-for.ts';
import { columns, makeStyle, toJson } from './output.ts';

const found = captures();
const page = { width: 80, style: makeStyle(false) };

test(`the report follows its schema, fits the page and shows every question (${tellCaptures(found)})`, async () => {
  for (const capture of found.all.slice(0, 12)) {
    const report = await checkFor(capturedHost(capture, capture.states.at(-1)!), 'xrd-vrouter');
    applianceReport.parse(JSON.parse(toJson(report)));
    const text = renderAppliance(report, page);
    for (const line of text.split('\n')) assert.ok(columns(line) <= 80, line);
    const plain = text.replace(/\s+/g, ' ');
    for (const { requirements } of report.groups) for (const { name } of requirements) assert.ok(plain.includes(name), name);
    for (const { asks } of report.beyond.host) assert.ok(plain.includes(asks), asks);
    // One processor and no list of its flags: no captured machine is fit.
    assert.equal(report.verdict.is, 'no', capture.name);
  }
});

test('a function is named by its address, and one that is not there is told', async () => {
  const capture = found.all.find(({ states }) => Object.keys(states[0]!.groups).length > 0)!;
  const host = () => capturedHost(capture, capture.states[0]!);
  const bdf = Object.keys(capture.states[0]!.devices).at(-1)!;
  const report = await checkFor(host(), 'xrd-vrouter', bdf);
  assert.deepEqual(
    report.beyond.functions.map((one) => one.bdf),
    [bdf],
  );
  await assert.rejects(
    checkFor(host(), 'xrd-vrouter', '0000:77:00.0'),
    (error) => error instanceof HostError && /no PCI function/.test(error.message),
  );
});

test('a record of a host answers as the host does, and one that was taken without these questions says what it does not know', async () => {
  const capture = found.all.find(({ states }) => Object.keys(states[0]!.groups).length > 0)!;
  const host = capturedHost(capture, capture.states[0]!, { '/proc/self/mountinfo': '24 1 254:0 / / rw - ext4 /dev/vda1 rw\n' });
  const full = recording(host, '0.0.0');
  await readForAppliances(full.host, await readPicture(full.host));
  const report = await checkFor(host, 'xrd-vrouter');
  assert.deepEqual({ ...(await checkFor(replaying(full.snapshot(), 'record'), 'xrd-vrouter')), host: report.host }, report);
  const bare = recording(host, '0.0.0');
  await readPicture(bare.host);
  const docker = (await checkFor(replaying(bare.snapshot(), 'record'), 'xrd-vrouter')).groups.find(
    ({ name }) => name === 'docker',
  )!;
  assert.equal(docker.requirements[0]!.is, 'unknown');
});
