import type { IommuUnit } from '../../host/iommu.ts';
import { functionOf, type Picture, unitNamed } from '../../host/picture.ts';
import { type Check, check, type Evidence, type Verdict } from '../check.ts';
import { interruptsOffOption } from '../cmdline.ts';
import { at, notApplicable, remappedChips, unknown } from '../facts.ts';

import { indexOf, once } from '../index-of.ts';
import { registersOf } from '../units.ts';

/** Each way into VFIO has a parameter of its own that lets it do without. */
const UNSAFE = ['vfio_iommu_type1', 'iommufd'] as const;

export const interruptsRemapped: Check = check({
  id: 'platform/interrupt-remapping',
  asks: 'Are interrupts of the function remapped, as VFIO requires?',
  source:
    'VT-d 5.10 §8.1 INTR_REMAP, §11.4.3 ECAP_REG.IR; Linux drivers/vfio/vfio_iommu_type1.c and drivers/iommu/iommufd/device.c allow_unsafe_interrupts',
  run(picture, bdf) {
    const found = functionOf(picture, bdf);
    if (found !== undefined && found.group === undefined && found.unit === undefined)
      return notApplicable('no remapping unit is in front of it', { where: at(found, 'iommu_group'), text: 'absent' });
    const unit = unitNamed(picture, found?.unit ?? '');
    if (unit === undefined) return unknown('no remapping unit that could be read claims it');
    const known = verdicts(picture);
    const verdict = known.get(unit) ?? judge(picture, unit);
    known.set(unit, verdict);
    return verdict;
  },
});

/** The same for all functions behind one unit. */
const verdicts = once(() => new Map<IommuUnit, Verdict>());

function judge(picture: Picture, unit: IommuUnit): Verdict {
  const platform = platformOf(picture);
  const { chips } = platform;
  const seen = [
    ...(chips === undefined ? [] : [chips.seen]),
    ...(unit.ecap === undefined ? [] : [{ where: `/sys/class/iommu/${unit.name}/intel-iommu/ecap`, text: unit.ecap }]),
    ...platform.seen,
  ];
  const unsafe = UNSAFE.filter((module) => picture.parameters[module]?.allow_unsafe_interrupts === 'Y');
  const parameters = unsafe.map((module) => ({
    where: `/sys/module/${module}/parameters/allow_unsafe_interrupts`,
    text: 'Y',
  }));
  // What the kernel does is seen at its interrupts; what it could do decides only where they were not read.
  const remapped = chips?.is ?? (platform.against === undefined ? registersOf(unit) && true : false);
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
    return {
      is: 'pass',
      because: 'interrupts are not remapped, but allow_unsafe_interrupts is set: a guest may inject interrupts into this host',
      seen: [...seen, ...parameters],
    };
  return {
    is: 'fail',
    because: platform.against ?? withoutReason(unit),
    seen,
    fix: [
      platform.option === undefined
        ? 'turn on interrupt remapping in firmware; for a vIOMMU give intel-iommu intremap=on and a split irqchip'
        : `remove ${platform.option}`,
      'last resort on a host with one tenant: vfio_iommu_type1.allow_unsafe_interrupts=1 (iommufd has a parameter of its own)',
    ],
  };
}

/** What keeps interrupts of all functions from being remapped: an option, firmware, or one unit that cannot. */
const platformOf = once((picture) => {
  const option = interruptsOffOption(picture.system.cmdline);
  // The kernel asks this flag first, whatever the units can do (dmar_ir_support).
  const refused = indexOf(picture).dmar?.INTR_REMAP === false;
  const unable = picture.units.filter((unit) => registersOf(unit)?.ecap.IR === 0);
  const seen: Evidence[] = [];
  if (option !== undefined) seen.push({ where: '/proc/cmdline', text: option });
  if (refused) seen.push({ where: '/sys/firmware/acpi/tables/DMAR Flags', text: 'INTR_REMAP=0' });
  for (const { name, ecap = '' } of unable) seen.push({ where: `/sys/class/iommu/${name}/intel-iommu/ecap`, text: ecap });
  let against: string | undefined;
  if (option !== undefined) against = `${option} is on the command line`;
  else if (refused) against = 'the DMAR table says that the platform does not remap interrupts (INTR_REMAP is 0)';
  else if (unable.length > 0) against = `ECAP_REG.IR is 0 in ${unable.map(({ name }) => name).join(', ')}`;
  return { option, against, seen, chips: remappedChips(picture) };
});

function withoutReason({ name }: IommuUnit): string {
  if (name.startsWith('ivhd'))
    return 'the kernel does not remap interrupts; on AMD it gives up when the IVRS table names no I/O APIC or a wrong one';
  if (name.startsWith('dmar')) return 'the kernel does not remap interrupts although the unit can: the boot log says why';
  return 'a virtio-iommu remaps no interrupts';
}
