import type { Host } from './host.ts';
import { baseName } from './parse.ts';

/** Block devices of the kernel, disks and partitions, by its own names. */
const BLOCKS = '/sys/class/block';

/** A disk that is a function's own, below whatever is built on it. */
export interface Disk {
  /** `/dev/nvme0n1`: the whole disk, also where only a partition of it is meant. */
  device: string;
  /** The functions that reach it; several where an NVMe namespace has several paths. */
  bdfs: string[];
}

/** A disk with all that the kernel shows on it. */
export interface OwnDisk extends Disk {
  /** Kernel names of the disk and of its partitions: `sda`, `sda1`. */
  names: string[];
}

/** The node of a block device. The kernel writes `!` for a slash in its name, as in `cciss!c0d0`. */
export function nodeOf(name: string): string {
  return `/dev/${name.replaceAll('!', '/')}`;
}

/** Disks that these block devices need, each once. */
export async function disksUnder(host: Host, blocks: readonly string[]): Promise<Disk[]> {
  const found = await Promise.all(blocks.map((block) => disksUnderBlock(host, block)));
  return [...new Map(found.flat().map((disk) => [disk.device, disk])).values()];
}

/** `/dev/mapper/x` is a link to `../dm-0`; the class folder knows the kernel's own name. */
export async function blockByName(host: Host, device: string): Promise<string | undefined> {
  const name = baseName((await host.files.link(device)) ?? device);
  const at = `${BLOCKS}/${name}`;
  return (await host.files.link(at)) === undefined ? undefined : at;
}

/** Disks that a block device needs: itself, or its slaves' (md, dm). */
async function disksUnderBlock(host: Host, at: string, seen: Set<string> = new Set()): Promise<Disk[]> {
  const target = await host.files.link(at);
  if (target === undefined || seen.has(target)) return [];
  seen.add(target);
  const bdfs = await functionsOfTarget(host, target);
  if (bdfs !== undefined) return [{ device: nodeOf(diskOf(target)), bdfs }];
  // A partition has no slaves of its own; its disk is the folder above.
  const name = baseName(target);
  const disk = baseName(target.slice(0, target.lastIndexOf('/')));
  for (const candidate of [name, disk]) {
    const slaves = await host.files.list(`${BLOCKS}/${candidate}/slaves`);
    if (slaves === undefined || slaves.length === 0) continue;
    const below = await Promise.all(slaves.map((slave) => disksUnderBlock(host, `${BLOCKS}/${slave}`, seen)));
    return below.flat();
  }
  return [];
}

/**
 * Every disk on a PCI function, with its partitions; undefined when the host does not show its block devices. The paths of an
 * NVMe namespace (`nvme0c1n1`) have no node and no holders: the head of it (`nvme0n1`) has.
 * Source: Linux Documentation/ABI/stable/sysfs-block, drivers/nvme/host/multipath.c.
 */
export async function readDisks(host: Host): Promise<OwnDisk[] | undefined> {
  const names = await host.files.list(BLOCKS);
  if (names === undefined) return undefined;
  const disks = new Map<string, OwnDisk>();
  for (const name of names.filter((one) => !/^nvme\d+c\d+n\d+$/.test(one))) {
    const target = await host.files.link(`${BLOCKS}/${name}`);
    const bdfs = target === undefined ? undefined : await functionsOfTarget(host, target);
    if (target === undefined || bdfs === undefined || bdfs.length === 0) continue;
    const device = nodeOf(diskOf(target));
    const known = disks.get(device);
    if (known === undefined) disks.set(device, { device, bdfs, names: [name] });
    else known.names.push(name);
  }
  return [...disks.values()];
}

/**
 * Functions of a block device with hardware of its own: that above it, or those of all controllers of its NVMe subsystem.
 * Undefined when it has none.
 */
async function functionsOfTarget(host: Host, target: string): Promise<string[] | undefined> {
  const own = lastBdf(target);
  if (own !== undefined) return [own];
  const subsystem = /nvme-subsystem\/([^/]+)/.exec(target)?.[1];
  if (subsystem === undefined) return undefined;
  const controllers = (await host.files.list(`/sys/class/nvme-subsystem/${subsystem}`)) ?? [];
  const found = controllers
    .filter((name) => /^nvme\d+$/.test(name))
    .map(async (name) => host.files.link(`/sys/class/nvme/${name}/device`));
  return [...new Set((await Promise.all(found)).flatMap((to) => lastBdf(to ?? '') ?? []))];
}

/** A partition is in the folder of its disk and has its name and a number: `sda/sda1`, `nvme0n1/nvme0n1p2`. */
function diskOf(target: string): string {
  const [above = '', name = ''] = target.split('/').slice(-2);
  return above !== '' && name.startsWith(above) && /^p?\d+$/.test(name.slice(above.length)) ? above : name;
}

const BDF = /[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]/g;

/** The function nearest to the end of a path in /sys/devices. */
export function lastBdf(path: string): string | undefined {
  return path.match(BDF)?.at(-1);
}
