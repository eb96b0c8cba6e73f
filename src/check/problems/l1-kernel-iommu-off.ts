import type { Problem } from '../problem.ts';

export const l1KernelIommuOff: Problem = {
  id: 'l1-kernel-iommu-off',
  title: 'The vIOMMU is there but the guest kernel did not enable it',
  category: 'viommu',
  severity: 'blocker',
  at: 'L1',
  says: [
    {
      in: 'guest',
      re: /DMAR-IR: Enabled IRQ remapping in (x2apic|xapic) mode/,
      example: 'DMAR-IR: Enabled IRQ remapping in x2apic mode',
      proof: 'seen',
      marker: true,
    },
  ],
  why: 'Same as on bare metal - build default off, or intel_iommu=on missing in L1. Interrupt remapping alone may be on.',
  see: [{ read: 'guest ACPI DMAR present and /sys/kernel/iommu_groups', when: 'empty', sure: 'certain' }],
  fix: ['intel_iommu=on in the guest'],
  beware: 'A check on the host side cannot see it; verify must run in the guest (agent or serial).',
  sources: ['gh:bashtheshell/IOMMU-nested-pve', 'gh:os-autoinst/os-autoinst-distri-opensuse#21509'],
  rules: [],
};
