import type { Problem } from '../problem.ts';

export const viommuDeviceOrder: Problem = {
  id: 'viommu-device-order',
  title: 'A vfio-pci device created before the vIOMMU stays outside it',
  category: 'viommu',
  severity: 'broken',
  at: 'L0',
  says: [],
  why: 'vfio-pci resolves its DMA address space when it is realised (emulated PCI devices do so only when the machine is complete). If the vIOMMU comes later on the command line, the assigned device keeps plain guest-physical memory while the guest believes it is translated: IOVAs are then used as guest-physical addresses.',
  see: [
    {
      read: 'plan / process arguments: position of intel-iommu, amd-iommu, virtio-iommu',
      when: 'any vfio-pci (or vhost-vdpa) before it',
      sure: 'certain',
    },
  ],
  fix: [
    'emit the vIOMMU as the first -device',
    'tools that append options (qm set --args) cannot do it - generate the line whole',
  ],
  beware: 'Proxmox users wrote their own launchers for this reason before viommu= existed.',
  sources: [
    'gh:bashtheshell/IOMMU-nested-pve',
    'gh:branpurn/separate-kvm-feasibility',
    'qemu:hw/vfio/pci.c (address space at realize), hw/pci/pci.c (machine_done)',
    'QEMU wiki Features/VT-d (as cited there)',
  ],
  rules: [],
};
