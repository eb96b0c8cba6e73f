import type { Verdict } from '../check.ts';
import { notApplicable, pass, unknown } from '../facts.ts';
import type { Problem } from '../problem.ts';
import { iommuOf, quote, remapsInterrupts, type Vm } from '../vm.ts';

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
  rules: [{ about: 'vm', asks: 'Can interrupts reach all its vCPUs?', run: judge }],
};

/** The highest APIC id that a plain interrupt message can name; 255 is all of them. */
const PLAIN = 254;

function judge(vm: Vm): Verdict {
  const { highestApicId: highest, maximum } = vm.vcpus;
  if (highest === undefined) return notApplicable('it is no x86 machine');
  const smp = { where: vm.from, text: `-smp ${vm.options.smp?.at(-1) ?? '1'}` };
  if (highest <= PLAIN) return pass(`the highest APIC id is ${highest}`, smp);
  const iommu = iommuOf(vm);
  const what = `${maximum} vCPUs have APIC ids up to ${highest}, and above ${PLAIN} only an extended interrupt message reaches`;
  if (iommu === undefined)
    return unknown(`${what}; without a vIOMMU the guest needs a kernel that knows KVM's extended destination ids`, smp);
  const seen = [smp, quote(vm, iommu.device)];
  const { eim, xtsup } = iommu.device.props;
  const extended = iommu.kind === 'intel' ? eim !== 'off' : iommu.kind === 'amd' && xtsup === 'on';
  if (extended && remapsInterrupts(vm, iommu)) return pass(`${what}, which its vIOMMU sends`, ...seen);
  return { is: 'fail', because: `${what}: its vIOMMU does not send them`, seen };
}
