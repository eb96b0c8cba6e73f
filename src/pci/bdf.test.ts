import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  bdfOf,
  classKind,
  className,
  compareBdf,
  formatBdf,
  lastVfBus,
  parseBdf,
  parseResources,
  routingId,
  Sriov,
  vfAddresses,
  vfBarAddress,
  vfBars,
  vfRoutingId,
} from './index.ts';

const anyBdf = fc.record(
  { domain: fc.nat(0xffffffff), bus: fc.nat(255), device: fc.nat(31), function: fc.nat(7) },
  { noNullPrototype: true },
);

test('an address is written as the kernel writes it, and read back', () =>
  fc.assert(fc.property(anyBdf, (bdf) => assert.deepEqual(parseBdf(formatBdf(bdf)), bdf))));

test('a short address is in domain 0, and a domain may have more than four digits', () => {
  assert.deepEqual(parseBdf('3b:00.1'), { domain: 0, bus: 0x3b, device: 0, function: 1 });
  assert.deepEqual(parseBdf('10000:E1:1f.7'), { domain: 0x10000, bus: 0xe1, device: 31, function: 7 });
  assert.equal(formatBdf({ domain: 0x10000, bus: 1, device: 2, function: 3 }), '10000:01:02.3');
});

test('what is no address is not read as one', () => {
  for (const text of [
    '',
    '3b:00',
    '3b:00.8',
    '3b:20.0',
    '0:3b:00.0',
    '0000:3b:00.0 ',
    '0000:3b:00.00',
    'x000:3b:00.0',
    '123456789:3b:00.0',
    'eth0',
  ])
    assert.equal(parseBdf(text), undefined, text);
});

test('a routing ID and an address are the same within a domain', () =>
  fc.assert(
    fc.property(anyBdf, (bdf) => {
      const id = routingId(bdf);
      assert.ok(id >= 0 && id <= 0xffff);
      assert.deepEqual(bdfOf(bdf.domain, id), bdf);
    }),
  ));

test('addresses sort by domain, bus, device and function', () => {
  const sorted = ['0000:00:02.0', '0000:00:02.1', '0000:00:10.0', '0000:01:00.0', '10000:00:00.0'];
  assert.deepEqual(
    sorted
      .toReversed()
      .map((text) => parseBdf(text)!)
      .sort(compareBdf)
      .map(formatBdf),
    sorted,
  );
});

test('VFs follow their PF by offset and stride, over the end of a bus and a device', () => {
  const igb = { FirstVFOffset: 128, VFStride: 2 };
  assert.deepEqual(vfAddresses(parseBdf('01:00.0')!, igb, 3).map(formatBdf), ['0000:01:10.0', '0000:01:10.2', '0000:01:10.4']);
  assert.deepEqual(vfAddresses(parseBdf('01:00.1')!, igb, 2).map(formatBdf), ['0000:01:10.1', '0000:01:10.3']);
  // Intel 82599: 384 after the PF lies on the next bus.
  assert.equal(vfAddresses(parseBdf('0002:04:00.0')!, { FirstVFOffset: 384, VFStride: 2 }, 1).map(formatBdf)[0], '0002:05:10.0');
  assert.equal(lastVfBus(parseBdf('01:00.0')!, { FirstVFOffset: 1, VFStride: 1 }, 255), 1);
  assert.equal(lastVfBus(parseBdf('01:00.0')!, { FirstVFOffset: 1, VFStride: 1 }, 256), 2);
  assert.equal(lastVfBus(parseBdf('01:00.0')!, igb, 0), 1);
  assert.equal(vfRoutingId(0xffff, { FirstVFOffset: 1, VFStride: 1 }, 0), 0, 'the arithmetic has 16 bits');
});

const RESOURCES = [
  '0x00000000fe000000 0x00000000fe01ffff 0x0000000000040200',
  '0x000000000000c000 0x000000000000c01f 0x0000000000040101',
  ...new Array<string>(5).fill('0x0000000000000000 0x0000000000000000 0x0000000000000000'),
  '0x00000021fe600000 0x00000021fe61ffff 0x000000000014220c',
].join('\n');

test('the resources of a function are read with their size and kind', () => {
  const resources = parseResources(`${RESOURCES}\n`)!;
  assert.equal(resources.length, 8);
  assert.deepEqual(resources[0], {
    index: 0,
    start: 0xfe000000,
    size: 0x20000,
    space: 'memory',
    width: 32,
    prefetchable: false,
    unset: false,
  });
  assert.deepEqual([resources[1]?.space, resources[1]?.size, resources[2]?.space, resources[2]?.size], ['io', 32, 'none', 0]);
  assert.deepEqual([resources[7]?.start, resources[7]?.width, resources[7]?.prefetchable], [0x21fe600000, 64, true]);
  assert.equal(parseResources('0x0 0x0'), undefined);
  assert.equal(parseResources(''), undefined);
});

test('a VF BAR is divided among all VFs of the capability', () => {
  const sriov = Sriov.decode(new DataView(Sriov.encode({ TotalVFs: 8, VFBAR0: 0xfe60000c, VFBAR1: 0x21 }).buffer));
  const [bar] = vfBars(sriov, parseResources(RESOURCES));
  assert.deepEqual(bar, { index: 0, width: 64, prefetchable: true, base: 0x21fe600000, size: 0x4000 });
  assert.equal(vfBarAddress(bar!, 3), 0x21fe60c000);
  const [bare] = vfBars(sriov);
  assert.equal(bare?.size, undefined);
  assert.equal(vfBarAddress(bare!, 0), undefined);
});

test('class codes are named by subclass, else by class, and sorted by what they are for', () => {
  assert.deepEqual([0x020000, 0x010802, 0x030000, 0x060400, 0x0106ff, 0x0299ff, 0xff0000].map(className), [
    'Ethernet controller',
    'Non-Volatile memory controller',
    'VGA compatible controller',
    'PCI bridge',
    'SATA controller',
    'Network controller',
    'class ff00',
  ]);
  assert.deepEqual(
    [0x020000, 0x010802, 0x010601, 0x030200, 0x060000, 0x060100, 0x060400, 0x068000, 0x040300, 0x0c0330, 0x120000, 0x0b4000].map(
      classKind,
    ),
    [
      'network',
      'nvme',
      'storage',
      'display',
      'host-bridge',
      'isa-bridge',
      'pci-bridge',
      'bridge',
      'audio',
      'usb',
      'accelerator',
      'other',
    ],
  );
});
