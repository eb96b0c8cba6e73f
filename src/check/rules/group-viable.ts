import type { PciFunction } from '../../host/functions.ts';
import { functionOf } from '../../host/picture.ts';
import { type Check, check } from '../check.ts';
import { listed } from '../facts.ts';
import { once } from '../index-of.ts';

/** Drivers that leave DMA ownership to user space (`driver_managed_dma` in the kernel), beside the variants of vfio-pci. */
const HARMLESS = new Set(['pci-stub', 'pcieport', 'shpchp']);
/** `vfio-pci`, `mlx5_vfio_pci`, `xe-vfio-pci` ... */
const VFIO = /(^|[-_])vfio[-_]pci$/;

export function isVfioDriver(driver: string): boolean {
  return VFIO.test(driver);
}

/**
 * Members that keep a group from user space: those that a host driver uses. Bridges never do.
 * @param given functions that are to be given away as well, so that their present driver does not count
 */
export function blockingMembers(
  members: readonly { bdf: string; driver?: string | undefined }[],
  given: readonly string[],
): typeof members {
  return members.filter(
    ({ bdf, driver }) => driver !== undefined && !HARMLESS.has(driver) && !isVfioDriver(driver) && !given.includes(bdf),
  );
}

/** How many members are named one by one; a group may have thousands. */
const MOST = 16;

interface Members {
  bdf: string;
  /** Undefined when it could not be read. */
  found: PciFunction | undefined;
}

/** Of each group: its members, those that a host driver uses, and those that could not be read. */
const membersOf = once(
  (picture) =>
    new Map(
      picture.groups.map(({ number, devices }) => {
        const members: Members[] = devices.map((bdf) => ({ bdf, found: functionOf(picture, bdf) }));
        const blocking = blockingMembers(
          members.map(({ bdf, found }) => ({ bdf, driver: found?.driver })),
          [],
        );
        return [
          number,
          {
            members,
            blocking,
            blockingBdfs: new Set(blocking.map(({ bdf }) => bdf)),
            unread: members.filter(({ found }) => found === undefined).map(({ bdf }) => bdf),
          },
        ];
      }),
    ),
);

export const groupViable: Check = check({
  id: 'group/viable',
  asks: 'May user space own the whole group?',
  source: 'Linux drivers/vfio/group.c and iommu_group_claim_dma_owner(): no other member may be used by a host driver',
  run(picture, bdf) {
    const group = functionOf(picture, bdf)?.group;
    if (group === undefined) return { is: 'not-applicable', because: 'it is in no group', seen: [] };
    const all = membersOf(picture).get(group);
    if (all === undefined) return { is: 'unknown', because: `the members of group ${group} could not be read`, seen: [] };
    // Counted and cut, for each of thousands of members asks.
    const count = all.blocking.length - (all.blockingBdfs.has(bdf) ? 1 : 0);
    const blocking = all.blocking.slice(0, MOST + 1).filter((member) => member.bdf !== bdf);
    const shown = (all.members.length <= MOST ? all.members : blocking).map((member) => member.bdf);
    const seen = shown.slice(0, MOST).map((member) => {
      const found = functionOf(picture, member);
      return {
        where: `/sys/bus/pci/devices/${member}/driver`,
        text: found === undefined ? 'not read' : (found.driver ?? 'none'),
      };
    });
    if (count === 0 && all.unread.length > 0)
      return { is: 'unknown', because: `what drives ${listed(all.unread)} of group ${group} could not be read`, seen };
    if (count === 0) return { is: 'pass', because: `no other member of group ${group} is used by a host driver`, seen };
    const listedUpTo = (names: string[]) =>
      `${names.slice(0, MOST).join(', ')}${count > MOST ? ` and ${count - MOST} more` : ''}`;
    const named = listedUpTo(blocking.map((member) => `${member.bdf} (driver ${member.driver})`));
    return {
      is: 'fail',
      because: `group ${group} is not viable: ${named} ${count === 1 ? 'shares it and is' : 'share it and are'} used by the host`,
      seen,
      fix: [
        `pass ${listedUpTo(blocking.map((member) => member.bdf))} to the same guest as well`,
        'move the card to a slot whose ports isolate (ACS)',
        'never use an ACS override on a host whose guests are not trusted',
      ],
    };
  },
});
