import type { Entry, Fields } from '../bits/index.ts';
import type { Findings } from './findings.ts';
import { AcpiEntry, AliasEntry, DeviceEntry4, ENTRY_TYPES, ExtendedEntry, SpecialEntry } from './ivrs-formats.ts';
import { bytesAt, type Described, keepReserved, type Structure } from './structure.ts';
import { concat } from './table.ts';

/** What all device entries have. `deviceId` is bus, device and function. */
interface DeviceEntry extends Structure {
  deviceId: number;
  /** What goes into the device table, as `DteSetting` has it. */
  dteSetting: number;
}

/** `pad` fills up; `all` has no device; a range goes from a start to the next `end`. */
export interface PlainEntry extends DeviceEntry {
  type: 'pad' | 'all' | 'select' | 'start' | 'end';
}

export interface AliasDeviceEntry extends DeviceEntry {
  type: 'aliasSelect' | 'aliasStart';
  /** The ID that the requests of the device carry. */
  sourceId: number;
}

export interface ExtendedDeviceEntry extends DeviceEntry {
  type: 'extendedSelect' | 'extendedStart';
  atsDisabled: boolean;
}

export interface SpecialDeviceEntry extends DeviceEntry {
  type: 'special';
  /** APIC ID or HPET number. */
  handle: number;
  /** The ID that its interrupts carry. */
  sourceId: number;
  /** 1 is an I/O APIC, 2 an HPET. */
  variety: number;
}

export interface AcpiDeviceEntry extends DeviceEntry {
  type: 'acpi';
  hid: string;
  /** As it stands there: text, or an EISA ID. */
  cid: Uint8Array;
  /** 0: none, 1: an integer, 2: text. */
  uidFormat: number;
  uid: Uint8Array;
}

/** An entry of a type that the specification does not have yet. */
export interface OtherEntry extends Structure {
  type: 'unknown';
  typeNumber: number;
  /** All after the type. */
  data: Uint8Array;
}

export type IvhdEntry = PlainEntry | AliasDeviceEntry | ExtendedDeviceEntry | SpecialDeviceEntry | AcpiDeviceEntry | OtherEntry;

/**
 * Device entries until `end`; one that does not fit ends them. Types up to BFh have a fixed size, which their two highest bits
 * give: 4, 8 or 16 bytes; those up to EFh have 32, and of the rest only F0h is known. AMD IOMMU 48882 Rev 3.08 chapter 5.
 *
 * @param cut whether the block itself runs over the end of the table, which has been told
 */
export function readEntries(view: DataView, start: number, end: number, cut: boolean, findings: Findings): IvhdEntry[] {
  const entries: IvhdEntry[] = [];
  for (let offset = start; offset < end; ) {
    const length = lengthAt(view, offset, end);
    if (length === undefined || offset + length > end) {
      if (!cut) findings.broken(offset, tooLong(view.getUint8(offset), length, end - offset));
      break;
    }
    entries.push(readEntry(view, offset, length, findings));
    offset += length;
  }
  return entries;
}

function tooLong(type: number, length: number | undefined, left: number): string {
  const name = `a device entry of type ${hex2(type)}`;
  if (length === undefined && type > ENTRY_TYPES.acpi)
    return `${name} has a length that nobody knows: the rest of the block cannot be read`;
  return `${name} does not fit the ${left} bytes that its block has left`;
}

/** Undefined when it cannot be known. */
function lengthAt(view: DataView, offset: number, end: number): number | undefined {
  const type = view.getUint8(offset);
  if (type < 0xc0) return 4 << (type >> 6);
  if (type < ENTRY_TYPES.acpi) return 32;
  if (type > ENTRY_TYPES.acpi || offset + AcpiEntry.bytes > end) return undefined;
  return AcpiEntry.bytes + AcpiEntry.get.UIDLength(view, offset);
}

function readEntry(view: DataView, offset: number, length: number, findings: Findings): IvhdEntry {
  const typeNumber = view.getUint8(offset);
  const name = DeviceEntry4.nameOf('Type', typeNumber) as keyof typeof ENTRY_TYPES | undefined;
  const common = { offset, length, deviceId: view.getUint16(offset + 1, true), dteSetting: view.getUint8(offset + 3) };
  const kept = <F extends Fields>(shape: Entry<F>) => keepReserved(shape, shape.decode(view, offset), offset, findings);
  switch (name) {
    case 'pad':
    case 'all':
    case 'select':
    case 'start':
    case 'end':
      return { type: name, ...common };
    case 'aliasSelect':
    case 'aliasStart':
      return { type: name, ...common, sourceId: AliasEntry.get.SourceDeviceID(view, offset), ...kept(AliasEntry) };
    case 'extendedSelect':
    case 'extendedStart':
      return { type: name, ...common, atsDisabled: ExtendedEntry.get.AtsDisabled(view, offset) === 1, ...kept(ExtendedEntry) };
    case 'special': {
      const { Handle: handle, SourceDeviceID: sourceId, Variety: variety } = SpecialEntry.decode(view, offset);
      if (variety !== 1 && variety !== 2) findings.odd(offset + 7, `a special device of variety ${variety} is not defined`);
      return { type: name, ...common, handle, sourceId, variety };
    }
    case 'acpi': {
      const { HardwareID: hid, CompatibleID: cid, UIDFormat: uidFormat } = AcpiEntry.decode(view, offset);
      const uid = bytesAt(view, offset + AcpiEntry.bytes, offset + length);
      checkAcpi(offset, hid, uidFormat, uid.length, findings);
      return { type: name, ...common, hid, cid, uidFormat, uid };
    }
    case undefined:
      findings.odd(offset, `a device entry of type ${hex2(typeNumber)} is not known; it is skipped`);
      return { type: 'unknown', typeNumber, offset, length, data: bytesAt(view, offset + 1, offset + length) };
  }
}

/** An integer has 8 bytes, text at least one, and without an ID there is nothing. AMD IOMMU 48882 Rev 3.08 chapter 5. */
function checkAcpi(offset: number, hid: string, format: number, length: number, findings: Findings): void {
  if (hid === '') findings.odd(offset + 4, 'an ACPI device has no hardware ID');
  if (format > 2) findings.odd(offset + 20, `the unique ID has format ${format}, which is not defined`);
  const right = format === 0 ? length === 0 : format === 1 ? length === 8 : length > 0;
  if (format <= 2 && !right)
    findings.odd(offset + 21, `a unique ID of format ${format} (${['none', 'integer', 'text'][format]}) has ${length} bytes`);
}

/** @throws RangeError when a value does not fit its field */
export function buildEntries(entries: readonly Described<IvhdEntry>[]): Uint8Array<ArrayBuffer> {
  return concat(entries.map(buildEntry));
}

function buildEntry(one: Described<IvhdEntry>): Uint8Array<ArrayBuffer> {
  if (one.type === 'unknown') return concat([Uint8Array.of(one.typeNumber), one.data]);
  const common = { ...one.reserved, Type: ENTRY_TYPES[one.type], DeviceID: one.deviceId, DTESetting: one.dteSetting };
  switch (one.type) {
    case 'pad':
    case 'all':
    case 'select':
    case 'start':
    case 'end':
      return DeviceEntry4.encode(common);
    case 'aliasSelect':
    case 'aliasStart':
      return AliasEntry.encode({ ...common, SourceDeviceID: one.sourceId });
    case 'extendedSelect':
    case 'extendedStart':
      return ExtendedEntry.encode({ ...common, AtsDisabled: Number(one.atsDisabled) });
    case 'special':
      return SpecialEntry.encode({ ...common, Handle: one.handle, SourceDeviceID: one.sourceId, Variety: one.variety });
    case 'acpi': {
      const { hid, cid, uidFormat, uid } = one;
      const ids = { HardwareID: hid, CompatibleID: cid, UIDFormat: uidFormat, UIDLength: uid.length };
      return concat([AcpiEntry.encode({ ...common, ...ids }), uid]);
    }
  }
}

function hex2(value: number): string {
  return `${value.toString(16).padStart(2, '0')}h`;
}
