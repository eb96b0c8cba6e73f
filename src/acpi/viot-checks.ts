import { hex } from '../bits/index.ts';
import { type Findings, overlapping } from './findings.ts';
import type { Viot, ViotNode } from './viot.ts';

/** What a VIOT table says that cannot be. Each node by itself has been read. */
export function checkViot({ nodes, nodeCount }: Viot, findings: Findings): void {
  const whole = !findings.list.some(({ is, offset }) => is === 'broken' && (offset === 4 || offset >= 36));
  if (whole && nodeCount !== nodes.length)
    findings.broken(36, `the node count is ${nodeCount}, and there are ${nodes.length} nodes`);
  const units = new Set(
    nodes.filter(({ type }) => type === 'virtioIommuPci' || type === 'virtioIommuMmio').map(({ offset }) => offset),
  );
  if (whole && units.size === 0) findings.broken(48, 'there is no virtio-iommu node');
  const ranges: { start: number; end: number; offset: number }[] = [];
  const endpoints: { start: number; end: number; offset: number }[] = [];
  for (const node of nodes) {
    const { offset } = node;
    if (node.rest) findings.odd(offset, `the node has ${node.rest.length} bytes more than it needs`);
    if ((node.type === 'mmioEndpoint' || node.type === 'virtioIommuMmio') && node.base === 0n)
      findings.broken(offset + 8, 'the node has no base address');
    if (node.type !== 'pciRange' && node.type !== 'mmioEndpoint') continue;
    if (whole && !units.has(node.outputNode))
      findings.broken(offset + 16, `the output node is at ${node.outputNode}, and no virtio-iommu node is there`);
    if (node.type === 'mmioEndpoint') {
      endpoints.push({ start: node.endpoint, end: node.endpoint, offset });
      continue;
    }
    if (node.segmentEnd < node.segmentStart)
      findings.broken(offset + 10, `the range ends at segment ${node.segmentEnd}, before its first, ${node.segmentStart}`);
    else if (node.bdfEnd < node.bdfStart)
      findings.broken(
        offset + 14,
        `the range ends at function ${hex(node.bdfEnd, 4)}, before its first, ${hex(node.bdfStart, 4)}`,
      );
    else {
      const count = endpointsOf(node);
      endpoints.push({ start: node.endpointStart, end: node.endpointStart + count - 1, offset });
      // Functions of one segment; more segments are rare enough to be left to the endpoints.
      if (node.segmentStart === node.segmentEnd)
        ranges.push({
          start: node.segmentStart * 0x10000 + node.bdfStart,
          end: node.segmentStart * 0x10000 + node.bdfEnd,
          offset,
        });
    }
  }
  const told = new Set<number>();
  for (const { later, earlier } of overlapping(ranges)) {
    told.add(later.offset);
    findings.broken(later.offset + 12, `some of these functions are in the range at ${earlier.offset} already`);
  }
  for (const { later, earlier } of overlapping(endpoints))
    if (!told.has(later.offset))
      findings.broken(later.offset + 4, `some of these endpoint IDs are those of the node at ${earlier.offset}`);
}

/** How many endpoint IDs a range of functions takes. */
function endpointsOf({ segmentStart, segmentEnd, bdfStart, bdfEnd }: Extract<ViotNode, { type: 'pciRange' }>): number {
  return (segmentEnd - segmentStart) * 0x10000 + (bdfEnd - bdfStart) + 1;
}
