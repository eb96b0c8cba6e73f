import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BDF, fn, pictureOf } from '../../test/pictures.ts';
import type { PciFunction } from '../host/functions.ts';
import type { Picture } from '../host/picture.ts';
import { USAGE, type Usage } from '../host/usage.ts';
import { ASSIGNABLE, judgeAssignment } from './assignable.ts';
import { ask } from './check.ts';
import { inspect } from './inspect.ts';
import { iommuState } from './iommu-state.ts';
import { endpoint } from './rules/endpoint.ts';
import { blockingMembers, groupViable } from './rules/group-viable.ts';
import { inGroup } from './rules/in-group.ts';
import { interruptsRemapped } from './rules/interrupts-remapped.ts';
import { iommuOn } from './rules/iommu-on.ts';
import { notInUse } from './rules/not-in-use.ts';
import { sriovCapable } from './rules/sriov-capable.ts';

const off: Partial<Picture> = { units: [], groups: [] };
const table = (signature: 'DMAR' | 'IVRS' | 'VIOT'): Picture['firmwareTables'][number] => ({
  signature,
  bytes: new Uint8Array(),
});
const because = (picture: Picture) => ask(iommuOn, picture, '').because;

test('nothing stands in the way of a function without faults', () => {
  const verdicts = judgeAssignment(pictureOf(), BDF);
  assert.equal(verdicts.length, ASSIGNABLE.length);
  for (const { id, is } of verdicts) assert.ok(is === 'pass' || is === 'not-applicable', `${id} ${is}`);
  assert.equal(inspect(pictureOf()).functions[0]!.verdict.is, 'possible');
  assert.equal(inspect(pictureOf({ functions: [fn(BDF, { driver: 'vfio-pci' })] })).functions[0]!.verdict.is, 'ready');
});

test('an IOMMU that is off is told with the option, the table or their absence', () => {
  assert.match(because(pictureOf({ ...off, firmwareTables: [table('DMAR')] }, 'intel_iommu=off')), /DMAR table.*intel_iommu=off/);
  assert.match(because(pictureOf({ ...off, firmwareTables: [table('IVRS')] }, 'amd_iommu=off')), /IVRS table.*amd_iommu=off/);
  assert.match(because(pictureOf({ ...off, firmwareTables: [table('DMAR')] }, 'quiet')), /DMAR table.*DMA remapping is off/);
  assert.match(because(pictureOf({ ...off, firmwareTables: [table('VIOT')] })), /VIOT table, but no driver/);
  assert.match(because(pictureOf(off)), /^there is no DMAR or IVRS table/);
});

test('a table that may not be read is not called absent', () => {
  const unread = [{ what: '/sys/firmware/acpi/tables/DMAR', because: 'cannot read (EACCES)' }];
  const verdict = ask(iommuOn, pictureOf({ ...off, unread }), '');
  assert.equal(verdict.is, 'fail');
  assert.match(verdict.because, /could not be read/);
  assert.doesNotMatch(verdict.because, /there is no DMAR/);
  assert.ok(verdict.seen.some(({ where, text }) => where === unread[0]!.what && text.includes('EACCES')));
});

test('groups that may not be read leave the answer open', () => {
  const unread = [{ what: '/sys/kernel/iommu_groups', because: 'cannot list (EACCES)' }];
  assert.equal(ask(iommuOn, pictureOf({ ...off, unread }), '').is, 'unknown');
});

test('a boot line that says that the IOMMU is enabled is no proof', () => {
  // The option is there and a unit as well; no function is in a group.
  assert.equal(ask(iommuOn, pictureOf({ groups: [] }, 'intel_iommu=on'), '').is, 'fail');
});

test('a bridge is known by its header or by its class, and a function that is gone is no bridge', () => {
  const is = (more: Partial<PciFunction>) => {
    const { headerType, ...rest } = fn(BDF, more);
    const found: PciFunction = headerType === undefined ? rest : { ...rest, headerType };
    return ask(endpoint, pictureOf({ functions: [found] }), BDF).is;
  };
  assert.equal(is({ headerType: 1 }), 'fail');
  assert.equal(is({ class: 0x060400 }), 'fail');
  assert.equal(is({ class: 0x060000 }), 'fail');
  assert.equal(is({}), 'pass');
  assert.equal(ask(endpoint, pictureOf(), '0000:09:00.0').is, 'unknown');
});

test('a bridge in a group, a member without driver, and members of VFIO block nobody', () => {
  const members = [
    { bdf: 'a', driver: 'pcieport' },
    { bdf: 'b', driver: undefined },
    { bdf: 'c', driver: 'vfio-pci' },
    { bdf: 'd', driver: 'mlx5_vfio_pci' },
    { bdf: 'e', driver: 'xe-vfio-pci' },
    { bdf: 'f', driver: 'pci-stub' },
    { bdf: 'g', driver: 'e1000e' },
    { bdf: 'h', driver: 'novfio-pci' },
  ];
  assert.deepEqual(
    blockingMembers(members, []).map(({ bdf }) => bdf),
    ['g', 'h'],
  );
  assert.deepEqual(
    blockingMembers(members, ['g']).map(({ bdf }) => bdf),
    ['h'],
  );
});

test('a blocking member is named with its driver', () => {
  const functions = [
    fn(BDF),
    fn('0000:01:00.1', { driver: 'snd_hda_intel' }),
    fn('0000:00:01.0', { driver: 'pcieport', headerType: 1 }),
  ];
  const verdict = ask(groupViable, pictureOf({ functions }), BDF);
  assert.equal(verdict.is, 'fail');
  assert.match(verdict.because, /0000:01:00\.1 \(driver snd_hda_intel\) shares it and is used by the host/);
  assert.deepEqual(
    verdict.seen.map(({ text }) => text),
    ['none', 'snd_hda_intel', 'pcieport'],
  );
});

test('a member that could not be read is not taken for free', () => {
  const groups = [{ number: 1, devices: [BDF, '0000:01:00.1'], reserved: [] }];
  const verdict = ask(groupViable, pictureOf({ groups }), BDF);
  assert.equal(verdict.is, 'unknown');
  assert.match(verdict.because, /0000:01:00\.1/);
  const more = pictureOf({
    groups: [{ ...groups[0]!, devices: [...groups[0]!.devices, '0000:01:00.2'] }],
    functions: [fn(BDF), fn('0000:01:00.2', { driver: 'ahci' })],
  });
  assert.equal(ask(groupViable, more, BDF).is, 'fail');
  assert.equal(ask(groupViable, pictureOf({ groups: [] }), BDF).is, 'unknown');
});

test('a function without a group is told why, and that behind a virtio-iommu a driver brings one', () => {
  const { group: _, unit: __, ...rest } = fn(BDF);
  const groups = [{ number: 0, devices: ['0000:00:02.0'], reserved: [] }];
  const verdict = (more: Partial<Picture>) => ask(inGroup, pictureOf({ functions: [rest], groups, ...more }), BDF).is;
  assert.equal(verdict({}), 'fail');
  assert.equal(verdict({ units: [{ name: '0000:00:01.0', devices: [] }] }), 'unknown');
  assert.equal(verdict({ units: [{ name: '0000:00:01.0', devices: [] }], functions: [{ ...rest, driver: 'nvme' }] }), 'fail');
});

test('interrupts are remapped when the unit can and no option is against it', () => {
  const is = (more: Partial<Picture>, cmdline?: string) => ask(interruptsRemapped, pictureOf(more, cmdline), BDF).is;
  const withEcap = (ecap: string): Partial<Picture> => ({
    units: [{ name: 'dmar0', devices: [BDF], cap: '00d2008c222f0686', ecap }],
  });
  assert.equal(is({}), 'pass');
  assert.equal(is(withEcap('0000000000000f42')), 'fail');
  assert.equal(
    is({ ...withEcap('0000000000000f42'), parameters: { vfio_iommu_type1: { allow_unsafe_interrupts: 'Y' } } }),
    'pass',
  );
  assert.equal(is({ parameters: { vfio_iommu_type1: { allow_unsafe_interrupts: 'N' } } }, 'intremap=off'), 'fail');
  assert.equal(is({}, 'intremap=nosid,off'), 'fail');
  assert.equal(is({}, 'intremap=no_x2apic_optout'), 'pass');
  // A unit of another kind shows no registers; the option speaks for every kind.
  assert.equal(is({ units: [{ name: 'dmar0', devices: [BDF] }] }), 'unknown');
  assert.equal(is({ units: [{ name: 'dmar0', devices: [BDF] }] }, 'intremap=off'), 'fail');
  assert.equal(is({ units: [] }), 'unknown');
});

test('what the host needs is told, and by whom', () => {
  const usage: Usage[] = [
    { bdf: BDF, kind: 'mount', what: '/', where: '/proc/self/mountinfo' },
    { bdf: '0000:09:00.0', kind: 'swap', what: '/dev/sda2', where: '/proc/swaps' },
    { group: 1, kind: 'vfio', what: 'qemu (pid 7)', where: '/proc/7/fd', pid: 7 },
    { group: 2, kind: 'vfio', what: 'qemu (pid 8)', where: '/proc/8/fd', pid: 8 },
  ];
  const verdict = ask(notInUse, pictureOf({ usage }), BDF);
  assert.equal(verdict.is, 'fail');
  assert.match(verdict.because, /root file system.*its group is open in qemu \(pid 7\)/);
  assert.doesNotMatch(verdict.because, /sda2|pid 8/);
});

test('who holds a disk, a port and an interface elsewhere are uses, each remedy once', () => {
  const device = '/dev/sda';
  const usage: Usage[] = [
    { bdf: BDF, kind: 'holder', what: 'vg-data (/dev/dm-0), which is on /dev/sda1', where: 'holders', device },
    { bdf: BDF, kind: 'holder', what: 'an exclusive user of /dev/sda', where: device, device },
    { bdf: BDF, kind: 'holder', what: 'qemu (pid 7), which has /dev/sda open', where: '/proc/7/fd', pid: 7, device },
    { bdf: BDF, kind: 'switch-port', what: 'eth0', where: '/sys/class/net/eth0/master' },
    { bdf: BDF, kind: 'namespace', what: 'igbvf', where: 'net' },
  ];
  const verdict = ask(notInUse, pictureOf({ usage }), BDF);
  assert.equal(verdict.is, 'fail');
  for (const part of [
    /held by vg-data/,
    /exclusive user of \/dev\/sda;/,
    /qemu \(pid 7\)/,
    /port of Open vSwitch/,
    /igbvf has it/,
  ])
    assert.match(verdict.because, part);
  assert.equal(verdict.fix?.length, 3);
});

test('what may hide a use of one function leaves that function open, and no other', () => {
  const unread = [{ what: 'members of ZFS pools', because: 'sysfs does not show them', about: [BDF] }];
  const verdict = ask(notInUse, pictureOf({ unread }), BDF);
  assert.equal(verdict.is, 'unknown');
  assert.match(verdict.because, /may be in use unseen: members of ZFS pools/);
  assert.equal(ask(notInUse, pictureOf({ unread }), '0000:09:00.0').is, 'pass');
});

test('when the uses could not be read, nothing is called free', () => {
  const unread = [{ what: USAGE, because: '/proc/self/mountinfo: cannot read (EACCES)' }];
  assert.equal(ask(notInUse, pictureOf({ unread }), BDF).is, 'unknown');
  assert.equal(inspect(pictureOf({ unread })).functions[0]!.verdict.is, 'unknown');
});

test('a function that can make no VFs is told why', () => {
  const sriov = { totalVFs: 7, numVFs: 0, firstVFOffset: 128, vfStride: 2, driversAutoprobe: true };
  const verdict = (more: Partial<PciFunction>) => ask(sriovCapable, pictureOf({ functions: [fn(BDF, more)] }), BDF);
  assert.equal(verdict({ sriov, driver: 'igb' }).is, 'pass');
  assert.match(verdict({}).because, /no SR-IOV capability/);
  assert.match(verdict({ sriov: { ...sriov, totalVFs: 0 }, driver: 'igb' }).because, /TotalVFs is 0/);
  assert.match(verdict({ sriov }).because, /has no driver/);
  assert.match(verdict({ sriov, driver: 'vfio-pci' }).because, /bound to vfio-pci/);
  assert.match(verdict({ physfn: '0000:00:09.0', driver: 'igbvf' }).because, /virtual function, of 0000:00:09\.0/);
  for (const numVFs of [0, 3, undefined]) {
    const { vfs, sriov: shown } = inspect(pictureOf({ functions: [fn(BDF, { sriov: { ...sriov, numVFs }, driver: 'igb' })] }))
      .functions[0]!;
    assert.equal(vfs?.possible, numVFs || 7);
    assert.equal(shown?.numVFs, numVFs);
  }
});

test('a table that only root may open is there all the same, and tables of other kinds say nothing about units', () => {
  const unread = (names: string[], errno = 'EACCES') =>
    names.map((name) => ({ what: `/sys/firmware/acpi/tables/${name}`, because: `cannot read (${errno})` }));
  assert.equal(iommuState(pictureOf({ ...off, unread: unread(['DMAR', 'MCFG']) })).is, 'kernel-off');
  assert.equal(iommuState(pictureOf({ ...off, unread: unread(['MCFG', 'APIC']) })).is, 'no-table');
  assert.equal(iommuState(pictureOf({ ...off, unread: unread(['DMAR'], 'EIO') })).is, 'hidden');
  assert.equal(iommuState(pictureOf({ ...off, unread: unread(['VIOT']) })).is, 'no-driver');
});
