import { type Host, HostError } from './host.ts';
import { groupOf } from './iommu.ts';
import { baseName } from './parse.ts';

/** What `unread` of a picture calls this part. */
export const USAGE = 'what uses the devices';

/** Something on the host that would break if a function were taken away. */
export interface Usage {
  /** The function. For `vfio` it is absent: the group counts. */
  bdf?: string;
  /** VFIO group that a process holds open. */
  group?: number;
  kind: 'mount' | 'swap' | 'default-route' | 'vfio';
  /** Mount point, swap device, interface, or program with its process id. */
  what: string;
  /** Where that was read. */
  where: string;
  pid?: number;
}

/**
 * What mounted file systems, swap areas, default routes and open VFIO devices need. Each is followed through md, dm, btrfs,
 * NVMe multipath, bonds and bridges. Source: proc(5), Linux Documentation/ABI/testing/sysfs-block, sysfs-class-net.
 * @throws HostError when a part cannot be read: then nothing is known to be free
 */
export async function readUsage(host: Host): Promise<Usage[]> {
  const all = await Promise.all([readMounts(host), readSwap(host), readDefaultRoutes(host), readVfioUsers(host)]);
  return all.flat();
}

async function readMounts(host: Host): Promise<Usage[]> {
  const where = '/proc/self/mountinfo';
  const found: Usage[] = [];
  for (const line of lines(await host.files.readText(where))) {
    const [left = '', right = ''] = line.split(' - ');
    const [, , number = '', , mountPoint = ''] = left.split(' ');
    if (!/^\d+:\d+$/.test(number)) continue;
    const [type = '', source = ''] = right.split(' ');
    const what = unescapeMount(mountPoint);
    const blocks = number.startsWith('0:')
      ? await blocksOfAnonymous(host, type, unescapeMount(source))
      : [`/sys/dev/block/${number}`];
    for (const bdf of await functionsUnder(host, blocks)) found.push({ bdf, kind: 'mount', what, where });
  }
  return found;
}

async function readSwap(host: Host): Promise<Usage[]> {
  const where = '/proc/swaps';
  const found: Usage[] = [];
  for (const line of lines(await host.files.readText(where)).slice(1)) {
    const device = line.split(/\s+/)[0] ?? '';
    if (!device.startsWith('/dev/')) continue;
    const block = await blockByName(host, device);
    if (block === undefined) continue;
    for (const bdf of await functionsUnder(host, [block])) found.push({ bdf, kind: 'swap', what: device, where });
  }
  return found;
}

/**
 * btrfs and others mount with an anonymous device number; their source names a block device. A btrfs may lie on several, of
 * which mountinfo names one: /sys/fs/btrfs has them all.
 */
async function blocksOfAnonymous(host: Host, type: string, source: string): Promise<string[]> {
  const named = source.startsWith('/dev/') ? await blockByName(host, source) : undefined;
  if (named === undefined) return [];
  const all = type === 'btrfs' ? ((await host.files.list('/sys/fs/btrfs')) ?? []) : [];
  for (const uuid of all) {
    const members = (await host.files.list(`/sys/fs/btrfs/${uuid}/devices`)) ?? [];
    if (members.includes(baseName(named))) return members.map((member) => `/sys/class/block/${member}`);
  }
  return [named];
}

/** Functions that these block devices need, each once. */
async function functionsUnder(host: Host, blocks: readonly string[]): Promise<Set<string>> {
  const found = await Promise.all(blocks.map((block) => functionsUnderBlock(host, block)));
  return new Set(found.flat());
}

/** `/dev/mapper/x` is a link to `../dm-0`; the class folder knows the kernel's own name. */
async function blockByName(host: Host, device: string): Promise<string | undefined> {
  const name = baseName((await host.files.link(device)) ?? device);
  const at = `/sys/class/block/${name}`;
  return (await host.files.link(at)) === undefined ? undefined : at;
}

/** Functions that a block device needs: its own, its slaves' (md, dm), or those of all controllers of an NVMe subsystem. */
async function functionsUnderBlock(host: Host, at: string, seen: Set<string> = new Set()): Promise<string[]> {
  const target = await host.files.link(at);
  if (target === undefined || seen.has(target)) return [];
  seen.add(target);
  const own = lastBdf(target);
  if (own !== undefined) return [own];
  const subsystem = /nvme-subsystem\/([^/]+)/.exec(target)?.[1];
  if (subsystem !== undefined) {
    const controllers = (await host.files.list(`/sys/class/nvme-subsystem/${subsystem}`)) ?? [];
    const found = controllers
      .filter((name) => /^nvme\d+$/.test(name))
      .map(async (name) => host.files.link(`/sys/class/nvme/${name}/device`));
    return (await Promise.all(found)).flatMap((to) => lastBdf(to ?? '') ?? []);
  }
  // A partition has no slaves of its own; its disk is the folder above.
  const name = baseName(target);
  const disk = baseName(target.slice(0, target.lastIndexOf('/')));
  for (const candidate of [name, disk]) {
    const slaves = await host.files.list(`/sys/class/block/${candidate}/slaves`);
    if (slaves === undefined || slaves.length === 0) continue;
    const below = await Promise.all(slaves.map((slave) => functionsUnderBlock(host, `/sys/class/block/${slave}`, seen)));
    return below.flat();
  }
  return [];
}

async function readDefaultRoutes(host: Host): Promise<Usage[]> {
  const found: Usage[] = [];
  const v4 = '/proc/net/route';
  const v6 = '/proc/net/ipv6_route';
  const RTF_UP = 1;
  const RTF_REJECT = 0x200;
  for (const line of lines(await host.files.readText(v4)).slice(1)) {
    const [name = '', destination, , flags = '0', , , , mask] = line.split(/\s+/);
    if (destination !== '00000000' || mask !== '00000000' || !(Number.parseInt(flags, 16) & RTF_UP)) continue;
    for (const bdf of new Set(await functionsUnderInterface(host, name)))
      found.push({ bdf, kind: 'default-route', what: name, where: v4 });
  }
  for (const line of lines(await host.files.readText(v6))) {
    const words = line.trim().split(/\s+/);
    const [destination = '', prefix] = words;
    const flags = Number.parseInt(words[8] ?? '0', 16);
    const name = words[9] ?? '';
    if (!/^0{32}$/.test(destination) || prefix !== '00' || name === 'lo' || flags & RTF_REJECT) continue;
    for (const bdf of new Set(await functionsUnderInterface(host, name)))
      found.push({ bdf, kind: 'default-route', what: name, where: v6 });
  }
  return found;
}

/** Functions that a network interface needs: its own, or those of what a bond, bridge or VLAN stands on. */
export async function functionsUnderInterface(host: Host, name: string, seen: Set<string> = new Set()): Promise<string[]> {
  if (seen.has(name)) return [];
  seen.add(name);
  const at = `/sys/class/net/${name}`;
  const own = lastBdf((await host.files.link(at)) ?? '');
  if (own !== undefined) return [own];
  const lower = ((await host.files.list(at)) ?? [])
    .filter((entry) => entry.startsWith('lower_'))
    .map((entry) => entry.slice('lower_'.length));
  const ports = (await host.files.list(`${at}/brif`)) ?? [];
  const below = await Promise.all([...new Set([...lower, ...ports])].map((port) => functionsUnderInterface(host, port, seen)));
  return below.flat();
}

/** Processes that hold `/dev/vfio/N` or `/dev/vfio/devices/vfioN` open. Only those that may be looked into are seen. */
export async function readVfioUsers(host: Host): Promise<Usage[]> {
  const nodes = ((await host.files.list('/dev/vfio')) ?? []).filter((name) => name !== 'vfio');
  if (nodes.length === 0) return [];
  const found: Usage[] = [];
  for (const pid of ((await host.files.list('/proc')) ?? []).filter((name) => /^\d+$/.test(name))) {
    for (const group of await vfioGroupsOf(host, Number(pid))) {
      const program = (await orGone(host.files.readText(`/proc/${pid}/comm`)))?.trim() ?? '?';
      found.push({ group, kind: 'vfio', what: `${program} (pid ${pid})`, where: `/proc/${pid}/fd`, pid: Number(pid) });
    }
  }
  return found;
}

/**
 * VFIO groups that a process has open, by their own node or by that of a device in them; none when it may not be looked into
 * or is gone.
 */
export async function vfioGroupsOf(host: Host, pid: number): Promise<number[]> {
  const at = `/proc/${pid}/fd`;
  const groups = new Set<number>();
  for (const fd of (await orGone(host.files.list(at))) ?? []) {
    const [, group, device] =
      /^\/dev\/vfio\/(?:(\d+)|devices\/(vfio\d+))$/.exec((await orGone(host.files.link(`${at}/${fd}`))) ?? '') ?? [];
    const number = device === undefined ? group : await groupOfVfioDevice(host, device);
    if (number !== undefined) groups.add(Number(number));
  }
  return [...groups];
}

/** Source: Linux drivers/vfio/vfio_main.c, class vfio-dev. */
async function groupOfVfioDevice(host: Host, name: string): Promise<number | undefined> {
  const bdf = lastBdf((await host.files.link(`/sys/class/vfio-dev/${name}`)) ?? '');
  return bdf === undefined ? undefined : await groupOf(host, bdf);
}

/** Another user's process, or one that ended while we looked, shows nothing. */
async function orGone<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof HostError) return undefined;
    throw error;
  }
}

const BDF = /[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]/g;

/** The function nearest to the end of a path in /sys/devices. */
function lastBdf(path: string): string | undefined {
  return path.match(BDF)?.at(-1);
}

function lines(text: string | undefined): string[] {
  return (text ?? '').split('\n').filter((line) => line !== '');
}

/** mountinfo writes blanks and backslashes as octal escapes. */
function unescapeMount(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
