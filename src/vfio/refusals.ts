/** The steps of opening and using a function that the kernel can refuse: two opens, then the ioctls by name. */
export type VfioStep = 'open container' | 'open group' | 'group not viable' | `VFIO_${string}`;

interface Refusal {
  step: VfioStep;
  errno?: string;
  says: string;
}

/**
 * What a refusal means. The kernel has one errno for several causes; the text names them in the order in which they are met.
 * Sources: drivers/vfio/group.c, container.c, vfio_iommu_type1.c, pci/vfio_pci_core.c.
 */
const REFUSALS: readonly Refusal[] = [
  { step: 'open container', errno: 'ENOENT', says: '/dev/vfio/vfio is not there: the module vfio is not loaded' },
  { step: 'open container', errno: 'ENODEV', says: '/dev/vfio/vfio has no driver behind it: the module vfio is not loaded' },
  { step: 'open container', errno: 'EACCES', says: 'this user may not open /dev/vfio/vfio' },
  {
    step: 'open group',
    errno: 'ENOENT',
    says: 'the group has no file in /dev/vfio: no function of it is bound to vfio-pci',
  },
  { step: 'open group', errno: 'EBUSY', says: 'the group is open already, most likely by a running QEMU: it can be opened once' },
  {
    step: 'open group',
    errno: 'EACCES',
    says: 'this user may not open the group: its file belongs to root unless it was given away',
  },
  { step: 'open group', errno: 'EPERM', says: 'the group has no IOMMU, and opening it takes CAP_SYS_RAWIO' },
  {
    step: 'group not viable',
    says: 'a function of the group is bound to a driver other than vfio-pci: every one of them must be unbound or bound to vfio-pci',
  },
  {
    step: 'VFIO_GROUP_SET_CONTAINER',
    errno: 'EINVAL',
    says: 'the group is in a container already, or it was made viable only after it was opened',
  },
  { step: 'VFIO_GROUP_SET_CONTAINER', errno: 'EPERM', says: 'a group with an IOMMU and one without cannot share a container' },
  {
    step: 'VFIO_SET_IOMMU',
    errno: 'EPERM',
    says:
      'the host has no interrupt remapping, so a device could raise any interrupt (or a region of the firmware, an RMRR, is reserved for the device); ' +
      'the parameter allow_unsafe_interrupts of vfio_iommu_type1 overrides the former',
  },
  {
    step: 'VFIO_SET_IOMMU',
    errno: 'EINVAL',
    says: 'the container has no group, has its IOMMU already, or the group cannot be attached: it is not viable, or its reserved regions conflict',
  },
  { step: 'VFIO_SET_IOMMU', errno: 'ENODEV', says: 'no IOMMU driver takes this type: the module vfio_iommu_type1 is not loaded' },
  { step: 'VFIO_SET_IOMMU', errno: 'EBUSY', says: 'another owner has DMA of this group: a driver of the host still uses it' },
  { step: 'VFIO_GROUP_GET_DEVICE_FD', errno: 'ENODEV', says: 'the function is not in this group, or is not bound to vfio-pci' },
  {
    step: 'VFIO_GROUP_GET_DEVICE_FD',
    errno: 'EACCES',
    says: 'its physical function is driven through vfio-pci too: opening this virtual function takes the VF token that was set there',
  },
  { step: 'VFIO_GROUP_GET_DEVICE_FD', errno: 'EBUSY', says: 'the function is in use through another path' },
  {
    step: 'VFIO_GROUP_GET_DEVICE_FD',
    errno: 'EINVAL',
    says: 'the group has no IOMMU set, or a VF token was given to a function that takes none',
  },
  {
    step: 'VFIO_GROUP_GET_DEVICE_FD',
    errno: 'EIO',
    says: 'the function does not answer: it may be powered down or failed its reset',
  },
  { step: 'VFIO_IOMMU_MAP_DMA', errno: 'ENOMEM', says: 'RLIMIT_MEMLOCK is too small for the memory given to the device' },
  { step: 'VFIO_IOMMU_MAP_DMA', errno: 'EEXIST', says: 'the IOVA overlaps a map that is there' },
  {
    step: 'VFIO_IOMMU_MAP_DMA',
    errno: 'EINVAL',
    says: 'address or size is no multiple of the page size, or the IOVA is outside the ranges that the IOMMU takes',
  },
  {
    step: 'VFIO_IOMMU_MAP_DMA',
    errno: 'ENOSPC',
    says: 'the container has as many maps as dma_entry_limit of vfio_iommu_type1 allows',
  },
  { step: 'VFIO_IOMMU_MAP_DMA', errno: 'EFAULT', says: 'the memory is not there or may not be written' },
  { step: 'VFIO_IOMMU_UNMAP_DMA', errno: 'EINVAL', says: 'the range would split a map: only whole maps can be unmapped' },
  { step: 'VFIO_DEVICE_SET_IRQS', errno: 'EINVAL', says: 'the function has no such interrupt, or another kind is switched on' },
  { step: 'VFIO_DEVICE_SET_IRQS', errno: 'ENOSPC', says: 'the host has no interrupt vector left' },
  { step: 'VFIO_DEVICE_RESET', errno: 'ENOTTY', says: 'the function has no way to be reset alone' },
];

/** What it means that a step was refused; undefined when there is nothing to add to the errno. */
export function explainRefusal(step: VfioStep, errno?: string): string | undefined {
  return REFUSALS.find((row) => row.step === step && (row.errno === undefined || row.errno === errno))?.says;
}
