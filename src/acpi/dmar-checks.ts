import { hex } from '../bits/index.ts';
import type { Dmar, DmarStructure, DrhdStructure, RmrrStructure } from './dmar.ts';
import { Atsr, Rmrr, STRUCTURE_TYPES } from './dmar-formats.ts';
import type { DeviceScope, ScopeType } from './dmar-scopes.ts';
import { type Findings, overlapping, type Range } from './findings.ts';

type OfType<T extends DmarStructure['type']> = Extract<DmarStructure, { type: T }>;

/** What a DMAR table says that cannot be, or that its specification forbids. Each structure by itself has been read. */
export function checkDmar(dmar: Dmar, findings: Findings): void {
  const of = <T extends DmarStructure['type']>(type: T) => dmar.structures.filter((one): one is OfType<T> => one.type === type);
  const units = of('DRHD');
  // What is missing may be in the part that could not be read.
  const whole = !findings.list.some(({ is, offset }) => is === 'broken' && (offset === 4 || offset >= 48));
  if (whole && units.length === 0) findings.broken(48, 'there is no DRHD: the table names no remapping unit');
  if (dmar.X2APIC_OPT_OUT && !dmar.INTR_REMAP) findings.odd(37, 'X2APIC_OPT_OUT is set and means nothing without INTR_REMAP');
  checkOrder(dmar, findings);
  checkUnits(units, findings);
  checkOwners(units, findings);
  checkRegions(of('RMRR'), dmar.hostAddressWidth, findings);
  for (const { offset, length, allPorts, scopes } of of('ATSR')) {
    if (allPorts === length > Atsr.bytes)
      findings.odd(offset, allPorts ? 'ATSR has ALL_PORTS set and names ports too' : 'ATSR names no port at all');
    checkScopeTypes('ATSR', scopes, ['bridge'], findings);
  }
  const bases = new Set(units.map((unit) => unit.registerBase));
  for (const { offset, registerBase } of of('RHSA'))
    if (whole && !bases.has(registerBase))
      findings.odd(offset + 8, `RHSA speaks of a unit at ${hex(registerBase)}, and no DRHD is there`);
  for (const { scopes } of of('SATC')) checkScopeTypes('SATC', scopes, ['endpoint'], findings);
  for (const { scopes } of of('SIDP')) checkScopeTypes('SIDP', scopes, ['endpoint', 'acpi'], findings);
  checkFlags(dmar, findings);
  checkAcpiDevices(dmar, of('ANDD'), whole, findings);
}

/** VT-d 5.10 §8.2 wants the types in numerical order. */
function checkOrder({ structures }: Dmar, findings: Findings): void {
  let before: DmarStructure | undefined;
  for (const structure of structures) {
    if (structure.type === 'unknown') continue;
    if (before && before.type !== 'unknown' && STRUCTURE_TYPES[structure.type] < STRUCTURE_TYPES[before.type])
      findings.odd(
        structure.offset,
        `${structure.type} comes after ${before.type}; structures have to be in the order of their types`,
      );
    before = structure;
  }
}

/** VT-d 5.10 §8.3. */
function checkUnits(units: readonly DrhdStructure[], findings: Findings): void {
  const takesAll = new Map<number, DrhdStructure>();
  for (const unit of units) {
    const { offset, registerBase: base, registerBytes, segment } = unit;
    if (base === 0n) findings.broken(offset + 8, 'DRHD has no register base address');
    else if (base % BigInt(registerBytes) !== 0n)
      findings.odd(offset + 8, `DRHD registers at ${hex(base)} are not aligned to their ${registerBytes} bytes`);
    const earlier = takesAll.get(segment);
    if (earlier && unit.includePciAll)
      findings.broken(offset, `DRHD takes all functions of segment ${segment}, and so does the one at ${earlier.offset}`);
    else if (earlier)
      findings.odd(offset, `DRHD comes after the one at ${earlier.offset} that takes all other functions of segment ${segment}`);
    if (!unit.includePciAll) continue;
    takesAll.set(segment, unit);
    for (const scope of unit.scopes)
      if (scope.type === 'endpoint' || scope.type === 'bridge')
        findings.odd(scope.offset, `a DRHD that takes all functions names one more: ${scope.type}`);
  }
  const registers = units.map(({ registerBase, registerBytes, offset }) => ({
    start: registerBase,
    end: registerBase + BigInt(registerBytes) - 1n,
    offset,
  }));
  for (const { later, earlier } of overlapping(registers.filter(({ start }) => start !== 0n)))
    findings.broken(later.offset + 8, `DRHD registers at ${hex(later.start)} overlap those of the DRHD at ${earlier.offset}`);
}

/** A function is behind one unit. */
function checkOwners(units: readonly DrhdStructure[], findings: Findings): void {
  const owners = new Map<string, DrhdStructure>();
  for (const unit of units)
    for (const { offset, type, startBus, path } of unit.scopes) {
      if ((type !== 'endpoint' && type !== 'bridge') || path.length === 0) continue;
      const key = `${unit.segment} ${startBus} ${path.map((pair) => `${pair.device}.${pair.function}`).join(' ')}`;
      const owner = owners.get(key);
      if (owner && owner !== unit) findings.broken(offset, `this device is behind the unit at ${owner.offset} already`);
      else if (owner) findings.odd(offset, 'this device is named twice for the same unit');
      else owners.set(key, unit);
    }
}

const GIB = 1n << 30n;

/** VT-d 5.10 §8.4. */
function checkRegions(regions: readonly RmrrStructure[], hostAddressWidth: number, findings: Findings): void {
  const ranges: (Range & { same: RmrrStructure })[] = [];
  for (const region of regions) {
    const { offset, length, base, limit } = region;
    if (limit <= base) findings.broken(offset + 16, `RMRR ends at ${hex(limit)}, not above its start ${hex(base)}`);
    else if (base % 4096n !== 0n || (limit + 1n) % 4096n !== 0n)
      findings.broken(offset + 8, `RMRR ${hex(base)} to ${hex(limit)} is no whole number of 4 KiB pages`);
    else if (limit - base >= GIB)
      findings.odd(offset + 8, `RMRR ${hex(base)} to ${hex(limit)} is larger than 1 GiB; firmware needs a few MiB`);
    if (limit > base && limit >> BigInt(hostAddressWidth) > 0n)
      findings.odd(offset + 16, `RMRR ends at ${hex(limit)}, beyond the ${hostAddressWidth} bits of a host address`);
    if (length <= Rmrr.bytes) findings.odd(offset, 'RMRR names no device that needs it');
    ranges.push({ start: base, end: limit, offset, same: region });
  }
  // The same region for several devices is told device by device on some machines.
  for (const { later, earlier } of overlapping(ranges))
    if (later.start !== earlier.start || later.end !== earlier.end)
      findings.odd(later.offset + 8, `RMRR at ${hex(later.start)} overlaps the one of structure ${earlier.offset}`);
}

function checkScopeTypes(name: string, scopes: readonly DeviceScope[], wanted: readonly ScopeType[], findings: Findings): void {
  for (const { offset, type } of scopes)
    if (type && !wanted.includes(type))
      findings.odd(offset, `${name} names a device scope of type ${type}, not ${wanted.join(' or ')}`);
}

/** The flags of a scope have a meaning inside SIDP, and for functions and ACPI devices. VT-d 5.10 §8.3.1. */
function checkFlags({ structures }: Dmar, findings: Findings): void {
  for (const structure of structures) {
    if (!('scopes' in structure)) continue;
    for (const { offset, flags } of structure.scopes) {
      const meant = structure.type === 'SIDP' ? 0x1f : 0;
      if (flags & ~meant)
        findings.odd(offset + 2, `the flags ${hex(flags, 2)} of a device scope in ${structure.type} are reserved`);
    }
  }
}

/** ANDD structures have numbers of their own, and scopes refer to them. VT-d 5.10 §8.7. */
function checkAcpiDevices({ structures }: Dmar, devices: readonly OfType<'ANDD'>[], whole: boolean, findings: Findings): void {
  const numbers = new Set<number>();
  for (const { offset, deviceNumber } of devices) {
    if (numbers.has(deviceNumber)) findings.odd(offset + 7, `two ACPI devices have the number ${deviceNumber}`);
    numbers.add(deviceNumber);
  }
  for (const structure of structures)
    if ('scopes' in structure)
      for (const { offset, type, enumerationId } of structure.scopes)
        if (whole && type === 'acpi' && !numbers.has(enumerationId))
          findings.odd(offset + 4, `a device scope refers to ACPI device ${enumerationId}, and no ANDD has that number`);
}
