import { lastBdf, nodeOf, type OwnDisk } from './blocks.ts';
import { type Host, HostError } from './host.ts';
import { groupOf } from './iommu.ts';
import type { Usage } from './usage.ts';

/** Processes that hold `/dev/vfio/N` or `/dev/vfio/devices/vfioN` open. Only those that may be looked into are seen. */
export async function readVfioUsers(host: Host): Promise<Usage[]> {
  return await readOpenFiles(host, []);
}

/**
 * Processes that hold a VFIO node, or the node of one of these disks or their partitions, open: a disk that another QEMU gives
 * to its guest is not opened exclusively. One walk over /proc, and none when there is nothing to look for. Only processes that
 * may be looked into are seen, and our own is not one of them where disks are concerned.
 */
export async function readOpenFiles(host: Host, disks: readonly OwnDisk[]): Promise<Usage[]> {
  const vfio = ((await host.files.list('/dev/vfio')) ?? []).some((name) => name !== 'vfio');
  if (!vfio && disks.length === 0) return [];
  const diskOf = new Map(disks.flatMap((disk) => disk.names.map((name) => [nodeOf(name), disk] as const)));
  const own = disks.length === 0 ? undefined : await host.files.link('/proc/self');
  const found: Usage[] = [];
  for (const pid of ((await host.files.list('/proc')) ?? []).filter((name) => /^\d+$/.test(name))) {
    const nodes = await nodesOpenIn(host, Number(pid));
    const groups = vfio ? await groupsOf(host, nodes) : [];
    const blocks = pid === own ? [] : nodes.filter((node) => diskOf.has(node));
    if (groups.length === 0 && blocks.length === 0) continue;
    const program = (await orGone(host.files.readText(`/proc/${pid}/comm`)))?.trim() ?? '?';
    const who = `${program} (pid ${pid})`;
    const read = { where: `/proc/${pid}/fd`, pid: Number(pid) };
    for (const group of groups) found.push({ group, kind: 'vfio', what: who, ...read });
    for (const node of blocks)
      for (const bdf of diskOf.get(node)?.bdfs ?? [])
        found.push({
          bdf,
          kind: 'holder',
          what: `${who}, which has ${node} open`,
          device: diskOf.get(node)?.device ?? node,
          ...read,
        });
  }
  return found;
}

/**
 * VFIO groups that a process has open, by their own node or by that of a device in them; none when it may not be looked into
 * or is gone.
 */
export async function vfioGroupsOf(host: Host, pid: number): Promise<number[]> {
  return await groupsOf(host, await nodesOpenIn(host, pid));
}

/** Nodes below /dev that a process has open, each once. */
async function nodesOpenIn(host: Host, pid: number): Promise<string[]> {
  const at = `/proc/${pid}/fd`;
  const fds = (await orGone(host.files.list(at))) ?? [];
  const targets = await Promise.all(fds.map((fd) => orGone(host.files.link(`${at}/${fd}`))));
  return [...new Set(targets.filter((target) => target?.startsWith('/dev/') === true) as string[])];
}

async function groupsOf(host: Host, nodes: readonly string[]): Promise<number[]> {
  const groups = new Set<number>();
  for (const node of nodes) {
    const [, group, device] = /^\/dev\/vfio\/(?:(\d+)|devices\/(vfio\d+))$/.exec(node) ?? [];
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
export async function orGone<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof HostError) return undefined;
    throw error;
  }
}
