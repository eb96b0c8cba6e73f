import type { Picture } from '../../host/picture.ts';
import type { Verdict } from '../check.ts';
import { isBridge, notApplicable, pass, unknown } from '../facts.ts';
import type { Problem } from '../problem.ts';
import { interruptsRemapped } from '../rules/interrupts-remapped.ts';
import { iommuOf, irqchipInKernel, quote, remapsInterrupts, type Vm } from '../vm.ts';

export const l1NoIntremap: Problem = {
  id: 'l1-no-intremap',
  title: 'Groups exist in L1 but its vIOMMU does not remap interrupts, so VFIO in L1 refuses',
  category: 'viommu',
  severity: 'blocker',
  at: 'L1',
  says: [
    {
      in: 'guest',
      re: /vfio_iommu_type1_attach_group: No interrupt remapping support/,
      example:
        'vfio_iommu_type1_attach_group: No interrupt remapping support.  Use the module param "allow_unsafe_interrupts" to enable VFIO IOMMU support on this platform',
      proof: 'src',
    },
    {
      in: 'guest',
      re: /Failed to set iommu for container(?=: Operation not permitted)/,
      example: 'failed to setup container for group 3: Failed to set iommu for container: Operation not permitted',
      proof: 'rep',
    },
  ],
  why: 'intremap=off, or auto which is off unless the irqchip is split/off, or a guest kernel without CONFIG_IRQ_REMAP. Having a group is necessary, not sufficient.',
  see: [
    { read: 'guest ecap bit 3 and DMAR flags bit 0', when: '0', sure: 'certain' },
    { read: 'guest dmesg', when: 'no "DMAR-IR: Enabled IRQ remapping" line', sure: 'certain' },
  ],
  fix: ['intremap=on and kernel-irqchip=split'],
  beware:
    'ECAP_REG.IR alone is no proof: logs exist with IR=1 and no DMAR-IR line, where nobody noticed. virtio-iommu does no interrupt remapping at all on x86.',
  sources: ['linux:drivers/vfio/vfio_iommu_type1.c', 'qemu:hw/i386/x86-iommu.c'],
  rules: [
    { about: 'vm', asks: 'Does its vIOMMU remap interrupts, so that VFIO in it accepts devices?', run: judge },
    { about: 'host', asks: 'Does the vIOMMU of this guest remap interrupts?', run: inGuest },
  ],
};

function judge(vm: Vm): Verdict {
  const iommu = iommuOf(vm);
  if (iommu === undefined) return notApplicable('it has no vIOMMU');
  if (vm.assignsOn === false) return notApplicable('it assigns no devices on');
  const seen = [quote(vm, iommu.device), { where: vm.from, text: `${vm.accel}, kernel-irqchip=${vm.kernelIrqchip}` }];
  if (remapsInterrupts(vm, iommu)) return pass('its vIOMMU remaps interrupts', ...seen);
  const why =
    iommu.kind === 'virtio'
      ? 'virtio-iommu remaps no interrupts on x86'
      : iommu.device.props.intremap === 'off'
        ? 'intremap=off'
        : irqchipInKernel(vm)
          ? 'intremap is not given, and is off because kernel-irqchip is not split'
          : 'its vIOMMU does not remap interrupts';
  const then = 'VFIO in the guest refuses devices with EPERM';
  if (vm.assignsOn === undefined)
    return unknown(`${why}: if the guest assigns devices on, ${then}; nobody said whether it does`, ...seen);
  return { is: 'fail', because: `${why}: ${then}`, seen };
}

function inGuest(picture: Picture): Verdict {
  if (!picture.system.guest) return notApplicable('this machine is no guest');
  if (picture.units.length === 0) return notApplicable('no unit is driven in this guest');
  // One function of each unit speaks for all behind it.
  const ends = new Map(picture.functions.filter((found) => !isBridge(found)).map((found) => [found.unit, found.bdf]));
  const verdicts = picture.units.flatMap(({ name }) => {
    const bdf = ends.get(name);
    return bdf === undefined ? [] : [interruptsRemapped.run(picture, bdf)];
  });
  return (
    verdicts.find(({ is }) => is === 'fail') ??
    verdicts.find(({ is }) => is === 'unknown') ??
    verdicts[0] ??
    notApplicable('no function is behind its units')
  );
}
