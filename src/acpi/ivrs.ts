import type { Findings, TableFinding } from './findings.ts';
import { checkIvrs } from './ivrs-checks.ts';
import { buildEntries, type IvhdEntry, readEntries } from './ivrs-entries.ts';
import { BLOCK_TYPES, BlockHeader, Ivhd10, Ivhd11, Ivmd, IvrsFields } from './ivrs-formats.ts';
import {
  bytesAt,
  type Described,
  fixedPart,
  keepReserved,
  type Piece,
  pieces,
  type Reserved,
  type Structure,
} from './structure.ts';
import { buildTable, concat, type HeaderDescription, readTable, type Table } from './table.ts';

/** An IOMMU and the devices behind it. One IOMMU may have a block of each of the three types. */
export interface IvhdBlock extends Structure {
  type: 'IVHD';
  typeNumber: 0x10 | 0x11 | 0x40;
  /** As `IvhdFlags` has it. */
  flags: number;
  /** Of the IOMMU: bus, device and function. */
  deviceId: number;
  /** Where its capability header is in its configuration space. */
  capabilityOffset: number;
  base: bigint;
  segment: number;
  /** As `IvhdInfo` has it. */
  info: number;
  /** Type 10h: as `IvhdFeatures` has it. Types 11h and 40h: as `IvhdAttributes` has it. */
  features: number;
  /** Images of the registers, in types 11h and 40h; `EFR` and `EFR2` of the room iommu read them. */
  efr?: bigint;
  efr2?: bigint;
  entries: IvhdEntry[];
}

/** Memory that devices reach without translation. */
export interface IvmdBlock extends Structure {
  type: 'IVMD';
  /** 20h: all devices, 21h: one, 22h: from `deviceId` to `auxiliaryData`. */
  typeNumber: 0x20 | 0x21 | 0x22;
  /** As `IvmdFlags` has it. */
  flags: number;
  deviceId: number;
  auxiliaryData: number;
  segment: number;
  base: bigint;
  /** Bytes. */
  memoryLength: bigint;
}

/** A block of a type that the specification does not have yet. */
export interface OtherBlock extends Structure {
  type: 'unknown';
  typeNumber: number;
  flags: number;
  /** All after type, flags and length. */
  data: Uint8Array;
}

export type IvrsBlock = IvhdBlock | IvmdBlock | OtherBlock;

export interface Ivrs {
  header: Table['header'];
  EFRSup: boolean;
  DmaRemapSup: boolean;
  GVASize: number;
  /** Bits. */
  PASize: number;
  /** Bits. */
  VASize: number;
  HtAtsResv: boolean;
  reserved?: Reserved;
  /** In the order of the table. */
  blocks: IvrsBlock[];
  findings: TableFinding[];
}

/**
 * Reads an IVRS table. Never throws: every block and device entry that can be read is given, and one finding for each thing
 * that is wrong, with its place. Source: AMD IOMMU 48882 Rev 3.08 chapter 5.
 *
 * @returns undefined when there are not even the 48 bytes before the first block
 */
export function readIvrs(bytes: Uint8Array): Ivrs | undefined {
  const table = readTable(bytes, 'IVRS', [1, 2]);
  const at = IvrsFields.offset ?? 0;
  if (!table || !IvrsFields.fits(table.view, at)) return undefined;
  const { header, view, findings } = table;
  const fields = IvrsFields.decode(view, at);
  const ivrs: Ivrs = {
    header,
    EFRSup: fields.EFRSup === 1,
    DmaRemapSup: fields.DmaRemapSup === 1,
    GVASize: fields.GVASize,
    PASize: fields.PASize,
    VASize: fields.VASize,
    HtAtsResv: fields.HtAtsResv === 1,
    ...keepReserved(IvrsFields, fields, at, findings),
    blocks: [],
    findings: [],
  };
  for (const piece of pieces(view, at + IvrsFields.bytes, (offset) => nameOfType(view.getUint8(offset)), findings)) {
    const block = readBlock(view, piece, findings);
    if (block) ivrs.blocks.push(block);
  }
  checkIvrs(ivrs, findings);
  ivrs.findings = findings.sorted();
  return ivrs;
}

function nameOfType(type: number): string {
  const kind = type === 0x10 || type === 0x11 || type === 0x40 ? 'IVHD' : type >= 0x20 && type <= 0x22 ? 'IVMD' : 'a block';
  return `${kind} of type ${type.toString(16).padStart(2, '0')}h`;
}

function readBlock(view: DataView, piece: Piece, findings: Findings): IvrsBlock | undefined {
  const { offset, length, end } = piece;
  const typeNumber = BlockHeader.get.Type(view, offset);
  const flags = BlockHeader.get.Flags(view, offset);
  switch (typeNumber) {
    case BLOCK_TYPES.ivhd10: {
      const fields = fixedPart(Ivhd10, view, piece, findings);
      if (!fields) return undefined;
      const entries = readEntries(view, offset + Ivhd10.bytes, end, end < offset + length, findings);
      return { type: 'IVHD', offset, length, typeNumber, ...ivhdOf(fields), features: fields.IOMMUFeatureInfo, entries };
    }
    case BLOCK_TYPES.ivhd11:
    case BLOCK_TYPES.ivhd40: {
      const fields = fixedPart(Ivhd11, view, piece, findings);
      if (!fields) return undefined;
      const { IOMMUAttributes: features, EFRRegisterImage: efr, EFRRegisterImage2: efr2 } = fields;
      const entries = readEntries(view, offset + Ivhd11.bytes, end, end < offset + length, findings);
      return { type: 'IVHD', offset, length, typeNumber, ...ivhdOf(fields), features, efr, efr2, entries };
    }
    case BLOCK_TYPES.ivmdAll:
    case BLOCK_TYPES.ivmdOne:
    case BLOCK_TYPES.ivmdRange: {
      const fields = fixedPart(Ivmd, view, piece, findings);
      if (!fields) return undefined;
      const rest = bytesAt(view, offset + Ivmd.bytes, end);
      if (rest.length > 0) findings.odd(offset + Ivmd.bytes, `IVMD has ${rest.length} bytes more than it needs`);
      return {
        type: 'IVMD',
        offset,
        length,
        typeNumber,
        flags,
        deviceId: fields.DeviceID,
        auxiliaryData: fields.AuxiliaryData,
        segment: fields.PCISegmentGroup,
        base: fields.StartAddress,
        memoryLength: fields.MemoryBlockLength,
        ...keepReserved(Ivmd, fields, offset, findings),
        ...(rest.length > 0 ? { rest } : {}),
      };
    }
    default:
      findings.odd(offset, `${nameOfType(typeNumber)} is not known; it is skipped`);
      return { type: 'unknown', offset, length, typeNumber, flags, data: bytesAt(view, offset + BlockHeader.bytes, end) };
  }
}

function ivhdOf(fields: {
  Flags: number;
  DeviceID: number;
  CapabilityOffset: number;
  BaseAddress: bigint;
  PCISegmentGroup: number;
  IOMMUInfo: number;
}) {
  return {
    flags: fields.Flags,
    deviceId: fields.DeviceID,
    capabilityOffset: fields.CapabilityOffset,
    base: fields.BaseAddress,
    segment: fields.PCISegmentGroup,
    info: fields.IOMMUInfo,
  };
}

type IvhdDescription = Omit<Described<IvhdBlock>, 'entries'> & { entries: readonly Described<IvhdEntry>[] };

/** What `buildIvrs` needs; what `readIvrs` gives is one. What is left out is 0 or clear. */
export interface IvrsDescription
  extends Partial<Pick<Ivrs, 'EFRSup' | 'DmaRemapSup' | 'GVASize' | 'PASize' | 'VASize' | 'HtAtsResv' | 'reserved'>> {
  header?: HeaderDescription;
  blocks: readonly (IvhdDescription | Described<IvmdBlock> | Described<OtherBlock>)[];
}

/**
 * The bytes of an IVRS table with lengths and checksum; Revision is 2 when there is a block of type 40h, else 1. What was read
 * from a sound table comes out as it was, byte for byte.
 *
 * @throws RangeError when a value does not fit its field
 */
export function buildIvrs(ivrs: IvrsDescription): Uint8Array<ArrayBuffer> {
  const { GVASize = 0, PASize = 0, VASize = 0, blocks } = ivrs;
  const fields = IvrsFields.encode({
    ...ivrs.reserved,
    EFRSup: Number(ivrs.EFRSup ?? false),
    DmaRemapSup: Number(ivrs.DmaRemapSup ?? false),
    GVASize,
    PASize,
    VASize,
    HtAtsResv: Number(ivrs.HtAtsResv ?? false),
  });
  const revision = blocks.some(({ typeNumber }) => typeNumber === BLOCK_TYPES.ivhd40) ? 2 : 1;
  return buildTable('IVRS', revision, ivrs.header, [fields, ...blocks.map(buildBlock)]);
}

function buildBlock(block: IvrsDescription['blocks'][number]): Uint8Array<ArrayBuffer> {
  const { typeNumber: Type, flags: Flags, reserved, rest = new Uint8Array() } = block;
  const head = { ...reserved, Type, Flags };
  switch (block.type) {
    case 'IVHD': {
      const entries = buildEntries(block.entries);
      const shape = Type === BLOCK_TYPES.ivhd10 ? Ivhd10 : Ivhd11;
      const common = {
        ...head,
        Length: shape.bytes + entries.length,
        DeviceID: block.deviceId,
        CapabilityOffset: block.capabilityOffset,
        BaseAddress: block.base,
        PCISegmentGroup: block.segment,
        IOMMUInfo: block.info,
      };
      if (Type === BLOCK_TYPES.ivhd10) return concat([Ivhd10.encode({ ...common, IOMMUFeatureInfo: block.features }), entries]);
      const images = { EFRRegisterImage: block.efr ?? 0n, EFRRegisterImage2: block.efr2 ?? 0n };
      return concat([Ivhd11.encode({ ...common, IOMMUAttributes: block.features, ...images }), entries]);
    }
    case 'IVMD': {
      const fields = Ivmd.encode({
        ...head,
        Length: Ivmd.bytes + rest.length,
        DeviceID: block.deviceId,
        AuxiliaryData: block.auxiliaryData,
        PCISegmentGroup: block.segment,
        StartAddress: block.base,
        MemoryBlockLength: block.memoryLength,
      });
      return concat([fields, rest]);
    }
    case 'unknown':
      return concat([BlockHeader.encode({ Type, Flags, Length: BlockHeader.bytes + block.data.length }), block.data]);
  }
}
