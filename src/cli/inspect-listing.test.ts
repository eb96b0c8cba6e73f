import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { machinesIn } from '../../test/conformance/groups.ts';
import { sharedData } from '../../test/data.ts';
import { type Inspection, inspect } from '../check/inspect.ts';
import { inspectListing } from '../check/inspect-listing.ts';
import { readPicture } from '../host/picture.ts';
import { topologyOfListing } from '../iommu/index.ts';
import { readHexDump, readLspciText } from '../pci/index.ts';
import { groupsReportOf, sourceOfListing } from './groups.ts';
import { recordedListing } from './recorded-host.ts';
import { inspectReport } from './reports.ts';
import { runCommandLine } from './run.ts';

const folder = mkdtempSync(join(tmpdir(), 'sluice-listing-'));
after(() => rmSync(folder, { recursive: true }));

const PORT = `00:01.0 PCI bridge: Intel Corporation Root Port [8086:1901] (prog-if 00 [Normal decode])
\tBus: primary=00, secondary=01, subordinate=01, sec-latency=0
\tKernel driver in use: pcieport
\tCapabilities: [88] Subsystem: Device 1d05:1070
\tCapabilities: [a0] Express (v2) Root Port (Slot+), MSI 00
`;
const NIC = `01:00.0 Ethernet controller: Intel Corporation 82599 [8086:10fb]
\tKernel driver in use: ixgbe
\tCapabilities: [a0] Express (v2) Endpoint, MSI 00
`;

/** The report of `inspect --json`, by its schema, and what it shows to people. */
async function inspectText(text: string, ...more: string[]): Promise<{ report: Inspection; shown: string }> {
  const file = join(folder, 'posted.txt');
  writeFileSync(file, text);
  const [json, shown] = await Promise.all(
    [['--json'], []].map(async (how) => {
      const out: string[] = [];
      const sink = { write: (piece: string | Uint8Array) => out.push(String(piece)) };
      const argv = ['inspect', ...more, '--host', `lspci:${file}`, ...how];
      await runCommandLine(argv, { stdout: sink, stderr: sink, env: {}, uid: 1000 });
      return out.join('');
    }),
  );
  return { report: inspectReport.parse(JSON.parse(json!)), shown: shown! };
}

test('a listing without groups of the kernel has those that follow from it, and what it leaves open is unknown with the reason', async () => {
  const { report, shown } = await inspectText(PORT + NIC);
  assert.equal(report.groupsAre, 'computed');
  assert.deepEqual(
    report.groups.map(({ devices }) => devices),
    [['0000:00:01.0', '0000:01:00.0']],
  );
  assert.match(report.groups[0]!.because!, /it has no ACS capability/);
  assert.deepEqual([report.unknownGroups, report.functions.map(({ group }) => group)], [[], [0, 0]]);
  assert.match(shown, /group 0 \(computed\)[\s\S]*Groups of more than one \(computed/);

  const cut = await inspectText(PORT.replace(/\tCapabilities[\s\S]*/, '\tCapabilities: <access denied>\n') + NIC);
  assert.equal(cut.report.groups.length, 2);
  assert.deepEqual(
    cut.report.unknownGroups!.map(({ bdf }) => bdf),
    ['0000:00:01.0', '0000:01:00.0'],
  );
  assert.match(cut.shown, /Unknown: the group of 2 functions is not known/);
  const { unknownGroups, groups } = (await inspectText(PORT + NIC, '--device', '01:00.0')).report;
  assert.deepEqual([unknownGroups, groups.length], [[], 1]);
});

test('groups of the kernel in a listing stay as they are', async () => {
  const [port, nic] = [PORT, NIC].map((text, group) => text.replace('\tKernel', `\tIOMMU group: ${group + 3}\n\tKernel`));
  const { report } = await inspectText(port! + nic!);
  assert.deepEqual([report.groupsAre, report.groups.map(({ number }) => number)], [undefined, [3, 4]]);
  assert.match(report.doubts.join(), /The kernel keeps 0000:00:01\.0.* apart/);
});

const listings = sharedData('groups');
test('inspect computes the groups that the verb groups does, of listings of real machines', {
  skip: !listings && 'no shared data beside the repository',
}, async () => {
  for (const { id, input } of machinesIn(listings!)) {
    const text = readFileSync(join(listings!, input), 'utf8');
    const picture = await readPicture(recordedListing({ name: id, text }, '/nowhere'));
    const report = inspectListing({ ...picture, topology: topologyOfListing(readLspciText(text), readHexDump(text)) });
    const theirs = groupsReportOf(sourceOfListing(id, text), [], [], false);
    assert.deepEqual(
      report.groups.map(({ devices }) => devices),
      theirs.groups.map(({ members }) => members.map(({ bdf }) => bdf)),
      id,
    );
    assert.deepEqual(
      report.unknownGroups,
      theirs.unknown.map(({ bdf, because }) => ({ bdf, because })),
      id,
    );
    assert.equal(inspect(picture).groups.length, 0);
  }
});
