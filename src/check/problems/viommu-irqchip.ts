import type { Problem } from '../problem.ts';

export const viommuIrqchip: Problem = {
  id: 'viommu-irqchip',
  title: 'Interrupt remapping needs a split or user-space irqchip',
  category: 'viommu',
  severity: 'blocker',
  at: 'L0',
  says: [
    {
      in: 'qemu',
      re: /Interrupt Remapping cannot work with kernel-irqchip=on, please use 'split\|off'/,
      example: "Interrupt Remapping cannot work with kernel-irqchip=on, please use 'split|off'.",
      proof: 'src',
    },
    {
      in: 'qemu',
      re: /eim=on cannot be selected without intremap=on/,
      example: 'eim=on cannot be selected without intremap=on',
      proof: 'seen',
    },
    {
      in: 'qemu',
      re: /eim=on requires (accel=kvm,kernel-irqchip=split|support on the KVM side)/,
      example: 'eim=on requires accel=kvm,kernel-irqchip=split',
      proof: 'seen',
    },
  ],
  why: 'With the IOAPIC in the kernel QEMU never sees the interrupt messages it would have to remap.',
  see: [
    { read: 'plan: machine kernel-irqchip', when: 'on (KVM) and intremap=on', sure: 'certain' },
    { read: 'libvirt <features><ioapic driver=>', when: 'kvm or missing', sure: 'certain' },
  ],
  fix: ['kernel-irqchip=split', 'libvirt <ioapic driver="qemu"/>'],
  beware:
    'The check applies to KVM only; under TCG QEMU starts without complaint (seen), so a rehearsal under TCG does not prove it.',
  sources: ['qemu:hw/i386/x86-iommu.c', 'qemu-7.2 run', 'gh:kubevirt/kubevirt#18915'],
  rules: [],
};
