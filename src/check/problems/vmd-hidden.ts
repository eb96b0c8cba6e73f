import type { PciFunction } from '../../host/functions.ts';
import { functionOf, type Picture } from '../../host/picture.ts';
import { FIRST_VMD_DOMAIN } from '../../iommu/index.ts';
import { parseBdf } from '../../pci/index.ts';
import type { Verdict } from '../check.ts';
import { at, counted, listed, notApplicable, ofEndpoints, pass } from '../facts.ts';
import { once } from '../index-of.ts';
import type { Problem } from '../problem.ts';

export const vmdHidden: Problem = {
  id: 'vmd-hidden',
  title: 'NVMe drives sit behind Intel VMD (domain 10000 and up) and cannot be assigned one by one',
  category: 'group',
  severity: 'blocker',
  at: 'L0',
  says: [
    {
      in: 'dpdk',
      re: /failed to parse device "pci:1[0-9a-f]{4}:/,
      example: 'EAL: failed to parse device "pci:10000:01:00.0"',
      proof: 'rep',
    },
    {
      in: 'kernel',
      re: /Failed to setup Intel IGD regions/,
      example: 'vfio-pci 0000:00:02.0: Failed to setup Intel IGD regions',
      proof: 'src',
    },
  ],
  why: "VMD re-roots the drives under a synthetic domain; their DMA uses the VMD endpoint's requester id, so they have no group of their own.",
  see: [
    {
      read: '/sys/bus/pci/devices names',
      when: 'PCI domain part longer than 4 hex digits or >= 10000, or a 0000:xx:yy.5 / 00:0e.0 device bound to driver vmd',
      sure: 'certain',
    },
    { read: '{d}/iommu_group for such a drive', when: 'missing', sure: 'certain' },
  ],
  fix: ['turn VMD off for these ports in firmware (may need OS changes for boot drives)', 'assign the whole VMD endpoint'],
  beware:
    'Parsers that assume a four-digit domain break on these machines. Turning VMD off changes device names at the next boot.',
  sources: [
    'gh:spdk/spdk#480',
    'gh:spdk/spdk#1360',
    'gh:spdk/spdk#1940',
    'gh:intel/gvt-linux#203',
    'gh:QubesOS/qubes-issues#6932',
  ],
  rules: [{ about: 'function', asks: 'Is it on a bus of the machine, and not behind VMD?', run: ofEndpoints(reachable) }],
};

/** The VMD endpoint is the function above the host bridge of such a domain: `.../0000:00:0e.0/pci10000:00/...`. */
function vmdAbove({ path }: PciFunction): string | undefined {
  return /\/([0-9a-f:]+\.[0-7])\/(?:pci_bus\/)?pci1[0-9a-f]{4,}:[0-9a-f]{2}\//.exec(path)?.[1];
}

/** Endpoints by the VMD endpoint that they are behind. */
const behindVmd = once((picture) => {
  const found = new Map<string, PciFunction[]>();
  for (const one of picture.functions) {
    const vmd = vmdAbove(one);
    if (vmd !== undefined && one.headerType !== 1) found.set(vmd, [...(found.get(vmd) ?? []), one]);
  }
  return found;
});

function reachable(picture: Picture, found: PciFunction): Verdict {
  const driver = { where: at(found, 'driver'), text: found.driver ?? 'absent' };
  if (found.driver === 'vmd') {
    const drives = behindVmd(picture).get(found.bdf) ?? [];
    return pass(
      `it is the VMD endpoint itself: giving it away takes ${counted(drives.length, 'device')} with it${drives.length === 0 ? '' : ` (${listed(drives.map(({ bdf }) => bdf))})`}`,
      driver,
    );
  }
  const domain = parseBdf(found.bdf)?.domain ?? 0;
  if (domain < FIRST_VMD_DOMAIN) return notApplicable('its domain is one of the machine');
  const vmd = vmdAbove(found);
  const endpoint = vmd === undefined ? undefined : functionOf(picture, vmd);
  const others = (vmd === undefined ? [] : (behindVmd(picture).get(vmd) ?? [])).filter(({ bdf }) => bdf !== found.bdf);
  return {
    is: 'fail',
    because: `domain ${domain.toString(16)} is made by VMD: its DMA carries the requester id of ${vmd ?? 'the VMD endpoint'}${others.length === 0 ? '' : `, as that of ${listed(others.map(({ bdf }) => bdf))} does`}`,
    seen: [
      { where: '/sys/bus/pci/devices', text: `${found.bdf} -> ${found.path}` },
      ...(endpoint === undefined ? [] : [{ where: at(endpoint, 'driver'), text: endpoint.driver ?? 'absent' }]),
      { where: at(found, 'iommu_group'), text: found.group === undefined ? 'absent' : `group ${found.group}` },
    ],
    fix: [
      ...(vmd === undefined ? [] : [`assign ${vmd} as a whole`]),
      'turn VMD off for its port in firmware; device names change, and a boot drive may need its system prepared',
    ],
  };
}
