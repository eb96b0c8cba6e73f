/**
 * User-space access to devices through VFIO: container, group and device (Linux `include/uapi/linux/vfio.h`). The
 * implementation does the ioctls; the model will answer the same.
 */
export interface Vfio {
  /**
   * Opens a function: group viable, container, type1v2, device.
   * @param bdf   `0000:02:00.1`
   * @param group number of its IOMMU group
   * @throws HostError naming the ioctl that was refused and its errno
   */
  open(bdf: string, group: number): Promise<VfioDevice>;
}

export interface VfioDevice {
  readonly info: VfioInfo;
  /** Configuration space, through the device file. */
  readConfig(offset: number, size: 1 | 2 | 4): number;
  writeConfig(offset: number, size: 1 | 2 | 4, value: number): void;
  /** Maps a BAR. Register access is checked against its length. */
  mapRegion(index: number): VfioRegion;
  /** Anonymous memory of our own, to be given to the device with {@link mapDma}. */
  allocate(bytes: number): DmaMemory;
  /** VFIO_IOMMU_MAP_DMA. `iova` and the size are multiples of 4096. */
  mapDma(memory: DmaMemory, iova: number): void;
  /** VFIO_IOMMU_UNMAP_DMA. @returns bytes unmapped */
  unmapDma(iova: number, bytes: number): number;
  /** Binds MSI-X vector `vector` to an eventfd and waits on it. */
  enableMsix(vector: number): VfioInterrupt;
  /** Gives everything back, the group last. Memory and regions must not be used afterwards: their accessors throw. */
  close(): void;
}

export interface VfioInfo {
  flags: number;
  regions: number;
  irqs: number;
  /** IOVA ranges that the IOMMU takes, inclusive. */
  iovaRanges: { start: bigint; end: bigint }[];
  pageSizes: bigint;
}

export interface VfioRegion {
  readonly bytes: number;
  read32(offset: number): number;
  write32(offset: number, value: number): void;
}

export interface DmaMemory {
  readonly bytes: number;
  /** Copies out. */
  read(offset: number, length: number): Uint8Array;
  /** Copies in. */
  write(offset: number, data: Uint8Array): void;
}

export interface VfioInterrupt {
  /** Events since the last call, waiting at most `milliseconds` for the first; 0 when none came. */
  wait(milliseconds: number): Promise<number>;
}
