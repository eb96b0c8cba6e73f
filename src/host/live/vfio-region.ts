import { viewOf } from '../../bits/index.ts';
import { parseRegionInfo, RegionInfo, VFIO_DEVICE_GET_REGION_INFO, type VfioRegion } from '../../vfio/index.ts';
import { HostError } from '../host.ts';
import type { Mapping } from './mapping.ts';
import type { Sys } from './sys.ts';
import type { Caller } from './vfio.ts';

type Info = ReturnType<typeof parseRegionInfo>;

/** Asks for a region; an answer with capabilities is longer than its head and is asked for again with the size it names. */
export function regionInfo(call: Caller, device: number, index: number): Info {
  const head = RegionInfo.encode({ argsz: RegionInfo.bytes, index });
  call(device, VFIO_DEVICE_GET_REGION_INFO, head);
  const { argsz } = parseRegionInfo(head);
  if (argsz <= head.length) return parseRegionInfo(head);
  const whole = new Uint8Array(argsz);
  whole.set(RegionInfo.encode({ argsz, index }));
  call(device, VFIO_DEVICE_GET_REGION_INFO, whole);
  return parseRegionInfo(whole);
}

/** A BAR: loads and stores where it can be mapped, the device file where it cannot. */
export class Region implements VfioRegion {
  readonly bytes: number;
  readonly #sys: Sys;
  readonly #bdf: string;
  readonly #device: number;
  readonly #offset: number;
  readonly #parts: readonly { from: number; mapping: Mapping }[];
  #closed = false;

  constructor(sys: Sys, bdf: string, device: number, info: Info, parts: readonly { from: number; mapping: Mapping }[]) {
    this.#sys = sys;
    this.#bdf = bdf;
    this.#device = device;
    this.bytes = info.bytes;
    this.#offset = info.offset;
    this.#parts = parts;
  }

  read32(offset: number): number {
    const part = this.#partAt(offset);
    if (part) return part.mapping.read32(offset - part.from);
    const bytes = new Uint8Array(4);
    if (this.#sys.pread(this.#device, bytes, this.#offset + offset) !== 4) throw this.#failed('read', offset);
    return viewOf(bytes).getUint32(0, true);
  }

  write32(offset: number, value: number): void {
    const part = this.#partAt(offset);
    if (part) {
      part.mapping.write32(offset - part.from, value);
      return;
    }
    const bytes = new Uint8Array(4);
    viewOf(bytes).setUint32(0, value >>> 0, true);
    if (this.#sys.pwrite(this.#device, bytes, this.#offset + offset) !== 4) throw this.#failed('written', offset);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const { mapping } of this.#parts) mapping.close();
  }

  #partAt(offset: number): { from: number; mapping: Mapping } | undefined {
    if (this.#closed) throw new Error('a BAR was used after its device was closed');
    if (!Number.isInteger(offset) || offset < 0 || offset % 4 !== 0 || offset + 4 > this.bytes)
      throw new RangeError(`a 32-bit access at ${offset} is outside ${this.bytes} bytes or not aligned`);
    return this.#parts.find(({ from, mapping }) => offset >= from && offset + 4 <= from + mapping.bytes);
  }

  #failed(what: string, offset: number): HostError {
    return new HostError(this.#bdf, `a register at ${offset} could not be ${what}`, 'EIO');
  }
}

/**
 * @throws HostError when the function has no such BAR
 */
export function openRegion(at: { sys: Sys; call: Caller; bdf: string; device: number; index: number }): Region {
  const { sys, call, bdf, device, index } = at;
  const info = regionInfo(call, device, index);
  if (info.bytes === 0) throw new HostError(bdf, `it has no BAR ${index}, or the BAR was given no address`, 'ENODEV');
  const parts: { from: number; mapping: Mapping }[] = [];
  try {
    // Plain stores through a mapping keep their order on x86-64 alone (see Mapping.write32). Elsewhere the kernel makes the
    // access for us, with the barriers of that machine.
    if (process.arch === 'x64')
      for (const { offset, size } of info.areas)
        if (size > 0) parts.push({ from: offset, mapping: sys.map(device, info.offset + offset, size) });
  } catch (error) {
    for (const { mapping } of parts) mapping.close();
    throw error;
  }
  return new Region(sys, bdf, device, info, parts);
}
