import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FOLDER, type Place, Tree, treeHost } from '../../test/tree-host.ts';
import { type Host, HostError } from './host.ts';
import { readUsage, type Usage } from './usage.ts';

type Places = Record<string, Place>;

const AHCI = 'devices/pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block';
const SLOT = 'devices/pci0000:00/0000:00:02.0/0000:01:00.0';
const HEAD = 'devices/virtual/nvme-subsystem/nvme-subsys0';

/** A block device; `node` is what is at its node, if there is one. */
function block(name: string, at: string, node: Place = { block: 'free' }, holders: readonly string[] = []): Places {
  const places: Places = {
    [`/sys/class/block/${name}`]: { link: `../../${at}` },
    [`/sys/${at}/holders`]: FOLDER,
    [`/dev/${name.replaceAll('!', '/')}`]: node,
  };
  for (const holder of holders) places[`/sys/${at}/holders/${holder}`] = { link: `/sys/class/block/${holder}` };
  return places;
}
const free = { block: 'free' } as const;
const claimed = { block: 'claimed' } as const;
const sda = (node: Place = free) => block('sda', `${AHCI}/sda`, node);
const sda1 = (node: Place = free, holders: readonly string[] = []) => block('sda1', `${AHCI}/sda/sda1`, node, holders);
const sda2 = (node: Place = free) => block('sda2', `${AHCI}/sda/sda2`, node);

const hostOf = (...parts: Places[]): Host => treeHost(new Tree(Object.assign({}, ...parts) as Places));
const told = (usage: readonly Usage[]): string[] =>
  usage.map(({ kind, bdf, what, device }) => `${kind} ${bdf} ${what} [${device}]`).sort();
const usageOf = async (...parts: Places[]): Promise<string[]> => told((await readUsage(hostOf(...parts))).usage);
const unaskedOf = async (...parts: Places[]) => (await readUsage(hostOf(...parts))).unasked;

test('an active volume on a partition is a user of the disk, mounted or not', async () => {
  const lv: Places = {
    '/sys/class/block/dm-0': { link: '../../devices/virtual/block/dm-0' },
    '/sys/devices/virtual/block/dm-0/dm/name': 'vg-data\n',
    '/sys/devices/virtual/block/dm-0/slaves/sda1': { link: '/sys/class/block/sda1' },
    '/sys/dev/block/253:0': { link: '../../devices/virtual/block/dm-0' },
  };
  const held = 'holder 0000:00:1f.2 vg-data (/dev/dm-0), which is on /dev/sda1 [/dev/sda]';
  assert.deepEqual(await usageOf(sda(claimed), sda1(claimed, ['dm-0']), lv), [held]);
  const mounted = { '/proc/self/mountinfo': '36 25 253:0 / / rw shared:1 - ext4 /dev/mapper/vg-data rw\n' };
  assert.deepEqual(await usageOf(sda(claimed), sda1(claimed, ['dm-0']), lv, mounted), [held, 'mount 0000:00:1f.2 / [/dev/sda]']);
});

test('an array on whole disks is a user of each of them', async () => {
  const sdb = block('sdb', `${SLOT}/host1/target1:0:0/1:0:0:0/block/sdb`, claimed, ['md0']);
  assert.deepEqual(await usageOf(block('sda', `${AHCI}/sda`, claimed, ['md0']), sdb), [
    'holder 0000:00:1f.2 /dev/md0, which is on /dev/sda [/dev/sda]',
    'holder 0000:01:00.0 /dev/md0, which is on /dev/sdb [/dev/sdb]',
  ]);
});

test('disks that nobody has are free, and every one was asked', async () => {
  assert.deepEqual(await readUsage(hostOf(sda(), sda1())), { usage: [], unasked: [] });
});

test('an exclusive user that sysfs does not show is told, with the partition where only some are taken', async () => {
  const of = (name: string) => [`holder 0000:00:1f.2 an exclusive user of /dev/${name} [/dev/sda]`];
  assert.deepEqual(await usageOf(sda(claimed), sda1(claimed), sda2()), of('sda1'));
  assert.deepEqual(await usageOf(sda(claimed), sda1(claimed), sda2(claimed)), of('sda'));
  assert.deepEqual(await usageOf(sda(claimed)), of('sda'));
});

test('a disk with a known user is not asked, nor are disks of no function', async () => {
  const asked: string[] = [];
  const host = hostOf(sda(claimed), sda1(claimed), block('loop0', 'devices/virtual/block/loop0'), {
    '/sys/dev/block/8:1': { link: `../../${AHCI}/sda/sda1` },
    '/proc/self/mountinfo': '36 25 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n',
  });
  const watched: Host = {
    ...host,
    files: {
      ...host.files,
      claimed: async (path) => {
        asked.push(path);
        return await host.files.claimed(path);
      },
    },
  };
  assert.deepEqual(told((await readUsage(watched)).usage), ['mount 0000:00:1f.2 / [/dev/sda]']);
  assert.deepEqual(asked, []);
});

test('a disk that gives no answer is named by its function, and hides no other', async () => {
  assert.deepEqual(await unaskedOf(sda({ errno: 'EACCES' })), ['0000:00:1f.2']);
  const host = hostOf(sda());
  const broken: Host = {
    ...host,
    files: {
      ...host.files,
      claimed: async (path) => {
        throw new HostError(path, 'cannot ask', 'EIO');
      },
    },
  };
  assert.deepEqual(await readUsage(broken), { usage: [], unasked: ['0000:00:1f.2'] });
  assert.equal(await unaskedOf(), undefined);
});

test('an NVMe namespace with several paths is asked by its head, for all its controllers', async () => {
  const places: Places = {
    ...block('nvme0n1', `${HEAD}/nvme0n1`, claimed),
    // Paths are in the class and have no node.
    '/sys/class/block/nvme0c0n1': { link: `../../${SLOT}/nvme/nvme0/nvme0c0n1` },
    '/sys/class/nvme-subsystem/nvme-subsys0': { link: `../../${HEAD}` },
  };
  for (const [name, at] of [
    ['nvme0', SLOT],
    ['nvme1', 'devices/pci0000:00/0000:00:03.0/0000:02:00.0'],
  ] as const) {
    places[`/sys/${HEAD}/${name}`] = { link: `/sys/${at}/nvme/${name}` };
    places[`/sys/${at}/nvme/${name}/device`] = { link: `/sys/${at}` };
    places[`/sys/class/nvme/${name}`] = { link: `../../${at}/nvme/${name}` };
  }
  assert.deepEqual(await usageOf(places), [
    'holder 0000:01:00.0 an exclusive user of /dev/nvme0n1 [/dev/nvme0n1]',
    'holder 0000:02:00.0 an exclusive user of /dev/nvme0n1 [/dev/nvme0n1]',
  ]);
  assert.deepEqual(await unaskedOf(places), []);
});

test('of several namespaces of one controller those in use are named', async () => {
  const places: Places = {
    ...block('nvme0n1', `${SLOT}/nvme/nvme0/nvme0n1`),
    ...block('nvme0n1p2', `${SLOT}/nvme/nvme0/nvme0n1/nvme0n1p2`),
    ...block('nvme0n2', `${SLOT}/nvme/nvme0/nvme0n2`),
    ...block('nvme0n3', `${SLOT}/nvme/nvme0/nvme0n3`, claimed),
    '/sys/dev/block/259:2': { link: `../../${SLOT}/nvme/nvme0/nvme0n1/nvme0n1p2` },
    '/proc/self/mountinfo': '36 25 259:2 / /srv rw shared:1 - ext4 /dev/nvme0n1p2 rw\n',
  };
  assert.deepEqual(await usageOf(places), [
    'holder 0000:01:00.0 an exclusive user of /dev/nvme0n3 [/dev/nvme0n3]',
    'mount 0000:01:00.0 /srv [/dev/nvme0n1]',
  ]);
});

const QEMU: Places = {
  '/proc/77/comm': 'qemu-system-x86\n',
  '/proc/77/fd/12': { link: '/dev/sda1' },
  '/proc/77/fd/13': { link: '/dev/sda1' },
  '/proc/77/fd/14': { link: '/dev/sdz' },
};

test('a process that has a disk or a partition open uses it, once', async () => {
  const open = 'holder 0000:00:1f.2 qemu-system-x86 (pid 77), which has /dev/sda1 open [/dev/sda]';
  assert.deepEqual(await usageOf(sda(), sda1(), QEMU), [open]);
  const { usage } = await readUsage(hostOf(sda(), sda1(), QEMU));
  assert.deepEqual([usage[0]?.pid, usage[0]?.where], [77, '/proc/77/fd']);
  // A node whose name has a slash is `!` in sysfs.
  const array = block('cciss!c0d0', `${SLOT}/cciss0/c0d0/block/cciss!c0d0`);
  assert.deepEqual(await usageOf(array, { '/proc/78/comm': 'dd\n', '/proc/78/fd/0': { link: '/dev/cciss/c0d0' } }), [
    'holder 0000:01:00.0 dd (pid 78), which has /dev/cciss/c0d0 open [/dev/cciss/c0d0]',
  ]);
});

test('what we have open ourselves is no use of it', async () => {
  assert.deepEqual(await usageOf(sda(), sda1(), QEMU, { '/proc/self': { link: '77' } }), []);
});

test('disks and VFIO groups are looked for in one walk, and nothing is walked when there is nothing to find', async () => {
  const walks = async (...parts: Places[]): Promise<number> => {
    const host = hostOf(QEMU, ...parts);
    let count = 0;
    const list = async (path: string) => {
      if (path === '/proc/77/fd') count++;
      return await host.files.list(path);
    };
    await readUsage({ ...host, files: { ...host.files, list } });
    return count;
  };
  const vfio: Places = { '/dev/vfio/12': '' };
  assert.deepEqual([await walks(sda(), sda1(), vfio), await walks(sda()), await walks(vfio), await walks()], [1, 1, 1, 0]);
});
