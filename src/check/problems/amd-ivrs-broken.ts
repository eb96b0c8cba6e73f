import { readIvrs, readMadt, specialDevicesOf } from '../../acpi/index.ts';
import type { Picture } from '../../host/picture.ts';
import type { Evidence, Verdict } from '../check.ts';
import { bootWords } from '../cmdline.ts';
import { logLines, notApplicable, pass, remappedChips, unknown } from '../facts.ts';
import { TABLES, tableIs } from '../iommu-state.ts';
import type { Problem } from '../problem.ts';

export const amdIvrsBroken: Problem = {
  id: 'amd-ivrs-broken',
  title: 'AMD IVRS names no IOAPIC or carries malformed entries; interrupt remapping or the whole IOMMU is dropped',
  category: 'platform',
  severity: 'blocker',
  at: 'L0',
  says: [
    {
      in: 'kernel',
      re: /AMD-Vi: .*IOAPIC\[\d+\] not in IVRS table/,
      example: 'AMD-Vi: [Firmware Bug]: IOAPIC[32] not in IVRS table',
      proof: 'src',
    },
    {
      in: 'kernel',
      re: /AMD-Vi: .*No southbridge IOAPIC found/,
      example: 'AMD-Vi: [Firmware Bug]: : No southbridge IOAPIC found',
      proof: 'src',
    },
    { in: 'kernel', re: /AMD-Vi: Disabling interrupt remapping/, example: 'AMD-Vi: Disabling interrupt remapping', proof: 'src' },
    { in: 'kernel', re: /IVRS table error/, example: 'AMD-Vi: IVRS table error: AE_NOT_FOUND', proof: 'src' },
    {
      in: 'kernel',
      re: /AMD-Vi: \[Firmware (Warn|Bug)\]: (?!:? ?No southbridge)/,
      example: 'AMD-Vi: [Firmware Warn]: EFR mismatch. Use IVHD EFR (0x1 : 0x2).',
      proof: 'rep',
    },
  ],
  why: 'Each IOAPIC/HPET must have a special-device entry with the right id; boards ship with wrong ids, zero IVMD ranges or bad checksums.',
  see: [
    {
      read: '/sys/firmware/acpi/tables/IVRS special-device (type 0x48) entries vs APIC (MADT) IOAPIC ids',
      when: 'an IOAPIC id of MADT has no entry',
      sure: 'certain',
    },
    {
      read: 'IVRS checksum and IVMD entries',
      when: 'checksum wrong, or an IVMD with start 0 or length not page sized',
      sure: 'likely',
    },
  ],
  fix: ['firmware update', 'ivrs_ioapic=<id>@<ssss:bb:dd.f> and ivrs_hpet=..., with the values found in MADT and lspci'],
  beware: 'Do not go to allow_unsafe_interrupts before trying ivrs_ioapic.',
  sources: [
    'gh:QubesOS/qubes-issues#10931',
    'gh:QubesOS/qubes-issues#6439',
    'gh:pcengines/coreboot#288',
    'gh:chyves/chyves#30',
    'linux:drivers/iommu/amd/init.c',
  ],
  rules: [{ about: 'host', asks: 'Is the IVRS table right, and does it name every I/O APIC?', run: sound }],
};

const TABLE = `${TABLES}/IVRS`;
/** The kernel wants the I/O APIC of the southbridge there, 00:14.0. Source: Linux check_ioapic_information(). */
const SOUTHBRIDGE = 0xa0;

function sound(picture: Picture): Verdict {
  const table = tableIs(picture, 'IVRS');
  if (table.is === 'absent') return notApplicable('there is no IVRS table');
  const said = logLines(
    picture,
    /IOAPIC\[\d+\] not in IVRS table|No southbridge IOAPIC found|IVRS table error|AMD-Vi: Disabling interrupt remapping/,
  );
  const bytes = picture.firmwareTables.find(({ signature }) => signature === 'IVRS')?.bytes;
  const ivrs = bytes === undefined ? undefined : readIvrs(bytes);
  const wrong: Evidence[] = (ivrs?.findings ?? [])
    .filter(({ is }) => is === 'broken')
    .map(({ offset, says }) => ({ where: `${TABLE} offset ${offset}`, text: says }));
  const chips = remappedChips(picture);
  // A kernel that remaps interrupts has found the I/O APICs that it wants.
  if (ivrs !== undefined && chips?.is !== true) wrong.push(...ioApicsMissing(picture, specialDevicesOf(ivrs)));
  wrong.push(...(said?.lines ?? []));
  if (wrong.length > 0) return { is: 'fail', because: wrong.map(({ text }) => text).join('; '), seen: wrong };
  const remapped = chips === undefined ? [] : [chips.seen];
  if (ivrs === undefined)
    return unknown(
      'the IVRS table could not be read: look as root',
      { where: TABLE, text: 'because' in table ? table.because : 'too short' },
      ...remapped,
    );
  return pass(
    chips?.is === true
      ? 'every block can be read, and the kernel remaps interrupts with it'
      : 'every block can be read, and the I/O APICs that firmware gives are named',
    { where: TABLE, text: `${ivrs.blocks.length} blocks` },
    ...remapped,
  );
}

/** I/O APICs of the MADT that neither the table nor `ivrs_ioapic=` has. */
function ioApicsMissing(picture: Picture, special: ReturnType<typeof specialDevicesOf>): Evidence[] {
  const madt = picture.platformTables.find(({ signature }) => signature === 'APIC');
  const ioApics = (madt === undefined ? undefined : readMadt(madt.bytes))?.ioApics;
  if (ioApics === undefined || ioApics.length === 0) return [];
  // `ivrs_ioapic[10]=00:14.0`, `ivrs_ioapic=10@0000:00:14.0`
  const given = bootWords(picture.system.cmdline).flatMap(({ name, value }) => {
    const number = /^ivrs_ioapic\[(\w+)\]$/.exec(name)?.[1] ?? (name === 'ivrs_ioapic' ? value.split('@')[0] : undefined);
    return number === undefined ? [] : [Number(number)];
  });
  const named = special.filter(({ kind }) => kind === 'ioapic');
  const missing = ioApics.filter(({ id }) => !given.includes(id) && !named.some(({ handle }) => handle === id));
  const found = missing.map(({ id }) => ({ where: TABLE, text: `IOAPIC[${id}] of the table APIC has no special device entry` }));
  if (given.length === 0 && !named.some(({ sourceId }) => sourceId === SOUTHBRIDGE))
    found.push({ where: TABLE, text: 'no special device entry is the I/O APIC of the southbridge at 00:14.0' });
  return found;
}
