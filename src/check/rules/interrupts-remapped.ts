import { functionOf } from '../../host/picture.ts';
import { type Check, check } from '../check.ts';

/** ECAP_REG.IR, bit 3. */
const IR = 0x8;

export const interruptsRemapped: Check = check({
  id: 'platform/interrupt-remapping',
  asks: 'Are interrupts of the function remapped, as VFIO requires?',
  source: 'VT-d 5.10 §11.4.3 ECAP_REG.IR; Linux drivers/vfio/vfio_iommu_type1.c allow_unsafe_interrupts',
  run(picture, bdf) {
    const name = functionOf(picture, bdf)?.unit;
    const unit = picture.units.find((candidate) => candidate.name === name);
    if (unit?.ecap === undefined) return { is: 'unknown', because: 'no VT-d unit with a readable ECAP_REG claims it', seen: [] };
    const seen = [{ where: `/sys/class/iommu/${unit.name}/intel-iommu/ecap`, text: unit.ecap }];
    const irqchip = /(^|\s)(intremap=off|noapic)(\s|$)/.exec(picture.system.cmdline)?.[2];
    if (irqchip !== undefined) seen.push({ where: '/proc/cmdline', text: irqchip });
    if (Number.parseInt(unit.ecap.slice(-2), 16) & IR && irqchip === undefined)
      return { is: 'pass', because: 'ECAP_REG.IR is 1 and no boot option turns it off', seen };
    if (picture.allowUnsafeInterrupts)
      return {
        is: 'pass',
        because: 'interrupts are not remapped, but allow_unsafe_interrupts is set: a guest may inject interrupts into this host',
        seen: [...seen, { where: '/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts', text: 'Y' }],
      };
    return {
      is: 'fail',
      because: irqchip === undefined ? 'ECAP_REG.IR is 0' : `${irqchip} is on the command line`,
      seen,
      fix: [
        irqchip === undefined
          ? 'turn on interrupt remapping in firmware; for a vIOMMU give intel-iommu intremap=on and a split irqchip'
          : `remove ${irqchip}`,
        'last resort on a host with one tenant: vfio_iommu_type1.allow_unsafe_interrupts=1',
      ],
    };
  },
});
