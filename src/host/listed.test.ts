import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { sharedData } from '../../test/data.ts';
import { readHexDump, readLspciText } from '../pci/index.ts';
import { listFunctions } from './functions.ts';
import { recordOfListing } from './listed.ts';
import { readPicture } from './picture.ts';
import { replaying } from './replay.ts';

const hostOf = (text: string) =>
  replaying(
    recordOfListing(readLspciText(text), readHexDump(text), '2026-01-01T00:00:00Z'),
    'lspci:x',
    undefined,
    'the listing does not say',
  );

const LISTING = `00:00.0 Host bridge [0600]: Intel Corporation Device [8086:09a2]
\tCapabilities: [e0] Vendor Specific Information: Len=14 <?>
00:01.0 PCI bridge [0604]: Intel Corporation Device [8086:347a] (prog-if 00 [Normal decode])
\tBus: primary=00, secondary=01, subordinate=01, sec-latency=0
\tCapabilities: [40] Express (v2) Root Port (Slot+), MSI 00
\tKernel driver in use: pcieport
01:00.0 Ethernet controller [0200]: Intel Corporation Device [8086:1592]
\tIOMMU group: 14
\tCapabilities: [160 v1] Single Root I/O Virtualization (SR-IOV)
\t\tIOVCap:\tMigration- 10BitTagReq- Interrupt Message Number: 000
\t\tInitial VFs: 64, Total VFs: 64, Number of VFs: 0, Function Dependency Link: 00
\t\tVF offset: 8, stride: 1, Device ID: 1889
\tKernel driver in use: ice
`;

test('a posted listing is a host: functions, bridges above them, drivers, groups and VFs as its words say', async () => {
  const picture = await readPicture(hostOf(LISTING));
  const nic = picture.functions.find(({ bdf }) => bdf === '0000:01:00.0')!;
  assert.equal(nic.path, '/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0');
  assert.deepEqual([nic.vendor, nic.device, nic.class, nic.driver, nic.group], [0x8086, 0x1592, 0x020000, 'ice', 14]);
  assert.deepEqual([nic.sriov?.totalVFs, nic.sriov?.numVFs, nic.sriov?.firstVFOffset, nic.sriov?.vfStride], [64, 0, 8, 1]);
  assert.deepEqual(
    picture.groups.map(({ number, devices }) => [number, devices]),
    [[14, ['0000:01:00.0']]],
  );
  const host = picture.functions.find(({ bdf }) => bdf === '0000:00:00.0')!;
  assert.deepEqual([host.driver, host.unrecorded], [undefined, ['iommu_group']]);
  const unread = picture.unread.map(({ what, because }) => `${what}: ${because}`).join('\n');
  for (const what of ['/sys/class/iommu', 'network interfaces', 'KVM', 'the kernel log'])
    assert.match(unread, new RegExp(`${what}: .*the listing does not say`));
});

test('a dump gives configuration space, ids and classes; who drives a function it does not say', async () => {
  const rows = ['00: 86 80 92 15 06 04 10 00 02 00 00 02 10 00 00 00', '10: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00'];
  const [only] = (await readPicture(hostOf(`3b:00.0 Ethernet controller\n${rows.join('\n')}\n`))).functions;
  assert.deepEqual([only!.bdf, only!.vendor, only!.device, only!.class], ['0000:3b:00.0', 0x8086, 0x1592, 0x020000]);
  assert.equal(only!.config?.length, 32);
  assert.deepEqual(only!.unrecorded, ['driver', 'iommu_group']);
});

test('bridges that stand below each other make no circle', async () => {
  const bridge = (bdf: string, secondary: string) =>
    `${bdf} PCI bridge [0604]: A [8086:347a]\n\tBus: primary=00, secondary=${secondary}, subordinate=${secondary}, sec-latency=0\n`;
  const names = await listFunctions(hostOf(bridge('01:00.0', '02') + bridge('02:00.0', '01')));
  assert.deepEqual(names, ['0000:01:00.0', '0000:02:00.0']);
});

const groups = sharedData('groups');
test('every posted listing is read, with all of its functions', {
  skip: groups === undefined ? 'the listings are not here' : false,
}, async () => {
  let count = 0;
  for (const name of readdirSync(groups!).filter((one) => one.endsWith('.lspci.txt'))) {
    const text = readFileSync(join(groups!, name), 'utf8');
    const picture = await readPicture(hostOf(text));
    const listed = readLspciText(text).functions;
    assert.deepEqual(
      picture.functions.map(({ bdf, driver }) => [bdf, driver]),
      [...new Map(listed.map(({ bdf, driver }) => [bdf, driver]))].sort(([a], [b]) => (a < b ? -1 : 1)),
      name,
    );
    count += listed.length;
  }
  assert.ok(count > 100, `${count}`);
});
