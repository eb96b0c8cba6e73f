import type { Problem } from '../problem.ts';

export const viommuVhostIotlb: Problem = {
  id: 'viommu-vhost-iotlb',
  title: 'vhost or snoop-control options do not go with the vIOMMU',
  category: 'viommu',
  severity: 'blocker',
  at: 'L0',
  says: [
    {
      in: 'qemu',
      re: /device [0-9a-f.]+ requires device IOTLB mode/,
      example: 'device 00.03.0 requires device IOTLB mode',
      proof: 'src',
    },
    {
      in: 'qemu',
      re: /Snoop Control with vhost or VFIO is not supported/,
      example: 'Snoop Control with vhost or VFIO is not supported',
      proof: 'src',
    },
    {
      in: 'qemu',
      re: /iommu_platform=true is not supported by the device/,
      example: 'iommu_platform=true is not supported by the device',
      proof: 'src',
    },
  ],
  why: 'A virtio device behind the vIOMMU needs iommu_platform=on (and ats=on with device-iotlb=on for vhost); without iommu_platform it bypasses translation.',
  see: [
    {
      read: 'plan',
      when: 'vIOMMU and virtio-*-pci without iommu_platform=on,disable-legacy=on; vhost without device-iotlb=on,ats=on',
      sure: 'likely',
    },
  ],
  fix: ['iommu_platform=on,disable-legacy=on,ats=on and device-iotlb=on', 'or bypass_iommu=on on its bus'],
  beware: 'Leaving it out is not an error message but a silent bypass; report the device as unprotected.',
  sources: ['qemu:hw/i386/intel_iommu.c', 'gh:autotest/tp-qemu#2850', 'qemu-11.1.2'],
  rules: [],
};
