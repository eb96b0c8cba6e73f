import { readMadt } from '../../acpi/index.ts';
import type { Picture } from '../../host/picture.ts';
import type { Verdict } from '../check.ts';
import { optionValues } from '../cmdline.ts';
import { logLines, notApplicable, pass, unknown } from '../facts.ts';
import { indexOf } from '../index-of.ts';
import { TABLES, tableIs } from '../iommu-state.ts';
import type { Problem } from '../problem.ts';
import { registersOf } from '../units.ts';

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
  rules: [{ about: 'host', asks: 'Can interrupts be remapped to every processor?', run: reachable }],
};

/** The longest APIC ID that a remapping entry of 8 bits names; 255 is for all. */
const LONGEST = 254;

function reachable(picture: Picture): Verdict {
  const { units, system, platformTables } = picture;
  if (tableIs(picture, 'DMAR').is === 'absent') return notApplicable('there is no DMAR table: no unit of VT-d is asked');
  const madt = platformTables.find(({ signature }) => signature === 'APIC');
  const processors = madt === undefined ? undefined : readMadt(madt.bytes)?.processors;
  const highest = processors?.reduce((most, id) => Math.max(most, id), 0);
  if (highest === undefined) return unknown(`the APIC IDs of the processors are in ${TABLES}/APIC: look as root`);
  const ids = { where: `${TABLES}/APIC`, text: `${processors?.length} processors, highest APIC ID ${highest}` };
  if (highest <= LONGEST)
    return pass(`the highest APIC ID is ${highest}, and also the short form of remapping reaches ${LONGEST}`, ids);
  const asked = indexOf(picture).dmar?.X2APIC_OPT_OUT;
  const ignored = optionValues(system.cmdline, 'intremap').includes('no_x2apic_optout');
  const unable = units.filter((unit) => registersOf(unit)?.ecap.EIM === 0);
  const said = logLines(picture, /DMAR-IR: Enabled IRQ remapping in xapic mode/);
  const seen = [
    ids,
    ...unable.map(({ name, ecap = '' }) => ({ where: `/sys/class/iommu/${name}/intel-iommu/ecap`, text: ecap })),
    ...(said?.lines ?? []),
  ];
  const because =
    asked === true && !ignored
      ? 'firmware asks to leave x2APIC off (X2APIC_OPT_OUT is 1)'
      : unable.length > 0
        ? `ECAP_REG.EIM of ${unable.map(({ name }) => name).join(', ')} is 0`
        : (said?.count ?? 0) > 0
          ? 'the kernel chose it'
          : undefined;
  if (because !== undefined)
    return {
      is: 'fail',
      because: `interrupts reach APIC IDs up to ${LONGEST} only, because ${because}; the highest here is ${highest}`,
      seen,
    };
  if (asked === undefined)
    return unknown('whether firmware asks to leave x2APIC off is in its DMAR table: look as root', ...seen);
  if (units.length === 0 && said === undefined)
    return unknown('no unit shows its registers, and the kernel log could not be read', ...seen);
  return pass(`nothing keeps the units from 32-bit APIC IDs; the highest here is ${highest}`, ...seen);
}
