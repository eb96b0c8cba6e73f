import assert from 'node:assert/strict';
import { test } from 'node:test';
import { capturedHost } from '../../test/captured-host.ts';
import { captures, tellCaptures } from '../../test/captures.ts';
import { HostError } from '../host/host.ts';
import { applianceReport, checkFor, renderAppliance } from './check-for.ts';
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
