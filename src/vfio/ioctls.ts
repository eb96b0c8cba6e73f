/**
 * Numbers of the VFIO ioctls: `_IO(';', 100 + n)`, so neither size nor direction is in them. The device and the IOMMU share some
 * (12 and above): the file that receives the call decides. Linux include/uapi/linux/vfio.h.
 */
const VFIO_TYPE = 0x3b;
const VFIO_BASE = 100;
const io = <const Name extends string>(name: Name, n: number): VfioCall<Name> => ({
  name,
  number: (VFIO_TYPE << 8) | (VFIO_BASE + n),
});

/** An ioctl as it is called and as it is named in messages. */
export interface VfioCall<Name extends string = string> {
  readonly name: Name;
  readonly number: number;
}

// On the container.
export const VFIO_GET_API_VERSION = io('VFIO_GET_API_VERSION', 0);
export const VFIO_CHECK_EXTENSION = io('VFIO_CHECK_EXTENSION', 1);
export const VFIO_SET_IOMMU = io('VFIO_SET_IOMMU', 2);
export const VFIO_IOMMU_GET_INFO = io('VFIO_IOMMU_GET_INFO', 12);
export const VFIO_IOMMU_MAP_DMA = io('VFIO_IOMMU_MAP_DMA', 13);
export const VFIO_IOMMU_UNMAP_DMA = io('VFIO_IOMMU_UNMAP_DMA', 14);
// On a group.
export const VFIO_GROUP_GET_STATUS = io('VFIO_GROUP_GET_STATUS', 3);
export const VFIO_GROUP_SET_CONTAINER = io('VFIO_GROUP_SET_CONTAINER', 4);
export const VFIO_GROUP_GET_DEVICE_FD = io('VFIO_GROUP_GET_DEVICE_FD', 6);
// On a device.
export const VFIO_DEVICE_GET_INFO = io('VFIO_DEVICE_GET_INFO', 7);
export const VFIO_DEVICE_GET_REGION_INFO = io('VFIO_DEVICE_GET_REGION_INFO', 8);
export const VFIO_DEVICE_GET_IRQ_INFO = io('VFIO_DEVICE_GET_IRQ_INFO', 9);
export const VFIO_DEVICE_SET_IRQS = io('VFIO_DEVICE_SET_IRQS', 10);
export const VFIO_DEVICE_RESET = io('VFIO_DEVICE_RESET', 11);

/** The only version there is. */
export const VFIO_API_VERSION = 0;
/** The IOMMU model that x86 hosts offer: maps are kept as they were made, so an unmap takes whole maps only. */
export const VFIO_TYPE1v2_IOMMU = 3;

/** Regions of a PCI function: BARs 0 to 5, then these. */
export const VFIO_PCI_ROM_REGION_INDEX = 6;
export const VFIO_PCI_CONFIG_REGION_INDEX = 7;
/** Interrupt kinds of a PCI function: INTx 0, MSI 1, MSI-X 2, error 3, request 4. */
export const VFIO_PCI_MSIX_IRQ_INDEX = 2;
