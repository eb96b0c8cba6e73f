import { blockByName, disksUnder, lastBdf, readDisks } from './blocks.ts';
import { askClaims, readHolders } from './holders.ts';
import type { Host } from './host.ts';
import { readOpenFiles } from './open-files.ts';
import { baseName } from './parse.ts';

export { readVfioUsers, vfioGroupsOf } from './open-files.ts';

/** What `unread` of a picture calls this part. */
export const USAGE = 'what uses the devices';

/** Something on the host that would break if a function were taken away. */
export interface Usage {
  /** The function. For `vfio` it is absent: the group counts. */
  bdf?: string;
  /** VFIO group that a process holds open. */
  group?: number;
  kind: 'mount' | 'swap' | 'holder' | 'default-route' | 'switch-port' | 'namespace' | 'vfio';
  /** Mount point, swap device, who holds the disk, interface, driver, or program with its process id. */
  what: string;
  /** Where that was read. */
  where: string;
  pid?: number;
  /** The whole disk of that function which is used, such as `/dev/nvme0n1`; absent when it is not about a disk. */
  device?: string;
}

/** What was found, and what could not be asked. */
export interface Uses {
  usage: Usage[];
  /** Functions with disks that did not say whether somebody has them exclusively; undefined when no disk could be listed. */
  unasked: string[] | undefined;
}

/**
 * What mounted file systems, swap areas, default routes, ports of Open vSwitch and open VFIO devices need, and who else holds
 * a disk. Each is followed through md, dm, btrfs, NVMe multipath, bonds and bridges. Default routes are those of the main
 * table, by the first of their next hops: those of other tables, and the further hops of a multipath route, are not seen.
 * Source: proc(5), Linux Documentation/ABI/testing/sysfs-block, sysfs-class-net.
 * @throws HostError when a part cannot be read: then nothing is known to be free
 */
export async function readUsage(host: Host): Promise<Uses> {
  const [mounts, swap, routes, ports, disks] = await Promise.all([
    readMounts(host),
    readSwap(host),
    readDefaultRoutes(host),
    readSwitchPorts(host),
    readDisks(host),
  ]);
  const shown = [...mounts, ...swap, ...(await readHolders(host, disks ?? []))];
  const used = new Set(shown.map(({ device }) => device));
  const others = (disks ?? []).filter(({ device }) => !used.has(device));
  const { usage: claims, unasked } = await askClaims(host, others);
  const open = await readOpenFiles(host, others);
  return {
    usage: eachOnce([...shown, ...claims, ...routes, ...ports, ...open]),
    unasked: disks && [...new Set(unasked.flatMap(({ bdfs }) => bdfs))],
  };
}

function eachOnce(usage: readonly Usage[]): Usage[] {
  const key = ({ bdf, group, kind, what, where, device }: Usage) => JSON.stringify([bdf, group, kind, what, where, device]);
  return [...new Map(usage.map((one) => [key(one), one])).values()];
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
    for (const { bdfs, device } of await disksUnder(host, blocks))
      for (const bdf of bdfs) found.push({ bdf, kind: 'mount', what, where, device });
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
    for (const disk of await disksUnder(host, [block]))
      for (const bdf of disk.bdfs) found.push({ bdf, kind: 'swap', what: device, where, device: disk.device });
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

/**
 * Interfaces that are ports of Open vSwitch: its bridges are no bridges of the kernel, so a default route over one leads to no
 * port. The kernel shows `ovs-system` as the master of each. Source: Linux net/openvswitch/vport-netdev.c.
 */
async function readSwitchPorts(host: Host): Promise<Usage[]> {
  const found: Usage[] = [];
  const names = (await host.files.list('/sys/class/net')) ?? [];
  // It is in the network namespace of its ports.
  if (!names.includes('ovs-system')) return [];
  for (const name of names) {
    const where = `/sys/class/net/${name}/master`;
    if (baseName((await host.files.link(where)) ?? '') !== 'ovs-system') continue;
    for (const bdf of new Set(await functionsUnderInterface(host, name)))
      found.push({ bdf, kind: 'switch-port', what: name, where });
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

function lines(text: string | undefined): string[] {
  return (text ?? '').split('\n').filter((line) => line !== '');
}

/** mountinfo writes blanks and backslashes as octal escapes. */
function unescapeMount(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
