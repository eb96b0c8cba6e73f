import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { anyText } from '../../test/any-text.ts';
import { FOLDER, type Place, Tree, treeHost } from '../../test/tree-host.ts';
import { type Host, HostError } from './host.ts';
import { functionsUnderInterface, readUsage, readVfioUsers, type Usage, vfioGroupsOf } from './usage.ts';

type Places = Record<string, Place>;

const hostOf = (...parts: Places[]): Host => treeHost(new Tree(Object.assign({}, ...parts) as Places));
/** `kind bdf what`, sorted. */
const told = (usage: readonly Usage[]): string[] =>
  usage.map(({ kind, bdf, group, what }) => `${kind} ${bdf ?? `group ${group}`} ${what}`).sort();
const usageOf = async (...parts: Places[]): Promise<string[]> => told((await readUsage(hostOf(...parts))).usage);

const AHCI = 'devices/pci0000:00/0000:00:1f.2';
const SLOT = 'devices/pci0000:00/0000:00:02.0/0000:01:00.0';

/** A block device: its folder, and the two ways to it. `at` is below /sys; `slaves` are names. */
function block(name: string, number: string, at: string, slaves: readonly string[] = []): Places {
  const places: Places = {
    [`/sys/${at}/dev`]: `${number}\n`,
    [`/sys/class/block/${name}`]: { link: `../../${at}` },
    [`/sys/dev/block/${number}`]: { link: `../../${at}` },
    [`/dev/${name}`]: '',
    // A partition has no such folder.
    ...(/^(sd.|nvme\d+n\d+p)\d+$|md\d+p/.test(name) ? {} : { [`/sys/${at}/slaves`]: FOLDER }),
  };
  for (const slave of slaves) places[`/sys/${at}/slaves/${slave}`] = { link: `/sys/class/block/${slave}` };
  return places;
}

const mounts = (...lines: string[]): Places => ({ '/proc/self/mountinfo': `${lines.join('\n')}\n` });
const line = (number: string, at: string, type: string, source: string) =>
  `36 25 ${number} / ${at} rw,relatime shared:1 - ${type} ${source} rw`;

const sda = block('sda', '8:0', `${AHCI}/ata1/host0/target0:0:0/0:0:0:0/block/sda`);
const sda1 = block('sda1', '8:1', `${AHCI}/ata1/host0/target0:0:0/0:0:0:0/block/sda/sda1`);
const sdb1 = block('sdb1', '8:17', `${SLOT}/host1/block/sdb/sdb1`);

test('a file system on a partition needs the controller of its disk', async () => {
  assert.deepEqual(await usageOf(mounts(line('8:1', '/', 'ext4', '/dev/sda1')), sda, sda1), ['mount 0000:00:1f.2 /']);
});

test('a disk behind a bridge and an adapter belongs to the function nearest to it', async () => {
  const usb = block('sdc', '8:32', `${SLOT}/usb2/2-1/2-1:1.0/host3/target3:0:0/3:0:0:0/block/sdc`);
  assert.deepEqual(await usageOf(mounts(line('8:32', '/mnt', 'vfat', '/dev/sdc')), usb), ['mount 0000:01:00.0 /mnt']);
});

test('a function in a domain of more than four digits is found', async () => {
  const vmd = block(
    'nvme0n1',
    '259:0',
    'devices/pci0000:00/0000:00:0e.0/pci10000:e0/10000:e0:06.0/10000:e1:00.0/nvme/nvme0/nvme0n1',
  );
  assert.deepEqual(await usageOf(mounts(line('259:0', '/', 'xfs', '/dev/nvme0n1')), vmd), ['mount 10000:e1:00.0 /']);
});

test('an md array, its partition and a volume on it need every disk below', async () => {
  const md = block('md0', '9:0', 'devices/virtual/block/md0', ['sda1', 'sdb1']);
  const part = block('md0p1', '259:5', 'devices/virtual/block/md0/md0p1');
  const crypt = block('dm-0', '253:0', 'devices/virtual/block/dm-0', ['md0p1']);
  const lv = block('dm-1', '253:1', 'devices/virtual/block/dm-1', ['dm-0']);
  const both = (what: string) => [`mount 0000:00:1f.2 ${what}`, `mount 0000:01:00.0 ${what}`];
  const disks = { ...sda, ...sda1, ...sdb1, ...md, ...part, ...crypt, ...lv };
  assert.deepEqual(await usageOf(mounts(line('9:0', '/a', 'ext4', '/dev/md0')), disks), both('/a'));
  assert.deepEqual(await usageOf(mounts(line('259:5', '/b', 'ext4', '/dev/md0p1')), disks), both('/b'));
  assert.deepEqual(await usageOf(mounts(line('253:1', '/c', 'ext4', '/dev/mapper/vg-root')), disks), both('/c'));
});

test('a btrfs shows an anonymous number and one of its devices, and needs all of them', async () => {
  const uuid = '/sys/fs/btrfs/0d1c/devices';
  const fs: Places = {
    [`${uuid}/sda1`]: { link: '/sys/class/block/sda1' },
    [`${uuid}/sdb1`]: { link: '/sys/class/block/sdb1' },
    '/sys/fs/btrfs/features/zoned': '0\n',
  };
  const mounted = mounts(line('0:38', '/', 'btrfs', '/dev/sdb1'));
  assert.deepEqual(await usageOf(mounted, sda, sda1, sdb1, fs), ['mount 0000:00:1f.2 /', 'mount 0000:01:00.0 /']);
  assert.deepEqual(await usageOf(mounted, sda, sda1, sdb1), ['mount 0000:01:00.0 /']);
});

test('a source that is a link of device mapper leads to the device', async () => {
  const lv = block('dm-1', '253:1', 'devices/virtual/block/dm-1', ['sda1']);
  const link: Places = { '/dev/mapper/vg-root': { link: '../dm-1' } };
  assert.deepEqual(await usageOf(mounts(line('0:38', '/', 'btrfs', '/dev/mapper/vg-root')), sda, sda1, lv, link), [
    'mount 0000:00:1f.2 /',
  ]);
});

test('an NVMe namespace with multipath needs the controllers of all its paths', async () => {
  const places: Places = {
    ...block('nvme0n1', '259:0', 'devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1'),
    ...block('nvme0n1p2', '259:2', 'devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1/nvme0n1p2'),
    '/sys/class/nvme-subsystem/nvme-subsys0': { link: '../../devices/virtual/nvme-subsystem/nvme-subsys0' },
  };
  for (const [name, at] of [
    ['nvme0', SLOT],
    ['nvme1', 'devices/pci0000:00/0000:00:03.0/0000:02:00.0'],
  ] as const) {
    places[`/sys/devices/virtual/nvme-subsystem/nvme-subsys0/${name}`] = { link: `/sys/${at}/nvme/${name}` };
    places[`/sys/${at}/nvme/${name}/device`] = { link: `/sys/${at}` };
    places[`/sys/class/nvme/${name}`] = { link: `../../${at}/nvme/${name}` };
  }
  assert.deepEqual(await usageOf(mounts(line('259:2', '/', 'ext4', '/dev/nvme0n1p2')), places), [
    'mount 0000:01:00.0 /',
    'mount 0000:02:00.0 /',
  ]);
});

test('what lies in memory or on the network needs no function', async () => {
  const loop = block('loop0', '7:0', 'devices/virtual/block/loop0');
  const places = mounts(
    line('0:5', '/dev', 'devtmpfs', 'udev'),
    line('0:44', '/srv', 'nfs4', 'server:/export'),
    line('7:0', '/snap', 'squashfs', '/dev/loop0'),
    line('0:40', '/tank', 'zfs', 'tank/data'),
    line('0:41', '/gone', 'btrfs', '/dev/gone'),
  );
  assert.deepEqual(await usageOf(places, loop), []);
});

test('a mount point with blanks is told as people write it', async () => {
  assert.deepEqual(await usageOf(mounts(line('8:1', '/my\\040disk\\134x', 'ext4', '/dev/sda1')), sda, sda1), [
    'mount 0000:00:1f.2 /my disk\\x',
  ]);
});

test('swap on a partition and on a volume is followed; compressed memory and files are not of their own', async () => {
  const lv = block('dm-2', '253:2', 'devices/virtual/block/dm-2', ['sdb1']);
  const zram = block('zram0', '252:0', 'devices/virtual/block/zram0');
  const swaps: Places = {
    '/proc/swaps': [
      'Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority',
      '/dev/sda1                               partition\t999420\t\t0\t\t-2',
      '/dev/dm-2                               partition\t999420\t\t0\t\t-3',
      '/dev/zram0                              partition\t999420\t\t0\t\t100',
      '/swapfile                               file\t\t999420\t\t0\t\t-4',
      '',
    ].join('\n'),
  };
  assert.deepEqual(await usageOf(swaps, sda, sda1, sdb1, lv, zram), [
    'swap 0000:00:1f.2 /dev/sda1',
    'swap 0000:01:00.0 /dev/dm-2',
  ]);
});

/** A network interface: hardware when `at` is given, otherwise a virtual one on top of others. */
function net(name: string, at: string | undefined, below: readonly string[] = [], ports: readonly string[] = []): Places {
  const folder = `${at ?? 'devices/virtual'}/net/${name}`;
  const places: Places = { [`/sys/class/net/${name}`]: { link: `../../${folder}` }, [`/sys/${folder}/address`]: '' };
  for (const lower of below) places[`/sys/${folder}/lower_${lower}`] = { link: `/sys/class/net/${lower}` };
  for (const port of ports) places[`/sys/${folder}/brif/${port}`] = { link: `/sys/class/net/${port}` };
  return places;
}
const V4 = 'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n';
const v4 = (name: string, destination = '00000000', flags = '0003', mask = '00000000') =>
  `${name}\t${destination}\t0102A8C0\t${flags}\t0\t0\t100\t${mask}\t0\t0\t0\n`;
const v6 = (name: string, destination = '0'.repeat(32), prefix = '00', flags = '00450003') =>
  `${destination} ${prefix} ${'0'.repeat(32)} 00 fe80000000000000000000000000fe01 00000400 00000001 00000000 ${flags} ${name.padStart(8)}\n`;
const eth0 = net('eth0', SLOT);
const eth1 = net('eth1', 'devices/pci0000:00/0000:00:19.0');

test('the default route needs the function of its interface', async () => {
  assert.deepEqual(await usageOf({ '/proc/net/route': V4 + v4('eth0') }, eth0), ['default-route 0000:01:00.0 eth0']);
  assert.deepEqual(await usageOf({ '/proc/net/ipv6_route': v6('eth1') }, eth1), ['default-route 0000:00:19.0 eth1']);
});

test('a default route over a VLAN on a bond in a bridge needs every port of it', async () => {
  const stack = {
    ...eth0,
    ...eth1,
    ...net('bond0', undefined, ['eth0', 'eth1']),
    ...net('bond0.7', undefined, ['bond0']),
    ...net('br0', undefined, ['bond0.7'], ['bond0.7', 'tap0']),
    ...net('tap0', undefined),
  };
  const expected = ['default-route 0000:00:19.0 br0', 'default-route 0000:01:00.0 br0'];
  assert.deepEqual(await usageOf({ '/proc/net/route': V4 + v4('br0') }, stack), expected);
  assert.deepEqual(await usageOf({ '/proc/net/ipv6_route': v6('br0') }, stack), expected);
});

test('other routes, rejecting ones, and those that are down are not the default route', async () => {
  const routes: Places = {
    '/proc/net/route':
      V4 +
      v4('eth0', '0002A8C0', '0001', '00FFFFFF') +
      v4('eth0', '00000000', '0002') +
      v4('eth0', '00000000', '0003', '000000FF'),
    '/proc/net/ipv6_route':
      v6('eth0', `fe80${'0'.repeat(28)}`, '40') +
      v6('lo', '0'.repeat(32), '00', '00200200') +
      v6('eth0', '0'.repeat(32), '00', '00200200'),
  };
  assert.deepEqual(await usageOf(routes, eth0, net('lo', undefined)), []);
});

test('links that lead in a circle end', async () => {
  const ring = {
    ...net('a', undefined, ['b']),
    ...net('b', undefined, ['c'], ['a']),
    ...net('c', undefined, ['a', 'eth0']),
    ...eth0,
    ...block('dm-0', '253:0', 'devices/virtual/block/dm-0', ['dm-1']),
    ...block('dm-1', '253:1', 'devices/virtual/block/dm-1', ['dm-0', 'sda1']),
    ...sda,
    ...sda1,
    '/proc/net/route': V4 + v4('a'),
    ...mounts(line('253:0', '/', 'ext4', '/dev/dm-0')),
  };
  assert.deepEqual(await usageOf(ring), ['default-route 0000:01:00.0 a', 'mount 0000:00:1f.2 /']);
  assert.deepEqual(await functionsUnderInterface(hostOf(ring), 'b'), ['0000:01:00.0']);
});

test('a link that leads to itself is an error of the host, not a search without end', async () => {
  const loop: Places = { '/sys/class/net/a': { link: 'b' }, '/sys/class/net/b': { link: 'a' }, '/proc/net/route': V4 + v4('a') };
  await assert.rejects(readUsage(hostOf(loop)), (error) => error instanceof HostError && error.errno === 'ELOOP');
});

test('a tall stack of bridges is walked once a floor', async () => {
  const places: Places = { ...eth0, '/proc/net/route': V4 + v4('l0') };
  for (let n = 0; n < 60; n++) {
    const below = n === 59 ? ['eth0'] : [`l${n + 1}`, `r${n + 1}`];
    Object.assign(places, net(`l${n}`, undefined, below), net(`r${n}`, undefined, below));
  }
  const tree = new Tree(places);
  assert.deepEqual(told((await readUsage(treeHost(tree))).usage), ['default-route 0000:01:00.0 l0']);
  assert.ok(tree.looks < 2000, `${tree.looks} looks`);
});

const QEMU: Places = {
  '/dev/vfio/vfio': '',
  '/dev/vfio/12': '',
  '/proc/77/comm': 'qemu-system-x86\n',
  '/proc/77/fd/3': { link: 'socket:[1234]' },
  '/proc/77/fd/20': { link: '/dev/vfio/12' },
  '/proc/77/fd/21': { link: '/dev/vfio/vfio' },
  '/proc/78/comm': 'bash\n',
  '/proc/78/fd/0': { link: '/dev/null' },
  '/proc/cpuinfo': '',
};

test('a process that has a VFIO group open uses it', async () => {
  assert.deepEqual(await readVfioUsers(hostOf(QEMU)), [
    { group: 12, kind: 'vfio', what: 'qemu-system-x86 (pid 77)', where: '/proc/77/fd', pid: 77 },
  ]);
  assert.deepEqual(await vfioGroupsOf(hostOf(QEMU), 77), [12]);
  assert.deepEqual(await vfioGroupsOf(hostOf(QEMU), 4242), []);
});

test('a process that has the node of a VFIO device open uses the group of that device', async () => {
  const places: Places = {
    '/dev/vfio/devices/vfio3': '',
    '/sys/class/vfio-dev/vfio3': { link: `../../${SLOT}/vfio-dev/vfio3` },
    '/sys/bus/pci/devices/0000:01:00.0': { link: `../../../${SLOT}` },
    [`/sys/${SLOT}/iommu_group`]: { link: '../../../../kernel/iommu_groups/9' },
    '/proc/80/comm': 'qemu\n',
    '/proc/80/fd/30': { link: '/dev/vfio/devices/vfio3' },
    '/proc/80/fd/31': { link: '/dev/vfio/devices/vfio99' },
  };
  assert.deepEqual(told(await readVfioUsers(hostOf(places))), ['vfio group 9 qemu (pid 80)']);
});

test('a process of somebody else, or one that ends while we look, hides nothing else', async () => {
  const places: Places = {
    ...QEMU,
    '/proc/60/fd': { errno: 'EACCES' },
    '/proc/61/fd/1': { link: '/dev/vfio/12' },
    '/proc/61/comm': { errno: 'ESRCH' },
  };
  assert.deepEqual(told(await readVfioUsers(hostOf(places))), [
    'vfio group 12 ? (pid 61)',
    'vfio group 12 qemu-system-x86 (pid 77)',
  ]);
});

test('a host without VFIO is not searched for its users', async () => {
  const tree = new Tree({ '/proc/77/fd/20': { link: '/dev/vfio/12' } });
  assert.deepEqual(await readVfioUsers(treeHost(tree)), []);
  assert.equal(tree.looks, 1);
});

test('an interface that is a port of Open vSwitch is in use without a default route over it', async () => {
  const places: Places = {
    ...eth0,
    ...eth1,
    ...net('bond0', undefined, ['eth1']),
    ...net('ovs-system', undefined),
    ...net('br0', undefined, [], ['eth1']),
    [`/sys/${SLOT}/net/eth0/master`]: { link: '../../../../../virtual/net/ovs-system' },
    '/sys/devices/pci0000:00/0000:00:19.0/net/eth1/master': { link: '../../../../virtual/net/br0' },
  };
  assert.deepEqual(await usageOf(places), ['switch-port 0000:01:00.0 eth0']);
  const bonded = { '/sys/devices/virtual/net/bond0/master': { link: '../ovs-system' } };
  assert.deepEqual(await usageOf(places, bonded), ['switch-port 0000:00:19.0 bond0', 'switch-port 0000:01:00.0 eth0']);
});

// Words that are nearly right are the ones that break readers.
const piece = fc.oneof(
  anyText(12),
  fc.constantFrom(
    '-',
    '36',
    '8:1',
    '0:5',
    '8:1/../..',
    ':',
    '/',
    '/dev/sda1',
    '/dev/../sda1',
    '/dev/',
    'btrfs',
    'ext4',
    '\\040',
    '\\777',
    '..',
  ),
);
const hostile = fc
  .array(
    fc.array(piece, { maxLength: 14 }).map((words) => words.join(' ')),
    { maxLength: 8 },
  )
  .map((all) => all.join('\n'));

test('no text in procfs makes it fail, or name a function that is not there', () =>
  fc.assert(
    fc.asyncProperty(hostile, hostile, hostile, hostile, async (mountinfo, swaps, route, route6) => {
      const places: Places = {
        ...sda,
        ...sda1,
        ...eth0,
        '/proc/self/mountinfo': mountinfo,
        '/proc/swaps': swaps,
        '/proc/net/route': route,
        '/proc/net/ipv6_route': route6,
      };
      for (const { bdf } of (await readUsage(hostOf(places))).usage)
        assert.ok(bdf === '0000:00:1f.2' || bdf === '0000:01:00.0', bdf);
    }),
    { numRuns: 300 },
  ));

test('what cannot be read is an error, so that nothing counts as free', async () => {
  for (const path of ['/proc/self/mountinfo', '/proc/swaps', '/proc/net/route', '/proc/net/ipv6_route'])
    await assert.rejects(
      usageOf({ [path]: { errno: 'EACCES' } }),
      (error) => error instanceof HostError && error.errno === 'EACCES',
    );
});
