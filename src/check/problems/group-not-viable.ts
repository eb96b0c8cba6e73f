import { ofEndpoints } from '../facts.ts';
import type { Problem } from '../problem.ts';
import { groupViable } from '../rules/group-viable.ts';

export const groupNotViable: Problem = {
  id: 'group-not-viable',
  title: 'Another member of the IOMMU group is bound to a host driver',
  category: 'group',
  severity: 'blocker',
  at: 'any',
  says: [
    { in: 'qemu', re: /group (\d+) is not viable/, example: 'vfio 0000:01:00.0: group 1 is not viable', proof: 'src' },
    { in: 'qemu', re: /VFIO group is not viable/, example: 'VFIO group is not viable', proof: 'src' },
    {
      in: 'qemu',
      re: /ensure all devices within the iommu_group are bound to their vfio bus driver/,
      example: 'Please ensure all devices within the iommu_group are bound to their vfio bus driver.',
      proof: 'src',
    },
    {
      in: 'dpdk',
      re: /VFIO group is not viable! Not all devices in IOMMU group bound to VFIO or unbound/,
      example: 'EAL: 0000:44:00.3 VFIO group is not viable! Not all devices in IOMMU group bound to VFIO or unbound',
      proof: 'rep',
    },
    {
      in: 'qemu',
      re: /Verify all devices in group \d+ are bound to vfio/,
      example: 'Verify all devices in group 14 are bound to vfio-<bus> or pci-stub and not already in use',
      proof: 'src',
    },
  ],
  why: 'DMA ownership of a group is exclusive. Every endpoint of it must have no driver or a driver that does not do kernel DMA (vfio-pci, pci-stub, or a bridge driver that manages its own DMA such as pcieport).',
  see: [
    {
      read: '{d}/iommu_group/devices/*/driver',
      when: 'any NON-bridge member has a driver other than vfio-pci (or another vfio bus driver), pci-stub, pcieport',
      sure: 'certain',
    },
  ],
  fix: [
    'bind every endpoint of the group to vfio-pci or leave it without driver',
    'put the card in a slot whose port has ACS',
    'assign another function that is alone',
    'only if you accept the loss of isolation: ACS override',
  ],
  beware:
    'Bridges (class 0x0604) and host bridges (0x0600) in the group need not and cannot be bound to vfio-pci; tools that demand it are wrong. The check must read live bindings, not a configuration file.',
  sources: [
    'gh:64kramsystem/vga-passthrough#15',
    'gh:kubevirt/kubevirt#6718',
    'gh:foxlet/vmra1n#4',
    'gh:NVIDIA/kubevirt-gpu-device-plugin#50',
    'gh:kubernetes-sigs/dra-driver-nvidia-gpu#1191',
    'gh:usnistgov/ndn-dpdk#63',
    'gh:T-vK/MobilePassThrough#10',
    'qemu:hw/vfio/container.c',
    'linux:drivers/vfio/container.c',
    'linux:drivers/iommu/iommu.c iommu_group_claim_dma_owner',
  ],
  rules: [{ about: 'function', asks: groupViable.asks, run: ofEndpoints((picture, { bdf }) => groupViable.run(picture, bdf)) }],
};
