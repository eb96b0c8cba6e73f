import { entry, hex, reservedBytes, u8, u16, u64 } from '../bits/index.ts';
import { type Findings, overlapping, type TableFinding } from './findings.ts';
import { type Described, keepReserved, keepRest, type Reserved, type Structure } from './structure.ts';
import { buildTable, concat, type HeaderDescription, readTable, type Table } from './table.ts';

/** The MCFG table between the common header and the first allocation. */
export const McfgFields = entry(
  'Memory Mapped Configuration Table',
  { source: 'PCI Firmware 3.3 §4.1.2', bits: 64, offset: 36 },
  { RSVD_0: reservedBytes(0, 8) },
);

export const McfgEntry = entry(
  'Configuration Space Base Address Allocation',
  { source: 'PCI Firmware 3.3 §4.1.2 Table 4-3', bits: 128 },
  {
    /** Where bus 0 of the segment would be, whether or not it belongs to the allocation. */
    BaseAddress: u64(0, 'Base Address'),
    PCISegmentGroupNumber: u16(8, 'PCI Segment Group Number'),
    StartBusNumber: u8(10, 'Start Bus Number'),
    EndBusNumber: u8(11, 'End Bus Number'),
    RSVD_96: reservedBytes(12, 4),
  },
);

/** Configuration space of the buses of one segment in memory: 1 MiB for each bus. */
export interface McfgAllocation extends Structure {
  /** Where bus 0 of the segment would be. */
  base: bigint;
  segment: number;
  startBus: number;
  endBus: number;
}

export interface Mcfg {
  header: Table['header'];
  reserved?: Reserved;
  /** In the order of the table. */
  allocations: McfgAllocation[];
  /** Bytes at the end that are too few for an allocation. */
  rest?: Uint8Array;
  findings: TableFinding[];
}

/**
 * Reads an MCFG table. Never throws: what is wrong becomes a finding with its place. Source: PCI Firmware 3.3 §4.1.2.
 * @returns undefined when there are not even the 44 bytes before the first allocation
 */
export function readMcfg(bytes: Uint8Array): Mcfg | undefined {
  const table = readTable(bytes, 'MCFG', [1]);
  const at = McfgFields.offset ?? 0;
  if (!table || !McfgFields.fits(table.view, at)) return undefined;
  const { header, view, findings } = table;
  const allocations: McfgAllocation[] = [];
  const reserved = keepReserved(McfgFields, McfgFields.decode(view, at), at, findings);
  let offset = at + McfgFields.bytes;
  for (; McfgEntry.fits(view, offset); offset += McfgEntry.bytes) {
    const fields = McfgEntry.decode(view, offset);
    allocations.push({
      offset,
      length: McfgEntry.bytes,
      base: fields.BaseAddress,
      segment: fields.PCISegmentGroupNumber,
      startBus: fields.StartBusNumber,
      endBus: fields.EndBusNumber,
      ...keepReserved(McfgEntry, fields, offset, findings),
    });
  }
  // A table that was cut off has been told about.
  const cut = header.Length > bytes.length;
  const left = view.byteLength - offset;
  if (left > 0 && !cut) findings.broken(offset, `${left} bytes at the end are too few for an allocation of ${McfgEntry.bytes}`);
  checkMcfg(allocations, cut, findings);
  const rest = keepRest(view, offset, view.byteLength);
  return { header, ...reserved, allocations, ...rest, findings: findings.sorted() };
}

function checkMcfg(allocations: readonly McfgAllocation[], cut: boolean, findings: Findings): void {
  if (allocations.length === 0 && !cut) findings.broken(44, 'there is no allocation: no configuration space is in memory');
  const buses: { start: number; end: number; offset: number; of: McfgAllocation }[] = [];
  const memory: { start: bigint; end: bigint; offset: number; of: McfgAllocation }[] = [];
  for (const one of allocations) {
    const { offset, base, segment, startBus, endBus } = one;
    if (base === 0n) findings.broken(offset, 'an allocation has no base address');
    else if (base % 0x100000n !== 0n) findings.broken(offset, `the base address ${hex(base)} is no multiple of 1 MiB`);
    if (endBus < startBus)
      findings.broken(offset + 11, `the allocation ends at bus ${hex(endBus, 2)}, before its first, ${hex(startBus, 2)}`);
    buses.push({ start: segment * 256 + startBus, end: segment * 256 + endBus, offset, of: one });
    const { start, end } = windowOf(one);
    if (base !== 0n) memory.push({ start, end, offset, of: one });
  }
  const told = new Set<McfgAllocation>();
  for (const { later, earlier } of overlapping(buses)) {
    told.add(later.of);
    findings.broken(later.offset + 10, `buses of segment ${later.of.segment} are in the allocation at ${earlier.offset} already`);
  }
  for (const { later, earlier } of overlapping(memory))
    if (!told.has(later.of)) findings.broken(later.offset, `the window overlaps that of the allocation at ${earlier.offset}`);
}

/** First and last address of the configuration space of an allocation: 4 KiB a function, 1 MiB a bus. */
export function windowOf({ base, startBus, endBus }: Pick<McfgAllocation, 'base' | 'startBus' | 'endBus'>): {
  start: bigint;
  end: bigint;
} {
  return { start: base + BigInt(startBus) * 0x100000n, end: base + BigInt(endBus + 1) * 0x100000n - 1n };
}

/** Address of the configuration space of a function in memory; undefined when no allocation has its bus. */
export function configAddressOf(
  mcfg: Pick<Mcfg, 'allocations'>,
  place: { segment: number; bus: number; device: number; function: number },
): bigint | undefined {
  const { segment, bus, device } = place;
  const found = mcfg.allocations.find((one) => one.segment === segment && one.startBus <= bus && bus <= one.endBus);
  return found && found.base + BigInt(bus * 0x100000 + device * 0x8000 + place.function * 0x1000);
}

/** What `buildMcfg` needs; what `readMcfg` gives is one. */
export interface McfgDescription {
  header?: HeaderDescription;
  reserved?: Reserved;
  allocations: readonly Described<McfgAllocation>[];
  rest?: Uint8Array;
}

/**
 * The bytes of an MCFG table with length and checksum. What was read comes out as it was, byte for byte.
 * @throws RangeError when a value does not fit its field
 */
export function buildMcfg({ header, reserved, allocations, rest = new Uint8Array() }: McfgDescription): Uint8Array<ArrayBuffer> {
  const entries = allocations.map(({ base, segment, startBus, endBus, reserved: set }) =>
    McfgEntry.encode({
      ...set,
      BaseAddress: base,
      PCISegmentGroupNumber: segment,
      StartBusNumber: startBus,
      EndBusNumber: endBus,
    }),
  );
  return buildTable('MCFG', 1, header, [McfgFields.encode(reserved ?? {}), concat(entries), rest]);
}
