import type { Problem } from '../problem.ts';

export const viommuFirstStageBackend: Problem = {
  id: 'viommu-first-stage-backend',
  title: 'Nested (two-stage) translation asked for, but the device or host cannot do it',
  category: 'viommu',
  severity: 'blocker',
  at: 'L0',
  says: [
    {
      in: 'qemu',
      re: /Need IOMMUFD backend when (x-flts|flts|fsts)=on/,
      example: 'Failed to set vIOMMU: Need IOMMUFD backend when fsts=on',
      proof: 'src',
    },
    {
      in: 'qemu',
      re: /host device is uncompatible with stage-1 translation|host IOMMU is incompatible with guest first stage translation/,
      example: 'host device is uncompatible with stage-1 translation',
      proof: 'src',
    },
    {
      in: 'qemu',
      re: /(x-flts|flts|fsts) is only available in scalable mode/,
      example: 'fsts is only available in scalable mode',
      proof: 'seen',
    },
    {
      in: 'qemu',
      re: /First stage 1GB large page is unsupported by host IOMMU/,
      example: 'First stage 1GB large page is unsupported by host IOMMU',
      proof: 'src',
    },
    {
      in: 'qemu',
      re: /Incompatible host platform IOMMU type \d+/,
      example: 'Incompatible host platform IOMMU type 2',
      proof: 'src',
    },
    {
      in: 'qemu',
      re: /Need to set (scalable mode for PASID|dma_drain for scalable mode|fsts for svm)/,
      example: 'Need to set scalable mode for PASID',
      proof: 'seen',
    },
  ],
  why: 'Requires all of: host ECAP.SMTS, NEST, FSTS; CAP.FS1GP unless fs1gp=off; scalable mode on in the host kernel; iommufd backend; device not behind a conventional bridge; QEMU new enough (10.0 always refuses, 11.x does it); guest kernel with sm_on.',
  see: [
    { read: 'host ecap bits 26 NEST, 43 SMTS, 47 FSTS; cap bit 56 FS1GP', when: 'any needed one is 0', sure: 'certain' },
    {
      read: 'IOMMU_GET_HW_INFO (type INTEL_VTD, errata flag 772415)',
      when: 'type differs, or errata set (Sapphire Rapids: sm_off guests unsupported)',
      sure: 'certain',
    },
    { read: '/dev/iommu and QEMU property list', when: 'missing', sure: 'certain' },
  ],
  fix: ['fall back to caching-mode shadowing and say what it costs', 'newer QEMU/kernel', 'iommufd backend'],
  beware:
    'caching-mode (shadow) works for nested assignment without any of this; two-stage hardware is an optimisation, not a requirement - many answers state the contrary.',
  sources: [
    'qemu:hw/i386/intel_iommu_accel.c (upstream)',
    'qemu:docs/devel/vfio-iommufd.rst',
    'qemu-10.0.13 and 11.1.2 runs',
    'gh:deepin-community/kernel#1933',
  ],
  rules: [],
};
