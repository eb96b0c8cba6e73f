import type { Problem } from '../problem.ts';

export const virtioIommuNoDriver: Problem = {
  id: 'virtio-iommu-no-driver',
  title: 'The guest has a virtio-iommu but its kernel has no driver for it',
  category: 'viommu',
  severity: 'broken',
  at: 'L1',
  says: [
    {
      in: 'guest',
      re: /ACPI: VIOT/,
      example: 'ACPI: VIOT 0x000000003FFE2000 000070 (v00 BOCHS  BXPC     00000001 BXPC 00000001)',
      proof: 'rep',
      marker: true,
    },
  ],
  why: 'CONFIG_VIRTIO_IOMMU and ACPI VIOT support are needed (x86 from 5.14). Many distribution kernels leave it out; with boot-bypass=on the devices then simply stay untranslated.',
  see: [
    { read: 'guest kernel config CONFIG_VIRTIO_IOMMU', when: 'not set', sure: 'certain' },
    { read: 'guest ACPI VIOT present and /sys/class/iommu', when: 'empty', sure: 'certain' },
  ],
  fix: ['intel-iommu for such guests', 'another kernel'],
  beware:
    "Debian's 6.1 amd64 kernel has it off (seen). Windows has no driver; Incus therefore chooses intel-iommu for Windows. boot-bypass hides the failure. No interrupt remapping comes with it on x86.",
  sources: [
    'debian:/boot/config-6.1.0-56-amd64',
    'lxc/incus:internal/server/instance/drivers/driver_qemu_templates.go',
    'cloud-hypervisor:docs/iommu.md',
    'qemu:hw/virtio/virtio-iommu.c',
  ],
  rules: [],
};
