import type { Problem } from '../problem.ts';

export const viommuCachingMode: Problem = {
  id: 'viommu-caching-mode',
  title: 'intel-iommu without caching-mode=on cannot track mappings for an assigned device',
  category: 'viommu',
  severity: 'blocker',
  at: 'L0',
  says: [
    {
      in: 'qemu',
      re: /We need to set caching-mode=on for intel-iommu to enable device assignment with IOMMU protection/,
      example: 'We need to set caching-mode=on for intel-iommu to enable device assignment with IOMMU protection.',
      proof: 'src',
    },
    {
      in: 'qemu',
      re: /Device assignment is not allowed without enabling caching-mode=on for Intel IOMMU/,
      example: 'Device assignment is not allowed without enabling caching-mode=on for Intel IOMMU.',
      proof: 'src',
    },
    {
      in: 'qemu',
      re: /device [0-9a-f]{2}\.[0-9a-f]{2}\.[0-9a-f] requires caching mode/,
      example: 'device 01.00.0 requires caching mode',
      proof: 'src',
    },
  ],
  why: 'Hardware caches no not-present entries, so a guest need not invalidate when it adds a mapping. CM=1 obliges it to, which is the only moment at which QEMU can update the shadow.',
  see: [
    {
      read: 'plan: intel-iommu with a vfio/vhost-vdpa device',
      when: 'caching-mode not on and first-stage nested mode not used',
      sure: 'certain',
    },
    { read: 'guest cap bit 7', when: '0', sure: 'certain' },
  ],
  fix: ['caching-mode=on'],
  beware:
    'libvirt refuses the XML with its own message; hot-plug into a VM started without it fails at plug time. With fsts=on + iommufd (QEMU 11) stage 1 is walked by hardware; QEMU 11.1 still demands caching-mode for the stage-2 fallback - verify on the version in use.',
  sources: [
    'gh:karmab/kcli#458',
    'gh:lf-edge/eve#1204',
    'gh:autotest/tp-libvirt#5412',
    'gh:autotest/tp-qemu#2850',
    'qemu:hw/i386/intel_iommu.c',
    'qemu-11.1.2 strings',
  ],
  rules: [],
};
