import type { Calculation } from './calculation.ts';

/** What vfio_iommu_type1 allows each container unless told otherwise: U16_MAX. */
export const DMA_ENTRY_LIMIT = 65_535;
/** Pages of which a guest kernel maps what its drivers use. */
export const GUEST_PAGE = 4096;

const SOURCE = 'Linux drivers/vfio/vfio_iommu_type1.c dma_entry_limit';

/**
 * Mappings that one container may need, held against `dma_entry_limit`. A guest that translates maps piece by piece, in the
 * worst case each page for itself; DPDK maps each hugepage. Without translation QEMU maps whole regions, and a few are enough.
 *
 * @param need.memory bytes that are mapped at one time
 * @param need.page   bytes of one mapping: {@link GUEST_PAGE}, a hugepage, or the block size of virtio-mem
 * @param need.limit  the parameter as it is read; its default when it could not be
 * @param need.others mappings that are there beside: regions that QEMU maps once
 */
export function dmaEntries(need: { memory: number; page: number; limit?: number; others?: number }): Calculation {
  const { memory, page, limit = DMA_ENTRY_LIMIT, others = 0 } = need;
  const mappings = Math.ceil(memory / page);
  const result = mappings + others;
  const fits = result <= limit;
  const lines = [
    { text: `${memory} bytes / ${page} bytes = ${mappings} mappings`, source: 'one VFIO_IOMMU_MAP_DMA for each' },
    ...(others === 0 ? [] : [{ text: `${mappings} + ${others} = ${result} mappings`, source: 'regions that QEMU maps once' }]),
    { text: `${result} ${fits ? 'is within' : 'is more than'} dma_entry_limit ${limit}`, source: SOURCE },
  ];
  return { lines, result, fits };
}
