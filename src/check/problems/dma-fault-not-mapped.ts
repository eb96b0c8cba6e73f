import type { Problem } from '../problem.ts';

export const dmaFaultNotMapped: Problem = {
  id: 'dma-fault-not-mapped',
  title: 'DMAR fault - a device accesses an IOVA nobody mapped for it',
  category: 'platform',
  severity: 'broken',
  at: 'any',
  says: [
    {
      in: 'kernel',
      re: /DMAR: \[DMA (Read|Write)[^\]]*\] Request device \[[^\]]+\].*fault addr (0x)?[0-9a-f]+.*\[?fault reason (0x)?[0-9a-f]+\]?/,
      example: 'DMAR: [DMA Write] Request device [04:00.0] fault addr 201a556000 [fault reason 05] PTE Write access is not set',
      proof: 'src',
    },
    {
      in: 'kernel',
      re: /AMD-Vi: Event logged \[IO_PAGE_FAULT/,
      example: 'vfio-pci 0000:01:00.0: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x000e address=0xfffffff000 flags=0x0020]',
      proof: 'src',
    },
    {
      in: 'kernel',
      re: /Event logged \[(IO_PAGE_FAULT|ILLEGAL_DEV_TABLE_ENTRY|INVALID_DEVICE_REQUEST|DEV_TAB_HARDWARE_ERROR|PAGE_TAB_HARDWARE_ERROR|RMP_)/,
      example: 'AMD-Vi: Event logged [IO_PAGE_FAULT device=15:00.0 domain=0x0000 address=0x00000000fdeaf040 flags=0x0020]',
      proof: 'seen',
    },
    {
      in: 'kernel',
      re: /DMAR: ?\[(DMA (Read|Write|Execute)|INTR-REMAP)\b[^\]]*\] Request device/,
      example: 'DMAR:[DMA Read] Request device [04:00.0] fault addr 201a556000',
      proof: 'seen',
    },
  ],
  why: "In order of frequency: driver maps with the wrong direction or uses physical addresses (broken with translation on); the device sends with another function's requester id (alias quirk); guest still runs DMA after its domain was torn down; memory not shared with VFIO (hot-plugged, ballooned, P2P BAR).",
  see: [
    {
      read: 'reason code',
      when: '1 root, 2 context not present: the device has no domain at all; 5/6 no write/read permission in the leaf; 4 above MGAW; 0x20-0x26 interrupt remapping',
      sure: 'certain',
    },
    { read: 'requester id of the fault', when: 'no such function exists under the bus', sure: 'likely' },
    {
      read: '/sys/kernel/debug/iommu/intel/dmar_translation_struct and domain_translation_struct',
      when: 'entry for the source absent',
      sure: 'certain',
    },
  ],
  fix: [
    'find the owner of the address by walking root - context - PASID - page tables and show where the walk stops',
    'unknown requester id: quirk for DMA alias (pci_add_dma_alias) or device unfit',
    'driver bug: iommu=pt hides it',
  ],
  beware:
    'Faults are rate limited ("callbacks suppressed"); the count in the log is not the count of faults. Turning the IOMMU off only turns the fault into silent corruption.',
  sources: [
    'gh:Avnu/igb_avb#11',
    'gh:luigirizzo/netmap#199',
    'gh:opencomputeproject/OpenNetworkLinux#897',
    'gh:tbennun/mgbench#8',
    'linux:drivers/iommu/intel/dmar.c fault tables',
  ],
  rules: [],
};
