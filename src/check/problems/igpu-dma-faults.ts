import type { Problem } from '../problem.ts';

export const igpuDmaFaults: Problem = {
  id: 'igpu-dma-faults',
  title: 'Turning the IOMMU on floods the log with DMA faults of the integrated GPU (or freezes the screen)',
  category: 'platform',
  severity: 'broken',
  at: 'L0',
  says: [
    {
      in: 'kernel',
      re: /DMAR: \[DMA (Read|Write)[^\]]*\] Request device \[(0x)?00:(0x)?02\.0\].*(PTE (Read|Write) access is not set|Next page table ptr is invalid|Present bit in (root|context) entry is clear)/,
      example:
        'DMAR: [DMA Read NO_PASID] Request device [0x00:0x02.0] fault addr 0x7c346000 [fault reason 0x06] PTE Read access is not set',
      proof: 'rep',
    },
  ],
  why: "The GPU still scans out firmware's framebuffer or stolen memory which is not mapped in its domain; old chips have errata.",
  see: [
    {
      read: '/proc/iomem reserved/stolen range near top of low RAM plus RMRR list',
      when: 'graphics stolen memory not covered by an RMRR of 00:02.0',
      sure: 'likely',
    },
    { read: 'dmesg', when: 'fault lines with source 00:02.0 before the graphics driver loads', sure: 'certain' },
  ],
  fix: [
    'intel_iommu=igfx_off or intel_iommu=on,igfx_off (host keeps the iGPU untranslated, then it cannot be assigned)',
    'iommu=pt',
    'firmware update',
  ],
  beware: 'With CONFIG_INTEL_IOMMU_DEFAULT_ON_INTGPU_OFF this is already the default, and then the iGPU has no group.',
  sources: [
    'gh:thesofproject/sof-test#744',
    'gh:Dasharo/dasharo-issues#641',
    'gh:strongtz/i915-sriov-dkms#286',
    'gh:patmagauran/i915ovmfPkg#16',
  ],
  rules: [],
};
