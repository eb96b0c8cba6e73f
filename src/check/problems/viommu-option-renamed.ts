import type { Problem } from '../problem.ts';

export const viommuOptionRenamed: Problem = {
  id: 'viommu-option-renamed',
  title: 'The vIOMMU option of a guide does not exist in this QEMU',
  category: 'viommu',
  severity: 'blocker',
  at: 'L0',
  says: [
    {
      in: 'qemu',
      re: /Property '(intel|amd|virtio)-iommu[a-z-]*\.[a-z0-9-]+' not found/,
      example: "Property 'intel-iommu.x-flts' not found",
      proof: 'seen',
    },
  ],
  why: '7.2 and 10.0: x-scalable-mode (10.0 also x-flts, x-pasid-mode, pt, dma-drain). 11.1: scalable-mode, fsts, pasid-bits, svm; x-flts, x-scalable-mode, pt, dma-drain are gone.',
  see: [
    {
      read: 'output of "qemu-system-x86_64 -device intel-iommu,help" or QMP device-list-properties',
      when: 'a property of the plan is absent',
      sure: 'certain',
    },
  ],
  fix: ['generate options from the property list of the installed binary', 'keep a rename table'],
  beware: 'Never derive it from the version number alone; distributions backport.',
  sources: ['qemu-7.2, 10.0.13, 11.1.2 runs', 'qemu:docs/devel/vfio-iommufd.rst (says flts and scalable-mode)'],
  rules: [],
};
