import type { Problem } from '../problem.ts';

export const viommuSmp255: Problem = {
  id: 'viommu-smp-255',
  title: 'More than 255 vCPUs need eim and the X2APIC API',
  category: 'viommu',
  severity: 'blocker',
  at: 'L0',
  says: [
    {
      in: 'qemu',
      re: /current -smp configuration requires kernel irqchip and X2APIC API support/,
      example: 'current -smp configuration requires kernel irqchip and X2APIC API support.',
      proof: 'seen',
    },
    {
      in: 'qemu',
      re: /AMD IOMMU (with x2APIC configuration requires xtsup=on|xtsup=on requires x2APIC support)/,
      example: 'AMD IOMMU with x2APIC configuration requires xtsup=on',
      proof: 'src',
    },
  ],
  why: 'APIC ids above 254 fit only extended (x2APIC) interrupt messages.',
  see: [
    {
      read: 'plan: vCPU count / topology',
      when: 'highest APIC id > 254 and not (intremap=on, eim=on, split irqchip)',
      sure: 'certain',
    },
  ],
  fix: ['intel-iommu,intremap=on,eim=on with kernel-irqchip=split', 'amd-iommu,xtsup=on'],
  beware: 'APIC ids are sparse with odd core counts; compute them, do not count vCPUs.',
  sources: ['qemu-7.2 run', 'qemu-11.1.2 strings'],
  rules: [],
};
