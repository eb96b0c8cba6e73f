import type { Viot, ViotVirtioIommuMmioNode, ViotVirtioIommuPciNode } from './viot.ts';

/** The virtio-iommu in front of a function, and the endpoint ID that it knows it by. */
export interface ViotOwner {
  iommu: ViotVirtioIommuPciNode | ViotVirtioIommuMmioNode;
  endpoint: number;
}

/**
 * The virtio-iommu that a PCI function is behind; undefined when no range has it, or its output node is none.
 * A range that begins in one segment and ends in another gives each segment 65,536 endpoint IDs of its own.
 * Source: ACPI 6.5 §5.2.33.1, viot_pci_dev_iommu_init of Linux 6.12 drivers/acpi/viot.c.
 *
 * @param sid bus, device and function
 */
export function viotOwnerOf({ nodes }: Pick<Viot, 'nodes'>, segment: number, sid: number): ViotOwner | undefined {
  for (const node of nodes) {
    if (node.type !== 'pciRange' || segment < node.segmentStart || segment > node.segmentEnd) continue;
    if (sid < node.bdfStart || sid > node.bdfEnd) continue;
    const iommu = nodes.find(({ offset }) => offset === node.outputNode);
    if (iommu?.type !== 'virtioIommuPci' && iommu?.type !== 'virtioIommuMmio') return undefined;
    return { iommu, endpoint: (segment - node.segmentStart) * 0x10000 + sid - node.bdfStart + node.endpointStart };
  }
  return undefined;
}
