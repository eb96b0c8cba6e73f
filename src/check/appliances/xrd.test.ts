import assert from 'node:assert/strict';
import { test } from 'node:test';
import { XRD } from '../../../test/conformance/xrd.ts';
import { sharedData } from '../../../test/data.ts';
import { type Place, Tree, treeHost } from '../../../test/tree-host.ts';
import { readPicture } from '../../host/picture.ts';
import type { Facts } from './facts.ts';
import { readFacts } from './read-facts.ts';
import { judgeRequirements, type RequirementFinding } from './requirement.ts';
import { XRD_GROUPS } from './xrd.ts';
import { parseCpuList } from './xrd-around.ts';
import { parseHugepages } from './xrd-vrouter.ts';

const folder = sharedData('xrd');
test('we say what the vendor’s checker says', {
  skip: folder ? false : 'the collection is not here',
}, async () => {
  const outcome = (await XRD.run(folder!))!;
  assert.deepEqual(outcome.disagreements, []);
  assert.ok(outcome.agreed > 50, `${outcome.agreed}`);
});

const RELEASE = '6.12.9-amd64';
const CORE = '/proc/sys/net/core';
/** A host on which everything is as XRd wants it. */
const GOOD: Readonly<Record<string, Place>> = {
  '/proc/sys/kernel/osrelease': `${RELEASE}\n`,
  '/proc/sys/kernel/arch': 'x86_64\n',
  '/proc/cpuinfo': 'processor\t: 0\nflags\t\t: fpu lm ssse3 sse4_1 sse4_2 pdpe1gb\n\nprocessor\t: 1\nflags\t\t: fpu lm\n',
  '/proc/meminfo':
    'MemTotal:       16777216 kB\nMemAvailable:    8388608 kB\nHugePages_Total:       4\nHugePages_Free:        4\nHugePages_Rsvd:        0\nHugepagesize:    1048576 kB\nHugetlb:         4194304 kB\n',
  '/proc/modules': 'vfio_pci 20480 0 - Live 0x0\n',
  '/proc/cmdline': 'quiet\n',
  [`/lib/modules/${RELEASE}/modules.dep`]:
    'kernel/drivers/net/dummy.ko.xz:\nkernel/net/netfilter/nf_tables.ko.xz: kernel/lib/libcrc32c.ko.xz\nkernel/drivers/vfio/pci/vfio-pci.ko.xz:\n',
  [`/lib/modules/${RELEASE}/modules.builtin`]: 'kernel/fs/ext4/ext4.ko\n',
  '/proc/self/mountinfo':
    '24 1 254:0 / / rw - ext4 /dev/vda1 rw\n30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n',
  '/sys/fs/cgroup/cgroup.controllers': 'cpuset cpu io memory pids\n',
  '/proc/sys/fs/inotify/max_user_instances': '64000\n',
  '/proc/sys/fs/inotify/max_user_watches': '64000\n',
  ...Object.fromEntries(
    ['optmem_max', 'rmem_default', 'rmem_max', 'wmem_default', 'wmem_max'].map((name) => [`${CORE}/${name}`, '67108864\n']),
  ),
  [`${CORE}/netdev_max_backlog`]: '300000\n',
  '/proc/sys/net/ipv4/udp_mem': '1124736\t10000000\t67108864\n',
  '/proc/sys/kernel/core_pattern': 'core\n',
  '/proc/sys/kernel/randomize_va_space': '2\n',
  '/proc/sys/kernel/shmmax': '18446744073692774399\n',
  '/sys/module/vfio_pci/parameters/nointxmask': 'N\n',
  '/sys/module/vfio_pci/parameters/disable_idle_d3': 'N\n',
  '/sys/module/vfio_pci/parameters/enable_sriov': 'N\n',
  '/sys/bus/pci/devices/0000:01:00.0': { link: '../../../devices/pci0000:00/0000:01:00.0' },
  '/sys/devices/pci0000:00/0000:01:00.0/vendor': '0x8086\n',
  '/sys/devices/pci0000:00/0000:01:00.0/device': '0x10c9\n',
  '/sys/devices/pci0000:00/0000:01:00.0/class': '0x020000\n',
  '/sys/class/iommu/dmar0/devices/0000:01:00.0': { link: '../../../../devices/pci0000:00/0000:01:00.0' },
};

async function factsOf(places: Readonly<Record<string, Place | undefined>>): Promise<Facts> {
  const there = Object.entries({ ...GOOD, ...places }).filter((entry): entry is [string, Place] => entry[1] !== undefined);
  const host = treeHost(new Tree(Object.fromEntries(there)));
  return readFacts(host, await readPicture(host));
}
async function findings(places: Readonly<Record<string, Place | undefined>> = {}): Promise<Map<string, RequirementFinding>> {
  const facts = await factsOf(places);
  const all = [...XRD_GROUPS.base!, ...XRD_GROUPS['xrd-vrouter']!];
  return new Map(judgeRequirements(all, facts).map((finding) => [finding.name, finding]));
}

test('on a host where all is well, everything passes, and each answer says where it was read', async () => {
  for (const { name, is, because, seen } of (await findings()).values()) {
    assert.ok(is === 'pass' || is === 'note', `${name}: ${is}, ${because}`);
    assert.ok(seen.length > 0, name);
  }
});

test('each shortcoming of a host is seen in its files', async () => {
  const cases: [places: Readonly<Record<string, Place | undefined>>, name: string, is: RequirementFinding['is'], says: RegExp][] =
    [
      [{ '/proc/sys/kernel/arch': 'aarch64\n' }, 'CPU architecture', 'fail', /aarch64/],
      [{ '/proc/cpuinfo': 'processor\t: 0\nflags\t\t: fpu lm\n' }, 'CPU cores', 'fail', /1 of at least 2/],
      [{ '/proc/cpuinfo': 'processor\t: 0\nflags\t\t: fpu lm ssse3\n' }, 'CPU extensions', 'fail', /sse4_1, sse4_2 missing/],
      [{ [`/lib/modules/${RELEASE}/modules.dep`]: undefined }, 'Base kernel modules', 'unknown', /not there/],
      [
        { [`/lib/modules/${RELEASE}/modules.dep`]: 'kernel/drivers/net/dummy.ko:\n' },
        'Base kernel modules',
        'fail',
        /^nf_tables/,
      ],
      [{ '/proc/modules': '' }, 'Interface kernel driver', 'fail', /vfio-pci installed but not loaded/],
      [{ '/proc/modules': '' }, 'IOMMU', 'skipped', /Interface kernel driver/],
      [{ '/sys/class/iommu/dmar0/devices/0000:01:00.0': undefined }, 'IOMMU', 'warn', /no function is behind/],
      [{ '/sys/module/vfio/parameters/enable_unsafe_noiommu_mode': 'Y\n' }, 'IOMMU', 'warn', /no-IOMMU mode/],
      [{ '/sys/class/iommu/dmar0/devices/0000:01:00.0': undefined }, 'PCI devices', 'warn', /no network function is behind/],
      [{ '/sys/devices/pci0000:00/0000:01:00.0/class': '0x010802\n' }, 'PCI devices', 'warn', /no network function$/],
      [{ '/sys/module/vfio_pci/parameters/disable_idle_d3': 'Y\n' }, 'Kernel module parameters', 'warn', /disable_idle_d3 is Y/],
      [{ '/sys/kernel/security/apparmor/profiles': { errno: 'EACCES' } }, 'Linux Security Modules', 'unknown', /EACCES/],
      [{ '/sys/fs/cgroup/cgroup.controllers': '' }, 'Cgroups', 'unknown', /should have control groups/],
      [
        { '/sys/fs/cgroup/cpu.rt_runtime_us': '950000\n', '/proc/sys/kernel/sched_rt_runtime_us': '950000\n' },
        'Real-time Group Scheduling',
        'fail',
        /950000/,
      ],
      [{ '/proc/meminfo': 'MemTotal: 1 kB\n' }, 'RAM', 'unknown', /should have MemAvailable/],
      [{ '/proc/meminfo': 'MemTotal: 1 kB\n' }, 'Hugepages', 'unknown', /should have HugePages_Total/],
    ];
  for (const [places, name, is, says] of cases) {
    const finding = (await findings(places)).get(name)!;
    assert.equal(finding.is, is, `${name}: ${finding.because}`);
    assert.match(finding.because, says, name);
  }
});

test('version 1 hierarchies are found through links, as cpu is one to cpu,cpuacct', async () => {
  const mount = (name: string) => `31 30 0:27 / /sys/fs/cgroup/${name} rw - cgroup cgroup rw,${name}\n`;
  const places = {
    '/sys/fs/cgroup/cgroup.controllers': undefined,
    '/proc/self/mountinfo': ['systemd', 'memory', 'pids', 'cpu,cpuacct', 'cpuset'].map(mount).join(''),
    '/sys/fs/cgroup/cpu': { link: 'cpu,cpuacct' },
  };
  assert.equal((await findings(places)).get('Cgroups')?.because, 'version 1 with all hierarchies');
  const without = (await findings({ ...places, '/sys/fs/cgroup/cpu': undefined })).get('Cgroups')!;
  assert.equal(without.because, 'version 1 without cpu');
  assert.match(without.fix!.join(), /mount -t cgroup -o cpu /);
});

test('Docker is told by its package, its process and its file system', async () => {
  const around = async (places: Readonly<Record<string, Place | undefined>>) => {
    const facts = await factsOf(places);
    return judgeRequirements(XRD_GROUPS.docker!, facts).map(({ is, because }) => `${is}: ${because}`);
  };
  assert.match((await around({}))[0]!, /^fail: none of \/usr\/bin\/docker/);
  const dpkg = (status: string) =>
    `Package: docker.io\nStatus: ${status}\nVersion: 26.1.5+dfsg1-9+b11\n\nPackage: docker-ce-cli\nStatus: install ok installed\nVersion: 5:27.3.1-1~debian.13~trixie\n\n`;
  const places = {
    '/usr/bin/docker': '',
    '/var/lib/dpkg/status': dpkg('install ok installed'),
    '/run/docker.pid': '812',
    '/proc/812/comm': 'dockerd\n',
  };
  assert.deepEqual(await around(places), ['pass: 27.3', 'pass: 26.1', 'pass: it does']);
  assert.match((await around({ ...places, '/proc/812/comm': undefined }))[1]!, /^fail: .*does not run/);
  assert.match((await around({ '/usr/bin/docker': '' }))[0]!, /^unknown: .*run it with --version/);
  const xfs = '24 1 254:0 / / rw - ext4 /dev/vda1 rw\n25 24 254:1 / /var/lib rw - xfs /dev/vdb rw\n';
  assert.match((await around({ ...places, '/proc/self/mountinfo': xfs }))[2]!, /^unknown/);
});

test('hugepages are of the default size, whatever its unit', () => {
  assert.deepEqual(parseHugepages('HugePages_Total: 8\nHugePages_Free: 2\nHugepagesize: 2048 kB\n'), {
    total: 8,
    free: 2,
    size: 2 ** 21,
  });
  assert.deepEqual(parseHugepages('HugePages_Total: 0\n'), { total: 0, free: 0, size: 0 });
  assert.equal(parseHugepages('HugePages_Total: 8\nHugepagesize: 2048 kB\n'), undefined);
  assert.equal(parseHugepages('HugePages_Total: 8\nHugePages_Free: 1\nHugepagesize: 2048\n'), undefined);
});

test('a list of processors is read, and one that is too long or none is refused', () => {
  assert.deepEqual([...parseCpuList('2-3,6')!], [2, 3, 6]);
  for (const text of ['', 'a', '1-', '0-99999', 'managed_irq,2']) assert.equal(parseCpuList(text), undefined, text);
});
