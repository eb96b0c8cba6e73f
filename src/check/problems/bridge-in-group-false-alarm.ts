import type { PciFunction } from '../../host/functions.ts';
import { functionOf, groupNumbered, type Picture } from '../../host/picture.ts';
import type { Verdict } from '../check.ts';
import { at, isBridge, listed, notApplicable, ofEndpoints, pass } from '../facts.ts';
import { once } from '../index-of.ts';
import type { Problem } from '../problem.ts';
import { blockingMembers } from '../rules/group-viable.ts';

export const bridgeInGroupFalseAlarm: Problem = {
  id: 'bridge-in-group-false-alarm',
  title: 'A PCI bridge in the group is reported as wrong driver although it is allowed',
  category: 'group',
  severity: 'misread',
  at: 'any',
  says: [
    {
      in: 'guest',
      re: /Wrong driver devices: \[\('[0-9a-f:.]+', 'pcieport'\)\]/,
      example: "Wrong driver devices: [('0000:04:00.0', 'pcieport')]",
      proof: 'rep',
    },
  ],
  why: 'Tools test "all members bound to vfio-pci" literally. The kernel exempts drivers with driver_managed_dma, pcieport among them.',
  see: [{ read: '{d}/class', when: 'member class starts 0x0604 or 0x0600 and its driver is pcieport or none', sure: 'certain' }],
  fix: ['ignore bridges in the viability test'],
  beware:
    'A bridge of class 0x0680 or a driver that does DMA itself (for example a PCIe switch management driver) is not exempt.',
  sources: [
    'gh:VoltCyclone/PCILeechFWGenerator#77',
    'gh:VoltCyclone/PCILeechFWGenerator#124',
    'gh:kata-containers/kata-containers#6663',
    'linux:drivers/pci/pcie/portdrv_pci.c driver_managed_dma',
  ],
  rules: [{ about: 'function', asks: 'Do the bridges of its group stay out of the way?', run: ofEndpoints(exempt) }],
};

/** Bridges of each group. */
const bridgesOf = once(
  (picture) =>
    new Map(
      picture.groups.map(({ number, devices }) => [
        number,
        devices.flatMap((bdf) => {
          const found = functionOf(picture, bdf);
          return found !== undefined && isBridge(found) ? [found] : [];
        }),
      ]),
    ),
);

function exempt(picture: Picture, found: PciFunction): Verdict {
  const group = found.group === undefined ? undefined : groupNumbered(picture, found.group);
  const bridges = group === undefined ? undefined : bridgesOf(picture).get(group.number);
  if (group === undefined || bridges === undefined || bridges.length === 0) return notApplicable('no bridge is in its group');
  const seen = bridges.slice(0, 8).map((bridge) => ({ where: at(bridge, 'driver'), text: bridge.driver ?? 'none' }));
  const driven = blockingMembers(bridges, []);
  if (driven.length > 0)
    return {
      is: 'fail',
      because: `${listed(driven.map(({ bdf, driver }) => `${bdf} (driver ${driver})`))} of group ${group.number} is a bridge with a driver that does DMA of its own: it is not exempt`,
      seen,
      fix: [`unbind ${listed(driven.map(({ bdf }) => bdf))} when the host can do without`],
    };
  return pass(
    `${listed(bridges.map(({ bdf }) => bdf))} of group ${group.number} ${bridges.length === 1 ? 'is a bridge and needs' : 'are bridges and need'} no VFIO driver, whatever a tool says`,
    ...seen,
  );
}
