import { addressesReached } from '../limits/vm-limits.ts';
import type { Problem } from '../problem.ts';

export const iovaOutsideAperture: Problem = {
  id: 'iova-outside-aperture',
  title: 'A guest address is beyond what the (v)IOMMU can translate',
  category: 'memory',
  severity: 'blocker',
  at: 'any',
  says: [
    {
      in: 'kernel',
      re: /iommu width \(\d+\) is not sufficient for the mapped address/,
      example: 'intel_iommu_map: iommu width (39) is not sufficient for the mapped address (8800001000)',
      proof: 'src',
    },
    {
      in: 'qemu',
      re: /vfio(_container)?_dma_map\([^)]*\) = -22 \(Invalid argument\)/,
      example: 'Region pc.ram: vfio_container_dma_map(0xaaaa, 0x0, 0x80000000, 0xfffd) = -22 (Invalid argument)',
      proof: 'rep',
    },
    {
      in: 'qemu',
      re: /vfio: DMA(?= mapping failed, unable to continue)/,
      example: 'hardware error: vfio: DMA mapping failed, unable to continue',
      proof: 'src',
    },
  ],
  why: 'RAM or a 64-bit BAR of the guest lies above MGAW / the page-table depth in use - 39-bit client IOMMUs against 46-bit guests, or L2 BARs above a 39-bit vIOMMU.',
  see: [
    {
      read: '/sys/class/iommu/dmar*/intel-iommu/cap MGAW bits 21:16 and SAGAW bits 12:8',
      when: 'highest guest address (RAM top, end of the 64-bit PCI window) >= 2^min(MGAW+1, 39 for 3-level, 48 for 4-level, 57 for 5-level tables)',
      sure: 'certain',
    },
    { read: 'VFIO_IOMMU_GET_INFO iova ranges / IOMMU_IOAS_IOVA_RANGES', when: 'some guest range is outside', sure: 'certain' },
    {
      read: 'plan: guest phys-bits and where its firmware will put the 64-bit window',
      when: 'above the aperture',
      sure: 'likely',
    },
  ],
  fix: [
    'aw-bits=48 on the vIOMMU when the host has 48',
    'limit guest phys-bits (host-phys-bits-limit) so that firmware places BARs lower',
    'smaller or moved ivshmem/large BARs',
  ],
  beware:
    'For BARs of peers the failure is tolerated by some VMMs (only P2P is lost), for RAM never. MGAW is stored as value minus one.',
  sources: [
    'gh:MicronSSD/unvme#4',
    'gh:gnif/LookingGlass#1184',
    'gh:cloud-hypervisor/cloud-hypervisor#7030',
    'gh:cloud-hypervisor/cloud-hypervisor#6110',
    'gh:alibaba/ali_kernel#83',
    'linux:drivers/iommu/intel/iommu.c',
  ],
  rules: [{ about: 'vm', asks: 'Can all that the guest has be mapped for its devices?', run: addressesReached }],
};
