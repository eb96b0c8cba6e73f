import { buildDmar, type DeviceScope, type DmarStructure, readDmar } from '../../src/acpi/index.ts';
import { headerAsIasl, hex16, tableSet } from './acpi.ts';

/** DMAR tables of real machines against iasl. */
export const acpiDmar = tableSet('dmar', (bytes) => {
  const dmar = readDmar(bytes);
  if (!dmar) return undefined;
  const { hostAddressWidth, INTR_REMAP, X2APIC_OPT_OUT, DMA_CTRL_PLATFORM_OPT_IN_FLAG, structures, findings } = dmar;
  return {
    header: headerAsIasl(dmar.header),
    iasl: {
      hostAddressWidthField: hostAddressWidth - 1,
      hostAddressWidthBits: hostAddressWidth,
      flags: Number(INTR_REMAP) + 2 * Number(X2APIC_OPT_OUT) + 4 * Number(DMA_CTRL_PLATFORM_OPT_IN_FLAG),
      structures: structures.map(structureAsIasl),
    },
    findings,
    rebuilt: buildDmar(dmar),
  };
});

function structureAsIasl(structure: DmarStructure): { [field: string]: unknown } {
  const { offset, length } = structure;
  const scopes = 'scopes' in structure ? { scopes: structure.scopes.map(scopeAsIasl) } : {};
  const of = (type: number, fields: object) => ({ offset, length, type, ...fields, ...scopes });
  switch (structure.type) {
    case 'DRHD': {
      const { includePciAll, registerBytes, segment, registerBase } = structure;
      const sizeByte = Math.log2(registerBytes / 4096);
      return of(0, { flags: Number(includePciAll), sizeByte, segment, registerBase: hex16(registerBase) });
    }
    case 'RMRR':
      return of(1, { segment: structure.segment, base: hex16(structure.base), limit: hex16(structure.limit) });
    case 'ATSR':
      return of(2, { flags: Number(structure.allPorts), segment: structure.segment });
    case 'RHSA':
      return of(3, { base: hex16(structure.registerBase), proximityDomain: structure.proximityDomain });
    case 'ANDD':
      return of(4, { deviceNumber: structure.deviceNumber, deviceName: structure.deviceName });
    case 'SATC':
      return of(5, { flags: Number(structure.atcRequired), segment: structure.segment });
    case 'SIDP':
      return of(6, { segment: structure.segment });
    case 'unknown':
      return of(structure.typeNumber, {});
  }
}

function scopeAsIasl({ offset, length, typeNumber, flags, enumerationId, startBus, path }: DeviceScope): object {
  const pairs = path.map((pair) => [pair.device, pair.function]);
  return { offset, length, type: typeNumber, flags, enumId: enumerationId, bus: startBus, path: pairs };
}
