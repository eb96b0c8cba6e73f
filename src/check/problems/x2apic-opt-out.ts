import type { Problem } from '../problem.ts';

export const x2apicOptOut: Problem = {
  id: 'x2apic-opt-out',
  title: 'Interrupt remapping runs in xapic mode, so CPUs above APIC id 254 cannot be interrupt targets',
  category: 'platform',
  severity: 'slow',
  at: 'any',
  says: [
    {
      in: 'kernel',
      re: /x2apic is disabled because BIOS sets x2apic opt out bit/,
      example: 'DMAR-IR: x2apic is disabled because BIOS sets x2apic opt out bit.',
      proof: 'src',
    },
    {
      in: 'kernel',
      re: /Enabled IRQ remapping in xapic mode/,
      example: 'DMAR-IR: Enabled IRQ remapping in xapic mode',
      proof: 'seen',
      marker: true,
    },
    { in: 'kernel', re: /does not support EIM/, example: 'DMAR-IR: dmar0 does not support EIM', proof: 'src' },
  ],
  why: 'DMAR flag X2APIC_OPT_OUT (bit 1) or ECAP.EIM=0 on one unit keeps the IRTE destination at 8 bits.',
  see: [
    { read: 'DMAR header flags bit 1', when: '1', sure: 'certain' },
    { read: '/sys/class/iommu/dmar*/intel-iommu/ecap bit 4', when: '0 on any unit', sure: 'certain' },
  ],
  fix: ['firmware setup x2APIC on', 'intremap=no_x2apic_optout', 'guest: eim=on on the vIOMMU'],
  beware: 'Harmless below 255 CPUs.',
  sources: ['linux:drivers/iommu/intel/irq_remapping.c', 'poc boot log of this project'],
  rules: [],
};
