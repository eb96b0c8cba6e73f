import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromHex, toHex } from '../bits/index.ts';
import {
  capabilities,
  DeviceInfo,
  DmaMap,
  DmaUnmap,
  explainRefusal,
  GroupStatus,
  IrqInfo,
  IrqSet,
  insideRanges,
  parseIommuInfo,
  parseRegionInfo,
  RegionInfo,
  Type1Info,
  VFIO_DEVICE_RESET,
  VFIO_GET_API_VERSION,
  VFIO_IOMMU_MAP_DMA,
} from './index.ts';

test('ioctl numbers and structure sizes are those of the C header', () => {
  // _IO(';', 100), _IO(';', 113), _IO(';', 111) as the preprocessor expands them, and sizeof() of each structure.
  assert.deepEqual([VFIO_GET_API_VERSION.number, VFIO_IOMMU_MAP_DMA.number, VFIO_DEVICE_RESET.number], [0x3b64, 0x3b71, 0x3b6f]);
  assert.deepEqual(
    [GroupStatus, Type1Info, DmaMap, DmaUnmap, DeviceInfo, RegionInfo, IrqInfo, IrqSet].map((entry) => entry.bytes),
    [8, 24, 32, 24, 20, 32, 16, 20],
  );
});

test('a map is written as the kernel reads it', () => {
  const bytes = DmaMap.encode({ argsz: 32, READ: 1, WRITE: 1, vaddr: 0x7f12_3456_7000n, iova: 0x1000_2000n, size: 4096n });
  assert.equal(toHex(bytes), '200000000300000000705634127f000000200010000000000010000000000000');
});

test('an interrupt is set by eventfd and trigger, and switched off by none and trigger', () => {
  const { DATA, ACTION } = IrqSet.values;
  // VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER is 0x24, with DATA_NONE 0x21.
  assert.equal(
    toHex(IrqSet.encode({ argsz: 24, DATA: DATA.eventfd, ACTION: ACTION.trigger, index: 2, count: 1 })).slice(8, 16),
    '24000000',
  );
  assert.equal(toHex(IrqSet.encode({ argsz: 20, DATA: DATA.none, ACTION: ACTION.trigger, index: 2 })).slice(8, 16), '21000000');
});

/** vfio_iommu_type1_info with a migration capability (id 2) and the ranges of a unit of 48 bits, laid out by hand from the header. */
const IOMMU_INFO = fromHex(
  [
    '68000000 03000000 0010204000000000 18000000 00000000', // argsz 104, PGSIZES|CAPS, sizes 4K 2M 1G, cap_offset 24
    '0200 0100 38000000 00000000 00000000 0010000000000000 0000001000000000', // id 2 at 24, next 56
    '0100 0100 00000000 02000000 00000000', // id 1 at 56, the last; two ranges
    '0000000000000000 ffffdffe00000000',
    '0000f0fe00000000 ffffffffffff0000',
  ].join(' '),
);

test('the IOVA ranges are found behind other capabilities', () => {
  assert.deepEqual(parseIommuInfo(IOMMU_INFO), {
    argsz: 104,
    pageSizes: 0x40201000n,
    iovaRanges: [
      { start: 0n, end: 0xfedfffffn },
      { start: 0xfef00000n, end: 0xffffffffffffn },
    ],
  });
});

test('the head of an answer alone names its size and no ranges', () => {
  assert.deepEqual(parseIommuInfo(IOMMU_INFO.slice(0, 24)), { argsz: 104, pageSizes: 0x40201000n, iovaRanges: [] });
});

test('a chain that leaves the answer or turns in a circle is refused', () => {
  const circle = IOMMU_INFO.slice();
  circle[28] = 24;
  assert.throws(() => parseIommuInfo(circle), RangeError);
  const outside = IOMMU_INFO.slice();
  outside[28] = 103;
  assert.throws(() => parseIommuInfo(outside), RangeError);
  const many = IOMMU_INFO.slice();
  many[64] = 200;
  assert.throws(() => parseIommuInfo(many), RangeError);
  assert.deepEqual([...capabilities(IOMMU_INFO, 0)], []);
});

test('a region is mappable as a whole, in the parts that it names, or not at all', () => {
  const whole = RegionInfo.encode({ argsz: 32, READ: 1, WRITE: 1, MMAP: 1, size: 0x4000n, offset: 0n });
  assert.deepEqual(parseRegionInfo(whole), {
    argsz: 32,
    bytes: 0x4000,
    offset: 0,
    writable: true,
    areas: [{ offset: 0, size: 0x4000 }],
  });
  const config = RegionInfo.encode({ argsz: 32, READ: 1, WRITE: 1, index: 7, size: 256n, offset: 7n << 40n });
  assert.deepEqual(parseRegionInfo(config).areas, []);
  assert.equal(parseRegionInfo(config).offset, 7 * 2 ** 40);
  const sparse = new Uint8Array(80);
  sparse.set(RegionInfo.encode({ argsz: 80, READ: 1, MMAP: 1, CAPS: 1, cap_offset: 32, size: 0x4000n }));
  sparse.set(
    fromHex('01000100 00000000 02000000 00000000 0000000000000000 0020000000000000 0030000000000000 0010000000000000'),
    32,
  );
  assert.deepEqual(parseRegionInfo(sparse).areas, [
    { offset: 0, size: 0x2000 },
    { offset: 0x3000, size: 0x1000 },
  ]);
});

test('a map is inside when one range holds all of it; without ranges nothing is known', () => {
  const { iovaRanges } = parseIommuInfo(IOMMU_INFO);
  assert.equal(insideRanges(iovaRanges, 0xfedff000, 0x1000), true);
  assert.equal(insideRanges(iovaRanges, 0xfedff000, 0x2000), false);
  assert.equal(insideRanges(iovaRanges, 0xfee00000, 0x1000), false);
  assert.equal(insideRanges(iovaRanges, 2 ** 48 - 4096, 4096), true);
  assert.equal(insideRanges(iovaRanges, 2 ** 48, 4096), false);
  assert.equal(insideRanges([], 0, 4096), undefined);
});

test('a refusal is explained by its step and errno, and an unknown one is left to speak for itself', () => {
  assert.match(explainRefusal('open group', 'EBUSY') ?? '', /open already/);
  assert.match(explainRefusal('VFIO_SET_IOMMU', 'EPERM') ?? '', /interrupt remapping.*allow_unsafe_interrupts/);
  assert.match(explainRefusal('VFIO_GROUP_GET_DEVICE_FD', 'EACCES') ?? '', /VF token/);
  assert.match(explainRefusal('VFIO_IOMMU_MAP_DMA', 'ENOMEM') ?? '', /RLIMIT_MEMLOCK/);
  assert.match(explainRefusal('group not viable') ?? '', /bound to a driver other than vfio-pci/);
  assert.equal(explainRefusal('VFIO_SET_IOMMU', 'EIO'), undefined);
});
