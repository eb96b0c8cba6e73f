import type { Problem } from '../problem.ts';

export const conventionalPciAlias: Problem = {
  id: 'conventional-pci-alias',
  title: "Devices behind a PCIe-to-PCI bridge all carry the bridge's requester id",
  category: 'group',
  severity: 'blocker',
  at: 'any',
  says: [
    {
      in: 'qemu',
      re: /virtio-iommu does not support aliased BDF/,
      example: 'virtio_iommu_find_add_as virtio-iommu does not support aliased BDF',
      proof: 'src',
    },
    {
      in: 'qemu',
      re: /Host device downstream to a PCI bridge is unsupported when (x-flts|flts|fsts)=on/,
      example: 'vfio 0000:02:00.0: Failed to set vIOMMU: Host device downstream to a PCI bridge is unsupported when fsts=on',
      proof: 'src',
    },
  ],
  why: 'A conventional bus carries no requester id; the bridge substitutes (secondary bus, 00.0) or its own. The IOMMU cannot tell the devices apart, so they are one group, on the host and in a guest alike.',
  see: [
    {
      read: 'config space of each bridge above {d}: PCIe capability device/port type',
      when: 'type 7 (PCIe-to-PCI) or no PCIe capability on a bridge below the root',
      sure: 'certain',
    },
  ],
  fix: [
    'use a PCIe device',
    'assign the whole bus',
    'guest: put vfio devices on pcie-root-ports, not on pci-bridge / pcie-pci-bridge',
  ],
  beware:
    'With a caching-mode vIOMMU a pcie-pci-bridge is sometimes used ON PURPOSE to give two functions of one host group one guest address space (see group-multiple-address-spaces); the two cases pull in opposite directions.',
  sources: [
    'gh:kata-containers/kata-containers#1726',
    'gh:kata-containers/kata-containers#2899',
    'gh:lf-edge/eve#2544',
    'qemu:hw/virtio/virtio-iommu.c',
    'qemu-11.1.2',
    'linux:drivers/pci/search.c pci_for_each_dma_alias',
  ],
  rules: [],
};
