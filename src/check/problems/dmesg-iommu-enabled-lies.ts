import type { Problem } from '../problem.ts';

export const dmesgIommuEnabledLies: Problem = {
  id: 'dmesg-iommu-enabled-lies',
  title: 'The line "DMAR: IOMMU enabled" is taken as proof that the IOMMU works',
  category: 'platform',
  severity: 'misread',
  at: 'any',
  says: [
    { in: 'kernel', re: /DMAR: IOMMU enabled$/, example: '[    0.065453] DMAR: IOMMU enabled', proof: 'seen', marker: true },
  ],
  why: 'It is printed while the option intel_iommu=on is parsed, before any hardware is looked at. It appears on AMD machines and on machines with no DMAR table when the option is given.',
  see: [{ read: 'dmesg', when: 'the line is present but /sys/class/iommu is empty', sure: 'certain' }],
  fix: [
    'accept only: /sys/class/iommu/*/devices not empty AND {d}/iommu_group present for the device',
    'the later line "Intel(R) Virtualization Technology for Directed I/O" is the end of a successful initialisation',
  ],
  beware: 'Likewise "DMAR-IR: Enabled IRQ remapping" proves interrupt remapping only.',
  sources: [
    'gh:NVIDIA/kubevirt-gpu-device-plugin#45 (AMD machine printing it)',
    'linux:drivers/iommu/intel/iommu.c intel_iommu_setup()',
  ],
  rules: [],
};
