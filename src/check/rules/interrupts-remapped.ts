<<<<<<< HEAD
import { functionOf } from '../../host/picture.ts';
import { type Check, check } from '../check.ts';
import { interruptsOffOption } from '../cmdline.ts';
=======
import type { IommuUnit } from '../../host/iommu.ts';
import { functionOf, type Picture, unitNamed } from '../../host/picture.ts';
import { type Check, check, type Evidence, type Verdict } from '../check.ts';
import { interruptsOffOption } from '../cmdline.ts';
import { at, notApplicable, remappedChips, unknown } from '../facts.ts';
>>>>>>> ec6cd86 (check: platform problems have rules)
import { indexOf } from '../index-of.ts';
import { registersOf } from '../units.ts';

/** Each way into VFIO has a parameter of its own that lets it do without. */
const UNSAFE = ['vfio_iommu_type1', 'iommufd'] as const;

export const interruptsRemapped: Check = check({
  id: 'platform/interrupt-remapping',
  asks: 'Are interrupts of the function remapped, as VFIO requires?',
  source:
    'VT-d 5.10 §8.1 INTR_REMAP, §11.4.3 ECAP_REG.IR; Linux drivers/vfio/vfio_iommu_type1.c and drivers/iommu/iommufd/device.c allow_unsafe_interrupts',
  run(picture, bdf) {
<<<<<<< HEAD
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
=======
    const found = functionOf(picture, bdf);
    if (found !== undefined && found.group === undefined && found.unit === undefined)
      return notApplicable('no remapping unit is in front of it', { where: at(found, 'iommu_group'), text: 'absent' });
    const unit = unitNamed(picture, found?.unit ?? '');
    if (unit === undefined) return unknown('no remapping unit that could be read claims it');
    const chips = remappedChips(picture);
    const against = reasons(picture, unit);
    const seen = [...(chips === undefined ? [] : [chips.seen]), ...against.seen];
    const unsafe = UNSAFE.filter((module) => picture.parameters[module]?.allow_unsafe_interrupts === 'Y');
    const parameters = unsafe.map((module) => ({
      where: `/sys/module/${module}/parameters/allow_unsafe_interrupts`,
      text: 'Y',
    }));
    // What the kernel does is seen at its interrupts; what it could do decides only where they were not read.
    const remapped = chips?.is ?? against.remapped;
    if (remapped === undefined)
      return unknown(`/proc/interrupts was not read, and ${unit.name} is no VT-d unit with a readable ECAP_REG`, ...seen);
    if (remapped)
      return {
        is: 'pass',
        because: `${chips === undefined ? 'ECAP_REG.IR is 1 and no boot option turns it off' : 'the kernel remaps interrupts'}${
          unsafe.length === 0 ? '' : `; allow_unsafe_interrupts of ${unsafe.join(' and ')} is set without need`
        }`,
        seen: [...seen, ...parameters],
        ...(unsafe.length === 0 ? {} : { fix: unsafe.map((module) => `remove ${module}.allow_unsafe_interrupts=1`) }),
      };
    if (unsafe.includes('vfio_iommu_type1'))
>>>>>>> ec6cd86 (check: platform problems have rules)
      return {
        is: 'pass',
        because: 'interrupts are not remapped, but allow_unsafe_interrupts is set: a guest may inject interrupts into this host',
        seen: [...seen, ...parameters],
      };
    return refused(against, seen);
  },
});

interface Against {
  /** Undefined when the registers of the unit could not be read. */
  remapped: boolean | undefined;
  option: string | undefined;
  because: string;
  seen: Evidence[];
}

/** What is known to keep interrupts from being remapped: an option, firmware, or a unit that cannot. One such unit is enough. */
function reasons(picture: Picture, unit: IommuUnit): Against {
  const option = interruptsOffOption(picture.system.cmdline);
  const { dmar } = indexOf(picture);
  const { INTR_REMAP } = dmar ?? { INTR_REMAP: true };
  const seen: Evidence[] = [];
  if (unit.ecap !== undefined) seen.push({ where: `/sys/class/iommu/${unit.name}/intel-iommu/ecap`, text: unit.ecap });
  const unable = picture.units.filter((one) => registersOf(one)?.ecap.IR === 0);
  for (const { name, ecap } of unable)
    if (name !== unit.name && ecap !== undefined) seen.push({ where: `/sys/class/iommu/${name}/intel-iommu/ecap`, text: ecap });
  if (option !== undefined) seen.push({ where: '/proc/cmdline', text: option });
  // The kernel asks this flag first, whatever the units can do (dmar_ir_support).
  if (!INTR_REMAP) seen.push({ where: '/sys/firmware/acpi/tables/DMAR Flags', text: 'INTR_REMAP=0' });
  const against = option !== undefined || !INTR_REMAP || unable.length > 0;
  return {
    remapped: against ? false : registersOf(unit) === undefined ? undefined : true,
    option,
    because:
      option !== undefined
        ? `${option} is on the command line`
        : !INTR_REMAP
          ? 'the DMAR table says that the platform does not remap interrupts (INTR_REMAP is 0)'
          : unable.length > 0
            ? `ECAP_REG.IR of ${unable.map(({ name }) => name).join(', ')} is 0`
            : unit.name.startsWith('ivhd')
              ? 'the kernel does not remap interrupts; on AMD it gives up when the IVRS table names no I/O APIC or a wrong one'
              : unit.name.startsWith('dmar')
                ? 'the kernel does not remap interrupts although the unit can: the boot log says why'
                : 'a virtio-iommu remaps no interrupts',
    seen,
  };
}

function refused({ option, because }: Against, seen: Evidence[]): Verdict {
  return {
    is: 'fail',
    because,
    seen,
    fix: [
      option === undefined
        ? 'turn on interrupt remapping in firmware; for a vIOMMU give intel-iommu intremap=on and a split irqchip'
        : `remove ${option}`,
      'last resort on a host with one tenant: vfio_iommu_type1.allow_unsafe_interrupts=1 (iommufd has a parameter of its own)',
    ],
  };
}
