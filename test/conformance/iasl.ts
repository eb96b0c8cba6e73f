// What iasl -d prints of a table (`*.dsl`), for folders that have no index.

/** A field of the listing: `[034h 0052 001h]    Flags : 00`. */
interface Row {
  offset: number;
  label: string;
  value: string;
  /** What stands in brackets after the value. */
  meaning: string;
}

type Fields = { [field: string]: unknown };

const ROW = /^\[[0-9A-F]+h +(\d+) +[0-9A-F]+h?\] +(.+?)(?: \(decoded below\))? : (.*?)(?: +\[([^\]]*)\])?$/;

function rowsOf(dsl: string): Row[] {
  return dsl.split('\n').flatMap((line) => {
    const [, offset = '', label = '', value = '', meaning = ''] = ROW.exec(line.trimEnd()) ?? [];
    return label === '' ? [] : [{ offset: Number(offset), label, value, meaning }];
  });
}

/** Labels whose values are numbers, and what the index calls them. */
const NUMBERS: Fields = {
  Length: 'length',
  'Entry Length': 'length',
  Flags: 'flags',
  Size: 'sizeByte',
  'PCI Segment Number': 'segment',
  'Proximity Domain': 'proximityDomain',
  'Device Number': 'deviceNumber',
  'ACPI Device Number': 'deviceNumber',
  'Enumeration ID': 'enumId',
  'PCI Bus Number': 'bus',
  DeviceId: 'deviceid',
  'Capability Offset': 'capabilityOffset',
  'PCI Segment Group': 'pciSegmentGroup',
  'Virtualization Info': 'virtualizationInfo',
  'Feature Reporting': 'featureReporting',
  Attributes: 'attributes',
  'Device ID': 'deviceId',
  'Data Setting': 'dataSetting',
  'Source Used Device ID': 'sourceUsedDeviceId',
  Handle: 'handle',
  Variety: 'variety',
  'UID Format': 'uidFormat',
  'UID Length': 'uidLength',
  'Auxiliary Data': 'auxiliaryData',
  'Segment Group Number': 'segment',
  'Start Bus Number': 'startBus',
  'End Bus Number': 'endBus',
};

/** Labels whose values the index has as `0x` and 16 digits. */
const ADDRESSES: Fields = {
  'Register Base Address': 'registerBase',
  'End Address (limit)': 'limit',
  'EFR Image': 'efrImage',
  'Start Address': 'startAddress',
  'Memory Length': 'memoryLength',
};

/** Adds one row to the structure that it belongs to. `base` is what the index calls a base address there. */
function put(into: Fields, { label, value }: Row, base: string): void {
  const number = NUMBERS[label];
  const address = label === 'Base Address' ? base : ADDRESSES[label];
  if (typeof number === 'string') into[number] = Number.parseInt(value, 16);
  else if (typeof address === 'string') into[address] = `0x${value}`;
  else if (label === 'PCI Path')
    into.path = [...((into.path as unknown[]) ?? []), value.split(',').map((part) => Number.parseInt(part, 16))];
  else if (label === 'Device Name') into.deviceName = value.replace(/^"|"$/g, '').replaceAll('\\\\', '\\');
  else if (label === 'ACPI HID') into.acpiHid = value;
  else if (label === 'ACPI CID') into.acpiCid = value.startsWith('"') ? value : `0x${value}`;
  else if (label === 'UID' && value.startsWith('"')) into.uid = value;
}

/** Header and contents of a listing, as the index has them. */
export function readListing(kind: string, dsl: string): { header: { [field: string]: number }; iasl: Fields } {
  const rows = rowsOf(dsl);
  const header: { [field: string]: number } = {};
  const names: Fields = { 'Table Length': 'length', Revision: 'revision', Checksum: 'checksum', 'Oem Revision': 'oemRevision' };
  const iasl: Fields = {};
  const list: Fields[] = [];
  iasl[kind === 'dmar' ? 'structures' : kind === 'ivrs' ? 'blocks' : 'entries'] = list;
  let inner: Fields | undefined;
  for (const row of rows) {
    const { offset, label, value, meaning } = row;
    if (offset < 36) {
      const name = names[label];
      if (typeof name === 'string') header[name] = Number.parseInt(value, 16);
      if (label === 'Asl Compiler Revision') header.creatorRevision = Number.parseInt(value, 16);
    } else if (list.length === 0 && label === 'Host Address Width') {
      iasl.hostAddressWidthField = Number.parseInt(value, 16);
      iasl.hostAddressWidthBits = Number.parseInt(value, 16) + 1;
    } else if (list.length === 0 && label === 'Flags') iasl.flags = Number.parseInt(value, 16);
    else if (list.length === 0 && label === 'Virtualization Info') iasl.ivInfo = `0x${value}`;
    else if (kind === 'mcfg' && label === 'Base Address') list.push({ base: `0x${value}` });
    else if (label === 'Subtable Type' && /Device Entry/.test(meaning)) {
      inner = { offset, type: Number.parseInt(value, 16) };
      (list.at(-1)!.entries as Fields[]).push(inner);
    } else if (label === 'Subtable Type') {
      inner = undefined;
      const members = kind === 'ivrs' && /IVHD/.test(meaning) ? { entries: [] } : {};
      list.push({ offset, type: Number.parseInt(value, 16), ...members });
    } else if (label === 'Device Scope Type') {
      inner = { offset, type: Number.parseInt(value, 16) };
      const owner = list.at(-1)!;
      owner.scopes = [...((owner.scopes as Fields[]) ?? []), inner];
    } else if (list.length > 0) put(inner ?? list.at(-1)!, row, kind === 'ivrs' ? 'baseAddress' : 'base');
  }
  return { header, iasl };
}
