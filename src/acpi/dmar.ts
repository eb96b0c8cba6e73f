import {
  bit,
  type Decoded,
  type Entry,
  entry,
  type Fields,
  field,
  hex,
  reserved,
  reservedBytes,
  u8,
  u16,
  u64,
  type Values,
} from '../bits/index.ts';
import { readTable, type Table, type TableFinding } from './table.ts';

/** The DMAR table between the common header and the first structure. */
export const DmarFields = entry(
  'DMA Remapping Reporting Structure',
  { source: 'VT-d 5.10 §8.1', bits: 12 * 8, offset: 36 },
  {
    /** One less than the bits of a host physical address. */
    HostAddressWidth: u8(0, 'Host Address Width'),
    INTR_REMAP: bit(8, 'Interrupt remapping is supported'),
    X2APIC_OPT_OUT: bit(9, 'Firmware asks to leave x2APIC mode off'),
    DMA_CTRL_PLATFORM_OPT_IN_FLAG: bit(10, 'Firmware restricts its DMA to reserved memory regions'),
    RSVD_11: reserved(15, 11),
    RSVD_16: reservedBytes(2, 10),
  },
);

const STRUCTURE_TYPES = { DRHD: 0, RMRR: 1, ATSR: 2, RHSA: 3, ANDD: 4, SATC: 5, SIDP: 6 } as const;

/** What every remapping structure starts with. */
export const StructureHeader = entry(
  'Remapping Structure Header',
  { source: 'VT-d 5.10 §8.2', bits: 32 },
  { Type: u16(0, 'Type', STRUCTURE_TYPES), Length: u16(2, 'Length') },
);

export const Drhd = entry(
  'DMA Remapping Hardware Unit Definition',
  { source: 'VT-d 5.10 §8.3', bits: 128 },
  {
    Type: u16(0, 'Type', STRUCTURE_TYPES),
    Length: u16(2, 'Length'),
    INCLUDE_PCI_ALL: bit(32, 'All PCI devices of the segment that no other unit claims'),
    RSVD_33: reserved(39, 33),
    /** The register set has 2^Size pages of 4 KiB. */
    Size: field(43, 40, 'Size'),
    RSVD_44: reserved(47, 44),
    SegmentNumber: u16(6, 'Segment Number'),
    RegisterBaseAddress: u64(8, 'Register Base Address'),
  },
);

export const Rmrr = entry(
  'Reserved Memory Region Reporting',
  { source: 'VT-d 5.10 §8.4', bits: 192 },
  {
    Type: u16(0, 'Type', STRUCTURE_TYPES),
    Length: u16(2, 'Length'),
    RSVD_32: reserved(47, 32),
    SegmentNumber: u16(6, 'Segment Number'),
    BaseAddress: u64(8, 'Reserved Memory Region Base Address'),
    /** Last address of the region. */
    LimitAddress: u64(16, 'Reserved Memory Region Limit Address'),
  },
);

export const Andd = entry(
  'ACPI Name-space Device Declaration',
  { source: 'VT-d 5.10 §8.7', bits: 64 },
  {
    Type: u16(0, 'Type', STRUCTURE_TYPES),
    Length: u16(2, 'Length'),
    RSVD_32: reserved(55, 32),
    ACPIDeviceNumber: u8(7, 'ACPI Device Number'),
  },
);

/** One device, or all that is behind one bridge, before its path of device and function pairs. */
export const ScopeEntry = entry(
  'Device Scope Entry',
  { source: 'VT-d 5.10 §8.3.1', bits: 48 },
  {
    Type: u8(0, 'Type', { endpoint: 1, bridge: 2, ioapic: 3, hpet: 4, acpi: 5 }),
    Length: u8(1, 'Length'),
    REQ_WO_PASID_NESTED_NOTALLOWED: bit(16, 'No nested translation for requests without PASID'),
    REQ_WO_PASID_PWSNP_NOTALLOWED: bit(17, 'No PWSNP for requests without PASID'),
    REQ_WO_PASID_PGSNP_NOTALLOWED: bit(18, 'No PGSNP for requests without PASID'),
    ATC_HARDENED: bit(19, 'The address translation cache is validated'),
    ATC_REQUIRED: bit(20, 'The device needs its address translation cache'),
    RSVD_21: reserved(23, 21),
    RSVD_24: reserved(31, 24),
    EnumerationID: u8(4, 'Enumeration ID'),
    StartBusNumber: u8(5, 'Start Bus Number'),
  },
);

export type ScopeType = keyof typeof ScopeEntry.values.Type;

export interface DeviceScope {
  /** Bytes from the start of the table. */
  offset: number;
  length: number;
  /** `bridge` stands for all that is behind it. Undefined when the number means nothing yet. */
  type: ScopeType | undefined;
  typeNumber: number;
  /** I/O APIC ID, HPET number or ACPI device number; nothing for PCI. */
  enumerationId: number;
  /** Bus of the first pair of the path. */
  startBus: number;
  /** From the host bridge to the device: one pair for a device on the start bus, more when it is behind bridges. */
  path: { device: number; function: number }[];
  /** The byte whose bits SIDP defines. */
  flags: number;
}

interface Structure {
  /** Bytes from the start of the table. */
  offset: number;
  length: number;
}

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

/** A device that only ACPI knows; scopes of type `acpi` refer to its number. */
export interface AnddStructure extends Structure {
  type: 'ANDD';
  deviceNumber: number;
  deviceName: string;
}

/** A structure that is listed and not decoded. */
export interface OtherStructure extends Structure {
  type: 'ATSR' | 'RHSA' | 'SATC' | 'SIDP' | 'unknown';
  typeNumber: number;
}

export type DmarStructure = DrhdStructure | RmrrStructure | AnddStructure | OtherStructure;

export interface Dmar {
  header: Table['header'];
  /** Bits of a host physical address. */
  hostAddressWidth: number;
  INTR_REMAP: boolean;
  X2APIC_OPT_OUT: boolean;
  DMA_CTRL_PLATFORM_OPT_IN_FLAG: boolean;
  /** In the order of the table. */
  structures: DmarStructure[];
  findings: TableFinding[];
}

/**
 * Reads a DMAR table. Never throws: every structure that can be read is given, and one finding for each that cannot, with
 * its place. Source: VT-d 5.10 §8.
 *
 * @returns undefined when there are not even the 48 bytes before the first structure
 */
export function readDmar(bytes: Uint8Array): Dmar | undefined {
  const table = readTable(bytes, 'DMAR');
  const at = DmarFields.offset ?? 0;
  if (!table || !DmarFields.fits(table.view, at)) return undefined;
  const { header, view, findings } = table;
  const fields = DmarFields.decode(view, at);
  const structures: DmarStructure[] = [];

  let offset = at + DmarFields.bytes;
  while (offset < view.byteLength) {
    if (!StructureHeader.fits(view, offset)) {
      findings.push({ offset, says: `${view.byteLength - offset} bytes at the end are too few for a structure` });
      break;
    }
    const { Type, Length } = StructureHeader.decode(view, offset);
    const name = StructureHeader.nameOf('Type', Type) ?? `type ${Type}`;
    if (Length < StructureHeader.bytes) {
      // Where the next structure starts is not known, so the rest cannot be read.
      findings.push({ offset, says: `${name} has Length ${Length}: nothing after it can be read` });
      break;
    }
    if (offset + Length > view.byteLength) {
      findings.push({ offset, says: `${name} has Length ${Length} and runs over the end of the table` });
      break;
    }
    const structure = readStructure(view, offset, Type, Length, findings);
    if (structure) structures.push(structure);
    offset += Length;
  }
  return {
    header,
    hostAddressWidth: fields.HostAddressWidth + 1,
    INTR_REMAP: fields.INTR_REMAP === 1,
    X2APIC_OPT_OUT: fields.X2APIC_OPT_OUT === 1,
    DMA_CTRL_PLATFORM_OPT_IN_FLAG: fields.DMA_CTRL_PLATFORM_OPT_IN_FLAG === 1,
    structures,
    findings,
  };
}

function readStructure(
  view: DataView,
  offset: number,
  type: number,
  length: number,
  findings: TableFinding[],
): DmarStructure | undefined {
  const fixed = <F extends Fields>(shape: Entry<F>): Values<F> | undefined => {
    if (length >= shape.bytes) return shape.decode(view, offset);
    findings.push({ offset, says: `${shape.name} has Length ${length}, less than its ${shape.bytes} bytes` });
    return undefined;
  };
  switch (type) {
    case STRUCTURE_TYPES.DRHD: {
      const unit = fixed(Drhd);
      return unit && drhdOf(unit, offset, readScopes(view, offset + Drhd.bytes, offset + length, findings), findings);
    }
    case STRUCTURE_TYPES.RMRR: {
      const region = fixed(Rmrr);
      return region && rmrrOf(region, offset, readScopes(view, offset + Rmrr.bytes, offset + length, findings), findings);
    }
    case STRUCTURE_TYPES.ANDD: {
      const device = fixed(Andd);
      if (!device) return undefined;
      let deviceName = '';
      for (let at = offset + Andd.bytes; at < offset + length; at++) {
        const code = view.getUint8(at);
        if (code === 0) break;
        deviceName += String.fromCharCode(code);
      }
      return { type: 'ANDD', offset, length, deviceNumber: device.ACPIDeviceNumber, deviceName };
    }
    default: {
      const name = StructureHeader.nameOf('Type', type) as OtherStructure['type'] | undefined;
      return { type: name ?? 'unknown', typeNumber: type, offset, length };
    }
  }
}

function drhdOf(unit: Decoded<typeof Drhd>, offset: number, scopes: DeviceScope[], findings: TableFinding[]): DrhdStructure {
  const registerBytes = 2 ** (12 + unit.Size);
  const base = unit.RegisterBaseAddress;
  if (base === 0n) findings.push({ offset: offset + 8, says: 'DRHD has no register base address' });
  else if (base % BigInt(registerBytes) !== 0n)
    findings.push({ offset: offset + 8, says: `DRHD registers at ${hex(base)} are not aligned to their ${registerBytes} bytes` });
  return {
    type: 'DRHD',
    offset,
    length: unit.Length,
    includePciAll: unit.INCLUDE_PCI_ALL === 1,
    registerBytes,
    segment: unit.SegmentNumber,
    registerBase: base,
    scopes,
  };
}

function rmrrOf(region: Decoded<typeof Rmrr>, offset: number, scopes: DeviceScope[], findings: TableFinding[]): RmrrStructure {
  const { BaseAddress: base, LimitAddress: limit } = region;
  if (limit <= base) findings.push({ offset: offset + 16, says: `RMRR ends at ${hex(limit)}, not above its start ${hex(base)}` });
  else if (base % 4096n !== 0n || (limit + 1n) % 4096n !== 0n)
    findings.push({ offset: offset + 8, says: `RMRR ${hex(base)} to ${hex(limit)} is no whole number of 4 KiB pages` });
  return { type: 'RMRR', offset, length: region.Length, segment: region.SegmentNumber, base, limit, scopes };
}

function readScopes(view: DataView, start: number, end: number, findings: TableFinding[]): DeviceScope[] {
  const scopes: DeviceScope[] = [];
  for (let offset = start; offset < end; ) {
    const length = offset + ScopeEntry.bytes <= end ? ScopeEntry.get.Length(view, offset) : 0;
    if (length < ScopeEntry.bytes || offset + length > end) {
      findings.push({
        offset,
        says: `a device scope of ${length} bytes does not fit the ${end - offset} that its structure has left`,
      });
      break;
    }
    const scope = ScopeEntry.decode(view, offset);
    const path: DeviceScope['path'] = [];
    for (let at = offset + ScopeEntry.bytes; at + 2 <= offset + length; at += 2)
      path.push({ device: view.getUint8(at), function: view.getUint8(at + 1) });
    const type = ScopeEntry.nameOf('Type', scope.Type) as ScopeType | undefined;
    if (!type) findings.push({ offset, says: `device scope type ${scope.Type} is not defined` });
    if (path.length === 0) findings.push({ offset, says: 'a device scope without a path names no device' });
    if (length % 2) findings.push({ offset: offset + 1, says: `a device scope of ${length} bytes ends in half a pair` });
    scopes.push({
      offset,
      length,
      type,
      typeNumber: scope.Type,
      enumerationId: scope.EnumerationID,
      startBus: scope.StartBusNumber,
      path,
      flags: view.getUint8(offset + 2),
    });
    offset += length;
  }
  return scopes;
}
