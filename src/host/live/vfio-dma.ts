import type { DmaMemory } from '../../vfio/index.ts';
import type { Mapping } from './mapping.ts';

/** Memory that can be given to a device. Its address in this process stays between us and the kernel. */
export class DmaPages implements DmaMemory {
  readonly #mapping: Mapping;
  constructor(mapping: Mapping) {
    this.#mapping = mapping;
  }

  get bytes(): number {
    return this.#mapping.bytes;
  }
  /** The `vaddr` of VFIO_IOMMU_MAP_DMA. */
  get address(): number {
    return this.#mapping.address;
  }
  read(offset: number, length: number): Uint8Array {
    return this.#mapping.read(offset, length);
  }
  write(offset: number, data: Uint8Array): void {
    this.#mapping.write(offset, data);
  }
  close(): void {
    this.#mapping.close();
  }
}
