/**
 * Memory outside the JavaScript heap, behind accessors that check bounds and refuse use after `close`. The view on it never
 * leaves this class: a view cannot be detached, so one that outlived munmap(2) would read whatever is mapped there next.
 */
export class Mapping {
  readonly bytes: number;
  /** Where it is in our address space: the `vaddr` of VFIO_IOMMU_MAP_DMA. */
  readonly address: number;
  #view: ArrayBuffer | undefined;
  #words: Uint32Array;
  readonly #release: () => void;

  /** @param release gives the memory back; called once */
  constructor(view: ArrayBuffer, address: number, release: () => void) {
    this.bytes = view.byteLength;
    this.address = address;
    this.#view = view;
    this.#words = new Uint32Array(view, 0, view.byteLength >>> 2);
    this.#release = release;
  }

  get closed(): boolean {
    return this.#view === undefined;
  }

  /**
   * One aligned 32-bit load. `Atomics.load` is a plain `mov` on x86-64, and the optimiser may neither drop nor repeat it as it
   * may with an ordinary element access: a register read can have a side effect.
   */
  read32(offset: number): number {
    return Atomics.load(this.#words, this.#word(offset));
  }

  /**
   * One aligned 32-bit store. A plain store, since `Atomics.store` becomes a locked exchange, which reads the register as well.
   * No fence is needed on x86-64: stores become visible in program order, so queue entries in memory come before the doorbell.
   */
  write32(offset: number, value: number): void {
    this.#words[this.#word(offset)] = value;
  }

  /** Copies `length` bytes out. */
  read(offset: number, length: number): Uint8Array {
    return this.#range(offset, length).slice();
  }

  /** Copies `data` in. */
  write(offset: number, data: Uint8Array): void {
    this.#range(offset, data.length).set(data);
  }

  /** Lends the bytes to one call that is over, with its promise, before the memory can be closed. */
  async lend<T>(use: (bytes: Uint8Array) => Promise<T>): Promise<T> {
    return await use(this.#range(0, this.bytes));
  }

  /** Gives the memory back. Every later access throws. A second call does nothing. */
  close(): void {
    if (this.#view === undefined) return;
    this.#view = undefined;
    this.#words = new Uint32Array(0);
    this.#release();
  }

  #open(): ArrayBuffer {
    if (this.#view === undefined) throw new Error('mapped memory was used after it was closed');
    return this.#view;
  }

  #word(offset: number): number {
    this.#open();
    if (!Number.isInteger(offset) || offset < 0 || offset % 4 !== 0 || offset + 4 > this.bytes)
      throw new RangeError(`a 32-bit access at ${offset} is outside ${this.bytes} mapped bytes or not aligned`);
    return offset / 4;
  }

  #range(offset: number, length: number): Uint8Array {
    const view = this.#open();
    if (!Number.isInteger(offset) || !Number.isInteger(length) || offset < 0 || length < 0 || offset + length > this.bytes)
      throw new RangeError(`${length} bytes at ${offset} are outside ${this.bytes} mapped bytes`);
    return new Uint8Array(view, offset, length);
  }
}
