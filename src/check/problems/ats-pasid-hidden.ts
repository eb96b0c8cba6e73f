import type { Problem } from '../problem.ts';

export const atsPasidHidden: Problem = {
  id: 'ats-pasid-hidden',
  title: 'The guest does not see ATS, PRI or PASID of the device',
  category: 'viommu',
  severity: 'slow',
  at: 'L0',
  says: [
    {
      in: 'qemu',
      re: /vfio-pci: host kernel reports ATS unsupported; ATS capability will be masked/,
      example: 'vfio-pci: host kernel reports ATS unsupported; ATS capability will be masked',
      proof: 'src',
    },
    {
      in: 'qemu',
      re: /vfio-pci: ATS requested but not supported by kernel/,
      example: 'vfio-pci: ATS requested but not supported by kernel',
      proof: 'src',
    },
    {
      in: 'kernel',
      re: /vfio_ecap_init: hiding ecap 0x(0?f|13|1b)@/,
      example: 'vfio-pci 0000:00:02.0: vfio_ecap_init: hiding ecap 0x1b@0x100',
      proof: 'rep',
    },
  ],
  why: 'vfio-pci hides PASID and PRI; ATS is offered only if the (v)IOMMU supports device TLBs (device-iotlb=on, ECAP.DT) and the device is trusted and in an ATSR/SATC scope.',
  see: [
    {
      read: 'host ecap bit 2 DT; DMAR ATSR/SATC scopes; {d} ATS capability (ext 0x000F)',
      when: 'not all present',
      sure: 'certain',
    },
  ],
  fix: ['device-iotlb=on where wanted', 'QEMU 11: ats=, pasid-bits=, fsts for PASID'],
  beware: 'A device with ATS may cache translations; a guest-controlled ATS device must be trusted to obey invalidations.',
  sources: [
    'qemu-11.1.2',
    'gh:NVIDIA/NV-Kernels#130',
    'gh:patmagauran/i915ovmfPkg#16',
    'linux:drivers/vfio/pci/vfio_pci_config.c',
  ],
  rules: [],
};
