import {
  DteSetting,
  fieldsOf,
  IvhdAttributes,
  type IvhdBlock,
  type IvhdEntry,
  IvhdFeatures,
  IvhdFlags,
  type IvmdBlock,
  IvmdFlags,
  type Ivrs,
  type IvrsBlock,
  ivhdTypeOf,
  meaningsOf,
} from '../acpi/index.ts';
import { hex } from '../bits/index.ts';
import { EFR, registerView } from '../iommu/index.ts';
import { showBytes } from './output.ts';
import type { TableLine } from './table-reports.ts';

/** What an IVRS table says as a whole. */
export function ivrsSays(ivrs: Ivrs): string[] {
  const type = ivhdTypeOf(ivrs);
  return [
    `Physical addresses have ${ivrs.PASize} bits, virtual addresses ${ivrs.VASize}.`,
    ivrs.EFRSup ? 'Extended features are told (EFRSup).' : 'Extended features are not told: EFRSup is clear.',
    ...(ivrs.DmaRemapSup ? ['Firmware asks for DMA protection at boot (DmaRemapSup).'] : []),
    ...(ivrs.HtAtsResv ? ['ATS translations in the HyperTransport range are reserved (HtAtsResv).'] : []),
    ...(type === undefined ? [] : [`Linux goes by the IVHD blocks of type ${type.toString(16)}h and skips the others.`]),
  ];
}

export function ivrsLines({ blocks }: Ivrs): TableLine[] {
  return blocks.flatMap((block) => [
    {
      offset: block.offset,
      name: `${block.type === 'unknown' ? 'type' : block.type} ${block.typeNumber.toString(16).padStart(2, '0')}h`,
      says: sayBlock(block),
    },
    ...(block.type === 'IVHD'
      ? block.entries.map((one) => ({ offset: one.offset, name: '  entry', says: [sayEntry(one)] }))
      : []),
  ]);
}

function sayBlock(block: IvrsBlock): string[] {
  if (block.type === 'IVHD') return sayIvhd(block);
  if (block.type === 'IVMD') return sayIvmd(block);
  return [`${block.data.length} bytes of a type that the specification does not have`];
}

function sayIvhd(block: IvhdBlock): string[] {
  const { base, deviceId, segment, capabilityOffset, flags, features, efr, efr2 } = block;
  const can = meaningsOf(IvhdFlags, flags);
  const lines = [`IOMMU ${address(segment, deviceId)} with registers at ${hex(base)}, capability at ${hex(capabilityOffset, 2)}`];
  if (can.length > 0) lines.push(`flags: ${can.join(', ')}`);
  if (efr === undefined) {
    const more = meaningsOf(IvhdFeatures, features);
    if (more.length > 0) lines.push(`features: ${more.join(', ')}`);
    return lines;
  }
  const view = registerView(efr);
  const set = EFR.fields.filter(({ kind, name }) => kind === 'bit' && EFR.get[name as 'PPRSup'](view, 0) === 1);
  const { HATS, GATS, GTSup, PASmax } = EFR.decode(view);
  const guests = GTSup ? `, guest tables of ${GATS + 4}, PASIDs of ${PASmax + 1} bits` : '';
  lines.push(`EFR ${hex(efr)}: ${[`host tables of ${HATS + 4} levels${guests}`, ...set.map(({ label }) => label)].join(', ')}`);
  if (efr2) lines.push(`EFR2 ${hex(efr2)}`);
  if (meaningsOf(IvhdAttributes, features).length > 0)
    lines.push(`attributes: ${meaningsOf(IvhdAttributes, features).join(', ')}`);
  return lines;
}

function sayIvmd({ typeNumber, flags, deviceId, auxiliaryData, segment, base, memoryLength }: IvmdBlock): string[] {
  const whose =
    typeNumber === 0x20
      ? 'all devices'
      : typeNumber === 0x21
        ? address(segment, deviceId)
        : `${address(segment, deviceId)} to ${address(segment, auxiliaryData)}`;
  const end = memoryLength > 0n ? ` to ${hex(base + memoryLength - 1n)} (${showBytes(Number(memoryLength))})` : ', no bytes';
  const how = meaningsOf(IvmdFlags, flags);
  return [`memory ${hex(base)}${end} for ${whose}: ${how.length > 0 ? how.join(', ') : 'nothing'}`];
}

function sayEntry(one: IvhdEntry): string {
  if (one.type === 'unknown') return `${one.data.length + 1} bytes of type ${hex(one.typeNumber, 2)}`;
  const passes = meaningsOf(DteSetting, one.dteSetting);
  const { SysMgt } = fieldsOf(DteSetting, one.dteSetting);
  if (SysMgt !== 0) passes.push(`system management ${SysMgt}`);
  return `${sayDevice(one)}${passes.length > 0 ? `; ${passes.join(', ')}` : ''}`;
}

function sayDevice(one: Exclude<IvhdEntry, { type: 'unknown' }>): string {
  const id = address(0, one.deviceId);
  switch (one.type) {
    case 'pad':
      return 'padding';
    case 'all':
      return 'all devices';
    case 'select':
      return id;
    case 'start':
      return `from ${id}`;
    case 'end':
      return `to ${id}`;
    case 'aliasSelect':
      return `${id}, whose requests carry ${address(0, one.sourceId)}`;
    case 'aliasStart':
      return `from ${id}, whose requests carry ${address(0, one.sourceId)}`;
    case 'extendedSelect':
    case 'extendedStart':
      return `${one.type === 'extendedStart' ? `from ${id}` : id}${one.atsDisabled ? ', its ATS requests blocked' : ''}`;
    case 'special': {
      const kind = one.variety === 1 ? 'I/O APIC' : one.variety === 2 ? 'HPET' : `device of variety ${one.variety}`;
      return `${kind} ${one.handle}, whose interrupts carry ${address(0, one.sourceId)}`;
    }
    case 'acpi':
      return `ACPI device ${one.hid}${sayUid(one.uidFormat, one.uid)}, whose requests carry ${id}`;
  }
}

function sayUid(format: number, uid: Uint8Array): string {
  if (format === 0 || uid.length === 0) return '';
  if (format === 2) return ` ${JSON.stringify(String.fromCharCode(...uid).replace(/\0+$/, ''))}`;
  return ` number 0x${Array.from(uid, (byte) => byte.toString(16).padStart(2, '0'))
    .reverse()
    .join('')}`;
}

/** `00:14.0`, and `0001:00:14.0` outside of segment 0. */
export function address(segment: number, id: number): string {
  const two = (value: number) => value.toString(16).padStart(2, '0');
  const own = `${two(id >> 8)}:${two((id >> 3) & 31)}.${id & 7}`;
  return segment === 0 ? own : `${segment.toString(16).padStart(4, '0')}:${own}`;
}
