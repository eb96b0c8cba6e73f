import { functionOf } from '../../host/picture.ts';
import { type Check, check } from '../check.ts';
import { interruptsOffOption } from '../cmdline.ts';
import { indexOf } from '../index-of.ts';
import { registersOf } from '../units.ts';

export const interruptsRemapped: Check = check({
  id: 'platform/interrupt-remapping',
  asks: 'Are interrupts of the function remapped, as VFIO requires?',
  source: 'VT-d 5.10 §8.1 INTR_REMAP, §11.4.3 ECAP_REG.IR; Linux drivers/vfio/vfio_iommu_type1.c allow_unsafe_interrupts',
  run(picture, bdf) {
    const name = functionOf(picture, bdf)?.unit;
    const unit = picture.units.find((candidate) => candidate.name === name);
    if (unit === undefined) return { is: 'unknown', because: 'no remapping unit claims it', seen: [] };
    const option = interruptsOffOption(picture.system.cmdline);
    const registers = registersOf(unit);
    const seen = [];
    if (unit.ecap !== undefined) seen.push({ where: `/sys/class/iommu/${unit.name}/intel-iommu/ecap`, text: unit.ecap });
    if (option !== undefined) seen.push({ where: '/proc/cmdline', text: option });
    const dmar = indexOf(picture).dmar;
    // The kernel asks this flag first, whatever the unit can do (dmar_ir_support).
    const optedOut = dmar !== undefined && !dmar.INTR_REMAP;
    if (optedOut) seen.push({ where: '/sys/firmware/acpi/tables/DMAR Flags', text: 'INTR_REMAP=0' });
    if (option === undefined && registers === undefined)
      return { is: 'unknown', because: `${unit.name} is no VT-d unit with a readable ECAP_REG`, seen };
    if (option === undefined && !optedOut && registers?.ecap.IR === 1)
      return { is: 'pass', because: 'ECAP_REG.IR is 1 and no boot option turns it off', seen };
    if (picture.parameters.vfio_iommu_type1?.allow_unsafe_interrupts === 'Y')
      return {
        is: 'pass',
        because: 'interrupts are not remapped, but allow_unsafe_interrupts is set: a guest may inject interrupts into this host',
        seen: [...seen, { where: '/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts', text: 'Y' }],
      };
    return {
      is: 'fail',
      because:
        option !== undefined
          ? `${option} is on the command line`
          : optedOut
            ? 'the DMAR table says that the platform does not remap interrupts (INTR_REMAP is 0)'
            : 'ECAP_REG.IR is 0',
      seen,
      fix: [
        option === undefined
          ? 'turn on interrupt remapping in firmware; for a vIOMMU give intel-iommu intremap=on and a split irqchip'
          : `remove ${option}`,
        'last resort on a host with one tenant: vfio_iommu_type1.allow_unsafe_interrupts=1',
      ],
    };
  },
});
