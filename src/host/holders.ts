import { nodeOf, type OwnDisk } from './blocks.ts';
import type { Host } from './host.ts';
import { orGone } from './open-files.ts';
import type { Usage } from './usage.ts';

/**
 * Active volumes, arrays and crypt devices on the disks, mounted or not.
 * Source: Linux Documentation/ABI/testing/sysfs-block (`holders`), sysfs-block-dm.
 */
export async function readHolders(host: Host, disks: readonly OwnDisk[]): Promise<Usage[]> {
  const found: Usage[] = [];
  for (const { device, bdfs, names } of disks)
    for (const name of names) {
      const where = `/sys/class/block/${name}/holders`;
      for (const holder of (await host.files.list(where)) ?? []) {
        const called = (await orGone(host.files.readText(`/sys/class/block/${holder}/dm/name`)))?.trim();
        const what = `${called ? `${called} (${nodeOf(holder)})` : nodeOf(holder)}, which is on ${nodeOf(name)}`;
        for (const bdf of bdfs) found.push({ bdf, kind: 'holder', what, where, device });
      }
    }
  return found;
}

/**
 * Asks the kernel for users that sysfs does not show: members of ZFS pools, bcache, mounts in other mount namespaces. Who has a
 * partition has the disk as well, so partitions are asked only to say which. One after the other, for a question is itself a
 * claim of a moment.
 * @returns `unasked` are disks that gave no answer
 */
export async function askClaims(host: Host, disks: readonly OwnDisk[]): Promise<{ usage: Usage[]; unasked: OwnDisk[] }> {
  const usage: Usage[] = [];
  const unasked: OwnDisk[] = [];
  for (const disk of disks) {
    const claimed = await orGone(host.files.claimed(disk.device));
    if (claimed === undefined) unasked.push(disk);
    if (claimed !== true) continue;
    const parts = disk.names.map(nodeOf).filter((node) => node !== disk.device);
    const taken: string[] = [];
    for (const part of parts) if ((await orGone(host.files.claimed(part))) === true) taken.push(part);
    // An exclusive user of the whole disk keeps everybody from each of its partitions.
    const held = taken.length > 0 && taken.length < parts.length ? taken : [disk.device];
    for (const node of held)
      for (const bdf of disk.bdfs)
        usage.push({ bdf, kind: 'holder', what: `an exclusive user of ${node}`, where: node, device: disk.device });
  }
  return { usage, unasked };
}
