import { mappingsNeeded } from '../limits/vm-limits.ts';
import type { Problem } from '../problem.ts';

export const dmaEntryLimit: Problem = {
  id: 'dma-entry-limit',
  title: 'The container has no DMA mapping entries left (65535)',
  category: 'memory',
  severity: 'broken',
  at: 'L0',
  says: [
    {
      in: 'qemu',
      re: /VFIO_MAP_DMA failed: No space left on device/,
      example: 'VFIO_MAP_DMA failed: No space left on device',
      proof: 'rep',
    },
    {
      in: 'qemu',
      re: /vfio(_container)?_dma_map\([^)]*\) = -28 \(No space left on device\)/,
      example: 'vfio_container_dma_map(0x55, 0xfff0000, 0x1000, 0x7f) = -28 (No space left on device)',
      proof: 'src',
    },
    {
      in: 'qemu',
      re: /possibly running out of DMA mappings\. E\.g\., try increasing the 'block-size' of virtio-mem/,
      example:
        "vfio_register_ram_discard_listener: possibly running out of DMA mappings. E.g., try increasing the 'block-size' of virtio-mem devies.",
      proof: 'src',
    },
    {
      in: 'qemu',
      re: /vfio: DMA(?= mapping failed, unable to continue)/,
      example: 'hardware error: vfio: DMA mapping failed, unable to continue',
      proof: 'src',
    },
    {
      in: 'dpdk',
      re: /[Cc]annot set up DMA remapping, error 28\b/,
      example: 'EAL: Cannot set up DMA remapping, error 28 (No space left on device)',
      proof: 'rep',
    },
  ],
  why: 'type1 limits entries per container (dma_entry_limit, 65535). A guest that maps 4 KiB at a time through the vIOMMU reaches it at 256 MiB mapped; a confidential guest with 2 MiB shared blocks or virtio-mem with small blocks reaches it too.',
  see: [
    {
      read: '/sys/module/vfio_iommu_type1/parameters/dma_entry_limit',
      when: 'smaller than the mappings the plan may need (guest RAM / 4 KiB for a translating guest with L2 assignment, RAM / block-size for virtio-mem)',
      sure: 'likely',
    },
    { read: 'VFIO_IOMMU_GET_INFO capability DMA_AVAIL', when: 'near zero', sure: 'certain' },
  ],
  fix: [
    'raise dma_entry_limit',
    'hugepages in L1 for L2 memory so that mappings are 2 MiB or 1 GiB',
    'iommufd (no such limit)',
    'L1 kernel iommu=pt for its own devices',
  ],
  beware: 'The warning is not a failure by itself; nvtrust users chase it in vain.',
  sources: [
    'gh:kata-containers/kata-containers#11721',
    'gh:NVIDIA/nvtrust#46',
    'gh:cloud-hypervisor/cloud-hypervisor#165',
    'linux:drivers/vfio/vfio_iommu_type1.c',
    'qemu:hw/vfio/common.c',
  ],
  rules: [{ about: 'vm', asks: 'Are there as many mappings as the guest may make?', run: mappingsNeeded }],
};
