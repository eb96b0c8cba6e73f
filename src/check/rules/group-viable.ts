import { functionOf } from '../../host/picture.ts';
import { type Check, check } from '../check.ts';

/** Drivers that leave DMA ownership to user space (`driver_managed_dma` in the kernel), beside the variants of vfio-pci. */
const HARMLESS = new Set(['pci-stub', 'pcieport', 'shpchp']);
/** `vfio-pci`, `mlx5_vfio_pci`, `xe-vfio-pci` ... */
const VFIO = /(^|[-_])vfio[-_]pci$/;

/**
 * Members that keep a group from user space: those that a host driver uses. Bridges never do.
 * @param given functions that are to be given away as well, so that their present driver does not count
 */
export function blockingMembers(
  members: readonly { bdf: string; driver?: string | undefined }[],
  given: readonly string[],
): typeof members {
  return members.filter(
    ({ bdf, driver }) => driver !== undefined && !HARMLESS.has(driver) && !VFIO.test(driver) && !given.includes(bdf),
  );
}

export const groupViable: Check = check({
  id: 'group/viable',
  asks: 'May user space own the whole group?',
  source: 'Linux drivers/vfio/group.c and iommu_group_claim_dma_owner(): no other member may be used by a host driver',
  run(picture, bdf) {
    const group = functionOf(picture, bdf)?.group;
    if (group === undefined) return { is: 'not-applicable', because: 'it is in no group', seen: [] };
    const members = picture.groups.find((candidate) => candidate.number === group)?.devices;
    if (members === undefined) return { is: 'unknown', because: `the members of group ${group} could not be read`, seen: [] };
    const seen = members.map((member) => ({
      where: `/sys/bus/pci/devices/${member}/driver`,
      text: functionOf(picture, member) === undefined ? 'not read' : (functionOf(picture, member)?.driver ?? 'none'),
    }));
    const blocking = blockingMembers(
      members.map((member) => ({ bdf: member, driver: functionOf(picture, member)?.driver })),
      [bdf],
    );
    const unknown = members.filter((member) => functionOf(picture, member) === undefined);
    if (blocking.length === 0 && unknown.length > 0)
      return { is: 'unknown', because: `what drives ${unknown.join(', ')} of group ${group} could not be read`, seen };
    if (blocking.length === 0) return { is: 'pass', because: `no other member of group ${group} is used by a host driver`, seen };
    const named = blocking.map((member) => `${member.bdf} (driver ${member.driver})`).join(', ');
    return {
      is: 'fail',
      because: `group ${group} is not viable: ${named} ${blocking.length === 1 ? 'shares it and is' : 'share it and are'} used by the host`,
      seen,
      fix: [
        `pass ${blocking.map((member) => member.bdf).join(', ')} to the same guest as well`,
        'move the card to a slot whose ports isolate (ACS)',
        'never use an ACS override on a host whose guests are not trusted',
      ],
    };
  },
});
