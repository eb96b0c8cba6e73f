import type { Problem } from '../problem.ts';

export const virtioIommuGranule: Problem = {
  id: 'virtio-iommu-granule',
  title: 'virtio-iommu page granule does not fit the host or was frozen too early',
  category: 'viommu',
  severity: 'blocker',
  at: 'L0',
  says: [
    {
      in: 'qemu',
      re: /virtio-iommu reports a page size mask 0x[0-9a-f]+ incompatible with currently supported mask/,
      example:
        'virtio-iommu reports a page size mask 0xfffffffffffff000 incompatible with currently supported mask 0xffffffffffff0000',
      proof: 'src',
    },
    {
      in: 'qemu',
      re: /virtio-iommu does not support frozen granule/,
      example: 'virtio-iommu does not support frozen granule 0x1000',
      proof: 'src',
    },
    {
      in: 'qemu',
      re: /Virtio-iommu does not support dev-iotlb yet/,
      example: 'Virtio-iommu does not support dev-iotlb yet',
      proof: 'src',
    },
  ],
  why: 'Host page size (64 KiB on some Arm) or a hot-plugged device with another page-size mask.',
  see: [{ read: 'host page size and VFIO pgsizes bitmap', when: 'smallest supported page > guest granule', sure: 'certain' }],
  fix: ['granule=host (default in new QEMU)', 'cold-plug the device'],
  beware: 'x86 is normally unaffected.',
  sources: ['qemu:hw/virtio/virtio-iommu.c', 'gh:cloud-hypervisor/cloud-hypervisor#5292'],
  rules: [],
};
