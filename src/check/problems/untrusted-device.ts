import type { Problem } from '../problem.ts';

export const untrustedDevice: Problem = {
  id: 'untrusted-device',
  title: 'The device is marked untrusted (external port), so the kernel bounces its DMA and refuses ATS',
  category: 'platform',
  severity: 'slow',
  at: 'L0',
  says: [
    {
      in: 'kernel',
      re: /Intel-IOMMU force enabled due to platform opt in/,
      example: 'DMAR: Intel-IOMMU force enabled due to platform opt in',
      proof: 'src',
      marker: true,
    },
    {
      in: 'kernel',
      re: /on untrusted PCI link/,
      example: 'pci 0000:00:02.0: Skipping IOMMU quirk for dev [8086:9A49] on untrusted PCI link',
      proof: 'src',
    },
  ],
  why: 'DMAR flag DMA_CTRL_PLATFORM_OPT_IN plus an external-facing port (ACPI ExternalFacingPort) turns the IOMMU on and translated even without intel_iommu=on and even with iommu=pt.',
  see: [
    { read: 'DMAR header flags bit 2', when: '1', sure: 'certain' },
    { read: '{g}/type of an external device', when: 'DMA or DMA-FQ although pt is the default', sure: 'certain' },
  ],
  fix: ['nothing for VFIO use', 'host drivers that pin user memory need care'],
  beware: 'This explains "my IOMMU is on though I never set it".',
  sources: [
    'gh:tenstorrent/tt-kmd#195',
    'gh:fwupd/fwupd#5314',
    'gh:thesofproject/sof-test#744',
    'linux:drivers/iommu/intel/iommu.c platform_optin_force_iommu',
  ],
  rules: [],
};
