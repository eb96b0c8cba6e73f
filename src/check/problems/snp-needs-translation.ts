import type { Problem } from '../problem.ts';

export const snpNeedsTranslation: Problem = {
  id: 'snp-needs-translation',
  title: 'SEV-SNP is refused because the host IOMMU is off or in pass-through',
  category: 'confidential',
  severity: 'blocker',
  at: 'L0',
  says: [
    {
      in: 'kernel',
      re: /SNP: IOMMU is (either )?disabled or configured in passthrough mode/,
      example: 'AMD-Vi: SNP: IOMMU is disabled or configured in passthrough mode, SNP cannot be supported',
      proof: 'src',
    },
    {
      in: 'kernel',
      re: /SEV-SNP: IOMMU is either disabled or configured in passthrough mode/,
      example: 'AMD-Vi: SEV-SNP: IOMMU is either disabled or configured in passthrough mode.',
      proof: 'rep',
    },
    {
      in: 'kernel',
      re: /Memory encryption detected - Disabling default IOMMU Passthrough/,
      example: 'iommu: Memory encryption detected - Disabling default IOMMU Passthrough',
      proof: 'src',
    },
  ],
  why: 'The RMP check of DMA needs translated domains.',
  see: [{ read: '/proc/cmdline', when: 'iommu=pt or amd_iommu=off while SNP is wanted', sure: 'certain' }],
  fix: ['iommu=nopt or no option'],
  beware: 'Contradicts the advice "always iommu=pt".',
  sources: ['gh:AMDESE/AMDSEV#88', 'linux:drivers/iommu/amd/init.c'],
  rules: [],
};
