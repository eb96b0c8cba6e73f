import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { captures, tellCaptures } from '../../test/captures.ts';
import { anyValue, roundTrip } from '../../test/entries.ts';
import { mutationRuns, mutations } from '../../test/mutate.ts';
import { type Entry, type Fields, fromHex } from '../bits/index.ts';
import {
  buildViot,
  readViot,
  type ViotDescription,
  ViotFields,
  ViotMmioEndpoint,
  ViotPciRange,
  ViotVirtioIommuMmio,
  ViotVirtioIommuPci,
  viotOwnerOf,
} from './index.ts';

const found = captures();
const recorded = found.all.flatMap(({ name, states }) =>
  states
    .slice(0, 1)
    .flatMap(({ acpi, iommus, devices }) => (acpi.VIOT ? [{ name, bytes: fromHex(acpi.VIOT), iommus, devices }] : [])),
);

test(`the VIOT tables that QEMU makes are sound, and name the device that the kernel drives (${tellCaptures(found)})`, {
  skip: recorded.length === 0 && 'no capture has a VIOT table',
}, () => {
  for (const { name, bytes, devices } of recorded) {
    const viot = readViot(bytes)!;
    assert.deepEqual(viot.findings, [], name);
    assert.deepEqual(Buffer.from(buildViot(viot)), Buffer.from(bytes), name);
    const [unit] = viot.nodes;
    assert.equal(unit?.type, 'virtioIommuPci', name);
    const bdf = unit?.type === 'virtioIommuPci' ? unit.bdf : 0;
    const address = `0000:${(bdf >> 8).toString(16).padStart(2, '0')}:${((bdf >> 3) & 31).toString(16).padStart(2, '0')}.${bdf & 7}`;
    // The device ID of virtio-iommu is 0x1040 + 23.
    assert.equal(devices[address]?.attrs.device, '0x1057', `${name}: ${address}`);
  }
});

const unit = { type: 'virtioIommuPci', segment: 0, bdf: 8 } as const;
const range = {
  type: 'pciRange',
  endpointStart: 0,
  segmentStart: 0,
  segmentEnd: 0,
  bdfStart: 0,
  bdfEnd: 0xff,
  outputNode: 48,
} as const;
const mmio = { type: 'mmioEndpoint', endpoint: 0x10000, base: 0xfe000000n, outputNode: 48 } as const;
const findingsOf = (described: ViotDescription) =>
  readViot(buildViot(described))!.findings.map(({ offset, is, says }) => `${offset} ${is}: ${says}`);

test('what a VIOT table says that cannot be is told once, at the node that says it', () => {
  const cases: [ViotDescription, RegExp][] = [
    [{ nodes: [] }, /^48 broken: there is no virtio-iommu node/],
    [{ nodes: [unit, range], nodeCount: 1 }, /^36 broken: the node count is 1, and there are 2/],
    [{ nodes: [unit, { ...range, outputNode: 64 }] }, /^80 broken: .*no virtio-iommu node is there/],
    [{ nodes: [unit, { ...range, bdfStart: 9, bdfEnd: 8 }] }, /^78 broken: .*ends at function 0x0008/],
    [{ nodes: [unit, { ...range, segmentStart: 2, segmentEnd: 1 }] }, /^74 broken: .*ends at segment 1/],
    [{ nodes: [unit, range, { ...range, bdfStart: 0x80, endpointStart: 0x500 }] }, /^100 broken: .*range at 64 already/],
    [{ nodes: [unit, range, { ...mmio, endpoint: 5 }] }, /^92 broken: .*endpoint IDs/],
    [{ nodes: [unit, { ...mmio, base: 0n }] }, /^72 broken: .*no base/],
    [{ nodes: [unit, range], nodeOffset: 12 }, /^38 broken: the first node is at 12/],
    [{ nodes: [unit, { type: 'unknown', typeNumber: 9, data: Uint8Array.of(1, 2) }] }, /^64 odd: a node of type 9/],
    [{ nodes: [{ ...unit, rest: Uint8Array.of(0, 0, 0, 0) }] }, /^48 odd: .*4 bytes more/],
  ];
  for (const [described, expected] of cases) {
    const told = findingsOf(described);
    assert.equal(told.length, 1, `${expected}: ${told.join('; ')}`);
    assert.match(told[0]!, expected);
  }
  assert.deepEqual(findingsOf({ nodes: [unit, range, mmio, { type: 'virtioIommuMmio', base: 0xfe001000n }] }), []);
});

test('a function has the endpoint ID that its place in the range gives it', () => {
  const nodes = [unit, { ...range, bdfStart: 0x100, bdfEnd: 0x2ff, endpointStart: 0x1000, segmentEnd: 1 }];
  const viot = readViot(buildViot({ nodes }))!;
  assert.equal(viotOwnerOf(viot, 0, 0x108)?.endpoint, 0x1008);
  assert.equal(viotOwnerOf(viot, 1, 0x108)?.endpoint, 0x11008);
  assert.equal(viotOwnerOf(viot, 0, 0x300), undefined);
  assert.equal(viotOwnerOf(viot, 2, 0x108), undefined);
});

test('a VIOT table is built again as it was, and its entries keep every value', () => {
  const all = [ViotFields, ViotPciRange, ViotMmioEndpoint, ViotVirtioIommuPci, ViotVirtioIommuMmio];
  for (const one of all as unknown as Entry<Fields>[])
    fc.assert(fc.property(anyValue(one), (value) => assert.deepEqual(roundTrip(one, value), value)));
  const u16 = fc.nat(0xffff);
  const base = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
  const node = fc.oneof(
    fc.record({
      type: fc.constant('pciRange' as const),
      endpointStart: fc.nat(0xffffffff),
      segmentStart: u16,
      segmentEnd: u16,
      bdfStart: u16,
      bdfEnd: u16,
      outputNode: u16,
    }),
    fc.record({ type: fc.constant('mmioEndpoint' as const), endpoint: fc.nat(0xffffffff), base, outputNode: u16 }),
    fc.record({ type: fc.constant('virtioIommuPci' as const), segment: u16, bdf: u16 }),
    fc.record({ type: fc.constant('virtioIommuMmio' as const), base }),
    fc.record({
      type: fc.constant('unknown' as const),
      typeNumber: fc.integer({ min: 5, max: 255 }),
      data: fc.uint8Array({ maxLength: 9 }),
    }),
  );
  fc.assert(
    fc.property(fc.array(node, { maxLength: 6 }), (nodes) => {
      const bytes = buildViot({ nodes });
      const viot = readViot(bytes)!;
      for (const [i, given] of nodes.entries())
        for (const [field, value] of Object.entries(given))
          assert.deepEqual((viot.nodes[i] as unknown as Record<string, unknown>)[field], value);
      assert.deepEqual(Buffer.from(buildViot(viot)), Buffer.from(bytes));
    }),
  );
});

test('no bytes make the reader of VIOT throw, and its findings lie inside them', () => {
  const seeds = [buildViot({ nodes: [unit, range, mmio] }), ...recorded.slice(0, 10).map(({ bytes }) => bytes)];
  for (const bytes of mutations(3, mutationRuns(), seeds))
    for (const { offset } of readViot(bytes)?.findings ?? []) assert.ok(offset >= 0 && offset <= bytes.length);
});
