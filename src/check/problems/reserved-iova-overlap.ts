import { reservedAvoided } from '../limits/vm-addresses.ts';
import type { Problem } from '../problem.ts';

export const reservedIovaOverlap: Problem = {
  id: 'reserved-iova-overlap',
  title: 'Guest memory overlaps a reserved IOVA range (MSI window, AMD HyperTransport hole below 1 TiB, RMRR)',
  category: 'memory',
  severity: 'blocker',
  at: 'L0',
  says: [
    {
      in: 'qemu',
      re: /vfio(_container)?_dma_map\([^)]*0xf[d-f][0-9a-f]{8,}[^)]*\) = -22/,
      example: 'vfio_container_dma_map(0x7f, 0x100000000, 0xfd00000000, 0x7f) = -22 (Invalid argument)',
      proof: 'rep',
    },
    {
      in: 'qemu',
      re: /xlat address is in interrupt range/,
      example:
        'vtd_iova_to_flpte: xlat address is in interrupt range (iova=0xfee01000, level=0x1, pte=0xfee01003, write=1, pasid=0xffffffff)',
      proof: 'src',
    },
    {
      in: 'qemu',
      re: /vfio(_container)?_dma_map(?=\([^)]{0,200}\) = -22)/,
      example: 'vfio_dma_map(0x7f1234567890, 0xa0000, 0x20000, 0x7f1230000000) = -22 (Invalid argument)',
      proof: 'rep',
    },
  ],
  why: 'x86 reserves FEE00000-FEEFFFFF for interrupts; AMD reserves FD00000000-FFFFFFFFFF; RMRRs appear as direct. VFIO refuses any map that crosses one.',
  see: [{ read: '{g}/reserved_regions', when: 'a line intersects a guest RAM range of the plan', sure: 'certain' }],
  fix: ['QEMU 7.1 or newer relocates RAM above 1 TiB on AMD; elsewhere keep guest RAM below 1012 GiB', 'move RAM layout or BARs'],
  beware:
    'Only guests with about 1 TiB hit it, and live migration between relocating and non-relocating machine types is impossible.',
  sources: [
    'gh:cloud-hypervisor/cloud-hypervisor#6094',
    'gh:cloud-hypervisor/cloud-hypervisor#8902',
    'linux:Documentation/ABI/testing/sysfs-kernel-iommu_groups',
    'qemu:hw/i386/intel_iommu.c',
  ],
  rules: [{ about: 'vm', asks: 'Does guest memory keep clear of reserved addresses?', run: reservedAvoided }],
};
