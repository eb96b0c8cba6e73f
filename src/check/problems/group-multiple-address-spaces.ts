import type { Picture } from '../../host/picture.ts';
import { functionOf } from '../../host/picture.ts';
import type { Verdict } from '../check.ts';
import { notApplicable, pass, unknown } from '../facts.ts';
import type { Problem } from '../problem.ts';
import { quote, translated, type Vm, type VmHostDevice } from '../vm.ts';

export const groupMultipleAddressSpaces: Problem = {
  id: 'group-multiple-address-spaces',
  title: 'Two devices of one host group got different guest IOMMU address spaces',
  category: 'viommu',
  severity: 'blocker',
  at: 'L0',
  says: [
    {
      in: 'qemu',
      re: /group (\d+) used in multiple address spaces/,
      example: 'vfio 0000:01:00.1: group 1 used in multiple address spaces',
      proof: 'src',
    },
  ],
  why: 'With a translating vIOMMU each guest BDF has its own address space, hence its own container. A host group can live in one container only. GPU + audio in one group is the everyday case.',
  see: [
    {
      read: 'plan: vIOMMU present AND two or more devices with the same {d}/iommu_group number AND not behind the same guest conventional bridge',
      when: 'true',
      sure: 'certain',
    },
  ],
  fix: [
    'assign only one device of the group',
    "place all members of the group behind one pcie-pci-bridge (they then share the bridge's address space; the guest sees conventional PCI and one group)",
    'take the devices out from behind the vIOMMU: pxb-pcie with bypass_iommu=on, or -M q35,default_bus_bypass_iommu=on (not for nested use)',
    'better isolation on the host so that groups differ',
  ],
  beware:
    "Proxmox's own machine:q35,viommu=intel plus hostpci of a two-function GPU builds exactly the failing topology. libvirt does not check it before starting.",
  sources: [
    'gh:lf-edge/eve#2544',
    'gh:kata-containers/kata-containers#10622',
    'gh:kata-containers/kata-containers#2900',
    'gh:branpurn/separate-kvm-feasibility (PR 4)',
    'qemu:hw/vfio/container.c',
  ],
  rules: [{ about: 'vm', asks: 'Has each host group one address space in the guest?', run: judge }],
};

function judge(vm: Vm, picture: Picture): Verdict {
  const devices = translated(vm);
  if (devices.length < 2) return notApplicable('at most one host device is behind a vIOMMU');
  const members = new Map<number, VmHostDevice[]>();
  const ungrouped = [];
  for (const one of devices) {
    const group = one.bdf === undefined ? undefined : functionOf(picture, one.bdf)?.group;
    if (group === undefined) ungrouped.push(one.bdf ?? one.device.text);
    else members.set(group, [...(members.get(group) ?? []), one]);
  }
  for (const [group, list] of members) {
    // Behind one conventional bridge all are the same requester to the vIOMMU.
    const spaces = new Set(list.map(({ bridge, at: place }) => bridge ?? place));
    if (list.length > 1 && spaces.size > 1)
      return {
        is: 'fail',
        because: `${list.map(({ bdf }) => bdf).join(' and ')} share group ${group} of this host, which has one address space, and the vIOMMU gives each its own`,
        seen: list.flatMap(({ bdf, device }) => [
          quote(vm, device),
          ...(bdf === undefined ? [] : [{ where: `/sys/bus/pci/devices/${bdf}/iommu_group`, text: String(group) }]),
        ]),
      };
  }
  if (ungrouped.length > 0)
    return unknown(`the group of ${ungrouped.join(', ')} is not known: it is no function of this host, or is still to be made`);
  return pass(
    `${devices.length} host devices are in ${members.size} groups`,
    ...devices.map(({ bdf }) => ({
      where: `/sys/bus/pci/devices/${bdf}/iommu_group`,
      text: String(functionOf(picture, bdf ?? '')?.group),
    })),
  );
}
