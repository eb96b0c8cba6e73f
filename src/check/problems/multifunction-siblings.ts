import type { PciFunction } from '../../host/functions.ts';
import type { Picture } from '../../host/picture.ts';
import type { Verdict } from '../check.ts';
import { at, counted, isBridge, listed, notApplicable, ofEndpoints, pass } from '../facts.ts';
import { indexOf, slotOf } from '../index-of.ts';
import type { Problem } from '../problem.ts';
import { blockingMembers } from '../rules/group-viable.ts';

export const multifunctionSiblings: Problem = {
  id: 'multifunction-siblings',
  title: 'Functions of one card (GPU + audio + USB + UCSI, ports of a NIC) share a group and only one was prepared',
  category: 'group',
  severity: 'blocker',
  at: 'any',
  says: [
    {
      in: 'qemu',
      re: /error getting device from group \d+/,
      example: 'error getting device from group 15: No such device',
      proof: 'src',
    },
  ],
  why: 'Functions of a slot without ACS (or an isolation quirk) are grouped because they may talk to one another inside the chip.',
  see: [
    { read: '{d}/iommu_group/devices', when: 'other functions of the same bus:device are members', sure: 'certain' },
    {
      read: 'config space ACS capability (ext cap 0x000D) of each function',
      when: 'multifunction and control lacks SV|RR|CR|UF on one of them, no quirk known',
      sure: 'certain',
    },
  ],
  fix: [
    'assign all functions together keeping guest multifunction addresses',
    'leave the unwanted ones bound to vfio-pci but not assigned',
  ],
  beware: 'Identical function ids on host and guest matter for some drivers (function 0 first, multifunction=on).',
  sources: [
    'gh:uwzis/GPU-Passthrough-Manager#21',
    'gh:kata-containers/kata-containers#12905',
    'gh:cloud-hypervisor/cloud-hypervisor#3078',
    'gh:ryanprescott/realtek-verb-tools#9',
    'linux:drivers/iommu/iommu.c get_pci_function_alias_group',
  ],
  rules: [
    { about: 'function', asks: 'Are the functions of its slot that share its group free as well?', run: ofEndpoints(prepared) },
  ],
};

function prepared(picture: Picture, found: PciFunction): Verdict {
  if (found.group === undefined) return notApplicable('it is in no group');
  const siblings = (indexOf(picture).slots.get(slotOf(found.bdf)) ?? []).filter(
    (one) => one.group === found.group && one.bdf !== found.bdf && !isBridge(one),
  );
  if (siblings.length === 0) return notApplicable('no other function of its slot is in its group');
  const seen = siblings.map((one) => ({ where: at(one, 'driver'), text: one.driver ?? 'none' }));
  const used = blockingMembers(siblings, []);
  const shared = `${counted(siblings.length, 'other function')} of its slot ${siblings.length === 1 ? 'is' : 'are'} in group ${found.group}`;
  if (used.length === 0)
    return pass(`${shared}, and no host driver has any of them: they go to the same guest, or to nobody`, ...seen);
  return {
    is: 'fail',
    because: `${shared}, and the host uses ${listed(used.map(({ bdf, driver }) => `${bdf} (driver ${driver})`))}`,
    seen,
  };
}
