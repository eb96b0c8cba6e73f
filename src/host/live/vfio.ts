import { constants } from 'node:fs';
import { viewOf } from '../../bits/index.ts';
import {
  DeviceInfo,
  type DmaMemory,
  DmaUnmap,
  explainRefusal,
  GroupStatus,
  insideRanges,
  parseIommuInfo,
  Type1Info,
  VFIO_API_VERSION,
  VFIO_CHECK_EXTENSION,
  VFIO_DEVICE_GET_INFO,
  VFIO_GET_API_VERSION,
  VFIO_GROUP_GET_DEVICE_FD,
  VFIO_GROUP_GET_STATUS,
  VFIO_GROUP_SET_CONTAINER,
  VFIO_IOMMU_GET_INFO,
  VFIO_IOMMU_MAP_DMA,
  VFIO_IOMMU_UNMAP_DMA,
  VFIO_PCI_CONFIG_REGION_INDEX,
  VFIO_SET_IOMMU,
  VFIO_TYPE1v2_IOMMU,
  type Vfio,
  type VfioDevice,
  type VfioInfo,
  type VfioStep,
} from '../../vfio/index.ts';
import { DmaMap } from '../../vfio/structures.ts';
import { HostError } from '../host.ts';
import { errnoOf } from './errors.ts';
import type { Ioctl, Sys } from './sys.ts';
import { DmaPages } from './vfio-dma.ts';
import { MsixVector, switchOffMsix } from './vfio-interrupt.ts';
import { openRegion, type Region, regionInfo } from './vfio-region.ts';

/** VFIO of this machine, through its type1 container. The system calls are loaded when a function is opened. */
export function liveVfio(sys: () => Promise<Sys>): Vfio {
  return {
    async open(bdf, group) {
      return openDevice(await sys(), bdf, group);
    },
  };
}

/** Makes the call, or throws with the function it is for, the call's name, what its refusal means, and the errno. */
export type Caller = (fd: number, call: Ioctl, argument: Uint8Array | number) => number;

function openDevice(sys: Sys, bdf: string, group: number): VfioDevice {
  const closers: (() => void)[] = [];
  const step = <T>(name: VfioStep, run: () => T): T => {
    try {
      return run();
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === undefined) throw error;
      const meaning = explainRefusal(name, errno);
      const tried =
        name === 'open group' ? `opening /dev/vfio/${group}` : name === 'open container' ? 'opening /dev/vfio/vfio' : name;
      throw new HostError(bdf, `${tried} was refused${meaning ? `: ${meaning}` : ''}`, errno);
    }
  };
  const call: Caller = (fd, ioctl, argument) => step(ioctl.name as VfioStep, () => sys.ioctl(fd, ioctl, argument));
  const open = (name: VfioStep, path: string): number => {
    const fd = step(name, () => sys.open(path, constants.O_RDWR));
    closers.unshift(() => sys.close(fd));
    return fd;
  };

  try {
    // The group goes first so that it is closed last: until then nobody else can take it.
    const groupFd = open('open group', `/dev/vfio/${group}`);
    const container = open('open container', '/dev/vfio/vfio');
    const version = call(container, VFIO_GET_API_VERSION, 0);
    if (version !== VFIO_API_VERSION)
      throw new HostError(bdf, `this kernel speaks version ${version} of VFIO, not ${VFIO_API_VERSION}`);
    if (call(container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) === 0)
      throw new HostError(bdf, 'this kernel offers no type1v2 container: the module vfio_iommu_type1 is not loaded');

    const status = GroupStatus.encode({ argsz: GroupStatus.bytes });
    call(groupFd, VFIO_GROUP_GET_STATUS, status);
    if (GroupStatus.get.VIABLE(viewOf(status), 0) === 0)
      throw new HostError(bdf, `group ${group} is not viable: ${explainRefusal('group not viable')}`, 'EINVAL');
    call(groupFd, VFIO_GROUP_SET_CONTAINER, new Uint8Array(new Int32Array([container]).buffer));
    call(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
    const iommu = askIommu(call, container);

    const name = new Uint8Array(64);
    name.set(Buffer.from(bdf, 'latin1').subarray(0, 63));
    const device = call(groupFd, VFIO_GROUP_GET_DEVICE_FD, name);
    closers.unshift(() => sys.close(device));
    const answer = DeviceInfo.encode({ argsz: DeviceInfo.bytes });
    call(device, VFIO_DEVICE_GET_INFO, answer);
    const { flags, num_regions, num_irqs } = DeviceInfo.decode(viewOf(answer));
    const info: VfioInfo = { flags, regions: num_regions, irqs: num_irqs, ...iommu };
    return new LiveDevice({ sys, bdf, info, container, device, call, closers });
  } catch (error) {
    runAll(closers); // why the opening failed is worth more than why the closing did
    throw error;
  }
}

/** The answer is longer than its head: it is asked for twice, the second time with the size that the first one named. */
function askIommu(call: Caller, container: number): Pick<VfioInfo, 'iovaRanges' | 'pageSizes'> {
  const head = Type1Info.encode({ argsz: Type1Info.bytes });
  call(container, VFIO_IOMMU_GET_INFO, head);
  const { argsz } = parseIommuInfo(head);
  const whole = new Uint8Array(Math.max(argsz, head.length));
  whole.set(Type1Info.encode({ argsz: whole.length }));
  call(container, VFIO_IOMMU_GET_INFO, whole);
  const { iovaRanges, pageSizes } = parseIommuInfo(whole);
  return { iovaRanges, pageSizes };
}

/** Runs every one even when some throw. @returns what was thrown */
function runAll(closers: (() => void)[]): unknown[] {
  const errors: unknown[] = [];
  for (const close of closers.splice(0)) {
    try {
      close();
    } catch (error) {
      errors.push(error);
    }
  }
  return errors;
}

interface Parts {
  sys: Sys;
  bdf: string;
  info: VfioInfo;
  container: number;
  device: number;
  call: Caller;
  closers: (() => void)[];
}

class LiveDevice implements VfioDevice {
  readonly info: VfioInfo;
  readonly #parts: Parts;
  readonly #configOffset: number;
  readonly #configBytes: number;
  readonly #interrupts: MsixVector[] = [];
  readonly #regions: Region[] = [];
  readonly #memory: DmaPages[] = [];
  /** IOVA to bytes of each map that is in the container. */
  readonly #maps = new Map<number, number>();
  #closed = false;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.info = parts.info;
    const config = regionInfo(parts.call, parts.device, VFIO_PCI_CONFIG_REGION_INDEX);
    this.#configOffset = config.offset;
    this.#configBytes = config.bytes;
  }

  readConfig(offset: number, size: 1 | 2 | 4): number {
    const { sys, device, bdf } = this.#usable();
    const bytes = new Uint8Array(size);
    if (sys.pread(device, bytes, this.#configAt(offset, size)) !== size)
      throw new HostError(bdf, `configuration space at ${offset} could not be read`, 'EIO');
    return bytes.reduceRight((value, byte) => value * 256 + byte, 0);
  }

  writeConfig(offset: number, size: 1 | 2 | 4, value: number): void {
    const { sys, device, bdf } = this.#usable();
    const bytes = Uint8Array.from({ length: size }, (_, i) => (value >>> (8 * i)) & 0xff);
    if (sys.pwrite(device, bytes, this.#configAt(offset, size)) !== size)
      throw new HostError(bdf, `configuration space at ${offset} could not be written`, 'EIO');
  }

  mapRegion(index: number): Region {
    const { sys, device, call, bdf } = this.#usable();
    const region = openRegion({ sys, call, bdf, device, index });
    this.#regions.push(region);
    return region;
  }

  allocate(bytes: number): DmaMemory {
    const memory = new DmaPages(this.#usable().sys.anonymous(bytes));
    this.#memory.push(memory);
    return memory;
  }

  mapDma(memory: DmaMemory, iova: number): void {
    const { call, container, bdf } = this.#usable();
    if (!(memory instanceof DmaPages) || !this.#memory.includes(memory))
      throw new TypeError('only memory that this device allocated can be mapped for it');
    if (insideRanges(this.info.iovaRanges, iova, memory.bytes) === false)
      throw new HostError(bdf, `IOVA 0x${iova.toString(16)} is outside the ranges that the IOMMU takes`, 'EINVAL');
    const map = DmaMap.encode({
      argsz: DmaMap.bytes,
      READ: 1,
      WRITE: 1,
      vaddr: BigInt(memory.address),
      iova: BigInt(iova),
      size: BigInt(memory.bytes),
    });
    call(container, VFIO_IOMMU_MAP_DMA, map);
    this.#maps.set(iova, memory.bytes);
  }

  unmapDma(iova: number, bytes: number): number {
    const { call, container } = this.#usable();
    const unmap = DmaUnmap.encode({ argsz: DmaUnmap.bytes, iova: BigInt(iova), size: BigInt(bytes) });
    call(container, VFIO_IOMMU_UNMAP_DMA, unmap);
    for (const [start, size] of this.#maps) if (start >= iova && start + size <= iova + bytes) this.#maps.delete(start);
    return Number(DmaUnmap.get.size(viewOf(unmap), 0));
  }

  enableMsix(vector: number): MsixVector {
    const { sys, call, device, bdf } = this.#usable();
    const interrupt = new MsixVector({ sys, call, bdf, device, vector });
    this.#interrupts.push(interrupt);
    return interrupt;
  }

  close(): void {
    if (this.#closed) return;
    const { closers, call, device } = this.#parts;
    const unmapAll = [...this.#maps].map(
      ([iova, bytes]) =>
        () =>
          void this.unmapDma(iova, bytes),
    );
    const errors = runAll([
      ...(this.#interrupts.length > 0 ? [() => switchOffMsix(call, device)] : []),
      ...this.#interrupts.map((interrupt) => () => interrupt.close()),
      // A mapped BAR keeps the device file open, and the kernel resets the function only when that is gone.
      ...this.#regions.map((region) => () => region.close()),
      ...closers.splice(0, 1), // the device: no DMA from here on
      ...unmapAll,
      () => {
        this.#closed = true;
      },
      ...closers.splice(0), // the container, then the group
      ...this.#memory.map((memory) => () => memory.close()),
    ]);
    if (errors.length > 0) throw errors[0];
  }

  #usable(): Parts {
    if (this.#closed) throw new Error(`${this.#parts.bdf} was used after it was closed`);
    return this.#parts;
  }

  #configAt(offset: number, size: number): number {
    if (!Number.isInteger(offset) || offset < 0 || offset % size !== 0 || offset + size > this.#configBytes)
      throw new RangeError(`configuration space has no aligned ${size} bytes at ${offset}`);
    return this.#configOffset + offset;
  }
}
