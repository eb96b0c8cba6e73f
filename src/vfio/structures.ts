import { bit, entry, field, reserved, u16, u32, u64 } from '../bits/index.ts';

// Every structure begins with `argsz`, the bytes that the caller has: the kernel refuses fewer than it needs with EINVAL, and
// writes back the size that all of its answer would take.
const FROM = 'Linux include/uapi/linux/vfio.h';

/** Whether a group can be used, and whether it is. */
export const GroupStatus = entry(
  'vfio_group_status',
  { source: FROM, bits: 64 },
  {
    argsz: u32(0, 'Size of the structure'),
    VIABLE: bit(32, 'Every function of the group is bound to VFIO or to no driver'),
    CONTAINER_SET: bit(33, 'The group is in a container'),
    RSVD_34: reserved(63, 34),
  },
);

/** Heads each element of a chain behind an answer; `next` counts from the start of the answer, 0 ends the chain. */
export const CapHeader = entry(
  'vfio_info_cap_header',
  { source: FROM, bits: 64 },
  { id: u16(0, 'Kind'), version: u16(2, 'Version of the kind'), next: u32(4, 'Offset of the next') },
);

export const Type1Info = entry(
  'vfio_iommu_type1_info',
  { source: FROM, bits: 192 },
  {
    argsz: u32(0, 'Size of the whole answer'),
    PGSIZES: bit(32, 'iova_pgsizes is filled in'),
    CAPS: bit(33, 'cap_offset is filled in'),
    RSVD_34: reserved(63, 34),
    iova_pgsizes: u64(8, 'One bit for each page size in bytes'),
    cap_offset: u32(16, 'Offset of the first capability'),
    RSVD_160: reserved(191, 160), // the compiler's padding before the next multiple of 8
  },
);

/** `id` of the capability that lists the IOVA ranges; its `nr_iovas` follows the header, the ranges follow at byte 16. */
export const VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE = 1;
export const IovaRange = entry(
  'vfio_iova_range',
  { source: FROM, bits: 128 },
  { start: u64(0, 'First IOVA'), end: u64(8, 'Last IOVA, included') },
);

export const DmaMap = entry(
  'vfio_iommu_type1_dma_map',
  { source: FROM, bits: 256 },
  {
    argsz: u32(0, 'Size of the structure'),
    READ: bit(32, 'The device may read'),
    WRITE: bit(33, 'The device may write'),
    VADDR: bit(34, 'Only the address in the process changes'),
    RSVD_35: reserved(63, 35),
    vaddr: u64(8, 'Address in the process'),
    iova: u64(16, 'Address for the device'),
    size: u64(24, 'Bytes'),
  },
);

export const DmaUnmap = entry(
  'vfio_iommu_type1_dma_unmap',
  { source: FROM, bits: 192 },
  {
    argsz: u32(0, 'Size of the structure'),
    GET_DIRTY_BITMAP: bit(32, 'A bitmap of written pages follows'),
    ALL: bit(33, 'Every map of the container'),
    VADDR: bit(34, 'Only the address in the process goes'),
    RSVD_35: reserved(63, 35),
    iova: u64(8, 'Address for the device'),
    size: u64(16, 'Bytes; answered with the bytes unmapped'),
  },
);

export const DeviceInfo = entry(
  'vfio_device_info',
  { source: FROM, bits: 160 },
  {
    argsz: u32(0, 'Size of the whole answer'),
    flags: u32(4, 'What the device is and can do'),
    num_regions: u32(8, 'Highest region index + 1'),
    num_irqs: u32(12, 'Highest interrupt index + 1'),
    cap_offset: u32(16, 'Offset of the first capability'),
  },
);

export const RegionInfo = entry(
  'vfio_region_info',
  { source: FROM, bits: 256 },
  {
    argsz: u32(0, 'Size of the whole answer'),
    READ: bit(32, 'The region can be read'),
    WRITE: bit(33, 'The region can be written'),
    MMAP: bit(34, 'The region can be mapped, or the parts that a capability names'),
    CAPS: bit(35, 'cap_offset is filled in'),
    RSVD_36: reserved(63, 36),
    index: u32(8, 'Which region'),
    cap_offset: u32(12, 'Offset of the first capability'),
    size: u64(16, 'Bytes; 0 for a BAR that is not there'),
    offset: u64(24, 'Where the region lies in the device file'),
  },
);

/** `id` of the capability that restricts MMAP to parts: `nr_areas` after the header, the parts (offset, size) from byte 16. */
export const VFIO_REGION_INFO_CAP_SPARSE_MMAP = 1;
export const SparseArea = entry(
  'vfio_region_sparse_mmap_area',
  { source: FROM, bits: 128 },
  { offset: u64(0, 'Where it begins in the region'), size: u64(8, 'Bytes') },
);

export const IrqInfo = entry(
  'vfio_irq_info',
  { source: FROM, bits: 128 },
  {
    argsz: u32(0, 'Size of the structure'),
    EVENTFD: bit(32, 'Can be signalled through an eventfd'),
    MASKABLE: bit(33, 'Can be masked'),
    AUTOMASKED: bit(34, 'Masks itself when it fires'),
    NORESIZE: bit(35, 'All vectors are set up at once'),
    RSVD_36: reserved(63, 36),
    index: u32(8, 'Which kind'),
    count: u32(12, 'Vectors of this kind'),
  },
);

/** The head of vfio_irq_set; one 32-bit file descriptor for each vector follows when DATA is `eventfd`. */
export const IrqSet = entry(
  'vfio_irq_set',
  { source: FROM, bits: 160 },
  {
    argsz: u32(0, 'Size with the data'),
    DATA: field(34, 32, 'What follows', { none: 1, bool: 2, eventfd: 4 }),
    ACTION: field(37, 35, 'What is set', { mask: 1, unmask: 2, trigger: 4 }),
    RSVD_38: reserved(63, 38),
    index: u32(8, 'Which kind'),
    start: u32(12, 'First vector'),
    count: u32(16, 'Vectors; 0 with DATA `none` switches the kind off'),
  },
);
