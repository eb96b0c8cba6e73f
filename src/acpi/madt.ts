import { bit, entry, reserved, u8, u16, u32 } from '../bits/index.ts';
import { readTable, TableHeader } from './table.ts';

/** The MADT between the common header and the first structure. */
export const MadtFields = entry(
  'Multiple APIC Description Table',
  { source: 'ACPI 6.5 §5.2.12', bits: 64, offset: TableHeader.bytes },
  {
    LocalInterruptControllerAddress: u32(0, 'Local Interrupt Controller Address'),
    PCAT_COMPAT: bit(32, 'The system has two 8259 as well'),
    RSVD_33: reserved(63, 33),
  },
);

const STRUCTURE_TYPES = { localApic: 0, ioApic: 1, localX2Apic: 9 } as const;

/** What every structure of the table starts with; types that nobody asks for are passed over. */
export const MadtStructure = entry(
  'Interrupt Controller Structure',
  { source: 'ACPI 6.5 §5.2.12', bits: 16 },
  { Type: u8(0, 'Type', STRUCTURE_TYPES), Length: u8(1, 'Length') },
);

export const LocalApic = entry(
  'Processor Local APIC',
  { source: 'ACPI 6.5 §5.2.12.2', bits: 64 },
  {
    Type: u8(0, 'Type', STRUCTURE_TYPES),
    Length: u8(1, 'Length'),
    ACPIProcessorUID: u8(2, 'ACPI Processor UID'),
    APICID: u8(3, 'APIC ID'),
    Enabled: bit(32, 'Enabled'),
    OnlineCapable: bit(33, 'Online Capable'),
    RSVD_34: reserved(63, 34),
  },
);

export const IoApic = entry(
  'I/O APIC',
  { source: 'ACPI 6.5 §5.2.12.3', bits: 96 },
  {
    Type: u8(0, 'Type', STRUCTURE_TYPES),
    Length: u8(1, 'Length'),
    IOAPICID: u8(2, 'I/O APIC ID'),
    RSVD_24: reserved(31, 24),
    IOAPICAddress: u32(4, 'I/O APIC Address'),
    GlobalSystemInterruptBase: u32(8, 'Global System Interrupt Base'),
  },
);

export const LocalX2Apic = entry(
  'Processor Local x2APIC',
  { source: 'ACPI 6.5 §5.2.12.12', bits: 128 },
  {
    Type: u8(0, 'Type', STRUCTURE_TYPES),
    Length: u8(1, 'Length'),
    RSVD_2: u16(2, 'Reserved'),
    X2APICID: u32(4, 'X2APIC ID'),
    Enabled: bit(64, 'Enabled'),
    OnlineCapable: bit(65, 'Online Capable'),
    RSVD_66: reserved(95, 66),
    ACPIProcessorUID: u32(12, 'ACPI Processor UID'),
  },
);

/** The interrupt controllers that firmware gives. */
export interface Madt {
  ioApics: { id: number; address: number; gsiBase: number }[];
  /** APIC IDs of the processors that are enabled or may be. */
  processors: number[];
}

/**
 * Reads the table with the signature `APIC`, as far as it goes: what is cut off is left out. Source: ACPI 6.5 §5.2.12.
 *
 * @returns undefined when there are not even the 44 bytes before the first structure
 */
export function readMadt(bytes: Uint8Array): Madt | undefined {
  const table = readTable(bytes, 'APIC');
  if (table === undefined || !MadtFields.fits(table.view, TableHeader.bytes)) return undefined;
  const { view } = table;
  const madt: Madt = { ioApics: [], processors: [] };
  for (let at = TableHeader.bytes + MadtFields.bytes; MadtStructure.fits(view, at); ) {
    const { Type, Length } = MadtStructure.decode(view, at);
    if (Length < MadtStructure.bytes || at + Length > view.byteLength) break;
    if (Type === STRUCTURE_TYPES.ioApic && Length >= IoApic.bytes) {
      const { IOAPICID: id, IOAPICAddress: address, GlobalSystemInterruptBase: gsiBase } = IoApic.decode(view, at);
      madt.ioApics.push({ id, address, gsiBase });
    } else if (Type === STRUCTURE_TYPES.localApic && Length >= LocalApic.bytes) {
      const { APICID, Enabled, OnlineCapable } = LocalApic.decode(view, at);
      if (Enabled || OnlineCapable) madt.processors.push(APICID);
    } else if (Type === STRUCTURE_TYPES.localX2Apic && Length >= LocalX2Apic.bytes) {
      const { X2APICID, Enabled, OnlineCapable } = LocalX2Apic.decode(view, at);
      if (Enabled || OnlineCapable) madt.processors.push(X2APICID);
    }
    at += Length;
  }
  return madt;
}
