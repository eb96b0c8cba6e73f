import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FOLDER, type Place, Tree, treeHost } from '../../test/tree-host.ts';
import { findFunction, kindOfDevice } from './devices.ts';
import { listFunctions, readFunction } from './functions.ts';
import { type Host, HostError } from './host.ts';
import { readGroups, readUnits } from './iommu.ts';
import { parseCount, parseHex, parseRegister } from './parse.ts';
import { functionOf, readPicture } from './picture.ts';
import { USAGE } from './usage.ts';

type Places = Record<string, Place>;

/** One PF with two VFs and a group, in as few files as the kernel would have. */
const PF = '/sys/devices/pci0000:00/0000:00:02.0/0000:01:00.0';
const CONFIG = new Uint8Array(64);
CONFIG.set([0x86, 0x80, 0xc9, 0x10]);
const MACHINE: Places = {
  '/sys/bus/pci/devices/0000:01:00.0': { link: '../../../devices/pci0000:00/0000:00:02.0/0000:01:00.0' },
  [`${PF}/vendor`]: '0x8086\n',
  [`${PF}/device`]: '0x10c9\n',
  [`${PF}/class`]: '0x020000\n',
  [`${PF}/config`]: CONFIG,
  [`${PF}/driver`]: { link: '../../../../bus/pci/drivers/igb' },
  [`${PF}/driver_override`]: '(null)\n',
  [`${PF}/numa_node`]: '-1\n',
  [`${PF}/iommu_group`]: { link: '../../../../kernel/iommu_groups/7' },
  [`${PF}/net/eth0`]: FOLDER,
  [`${PF}/sriov_totalvfs`]: '7\n',
  [`${PF}/sriov_numvfs`]: '2\n',
  [`${PF}/sriov_offset`]: '128\n',
  [`${PF}/sriov_stride`]: '2\n',
  [`${PF}/sriov_drivers_autoprobe`]: '1\n',
  [`${PF}/virtfn0`]: { link: '../0000:01:10.0' },
  [`${PF}/virtfn1`]: { link: '../0000:01:10.2' },
  '/sys/kernel/iommu_groups/7/type': 'DMA\n',
  '/sys/kernel/iommu_groups/7/devices/0000:01:00.0': { link: PF },
  '/proc/self/status': 'Uid:\t0\t0\t0\t0\n',
};
const hostOf = (more: Places = {}): Host => treeHost(new Tree({ ...MACHINE, ...more }));
const unreadOf = async (more: Places): Promise<string[]> => (await readPicture(hostOf(more))).unread.map(({ what }) => what);
const fails = (errno: string | undefined, message: RegExp) => (error: unknown) =>
  error instanceof HostError && error.errno === errno && message.test(error.message);

test('who is not root is told what root would read: tables, and capabilities behind the 64th byte', async () => {
  const config = CONFIG.slice();
  config[6] = 0x10;
  const told = {
    [`${PF}/config`]: config,
    '/sys/firmware/acpi/tables/DMAR': { errno: 'EACCES' },
    '/proc/self/status': 'Uid:\t1000\t1000\t1000\t1000\n',
  };
  const { unread } = await readPicture(hostOf(told));
  const words = unread.map(({ what, because }) => `${what}: ${because}`);
  assert.ok(words.includes('/sys/firmware/acpi/tables/DMAR: cannot read (EACCES): root may'), words.join('\n'));
  assert.ok(words.some((one) => /^capabilities of 1 function: .*64th byte.* as root .*ACS/.test(one)));
  const whole = new Uint8Array(256);
  whole.set(config);
  assert.ok(!(await unreadOf({ ...told, [`${PF}/config`]: whole })).some((what) => what.startsWith('capabilities')));
  const root = await readPicture(hostOf({ '/sys/firmware/acpi/tables/DMAR': { errno: 'EPERM' } }));
  assert.deepEqual(root.unread, [{ what: '/sys/firmware/acpi/tables/DMAR', because: 'cannot read (EPERM)' }]);
});

test('a machine that keeps nothing back leaves nothing unread', async () => {
  const { unread, functions, groups } = await readPicture(hostOf());
  assert.deepEqual(unread, []);
  assert.deepEqual(functions[0]?.virtfns, ['0000:01:10.0', '0000:01:10.2']);
  assert.deepEqual(groups, [{ number: 7, type: 'DMA', devices: ['0000:01:00.0'], reserved: [] }]);
});

test('a count of VFs that does not answer is told, and the VFs are still found', async () => {
  const { functions, unread } = await readPicture(
    hostOf({ [`${PF}/sriov_numvfs`]: { errno: 'ETIMEDOUT' }, [`${PF}/driver_override`]: { errno: 'ETIMEDOUT' } }),
  );
  assert.equal(functions[0]?.sriov?.numVFs, undefined);
  assert.equal(functions[0]?.sriov?.totalVFs, 7);
  assert.deepEqual(functions[0]?.virtfns, ['0000:01:10.0', '0000:01:10.2']);
  assert.deepEqual(functions[0]?.unanswered, ['driver_override', 'sriov_numvfs']);
  assert.deepEqual(
    unread.map(({ what }) => what),
    ['0000:01:00.0 driver_override', '0000:01:00.0 sriov_numvfs'],
  );
  for (const { because } of unread) assert.match(because, /did not answer in time/);
});

test('VFs are in the order of their numbers, not of their names', async () => {
  const links: Places = { [`${PF}/sriov_numvfs`]: '11\n' };
  for (let n = 0; n < 11; n++) links[`${PF}/virtfn${n}`] = { link: `../0000:01:${(16 + (n >> 2)).toString(16)}.${(n & 3) * 2}` };
  const found = await readFunction(hostOf(links), '0000:01:00.0');
  assert.deepEqual(found?.virtfns.slice(1, 4).concat(found.virtfns.slice(9)), [
    '0000:01:10.2',
    '0000:01:10.4',
    '0000:01:10.6',
    '0000:01:12.2',
    '0000:01:12.4',
  ]);
});

test('a NUMA node of -1 is unknown, and node 0 is a node', async () => {
  assert.equal((await readFunction(hostOf(), '0000:01:00.0'))?.numaNode, undefined);
  assert.equal((await readFunction(hostOf({ [`${PF}/numa_node`]: '0\n' }), '0000:01:00.0'))?.numaNode, 0);
});

test('a function whose configuration space reads as ones is not taken for a bridge', async () => {
  const gone = await readFunction(hostOf({ [`${PF}/config`]: new Uint8Array(64).fill(0xff) }), '0000:01:00.0');
  assert.equal(gone?.headerType, undefined);
  const bridge = CONFIG.slice();
  bridge[14] = 0x81;
  assert.equal((await readFunction(hostOf({ [`${PF}/config`]: bridge }), '0000:01:00.0'))?.headerType, 1);
});

test('an override is what was written, and nothing when there is none', async () => {
  for (const [text, expected] of [
    ['(null)\n', undefined],
    ['\n', undefined],
    ['vfio-pci\n', 'vfio-pci'],
  ] as const)
    assert.equal((await readFunction(hostOf({ [`${PF}/driver_override`]: text }), '0000:01:00.0'))?.driverOverride, expected);
});

test('one function that makes no sense is told and hides no other', async () => {
  const other = '/sys/devices/pci0000:00/0000:00:1f.0';
  const { functions, unread } = await readPicture(
    hostOf({
      '/sys/bus/pci/devices/0000:00:1f.0': { link: other },
      [`${other}/vendor`]: '0x8086\n',
      [`${other}/device`]: 'nonsense\n',
      [`${other}/class`]: '0x060100\n',
    }),
  );
  assert.deepEqual(
    functions.map(({ bdf }) => bdf),
    ['0000:01:00.0'],
  );
  assert.deepEqual(
    unread.map(({ what }) => what),
    ['0000:00:1f.0'],
  );
  assert.match(unread[0]!.because, /0000:00:1f\.0\/device: expected a hexadecimal number, found "nonsense"/);
});

test('each part that may not be read is named', async () => {
  assert.deepEqual(await unreadOf({ '/sys/firmware/acpi/tables/DMAR': { errno: 'EACCES' } }), ['/sys/firmware/acpi/tables/DMAR']);
  assert.deepEqual(await unreadOf({ '/proc/self/mountinfo': { errno: 'EACCES' } }), [USAGE]);
  assert.deepEqual(await unreadOf({ '/sys/kernel/iommu_groups/7/type': { errno: 'EIO' } }), ['/sys/kernel/iommu_groups']);
  assert.deepEqual(await unreadOf({ '/sys/class/iommu/dmar0/intel-iommu/cap': 'zz\n' }), ['/sys/class/iommu']);
  assert.deepEqual(await unreadOf({ '/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts': { errno: 'EACCES' } }), [
    '/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts',
  ]);
  assert.deepEqual(await unreadOf({ '/proc/self/status': 'Uid:\t1000\t1000\t1000\t1000\n' }), ['open files of other users']);
  assert.deepEqual(await unreadOf({ '/proc/modules': 'zfs 1 0 - Live 0x0\n' }), ['members of ZFS pools']);
});

test('disks that could be asked leave no doubt about ZFS, and others name their function', async () => {
  const ahci = '/sys/devices/pci0000:00/0000:00:1f.2';
  const places = (node: Place): Places => ({
    '/proc/modules': 'zfs 1 0 - Live 0x0\n',
    '/sys/bus/pci/devices/0000:00:1f.2': { link: '../../../devices/pci0000:00/0000:00:1f.2' },
    [`${ahci}/vendor`]: '0x8086\n',
    [`${ahci}/device`]: '0x2922\n',
    [`${ahci}/class`]: '0x010601\n',
    [`${ahci}/block/sda/size`]: '1\n',
    '/sys/class/block/sda': { link: '../../devices/pci0000:00/0000:00:1f.2/block/sda' },
    '/dev/sda': node,
  });
  assert.deepEqual(await unreadOf(places({ block: 'free' })), []);
  const { unread } = await readPicture(hostOf(places({ errno: 'EACCES' })));
  assert.deepEqual(
    unread.map(({ what, about }) => [what, about]),
    [['members of ZFS pools', ['0000:00:1f.2']]],
  );
  assert.deepEqual((await readPicture(hostOf(places({ block: 'claimed' })))).usage, [
    { bdf: '0000:00:1f.2', kind: 'holder', what: 'an exclusive user of /dev/sda', where: '/dev/sda', device: '/dev/sda' },
  ]);
});

test('an Ethernet function whose interface is not here is told', async () => {
  const vf = '/sys/devices/pci0000:00/0000:01:10.0';
  const lent = (driver: string): Places => ({
    '/sys/bus/pci/devices/0000:01:10.0': { link: '../../../devices/pci0000:00/0000:01:10.0' },
    [`${vf}/vendor`]: '0x8086\n',
    [`${vf}/device`]: '0x10ca\n',
    [`${vf}/class`]: '0x020000\n',
    [`${vf}/driver`]: { link: `../../../bus/pci/drivers/${driver}` },
  });
  const { unread } = await readPicture(hostOf(lent('igbvf')));
  assert.deepEqual(
    unread.map(({ what, about }) => [what, about]),
    [['the interface of 0000:01:10.0', ['0000:01:10.0']]],
  );
  const { usage } = await readPicture(hostOf(lent('igb')));
  assert.deepEqual(
    usage.map(({ kind, bdf, what }) => [kind, bdf, what]),
    [['namespace', '0000:01:10.0', 'igb']],
  );
});

test('a host without a PCI bus is an error that says so', async () => {
  await assert.rejects(readPicture(treeHost(new Tree())), fails(undefined, /\/sys\/bus\/pci\/devices: is not there/));
  await assert.rejects(listFunctions(treeHost(new Tree())), HostError);
});

test('a function that is not there is undefined', async () => {
  assert.equal(await readFunction(hostOf(), '0000:09:00.0'), undefined);
});

test('a host without an IOMMU has no units and no groups', async () => {
  const bare = treeHost(new Tree());
  assert.deepEqual([await readUnits(bare), await readGroups(bare)], [[], []]);
});

test('a device is found by its address, long or short, by its interface and by its controller', async () => {
  const picture = await readPicture(hostOf({ [`${PF}/nvme/nvme0`]: FOLDER, [`${PF}/nvme/hwmon1`]: FOLDER }));
  for (const name of ['0000:01:00.0', '01:00.0', 'eth0', 'nvme0'])
    assert.equal(findFunction(picture, name)?.bdf, '0000:01:00.0', name);
  for (const name of ['0001:01:00.0', '01:00.1', 'eth1', 'hwmon1', ''])
    assert.equal(findFunction(picture, name), undefined, name);
  assert.equal(functionOf(picture, '0000:01:00.0')?.bdf, '0000:01:00.0');
  assert.equal(functionOf(picture, '01:00.0'), undefined);
});

test('what can be set up on a device follows from its class', async () => {
  for (const [code, kind] of [
    ['0x020000', 'net'],
    ['0x028000', 'net'],
    ['0x010802', 'nvme'],
    ['0x010601', 'other'],
    ['0x030000', 'other'],
  ] as const)
    assert.equal(kindOfDevice((await readFunction(hostOf({ [`${PF}/class`]: `${code}\n` }), '0000:01:00.0'))!), kind, code);
});

test('numbers of sysfs are read strictly, and the error names the file', () => {
  assert.deepEqual([parseCount('12\n', 'p'), parseCount('0', 'p'), parseCount(undefined, 'p')], [12, 0, undefined]);
  assert.deepEqual([parseHex('0x8086\n', 'p'), parseHex('ff', 'p'), parseHex(undefined, 'p')], [0x8086, 0xff, undefined]);
  assert.deepEqual(
    [parseRegister('d2008c222f0686\n', 'p'), parseRegister('F', 'p'), parseRegister(undefined, 'p')],
    ['00d2008c222f0686', '000000000000000f', undefined],
  );
  for (const text of ['', ' ', '-1', '1.5', '0x10', '1e3', '12 13', '9'.repeat(16)])
    assert.throws(() => parseCount(text, '/sys/x'), fails(undefined, /^\/sys\/x: expected a count/), text);
  for (const text of ['', '0x', 'g', '0x1 2', '1'.repeat(14)])
    assert.throws(() => parseHex(text, '/sys/x'), fails(undefined, /^\/sys\/x: expected a hex/), text);
  for (const text of ['', '0x1', '-', '1'.repeat(17)])
    assert.throws(() => parseRegister(text, '/sys/x'), fails(undefined, /^\/sys\/x: expected a register/), text);
  assert.throws(
    () => parseCount('x'.repeat(5000), '/sys/x'),
    (error) => error instanceof HostError && error.message.length < 200,
  );
});
