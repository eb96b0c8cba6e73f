import type { Problem } from '../problem.ts';

export const viommuMapCost: Problem = {
  id: 'viommu-map-cost',
  title: 'Assigned device is slow in L1 because every map and unmap traps to QEMU',
  category: 'viommu',
  severity: 'slow',
  at: 'L1',
  says: [
    {
      in: 'guest',
      re: /IOMMU batching disallowed due to virtualization/,
      example: 'DMAR: IOMMU batching disallowed due to virtualization',
      proof: 'seen',
      marker: true,
    },
    {
      in: 'guest',
      re: /AMD-Vi: Using strict mode due to virtualization/,
      example: 'AMD-Vi: Using strict mode due to virtualization',
      proof: 'src',
      marker: true,
    },
  ],
  why: 'With CM=1 Linux invalidates on map and turns lazy flushing off; QEMU replays each range into VFIO. Kernel network/storage drivers map per packet.',
  see: [
    { read: 'guest {g}/type', when: 'DMA (translated) for a device used by a kernel driver at high rate', sure: 'likely' },
    { read: 'guest cap bit 7', when: '1', sure: 'certain' },
  ],
  fix: [
    'L1 kernel iommu=pt: devices of L1 drivers get the pass-through domain, only what L1 hands to VFIO is translated',
    'DPDK/L2 with static hugepage mappings (few maps)',
    'first-stage nested translation where possible',
  ],
  beware:
    "pt works only if the vIOMMU offers ECAP.PT (pt=on, default in 7.2-10.0); a report on QEMU 11 found devices behind a bridge still translated. It is not a loss of protection for L2, only for L1's own drivers.",
  sources: [
    'linux:drivers/iommu/intel/iommu.c',
    'linux:drivers/iommu/amd/init.c',
    'gh:lf-edge/eve#1491',
    'cloud-hypervisor:docs/iommu.md',
    'poc boot log',
  ],
  rules: [],
};
