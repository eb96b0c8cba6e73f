import type { Problem } from '../problem.ts';

export const iommuPtMisread: Problem = {
  id: 'iommu-pt-misread',
  title: 'iommu=pt is believed to turn the IOMMU off, to be needed for passthrough, or to speed the VM up',
  category: 'platform',
  severity: 'misread',
  at: 'any',
  says: [
    {
      in: 'kernel',
      re: /iommu: Default domain type: (Passthrough|Translated)/,
      example: 'iommu: Default domain type: Passthrough (set via kernel command line)',
      proof: 'seen',
      marker: true,
    },
  ],
  why: 'It only selects the DEFAULT domain type for devices that a host driver uses (identity). The unit stays on, interrupt remapping stays on, and a device opened through VFIO is moved to its own translated domain either way.',
  see: [
    {
      read: '{g}/type',
      when: 'identity for host devices = pt in effect; a group owned by VFIO keeps reporting its DEFAULT type, not what VFIO attached',
      sure: 'certain',
    },
    {
      read: '/sys/class/iommu/dmar*/intel-iommu/ecap bit 6',
      when: '0: no hardware pass-through, Linux builds an identity map in page tables instead',
      sure: 'certain',
    },
  ],
  fix: [
    'host throughput matters and host devices are trusted: iommu=pt',
    'want host-side DMA protection too: leave it out; iommu.strict=1 for the strongest',
    'do not present it as a requirement',
  ],
  beware:
    'amd_iommu=on and intel_iommu=pt are not options (the kernel prints: Unknown option). iommu=pt forbids AMD SEV-SNP (see snp-needs-translation). In a guest it decides whether the vIOMMU has to shadow at all (see viommu-map-cost).',
  sources: [
    'gh:snabbco/snabb#455',
    'gh:kata-containers/kata-containers#4333',
    'proxmox/pve-docs:qm-pci-passthrough.adoc (describes it wrongly as a VM matter)',
    'linux:drivers/iommu/iommu.c',
    'spec:VT-d ECAP.PT, context entry TT=10b, PASID entry PGTT=100b',
  ],
  rules: [],
};
