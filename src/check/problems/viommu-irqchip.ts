import type { Verdict } from '../check.ts';
import { notApplicable, pass } from '../facts.ts';
import type { Problem } from '../problem.ts';
import { iommuOf, irqchipInKernel, quote, remapsInterrupts, type Vm } from '../vm.ts';

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
  rules: [{ about: 'vm', asks: 'Does its irqchip leave the vIOMMU the interrupts that it is to remap?', run: judge }],
};

function judge(vm: Vm): Verdict {
  const iommu = iommuOf(vm);
  if (iommu === undefined || (iommu.kind !== 'intel' && iommu.kind !== 'amd'))
    return notApplicable('no vIOMMU of it remaps interrupts');
  const { intremap, eim } = iommu.device.props;
  const seen = [quote(vm, iommu.device), { where: vm.from, text: `${vm.accel}, kernel-irqchip=${vm.kernelIrqchip}` }];
  if (intremap === 'on' && irqchipInKernel(vm))
    return {
      is: 'fail',
      because:
        'intremap=on, and the I/O APIC is in the kernel: QEMU would never see the interrupts that it is to remap, and does not start',
      seen,
    };
  const remaps = remapsInterrupts(vm, iommu);
  if (eim === 'on' && !remaps)
    return {
      is: 'fail',
      because: 'eim=on goes with intremap=on only, and QEMU does not start',
      seen,
      fix: ['intremap=on and kernel-irqchip=split'],
    };
  if (!remaps) return notApplicable('its vIOMMU is not to remap interrupts', ...seen);
  if (vm.accel !== 'kvm' && vm.kernelIrqchip === 'on')
    return pass(`${vm.accel} does not enforce it; with KVM the same line would need kernel-irqchip=split`, ...seen);
  return pass(`kernel-irqchip=${vm.kernelIrqchip}: QEMU sees the interrupts of the I/O APIC`, ...seen);
}
