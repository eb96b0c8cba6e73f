import type { DeviceScope, Place } from '../../acpi/index.ts';
import type { PciFunction } from '../../host/functions.ts';
import type { Picture } from '../../host/picture.ts';
import type { Evidence, Verdict } from '../check.ts';
import { optionValues } from '../cmdline.ts';
import { counted, logLines, notApplicable, pass, unknown } from '../facts.ts';
import { indexOf, placeOf } from '../index-of.ts';
import { TABLES, tableIs } from '../iommu-state.ts';
import type { Problem } from '../problem.ts';

export const dmarFirmwareBug: Problem = {
  id: 'dmar-firmware-bug',
  title: 'The DMAR table is wrong (bad RMRR, broken unit address, scope naming the wrong device)',
  category: 'platform',
  severity: 'broken',
  at: 'L0',
  says: [
    {
      in: 'kernel',
      re: /Your BIOS is broken; (bad RMRR|DMAR reported at address)/,
      example: 'Your BIOS is broken; DMAR reported at address fbffc000 returns all ones!',
      proof: 'src',
    },
    {
      in: 'kernel',
      re: /DMAR: Device scope type does not match for/,
      example: 'DMAR: Device scope type does not match for 0000:00:1c.0',
      proof: 'src',
    },
    {
      in: 'kernel',
      re: /RMRR entry for device [0-9a-f:.]+ is broken - applying workaround/,
      example: 'DMAR: [Firmware Bug]: RMRR entry for device 01:00.1 is broken - applying workaround',
      proof: 'src',
    },
    {
      in: 'kernel',
      re: /No DRHD structure found in DMAR table/,
      example: 'DMAR: [Firmware Bug]: No DRHD structure found in DMAR table',
      proof: 'src',
    },
    {
      in: 'kernel',
      re: /No firmware reserved region can cover this RMRR|Parse DMAR table failure|DMAR: \[Firmware (Warn|Bug)\]/,
      example: 'DMAR: Parse DMAR table failure.',
      proof: 'seen',
    },
  ],
  why: 'Firmware error. A unit that reads all ones is dropped and with it the groups of the devices in its scope.',
  see: [
    {
      read: '/sys/firmware/acpi/tables/DMAR',
      when: 'a DRHD/RMRR scope path leads to no device, or an RMRR has base > limit, is not in e820 reserved, or is not page aligned',
      sure: 'likely',
    },
    { read: '/sys/class/iommu', when: 'fewer dmar units than DRHD structures', sure: 'certain' },
  ],
  fix: ['firmware update', 'report the decoded structure to the vendor', 'intel_iommu=off only if passthrough is not needed'],
  beware: 'A unit with flags 0 and no scope match is normal for an unpopulated socket.',
  sources: ['gh:linuxboot/heads#286', 'linux:drivers/iommu/intel/dmar.c', 'linux:drivers/iommu/intel/iommu.c'],
  rules: [{ about: 'host', asks: 'Is the DMAR table right, and does the kernel drive every unit in it?', run: sound }],
};

const TABLE = `${TABLES}/DMAR`;

function sound(picture: Picture): Verdict {
  const table = tableIs(picture, 'DMAR');
  if (table.is === 'absent') return notApplicable('there is no DMAR table');
  const said = logLines(picture, /Your BIOS is broken|\[Firmware Bug\]: (RMRR|No DRHD)|Device scope type does not match/, 5);
  const { dmar } = indexOf(picture);
  const wrong: Evidence[] = (dmar?.findings ?? []).map(({ offset, says }) => ({
    where: `${TABLE} offset ${offset}`,
    text: says,
  }));
  if (dmar !== undefined) {
    const named = namedBy(picture);
    wrong.push(...scopesOfWrongKind(picture, named), ...unitsNotDriven(picture, named));
  }
  wrong.push(...(said?.lines ?? []));
  if (wrong.length > 0) return { is: 'fail', because: wrong.map(({ text }) => text).join('; '), seen: wrong };
  if (dmar === undefined)
    return unknown(`the DMAR table could not be read: look as root`, {
      where: TABLE,
      text: 'because' in table ? table.because : 'too short to be one',
    });
  const units = dmar.structures.filter(({ type }) => type === 'DRHD').length;
  return pass(
    `every structure can be read, no scope names a device of another kind, and every unit with devices is driven (the table has ${counted(units, 'unit')})`,
    {
      where: TABLE,
      text: `${dmar.structures.length} structures`,
    },
  );
}

/** Endpoint scopes that name a bridge, and bridge scopes that name an endpoint: the kernel passes over such a device. */
function scopesOfWrongKind(picture: Picture, named: Named): Evidence[] {
  const { dmar } = indexOf(picture);
  return (dmar?.structures ?? []).flatMap((structure) =>
    'scopes' in structure
      ? structure.scopes.flatMap((scope) => {
          const found = named(structure.segment, scope);
          if (found?.headerType === undefined) return [];
          const endpoint = found.headerType === 0;
          const wrong =
            (scope.type === 'endpoint' && !endpoint) || (scope.type === 'bridge' && endpoint && found.class >>> 16 !== 0x06);
          if (!wrong) return [];
          return {
            where: `${TABLE} offset ${scope.offset}`,
            text: `a scope of type ${scope.type} names ${found.bdf}, which is ${endpoint ? 'an endpoint' : 'a bridge'}`,
          };
        })
      : [],
  );
}

/**
 * Units that the kernel does not show although a device in front of them is there. One whose devices are all absent is left
 * out by it, as of a socket without processor, and one of graphics alone with igfx_off.
 */
function unitsNotDriven(picture: Picture, named: Named): Evidence[] {
  const { units, system } = picture;
  const driven = new Set(units.flatMap(({ address }) => (address === undefined ? [] : BigInt(`0x${address}`))));
  // Without any unit remapping is off as a whole, and an address that was not read proves nothing.
  if (units.length === 0 || driven.size !== units.length) return [];
  const graphicsOff = optionValues(system.cmdline, 'intel_iommu').includes('igfx_off');
  return (indexOf(picture).dmar?.structures ?? []).flatMap((unit) => {
    if (unit.type !== 'DRHD' || driven.has(unit.registerBase)) return [];
    const present = unit.scopes.flatMap((scope) => named(unit.segment, scope) ?? []);
    if (!unit.includePciAll && present.length === 0) return [];
    if (
      !unit.includePciAll &&
      present.every((found) => found.class >>> 16 === 0x03) &&
      (graphicsOff || present.every(({ group }) => group === undefined))
    )
      return [];
    return {
      where: `${TABLE} offset ${unit.offset}`,
      text: `the unit at 0x${unit.registerBase.toString(16)} is not driven${unit.includePciAll ? '' : `, though ${present.map(({ bdf }) => bdf).join(', ')} is behind it`}`,
    };
  });
}

/** The function that an endpoint or bridge scope names, or undefined when none is there. */
type Named = (segment: number, scope: DeviceScope) => PciFunction | undefined;

function namedBy(picture: Picture): Named {
  const key = ({ segment, startBus, path }: Place) =>
    `${segment} ${startBus} ${path.map(({ device, function: fn }) => `${device}.${fn}`).join('/')}`;
  const places = new Map<string, PciFunction>();
  for (const found of picture.functions) {
    const place = placeOf(found);
    if (place !== undefined) places.set(key(place), found);
  }
  return (segment, { type, startBus, path }) =>
    type === 'endpoint' || type === 'bridge' ? places.get(key({ segment, startBus, path })) : undefined;
}
