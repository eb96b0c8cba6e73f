import type { Entry, Fields } from '../bits/index.ts';
import { entry, reserved, reservedBytes, u8, u16, u32, u64 } from '../bits/index.ts';
import type { Findings, TableFinding } from './findings.ts';
import {
  bytesAt,
  type Described,
  fixedPart,
  keepReserved,
  keepRest,
  type Piece,
  pieces,
  type Reserved,
  type Structure,
} from './structure.ts';
import { buildTable, concat, type HeaderDescription, readTable, type Table } from './table.ts';
import { checkViot } from './viot-checks.ts';

/** The VIOT table between the common header and the first node. */
export const ViotFields = entry(
  'Virtual I/O Translation Table',
  { source: 'ACPI 6.5 §5.2.33', bits: 96, offset: 36 },
  { NodeCount: u16(0, 'Node count'), NodeOffset: u16(2, 'Node offset'), RSVD_32: reservedBytes(4, 8) },
);

export const VIOT_TYPES = { pciRange: 1, mmioEndpoint: 2, virtioIommuPci: 3, virtioIommuMmio: 4 } as const;
export type ViotType = keyof typeof VIOT_TYPES;

const head = { Type: u8(0, 'Type', VIOT_TYPES), RSVD_8: reserved(15, 8), Length: u16(2, 'Length') };

export const ViotPciRange = entry(
  'PCI Range Node',
  { source: 'ACPI 6.5 §5.2.33.1 Table 5.156', bits: 24 * 8 },
  {
    ...head,
    EndpointStart: u32(4, 'First endpoint ID'),
    PCISegmentStart: u16(8, 'First PCI segment number'),
    PCISegmentEnd: u16(10, 'Last PCI segment number'),
    PCIBDFStart: u16(12, 'First Bus-Device-Function number'),
    PCIBDFEnd: u16(14, 'Last Bus-Device-Function number'),
    OutputNode: u16(16, 'Offset of the output node'),
    RSVD_144: reservedBytes(18, 6),
  },
);

export const ViotMmioEndpoint = entry(
  'Single MMIO Endpoint Node',
  { source: 'ACPI 6.5 §5.2.33.2', bits: 24 * 8 },
  {
    ...head,
    EndpointID: u32(4, 'Endpoint ID'),
    BaseAddress: u64(8, 'Base address of the endpoint'),
    OutputNode: u16(16, 'Offset of the output node'),
    RSVD_144: reservedBytes(18, 6),
  },
);

export const ViotVirtioIommuPci = entry(
  'virtio-iommu based on virtio-pci Node',
  { source: 'ACPI 6.5 §5.2.33.3', bits: 16 * 8 },
  {
    ...head,
    PCISegment: u16(4, 'PCI segment number'),
    PCIBDF: u16(6, 'Bus-Device-Function number'),
    RSVD_64: reservedBytes(8, 8),
  },
);

export const ViotVirtioIommuMmio = entry(
  'virtio-iommu based on virtio-mmio Node',
  { source: 'ACPI 6.5 §5.2.33.4', bits: 16 * 8 },
  { ...head, RSVD_32: reservedBytes(4, 4), BaseAddress: u64(8, 'Base address of the virtio-mmio device') },
);

/** PCI functions whose endpoint IDs count up from the first; each segment goes on where the one before has ended. */
export interface ViotPciRangeNode extends Structure {
  type: 'pciRange';
  endpointStart: number;
  segmentStart: number;
  segmentEnd: number;
  /** Bus, device and function as a source id. */
  bdfStart: number;
  bdfEnd: number;
  /** Offset of the virtio-iommu node in the table. */
  outputNode: number;
}

export interface ViotMmioEndpointNode extends Structure {
  type: 'mmioEndpoint';
  endpoint: number;
  base: bigint;
  outputNode: number;
}

export interface ViotVirtioIommuPciNode extends Structure {
  type: 'virtioIommuPci';
  segment: number;
  bdf: number;
}

export interface ViotVirtioIommuMmioNode extends Structure {
  type: 'virtioIommuMmio';
  base: bigint;
}

/** A node of a type that the specification does not have yet. */
export interface ViotOtherNode extends Structure {
  type: 'unknown';
  typeNumber: number;
  /** All after type, reserved byte and length. */
  data: Uint8Array;
}

export type ViotNode = ViotPciRangeNode | ViotMmioEndpointNode | ViotVirtioIommuPciNode | ViotVirtioIommuMmioNode | ViotOtherNode;

export interface Viot {
  header: Table['header'];
  /** As stated. */
  nodeCount: number;
  nodeOffset: number;
  reserved?: Reserved;
  /** What lies between the fields and the first node. */
  rest?: Uint8Array;
  nodes: ViotNode[];
  findings: TableFinding[];
}

/**
 * Reads a VIOT table, which names the virtio-iommu devices of a virtual machine and what is behind each. Never throws: what
 * is wrong becomes a finding with its place. Source: ACPI 6.5 §5.2.33.
 *
 * @returns undefined when there are not even the 48 bytes before the first node
 */
export function readViot(bytes: Uint8Array): Viot | undefined {
  // ACPI 6.5 has Revision 0; QEMU writes that too.
  const table = readTable(bytes, 'VIOT', [0, 1]);
  const at = ViotFields.offset ?? 0;
  if (!table || !ViotFields.fits(table.view, at)) return undefined;
  const { header, view, findings } = table;
  const fields = ViotFields.decode(view, at);
  const least = at + ViotFields.bytes;
  const inside = fields.NodeOffset >= least && fields.NodeOffset <= view.byteLength;
  if (!inside)
    findings.broken(at + 2, `the first node is at ${fields.NodeOffset}, which is not behind the header; read from ${least}`);
  const start = inside ? fields.NodeOffset : least;
  const reserved = keepReserved(ViotFields, fields, at, findings);
  const nodes: ViotNode[] = [];
  for (const piece of pieces(view, start, (offset) => `node of type ${view.getUint8(offset)}`, findings)) {
    const node = readNode(view, piece, findings);
    if (node) nodes.push(node);
  }
  const viot: Viot = {
    header,
    nodeCount: fields.NodeCount,
    nodeOffset: fields.NodeOffset,
    ...reserved,
    ...keepRest(view, least, start),
    nodes,
    findings: [],
  };
  checkViot(viot, findings);
  viot.findings = findings.sorted();
  return viot;
}

function readNode(view: DataView, piece: Piece, findings: Findings): ViotNode | undefined {
  const { offset, length, end } = piece;
  const after = <F extends Fields>(shape: Entry<F>, fields: ReturnType<Entry<F>['decode']>) => ({
    offset,
    length,
    ...keepReserved(shape, fields, offset, findings),
    ...keepRest(view, offset + shape.bytes, end),
  });
  const type = view.getUint8(offset);
  switch (type) {
    case VIOT_TYPES.pciRange: {
      const fields = fixedPart(ViotPciRange, view, piece, findings);
      if (!fields) return undefined;
      return {
        type: 'pciRange',
        endpointStart: fields.EndpointStart,
        segmentStart: fields.PCISegmentStart,
        segmentEnd: fields.PCISegmentEnd,
        bdfStart: fields.PCIBDFStart,
        bdfEnd: fields.PCIBDFEnd,
        outputNode: fields.OutputNode,
        ...after(ViotPciRange, fields),
      };
    }
    case VIOT_TYPES.mmioEndpoint: {
      const fields = fixedPart(ViotMmioEndpoint, view, piece, findings);
      if (!fields) return undefined;
      const { EndpointID: endpoint, BaseAddress: base, OutputNode: outputNode } = fields;
      return { type: 'mmioEndpoint', endpoint, base, outputNode, ...after(ViotMmioEndpoint, fields) };
    }
    case VIOT_TYPES.virtioIommuPci: {
      const fields = fixedPart(ViotVirtioIommuPci, view, piece, findings);
      return (
        fields && { type: 'virtioIommuPci', segment: fields.PCISegment, bdf: fields.PCIBDF, ...after(ViotVirtioIommuPci, fields) }
      );
    }
    case VIOT_TYPES.virtioIommuMmio: {
      const fields = fixedPart(ViotVirtioIommuMmio, view, piece, findings);
      return fields && { type: 'virtioIommuMmio', base: fields.BaseAddress, ...after(ViotVirtioIommuMmio, fields) };
    }
    default: {
      findings.odd(offset, `a node of type ${type} is not known; it is skipped`);
      const set = view.getUint8(offset + 1);
      const kept = set === 0 ? {} : { reserved: { RSVD_8: set } };
      return { type: 'unknown', typeNumber: type, offset, length, ...kept, data: bytesAt(view, offset + 4, end) };
    }
  }
}

/** What `buildViot` needs; what `readViot` gives is one. Counts and the place of the first node follow from the rest. */
export interface ViotDescription {
  header?: HeaderDescription;
  reserved?: Reserved;
  rest?: Uint8Array;
  nodeCount?: number;
  nodeOffset?: number;
  nodes: readonly Described<ViotNode>[];
}

/**
 * The bytes of a VIOT table with lengths and checksum. What was read from a sound table comes out as it was, byte for byte.
 * The first node lies at byte 48 (and `rest`), PCI ranges and endpoints have 24 bytes, virtio-iommu nodes 16.
 *
 * @throws RangeError when a value does not fit its field
 */
export function buildViot(viot: ViotDescription): Uint8Array<ArrayBuffer> {
  const { nodes, rest = new Uint8Array() } = viot;
  const fields = ViotFields.encode({
    ...viot.reserved,
    NodeCount: viot.nodeCount ?? nodes.length,
    NodeOffset: viot.nodeOffset ?? 48 + rest.length,
  });
  return buildTable('VIOT', 0, viot.header, [fields, rest, ...nodes.map(buildNode)]);
}

function buildNode(node: Described<ViotNode>): Uint8Array<ArrayBuffer> {
  const { rest = new Uint8Array() } = node;
  const Type = node.type === 'unknown' ? node.typeNumber : VIOT_TYPES[node.type];
  const common = (bytes: number) => ({ ...node.reserved, Type, Length: bytes + rest.length });
  switch (node.type) {
    case 'pciRange': {
      const fields = ViotPciRange.encode({
        ...common(ViotPciRange.bytes),
        EndpointStart: node.endpointStart,
        PCISegmentStart: node.segmentStart,
        PCISegmentEnd: node.segmentEnd,
        PCIBDFStart: node.bdfStart,
        PCIBDFEnd: node.bdfEnd,
        OutputNode: node.outputNode,
      });
      return concat([fields, rest]);
    }
    case 'mmioEndpoint': {
      const { endpoint, base, outputNode } = node;
      const fields = { EndpointID: endpoint, BaseAddress: base, OutputNode: outputNode };
      return concat([ViotMmioEndpoint.encode({ ...common(ViotMmioEndpoint.bytes), ...fields }), rest]);
    }
    case 'virtioIommuPci': {
      const fields = { PCISegment: node.segment, PCIBDF: node.bdf };
      return concat([ViotVirtioIommuPci.encode({ ...common(ViotVirtioIommuPci.bytes), ...fields }), rest]);
    }
    case 'virtioIommuMmio':
      return concat([ViotVirtioIommuMmio.encode({ ...common(ViotVirtioIommuMmio.bytes), BaseAddress: node.base }), rest]);
    case 'unknown':
      return concat([OtherHead.encode(common(4 + node.data.length)), node.data, rest]);
  }
}

const OtherHead = entry('Node of another type', { source: 'ACPI 6.5 §5.2.33', bits: 32 }, head);
