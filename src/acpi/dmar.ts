import type { Decoded, Entry, Fields, Values } from '../bits/index.ts';
import { checkDmar } from './dmar-checks.ts';
import { Andd, Atsr, DmarFields, Drhd, Rhsa, Rmrr, Satc, Sidp, STRUCTURE_TYPES, StructureHeader } from './dmar-formats.ts';
import { type DeviceScope, readScopes } from './dmar-scopes.ts';
import type { Findings, TableFinding } from './findings.ts';
import { bytesAt, fixedPart, keepReserved, keepRest, type Piece, pieces, type Reserved, type Structure } from './structure.ts';
import { readTable, type Table } from './table.ts';

/** A remapping unit. */
export interface DrhdStructure extends Structure {
  type: 'DRHD';
  includePciAll: boolean;
  /** Bytes of its register set. */
  registerBytes: number;
  segment: number;
  registerBase: bigint;
  scopes: DeviceScope[];
}

/** Memory that devices use behind the operating system's back. */
export interface RmrrStructure extends Structure {
  type: 'RMRR';
  segment: number;
  base: bigint;
  /** Last address. */
  limit: bigint;
  scopes: DeviceScope[];
}

/** Root ports whose devices may use ATS. */
export interface AtsrStructure extends Structure {
  type: 'ATSR';
  /** Every root port of the segment; there are no scopes then. */
  allPorts: boolean;
  segment: number;
  scopes: DeviceScope[];
}

/** Where a unit is on a NUMA machine. */
export interface RhsaStructure extends Structure {
  type: 'RHSA';
  /** That of the unit's DRHD. */
  registerBase: bigint;
  /** As SRAT numbers them. */
  proximityDomain: number;
}

/** A device that only ACPI knows; scopes of type `acpi` refer to its number. */
export interface AnddStructure extends Structure {
  type: 'ANDD';
  deviceNumber: number;
  deviceName: string;
}

/** Devices of the SoC whose address translation caches are validated. */
export interface SatcStructure extends Structure {
  type: 'SATC';
  /** They do not work with ATS off. */
  atcRequired: boolean;
  segment: number;
  scopes: DeviceScope[];
}

/** Devices of the SoC with restrictions, which the flags of their scopes name. Where there is one, SATC does not count. */
export interface SidpStructure extends Structure {
  type: 'SIDP';
  segment: number;
  scopes: DeviceScope[];
}

/** A structure of a type that the specification does not have yet. */
export interface OtherStructure extends Structure {
  type: 'unknown';
  typeNumber: number;
  /** All after type and length. */
  data: Uint8Array;
}

export type DmarStructure =
  | DrhdStructure
  | RmrrStructure
  | AtsrStructure
  | RhsaStructure
  | AnddStructure
  | SatcStructure
  | SidpStructure
  | OtherStructure;

export interface Dmar {
  header: Table['header'];
  /** Bits of a host physical address. */
  hostAddressWidth: number;
  INTR_REMAP: boolean;
  X2APIC_OPT_OUT: boolean;
  DMA_CTRL_PLATFORM_OPT_IN_FLAG: boolean;
  reserved?: Reserved;
  /** In the order of the table. */
  structures: DmarStructure[];
  findings: TableFinding[];
}

/**
 * Reads a DMAR table. Never throws: every structure that can be read is given, as far as it goes, and one finding for each
 * thing that is wrong, with its place. Source: VT-d 5.10 §8.
 *
 * @returns undefined when there are not even the 48 bytes before the first structure
 */
export function readDmar(bytes: Uint8Array): Dmar | undefined {
  // The specification knows Revision 1 alone; firmware of many makers writes 2.
  const table = readTable(bytes, 'DMAR', [1, 2]);
  const at = DmarFields.offset ?? 0;
  if (!table || !DmarFields.fits(table.view, at)) return undefined;
  const { header, view, findings } = table;
  const fields = DmarFields.decode(view, at);
  const dmar: Dmar = {
    header,
    hostAddressWidth: fields.HostAddressWidth + 1,
    INTR_REMAP: fields.INTR_REMAP === 1,
    X2APIC_OPT_OUT: fields.X2APIC_OPT_OUT === 1,
    DMA_CTRL_PLATFORM_OPT_IN_FLAG: fields.DMA_CTRL_PLATFORM_OPT_IN_FLAG === 1,
    ...keepReserved(DmarFields, fields, at, findings),
    structures: [],
    findings: [],
  };
  const nameAt = (offset: number) => nameOfType(view.getUint16(offset, true));
  for (const piece of pieces(view, at + DmarFields.bytes, nameAt, findings)) {
    const structure = readStructure(view, piece, findings);
    if (structure) dmar.structures.push(structure);
  }
  checkDmar(dmar, findings);
  dmar.findings = findings.sorted();
  return dmar;
}

function nameOfType(type: number): string {
  return StructureHeader.nameOf('Type', type) ?? `a structure of type ${type}`;
}

function readStructure(view: DataView, piece: Piece, findings: Findings): DmarStructure | undefined {
  const { offset, length, end } = piece;
  const type = StructureHeader.get.Type(view, offset);
  const place = { offset, length };
  const fixed = <F extends Fields>(shape: Entry<F>): Values<F> | undefined => fixedPart(shape, view, piece, findings);
  const kept = <F extends Fields>(shape: Entry<F>, values: Values<F>) => keepReserved(shape, values, offset, findings);
  /** What SATC, SIDP, ATSR, RMRR and DRHD have after their fields. */
  const scopes = (shape: { bytes: number }) => readScopes(view, offset + shape.bytes, end, end < offset + length, findings);
  switch (type) {
    case STRUCTURE_TYPES.DRHD: {
      const unit = fixed(Drhd);
      return unit && { type: 'DRHD', ...place, ...drhdOf(unit), ...kept(Drhd, unit), scopes: scopes(Drhd) };
    }
    case STRUCTURE_TYPES.RMRR: {
      const region = fixed(Rmrr);
      if (!region) return undefined;
      const { SegmentNumber: segment, BaseAddress: base, LimitAddress: limit } = region;
      return { type: 'RMRR', ...place, segment, base, limit, ...kept(Rmrr, region), scopes: scopes(Rmrr) };
    }
    case STRUCTURE_TYPES.ATSR: {
      const ports = fixed(Atsr);
      if (!ports) return undefined;
      const { ALL_PORTS, SegmentNumber: segment } = ports;
      return { type: 'ATSR', ...place, allPorts: ALL_PORTS === 1, segment, ...kept(Atsr, ports), scopes: scopes(Atsr) };
    }
    case STRUCTURE_TYPES.RHSA: {
      const unit = fixed(Rhsa);
      if (!unit) return undefined;
      const { RegisterBaseAddress: registerBase, ProximityDomain: proximityDomain } = unit;
      const rest = keepRest(view, offset + Rhsa.bytes, end);
      if (rest.rest) findings.odd(offset + Rhsa.bytes, `RHSA has ${rest.rest.length} bytes more than it needs`);
      return { type: 'RHSA', ...place, registerBase, proximityDomain, ...kept(Rhsa, unit), ...rest };
    }
    case STRUCTURE_TYPES.ANDD: {
      const device = fixed(Andd);
      return device && { type: 'ANDD', ...place, ...anddOf(view, piece, device, findings), ...kept(Andd, device) };
    }
    case STRUCTURE_TYPES.SATC: {
      const caches = fixed(Satc);
      if (!caches) return undefined;
      const { ATC_REQUIRED, SegmentNumber: segment } = caches;
      return { type: 'SATC', ...place, atcRequired: ATC_REQUIRED === 1, segment, ...kept(Satc, caches), scopes: scopes(Satc) };
    }
    case STRUCTURE_TYPES.SIDP: {
      const devices = fixed(Sidp);
      if (!devices) return undefined;
      return { type: 'SIDP', ...place, segment: devices.SegmentNumber, ...kept(Sidp, devices), scopes: scopes(Sidp) };
    }
    default:
      // Readers skip what they do not know, so it is no fault of the table. VT-d 5.10 §8.2.
      findings.odd(offset, `a structure of type ${type} is not known; it is skipped`);
      return { type: 'unknown', typeNumber: type, ...place, data: bytesAt(view, offset + StructureHeader.bytes, end) };
  }
}

function drhdOf(unit: Decoded<typeof Drhd>) {
  return {
    includePciAll: unit.INCLUDE_PCI_ALL === 1,
    registerBytes: 2 ** (12 + unit.Size),
    segment: unit.SegmentNumber,
    registerBase: unit.RegisterBaseAddress,
  };
}

/** The name ends at its zero byte. That of a structure which runs over the end of the table is given as far as it goes. */
function anddOf(view: DataView, { offset, length, end }: Piece, device: Decoded<typeof Andd>, findings: Findings) {
  const name = bytesAt(view, offset + Andd.bytes, end);
  const zero = name.indexOf(0);
  let deviceName = '';
  for (const code of zero < 0 ? name : name.subarray(0, zero)) deviceName += String.fromCharCode(code);
  if (end === offset + length) {
    if (zero < 0) findings.broken(offset + Andd.bytes, 'the name of an ACPI device does not end in a zero byte');
    if (!deviceName.startsWith('\\'))
      findings.odd(offset + Andd.bytes, `the name ${JSON.stringify(deviceName)} of an ACPI device is no full path`);
  }
  const after = zero < 0 ? end : offset + Andd.bytes + zero + 1;
  const rest = keepRest(view, after, end);
  // Zeros that fill up to a multiple of four bytes are common, and nothing to say.
  if (rest.rest?.some((byte) => byte !== 0)) findings.odd(after, 'ANDD has something after the name of its device');
  return { deviceNumber: device.ACPIDeviceNumber, deviceName, ...rest };
}
