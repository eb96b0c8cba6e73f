import type { Problem } from '../problem.ts';

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
  rules: [],
};
