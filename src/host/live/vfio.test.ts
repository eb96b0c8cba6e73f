import assert from 'node:assert/strict';
import { test } from 'node:test';
import { viewOf } from '../../bits/index.ts';
import { DeviceInfo, DmaMap, GroupStatus, IrqInfo, IrqSet, RegionInfo, Type1Info } from '../../vfio/index.ts';
import { HostError } from '../host.ts';
import { Mapping } from './mapping.ts';
import type { Sys } from './sys.ts';
import { liveVfio } from './vfio.ts';

/** A kernel with one function in group 8. Every call is noted; `refuse` makes the call of that name fail. */
class Kernel implements Sys {
  readonly calls: string[] = [];
  readonly refuse: { name: string; errno: string } | undefined;
  readonly open_ = new Map<number, string>();
  readonly written: string[] = [];
  viable = 1;
  mappable: 0 | 1 = 1;
  events = 0;
  ready: (() => void) | undefined;
  #next = 10;

  constructor(refuse?: { name: string; errno: string }) {
    this.refuse = refuse;
  }
  note(call: string, name = call): void {
    this.calls.push(call);
    if (this.refuse?.name === name) throw new HostError(name, 'refused', this.refuse.errno);
  }
  file(name: string): number {
    this.open_.set(this.#next, name);
    return this.#next++;
  }
  memory(name: string, bytes: number): Mapping {
    const fd = this.file(name);
    return new Mapping(new ArrayBuffer(bytes), 0x7000_0000 + fd * 0x1000, () => this.close(fd));
  }

  open(path: string): number {
    this.note(`open ${path}`, path);
    return this.file(path);
  }
  close(fd: number): void {
    assert.ok(this.open_.has(fd), `file ${fd} is open`);
    this.calls.push(`close ${this.open_.get(fd)}`);
    this.open_.delete(fd);
  }
  ioctl(fd: number, { name }: { name: string }, argument: Uint8Array | number): number {
    assert.ok(this.open_.has(fd));
    this.note(name);
    const answer = (entry: Uint8Array): number => {
      assert.ok(typeof argument !== 'number');
      argument.set(entry.subarray(0, argument.length));
      return 0;
    };
    switch (name) {
      case 'VFIO_CHECK_EXTENSION':
        return argument === 3 ? 1 : 0;
      case 'VFIO_GROUP_GET_STATUS':
        return answer(GroupStatus.encode({ argsz: 8, VIABLE: this.viable }));
      case 'VFIO_IOMMU_GET_INFO':
        return answer(Type1Info.encode({ argsz: 24, PGSIZES: 1, iova_pgsizes: 4096n }));
      case 'VFIO_GROUP_GET_DEVICE_FD':
        assert.equal(
          Buffer.from(argument as Uint8Array)
            .toString()
            .replace(/\0+$/, ''),
          '0000:02:00.1',
        );
        return this.file('device');
      case 'VFIO_DEVICE_GET_INFO':
        return answer(DeviceInfo.encode({ argsz: 20, flags: 3, num_regions: 9, num_irqs: 5 }));
      case 'VFIO_DEVICE_GET_REGION_INFO': {
        const index = RegionInfo.get.index(viewOf(argument as Uint8Array), 0);
        const size = index === 7 ? 4096n : index === 0 ? 0x2000n : 0n;
        return answer(
          RegionInfo.encode({
            argsz: 32,
            READ: 1,
            WRITE: 1,
            MMAP: index === 0 ? this.mappable : 0,
            index,
            size,
            offset: BigInt(index) << 40n,
          }),
        );
      }
      case 'VFIO_DEVICE_GET_IRQ_INFO':
        return answer(IrqInfo.encode({ argsz: 16, EVENTFD: 1, index: 2, count: 2 }));
      case 'VFIO_DEVICE_SET_IRQS': {
        const { DATA, start, count } = IrqSet.decode(viewOf(argument as Uint8Array));
        this.calls.push(`  ${IrqSet.nameOf('DATA', DATA)} ${start}+${count}`);
        return 0;
      }
      case 'VFIO_IOMMU_MAP_DMA': {
        const { iova, size } = DmaMap.decode(viewOf(argument as Uint8Array));
        this.calls.push(`  0x${iova.toString(16)}+${size}`);
        return 0;
      }
      default:
        return 0;
    }
  }
  anonymous(bytes: number): Mapping {
    return this.memory('memory', Math.ceil(bytes / 4096) * 4096);
  }
  map(_fd: number, offset: number, bytes: number): Mapping {
    this.note(`map ${offset}+${bytes}`, 'map');
    return this.memory('bar', bytes);
  }
  pread(_fd: number, into: Uint8Array, offset: number): number {
    into.set(Uint8Array.of(0x36, 0x1b, 0x10, 0x00).subarray(0, into.length));
    this.written.push(`read ${offset}`);
    return into.length;
  }
  pwrite(_fd: number, from: Uint8Array, offset: number): number {
    this.written.push(`${Buffer.from(from).toString('hex')} at ${offset}`);
    return from.length;
  }
  eventfd(): number {
    return this.file('eventfd');
  }
  takeEvents(): number {
    const { events } = this;
    this.events = 0;
    return events;
  }
  whenReadable(_fd: number, ready: () => void): () => void {
    this.ready = ready;
    return () => {
      this.ready = undefined;
    };
  }
  interruptAfter(): () => void {
    return () => {};
  }
}

const open = (kernel: Kernel) => liveVfio(() => Promise.resolve(kernel)).open('0000:02:00.1', 8);

test('a function is opened in the order that the kernel asks for', async () => {
  const kernel = new Kernel();
  const device = await open(kernel);
  assert.deepEqual(
    kernel.calls.filter((call) => call !== 'VFIO_IOMMU_GET_INFO'),
    [
      'open /dev/vfio/8',
      'open /dev/vfio/vfio',
      'VFIO_GET_API_VERSION',
      'VFIO_CHECK_EXTENSION',
      'VFIO_GROUP_GET_STATUS',
      'VFIO_GROUP_SET_CONTAINER',
      'VFIO_SET_IOMMU',
      'VFIO_GROUP_GET_DEVICE_FD',
      'VFIO_DEVICE_GET_INFO',
      'VFIO_DEVICE_GET_REGION_INFO',
    ],
  );
  assert.deepEqual(device.info, { flags: 3, regions: 9, irqs: 5, pageSizes: 4096n, iovaRanges: [] });
});

test('whatever step is refused, the error names function, step and errno, and nothing stays open', async () => {
  const probe = new Kernel();
  await open(probe);
  const steps = new Set(probe.calls.map((call) => call.replace(/^open /, '')));
  for (const name of steps) {
    const kernel = new Kernel({ name, errno: 'EBUSY' });
    await assert.rejects(open(kernel), (error: unknown) => {
      assert.ok(error instanceof HostError);
      assert.equal(error.subject, '0000:02:00.1');
      assert.equal(error.errno, 'EBUSY');
      assert.ok(error.message.includes(name), error.message);
      return true;
    });
    assert.deepEqual([...kernel.open_.values()], [], name);
  }
});

test('a group that is not viable is refused before it is put into a container', async () => {
  const kernel = new Kernel();
  kernel.viable = 0;
  await assert.rejects(open(kernel), /group 8 is not viable: a function of the group is bound to a driver/);
  assert.ok(!kernel.calls.includes('VFIO_GROUP_SET_CONTAINER'));
  assert.equal(kernel.open_.size, 0);
});

test('everything is given back in an order that ends all DMA first and the group last', async () => {
  const kernel = new Kernel();
  const device = await open(kernel);
  const bar = device.mapRegion(0);
  const memory = device.allocate(100);
  device.mapDma(memory, 0x10000000);
  device.enableMsix(1);
  kernel.calls.length = 0;
  device.close();
  assert.deepEqual(kernel.calls, [
    'VFIO_DEVICE_SET_IRQS',
    '  none 0+0',
    'close eventfd',
    'close bar',
    'close device',
    'VFIO_IOMMU_UNMAP_DMA',
    'close /dev/vfio/vfio',
    'close /dev/vfio/8',
    'close memory',
  ]);
  assert.equal(kernel.open_.size, 0);
  device.close();
  for (const use of [() => bar.read32(0), () => memory.read(0, 1), () => device.readConfig(0, 2), () => device.allocate(1)])
    assert.throws(use, /after/);
});

test('closing goes on when a part of it is refused, and says so at the end', async () => {
  const kernel = new Kernel({ name: 'VFIO_IOMMU_UNMAP_DMA', errno: 'EINVAL' });
  const device = await open(kernel);
  device.mapDma(device.allocate(4096), 0x10000000);
  assert.throws(() => device.close(), /VFIO_IOMMU_UNMAP_DMA was refused/);
  assert.equal(kernel.open_.size, 0);
});

test('a BAR that can be mapped is loaded and stored, one that cannot goes through the device file', async () => {
  const kernel = new Kernel();
  const device = await open(kernel);
  const bar = device.mapRegion(0);
  bar.write32(0x14, 0xffffffff);
  assert.equal(bar.read32(0x14), process.arch === 'x64' ? 0xffffffff : 0x00101b36);
  for (const offset of [-4, 2, 0x2000, 0x1ffe, 1.5]) assert.throws(() => bar.read32(offset), RangeError);

  const other = new Kernel();
  other.mappable = 0;
  const through = (await open(other)).mapRegion(0);
  through.write32(0x14, 0xfffffffe);
  assert.equal(through.read32(0x18), 0x00101b36);
  assert.deepEqual(other.written, ['feffffff at 20', 'read 24']);
  assert.throws(() => device.mapRegion(3), /has no BAR 3/);
});

test('configuration space is read and written at its region, little-endian', async () => {
  const kernel = new Kernel();
  const device = await open(kernel);
  assert.equal(device.readConfig(0, 4), 0x00101b36);
  assert.equal(device.readConfig(0, 2), 0x1b36);
  device.writeConfig(4, 2, 0x0106);
  assert.equal(kernel.written.at(-1), `0601 at ${7 * 2 ** 40 + 4}`);
  for (const [offset, size] of [
    [1, 2],
    [4096, 1],
    [-1, 1],
  ] as const)
    assert.throws(() => device.readConfig(offset, size), RangeError);
});

test('only memory of this very device can be mapped for it', async () => {
  const kernel = new Kernel();
  const device = await open(kernel);
  const foreign = (await open(kernel)).allocate(4096);
  assert.throws(() => device.mapDma(foreign, 0x10000000), TypeError);
});

test('an interrupt that came is counted at once, one that comes wakes the waiter, none is 0', async () => {
  const kernel = new Kernel();
  const device = await open(kernel);
  const interrupt = device.enableMsix(0);
  kernel.events = 3;
  assert.equal(await interrupt.wait(10_000), 3);
  assert.equal(await interrupt.wait(5), 0);
  const waiting = interrupt.wait(10_000);
  await assert.rejects(interrupt.wait(1), /being waited for/);
  kernel.events = 1;
  kernel.ready?.();
  assert.equal(await waiting, 1);
  const cut = interrupt.wait(10_000);
  device.close();
  assert.equal(await cut, 0);
  await assert.rejects(interrupt.wait(1), /closed/);
});

test('a vector that the function does not have is refused and leaves no eventfd', async () => {
  const kernel = new Kernel();
  const device = await open(kernel);
  assert.throws(() => device.enableMsix(2), /2 MSI-X vectors/);
  assert.ok(![...kernel.open_.values()].includes('eventfd'));
});
