import type { PciFunction } from '../../host/functions.ts';
import { functionOf, groupNumbered, type Picture } from '../../host/picture.ts';
import type { Verdict } from '../check.ts';
import { isBridge, listed, notApplicable, ofEndpoints, pass, unknown } from '../facts.ts';
import { comparedGroups } from '../groups.ts';
import { once, slotOf } from '../index-of.ts';
import type { Problem } from '../problem.ts';

export const acsMissingUpstream: Problem = {
  id: 'acs-missing-upstream',
  title: 'Many unrelated devices share one group because a port above them has no ACS',
  category: 'group',
  severity: 'blocker',
  at: 'L0',
  says: [
    {
      in: 'kernel',
      re: /: Adding (to iommu group|device [0-9a-f:.]+ to group) \d+/,
      example: 'pci 0000:05:00.0: Adding to iommu group 22',
      proof: 'seen',
      marker: true,
    },
    {
      in: 'libvirt',
      re: /is behind a switch lacking ACS and cannot be assigned/,
      example: 'Device 0000:03:00.0 is behind a switch lacking ACS and cannot be assigned',
      proof: 'rep',
    },
  ],
  why: 'The group walk climbs until pci_acs_path_enabled() holds for source validation, P2P request redirect, completion redirect and upstream forwarding; a root or downstream port without them merges all below.',
  see: [
    {
      read: 'every port from {d} to the root bus: PCIe type and ACS capability/control (config ext cap 0x000D +4/+6)',
      when: 'a root port or downstream port lacks SV, RR, CR or UF',
      sure: 'certain',
    },
    { read: '{d}/../*/iommu_group', when: 'same number for devices of several ports', sure: 'certain' },
  ],
  fix: [
    "another slot (predict which from the ports' ACS)",
    'firmware option ACS',
    'kernel with a quirk for the port',
    'newer kernels: pci=config_acs= only for bits the port implements',
  ],
  beware:
    'A port may lack the capability and yet have a Linux quirk (many Intel PCH ports), so prediction needs the quirk list of the running kernel. NEVER list pcie_acs_override first.',
  sources: [
    'gh:j4cbo/tiny5-m2-riser#19',
    'gh:tiiuae/ghaf#1711',
    'gh:NVIDIA/NV-Kernels#20',
    'gh:Quansight/open-gpu-server#44',
    'gh:lf-edge/eve#790',
    'linux:drivers/iommu/iommu.c pci_device_group',
    'linux:drivers/pci/quirks.c',
  ],
  rules: [{ about: 'function', asks: 'Do the ports above keep it apart from other devices?', run: ofEndpoints(kept) }],
};

/** Of each group: its endpoints, and how many of them each slot has. */
const endpointsOf = once(
  (picture) =>
    new Map(
      picture.groups.map(({ number, devices }) => {
        const endpoints = devices.filter((bdf) => {
          const found = functionOf(picture, bdf);
          return found !== undefined && !isBridge(found);
        });
        const slots = new Map<string, number>();
        for (const bdf of endpoints) slots.set(slotOf(bdf), (slots.get(slotOf(bdf)) ?? 0) + 1);
        return [number, { endpoints, slots }];
      }),
    ),
);

/** Endpoints of other slots in its group: the first of them by name, and how many there are. */
function othersOf(picture: Picture, group: number, found: PciFunction): { count: number; names: string } {
  const { endpoints, slots } = endpointsOf(picture).get(group) ?? { endpoints: [], slots: new Map<string, number>() };
  const own = slotOf(found.bdf);
  const count = endpoints.length - (slots.get(own) ?? 0);
  const first: string[] = [];
  for (const bdf of endpoints) {
    if (first.length === MOST) break;
    if (slotOf(bdf) !== own) first.push(bdf);
  }
  return { count, names: `${first.join(', ')}${count > first.length ? ` and ${count - first.length} more` : ''}` };
}

const MOST = 8;

function kept(picture: Picture, found: PciFunction): Verdict {
  const group = found.group === undefined ? undefined : groupNumbered(picture, found.group);
  if (group === undefined)
    return found.group === undefined
      ? notApplicable('it is in no group')
      : unknown(`the members of group ${found.group} could not be read`);
  const others = othersOf(picture, group.number, found);
  const seen = [{ where: `/sys/kernel/iommu_groups/${group.number}/devices`, text: listed(group.devices, 16) }];
  if (others.count === 0) return pass('no device of another slot is in its group', ...seen);
  const { groupOf, joinOf, unknown: open } = comparedGroups(picture);
  const computed = groupOf.get(found.bdf);
  const own = joinOf.get(found.bdf);
  const path = own?.by === 'path' ? own : computed?.joins.find(({ by }) => by === 'path');
  if (path !== undefined)
    return {
      is: 'fail',
      because: `group ${group.number} holds ${others.names} as well: ${path.because}`,
      seen: [
        ...seen,
        {
          where: `/sys/bus/pci/devices/${path.at}/config`,
          text: path.lacks.length === 0 ? path.because : `ACS without ${path.lacks.join(', ')}`,
        },
      ],
    };
  const alias = computed?.joins.find(({ by }) => by === 'alias');
  if (alias !== undefined) return notApplicable(`no port decides: ${alias.because}`, ...seen);
  const doubt = open.get(found.bdf);
  return unknown(
    doubt === undefined
      ? `group ${group.number} holds ${others.names} as well, and nothing that was read says why`
      : `group ${group.number} holds ${others.names} as well, and why could not be read: ${listed(doubt, 2)}${picture.system.uid === 0 ? '' : '; look as root'}`,
    ...seen,
  );
}
