import type { PciFunction } from '../../host/functions.ts';
import { functionOf, groupNumbered, type Picture } from '../../host/picture.ts';
import type { Evidence, Verdict } from '../check.ts';
import { at, isBridge, listed, notApplicable, ofEndpoints } from '../facts.ts';
import { indexOf, once } from '../index-of.ts';
import type { Problem } from '../problem.ts';
import { notInUse, wordsFor } from '../rules/not-in-use.ts';

export const hostCriticalDevice: Problem = {
  id: 'host-critical-device',
  title: 'The group contains something the host cannot live without',
  category: 'bind',
  severity: 'broken',
  at: 'any',
  says: [
    {
      in: 'kernel',
      re: /nvme nvme\d+: .*(I\/O|controller is down|Removing after probe failure)/,
      example: 'nvme nvme0: Removing after probe failure status: -19',
      proof: 'mem',
    },
    {
      in: 'dpdk',
      re: /routing table indicates that interface \S+ is active/,
      example: 'Warning: routing table indicates that interface 0000:01:00.0 is active. Not modifying',
      proof: 'rep',
    },
  ],
  why: 'Root disk, the NIC with the default route or bridge membership, the boot console, the USB controller with the only keyboard, or the LPC/SMBus of the chipset is a member.',
  see: [
    {
      read: '/proc/self/mountinfo, /sys/dev/block/*/device chain, md/lvm/zfs parents, swap',
      when: 'leads to a group member',
      sure: 'certain',
    },
    {
      read: 'rtnetlink routes and masters; /sys/class/net/*/device',
      when: 'default route, bridge, bond or ovs member maps to a group member',
      sure: 'certain',
    },
    { read: '{d}/boot_vga', when: '1', sure: 'likely' },
  ],
  fix: ['refuse by default and name the dependency', 'offer a VF or another card'],
  beware:
    'Check through layers (LUKS on LVM on md) and namespaces. dra-driver-sriov excludes default-route and bridged interfaces from pools, best effort only.',
  sources: ['k8snetworkplumbingwg/dra-driver-sriov:README.md', 'gh:lf-edge/eve#2082'],
  rules: [{ about: 'function', asks: 'Can the host do without it and its group?', run: ofEndpoints(dispensable) }],
};

interface Need {
  bdf: string;
  says: string;
  seen: Evidence;
}

/** What the host needs of each group. What another guest has is no need of the host. */
const needsOf = once(
  (picture) =>
    new Map(
      picture.groups.map(({ number, devices }) => [
        number,
        devices.flatMap((bdf) => {
          const found = functionOf(picture, bdf);
          return found === undefined || isBridge(found) ? [] : needs(picture, found);
        }),
      ]),
    ),
);

function needs(picture: Picture, found: PciFunction): Need[] {
  const used = (indexOf(picture).usesOfFunction.get(found.bdf) ?? [])
    .filter(({ kind }) => kind !== 'vfio')
    .map((usage) => ({ bdf: found.bdf, says: wordsFor(usage), seen: { where: usage.where, text: usage.what } }));
  if (found.bootVga !== true) return used;
  return [...used, { bdf: found.bdf, says: 'it is the boot display', seen: { where: at(found, 'boot_vga'), text: '1' } }];
}

function dispensable(picture: Picture, found: PciFunction): Verdict {
  const group = found.group === undefined ? undefined : groupNumbered(picture, found.group);
  const all = group === undefined ? needs(picture, found) : (needsOf(picture).get(group.number) ?? []);
  if (all.length > 0) {
    const ofOthers = all.filter(({ bdf }) => bdf !== found.bdf);
    const own = [...new Set(all.filter(({ bdf }) => bdf === found.bdf).map(({ says }) => says))];
    const others = [...new Set(ofOthers.map(({ bdf, says }) => `${bdf} of its group: ${says}`))];
    return { is: 'fail', because: listed([...own, ...others], 6), seen: all.slice(0, 16).map(({ seen }) => seen) };
  }
  const { is, because, seen } = notInUse.run(picture, found.bdf);
  // An open group is the matter of vfio-group-busy.
  if (is === 'fail') return notApplicable('a guest has it, not the host', ...seen);
  return { is, because: is === 'pass' ? 'nothing that was looked for uses it or another member of its group' : because, seen };
}
