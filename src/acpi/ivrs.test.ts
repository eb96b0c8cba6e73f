import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { captures, tellCaptures } from '../../test/captures.ts';
import { oraclesIn } from '../../test/conformance/acpi.ts';
import { acpiIvrs } from '../../test/conformance/acpi-ivrs.ts';
import { cpuTime } from '../../test/cpu-time.ts';
import { sharedData } from '../../test/data.ts';
import { anyValue, roundTrip } from '../../test/entries.ts';
import { mutationRuns, mutations } from '../../test/mutate.ts';
import { type Entry, type Fields, fromHex } from '../bits/index.ts';
import {
  AcpiEntry,
  AliasEntry,
  aliasOf,
  atsDisabledFor,
  buildIvrs,
  DeviceEntry4,
  ExtendedEntry,
  fieldsOf,
  Ivhd10,
  Ivhd11,
  IvhdFeatures,
  IvhdFlags,
  Ivmd,
  type IvrsDescription,
  IvrsFields,
  ivhdOf,
  ivhdTypeOf,
  ivmdsOf,
  meaningsOf,
  readIvrs,
  SpecialEntry,
  specialDevicesOf,
} from './index.ts';

const folder = sharedData('acpi');
const skip = !folder && 'no shared data beside the repository';
const samples = folder ? oraclesIn(folder, 'ivrs')!.map(({ path }) => Uint8Array.from(readFileSync(path))) : [];

test(`the IVRS tables of ${samples.length} machines read as iasl reads them, and are built again byte for byte`, {
  skip,
}, async () => {
  const outcome = (await acpiIvrs.run(folder!))!;
  assert.deepEqual(outcome.disagreements, []);
  assert.ok(outcome.total > 40);
});

test('no IVRS table of a real machine is called broken', { skip }, () => {
  for (const bytes of samples)
    assert.deepEqual(
      readIvrs(bytes)!.findings.filter(({ is }) => is === 'broken'),
      [],
    );
});

const found = captures();
const recorded = found.all.flatMap(({ name, states }) =>
  states.slice(0, 1).flatMap(({ acpi, iommus }) => (acpi.IVRS ? [{ name, bytes: fromHex(acpi.IVRS), iommus }] : [])),
);

test(`every function that a kernel has behind an AMD IOMMU is behind one in the table of its machine (${tellCaptures(found)})`, {
  skip: recorded.length === 0 && 'no capture has an IVRS table',
}, () => {
  for (const { name, bytes, iommus } of recorded) {
    const ivrs = readIvrs(bytes)!;
    assert.deepEqual(Buffer.from(buildIvrs(ivrs)), Buffer.from(bytes), name);
    for (const [unit, { devices }] of Object.entries(iommus))
      for (const bdf of devices) {
        const [segment = 0, bus = 0, device = 0, fn = 0] = bdf.split(/[:.]/).map((part) => Number.parseInt(part, 16));
        assert.equal(ivhdOf(ivrs, segment, bus * 256 + device * 8 + fn)?.base, 0xfed80000n, `${name}: ${bdf} behind ${unit}`);
      }
  }
});

const plain = (type: 'all' | 'select' | 'start' | 'end' | 'pad', deviceId = 0) => ({ type, deviceId, dteSetting: 0 }) as const;
const ioapic = { type: 'special', deviceId: 0, dteSetting: 0xd7, handle: 33, sourceId: 0xa0, variety: 1 } as const;
const ivhd = (entries: object[], more: object = {}) =>
  ({
    type: 'IVHD',
    typeNumber: 0x10,
    flags: 0xb0,
    deviceId: 2,
    capabilityOffset: 0x40,
    base: 0xfd200000n,
    segment: 0,
    info: 0,
    features: 0,
    entries,
    ...more,
  }) as IvrsDescription['blocks'][number];
const ivmd = (more: object = {}) =>
  ({
    type: 'IVMD',
    typeNumber: 0x21,
    flags: 7,
    deviceId: 0x60,
    auxiliaryData: 0,
    segment: 0,
    base: 0x7d900000n,
    memoryLength: 0x100000n,
    ...more,
  }) as IvrsDescription['blocks'][number];
const table = (...blocks: IvrsDescription['blocks']) => buildIvrs({ header: { Revision: 2 }, EFRSup: true, blocks });
const findingsOf = (...blocks: IvrsDescription['blocks']) =>
  readIvrs(table(...blocks))!.findings.map(({ offset, is, says }) => `${offset} ${is}: ${says}`);

test('what an IVRS table says that cannot be is told once, at the entry that says it', () => {
  const other = { deviceId: 0x4002, base: 0xfe000000n };
  const acpi = {
    type: 'acpi',
    deviceId: 0xa5,
    dteSetting: 0x40,
    hid: 'AMDI0020',
    cid: new Uint8Array(8),
    uidFormat: 1,
    uid: new Uint8Array(8),
  };
  const cases: [IvrsDescription['blocks'], RegExp][] = [
    [[], /^48 broken: there is no IVHD/],
    [[ivhd([plain('all')])], /^48 odd: no I\/O APIC is named/],
    [[ivhd([ioapic], { base: 0n })], /^56 broken: .*no base/],
    [[ivhd([ioapic], { base: 0xfd201000n })], /^56 odd: .*16 KiB/],
    [[ivhd([ioapic], { capabilityOffset: 0 })], /^54 odd: .*capability header/],
    [[ivhd([ioapic, plain('start', 8)])], /^80 broken: .*is not ended/],
    [[ivhd([plain('start', 8), plain('select', 9), ioapic])], /^72 broken: .*is not ended/],
    [[ivhd([ioapic, plain('end', 8)])], /^80 broken: .*no start/],
    [[ivhd([ioapic, plain('start', 8), plain('end', 7)])], /^84 broken: .*before its start/],
    [[ivhd([ioapic]), ivhd([])], /^80 broken: .*same IOMMU with the same type/],
    [[ivhd([ioapic]), ivhd([ioapic], { typeNumber: 0x11, base: 0xfe000000n })], /^88 broken: .*has the registers/],
    [[ivhd([ioapic]), ivhd([], { ...other, base: 0xfd200000n })], /^88 broken: .*overlap/],
    [[ivhd([ioapic, plain('select', 9)]), ivhd([plain('all')], other)], /^108 odd: .*behind the IOMMU at 48/],
    [[ivhd([ioapic, { ...ioapic, sourceId: 0xa1 }])], /^80 odd: the I\/O APIC 33 has an entry at 72/],
    [[ivhd([ioapic, { ...ioapic, handle: 1, variety: 7 }])], /^87 odd: .*variety 7/],
    [[ivhd([ioapic, acpi])], /^80 odd: .*not of type 40h/],
    [[ivhd([ioapic, { ...acpi, uid: new Uint8Array(2) }], { typeNumber: 0x40 })], /^117 odd: .*integer\) has 2 bytes/],
    [[ivhd([ioapic, { ...acpi, uidFormat: 9 }], { typeNumber: 0x40 })], /^116 odd: .*format 9/],
    [[ivhd([ioapic, { type: 'unknown', typeNumber: 0x90, data: new Uint8Array(15) }])], /^80 odd: .*type 90h/],
    [[ivhd([ioapic, { type: 'unknown', typeNumber: 0xf5, data: new Uint8Array(15) }])], /^80 broken: .*length that nobody knows/],
    [[ivhd([ioapic]), ivmd({ memoryLength: 0n })], /^104 broken: IVMD has no bytes/],
    [[ivhd([ioapic]), ivmd({ memoryLength: 1n })], /^96 odd: .*4 KiB/],
    [[ivhd([ioapic]), ivmd({ flags: 6 })], /^81 odd: .*no effect/],
    [[ivhd([ioapic]), ivmd({ typeNumber: 0x22 })], /^86 broken: .*before the first/],
    [[ivhd([ioapic]), ivmd(), ivmd()], /^128 odd: .*overlaps/],
    [[ivhd([ioapic]), { type: 'unknown', typeNumber: 0x51, flags: 8, data: new Uint8Array(28) }], /^80 odd: a block of type 51h/],
  ];
  for (const [blocks, expected] of cases) {
    const told = findingsOf(...blocks);
    assert.equal(told.length, 1, `${expected}: ${told.join('; ')}`);
    assert.match(told[0]!, expected);
  }
  assert.deepEqual(findingsOf(ivhd([plain('start', 8), plain('end', 0xfffe), plain('pad'), ioapic]), ivmd()), []);
});

test('an entry that does not fit its block ends the block and not the table', () => {
  const bytes = table(
    ivhd(
      [
        ioapic,
        { type: 'acpi', deviceId: 1, dteSetting: 0, hid: 'X', cid: new Uint8Array(8), uidFormat: 2, uid: Uint8Array.of(65) },
      ],
      { typeNumber: 0x40 },
    ),
    ivmd(),
  );
  bytes[48 + 40 + 8 + 21] = 200;
  bytes[9] = (bytes[9]! + 1 - 200) & 0xff;
  const ivrs = readIvrs(bytes)!;
  assert.deepEqual(
    ivrs.findings.map(({ offset, is }) => [offset, is]),
    [[96, 'broken']],
  );
  assert.equal(ivrs.blocks.length, 2);
});

test('the kernel goes by the newest type of block, which the last block of the first IOMMU has', () => {
  const units = [
    ivhd([plain('select', 8), ioapic]),
    ivhd([plain('select', 9), ioapic], { typeNumber: 0x11 }),
    ivhd([plain('select', 10), ioapic], { typeNumber: 0x40 }),
  ];
  const all = readIvrs(table(...units))!;
  assert.equal(ivhdTypeOf(all), 0x40);
  assert.deepEqual(
    [8, 9, 10].map((sid) => ivhdOf(all, 0, sid)?.typeNumber),
    [undefined, undefined, 0x40],
  );
  assert.equal(ivhdTypeOf(readIvrs(table(units[0]!, units[1]!))!), 0x11);
  const later = { type: 'unknown', typeNumber: 0x51, flags: 0, data: new Uint8Array(4) } as const;
  assert.equal(ivhdTypeOf(readIvrs(table(units[0]!, later, units[1]!))!), 0x10, 'an unknown type above 40h ends the search');
  assert.equal(ivhdTypeOf({ blocks: [] }), undefined);
});

test('ranges, aliases, memory and special devices are found for a device ID', () => {
  const entries = [
    plain('start', 0x08),
    plain('end', 0xfe),
    { type: 'aliasStart', deviceId: 0x200, dteSetting: 0, sourceId: 0x1a0 },
    plain('end', 0x2ff),
    { type: 'aliasSelect', deviceId: 0x400, dteSetting: 0, sourceId: 0x1a1 },
    { type: 'extendedSelect', deviceId: 0x500, dteSetting: 0, atsDisabled: true },
    ioapic,
    { ...ioapic, handle: 0, sourceId: 0xb0, variety: 2 },
  ];
  const ivrs = readIvrs(
    table(
      ivhd(entries),
      ivmd(),
      ivmd({ typeNumber: 0x20, base: 0n }),
      ivmd({ typeNumber: 0x22, deviceId: 0x200, auxiliaryData: 0x2ff }),
    ),
  )!;
  const claimed = (sid: number) => ivhdOf(ivrs, 0, sid) !== undefined;
  assert.deepEqual([0x07, 0x08, 0xfe, 0x1a0, 0x200, 0x2ff, 0x300, 0x400, 0x1a1, 0x500].map(claimed), [
    false,
    true,
    true,
    true,
    true,
    true,
    false,
    true,
    true,
    true,
  ]);
  assert.equal(ivhdOf(ivrs, 1, 0x08), undefined);
  assert.deepEqual(
    [0x08, 0x200, 0x2ff, 0x400].map((sid) => aliasOf(ivrs, 0, sid)),
    [0x08, 0x1a0, 0x1a0, 0x1a1],
  );
  assert.deepEqual([atsDisabledFor(ivrs, 0, 0x500), atsDisabledFor(ivrs, 0, 0x08)], [true, false]);
  assert.deepEqual(
    [0x60, 0x61, 0x250].map((sid) => ivmdsOf(ivrs, 0, sid).length),
    [2, 1, 2],
  );
  assert.deepEqual(
    specialDevicesOf(ivrs).map(({ kind, handle, sourceId }) => [kind, handle, sourceId]),
    [
      ['ioapic', 33, 0xa0],
      ['hpet', 0, 0xb0],
    ],
  );
});

test('flags and features are told in words', () => {
  assert.deepEqual(meaningsOf(IvhdFlags, 0xb0), ['remote IOTLBs (ATS)', 'coherent table walks', 'page requests']);
  assert.deepEqual(meaningsOf(IvhdFlags, 0), []);
  const { GATS, HATS, GASup } = fieldsOf(IvhdFeatures, 0x80048f6e);
  assert.deepEqual([GATS, HATS, GASup], [0, 2, 1]);
});

test('an IVRS table is built again as it was, and its entries keep every value', () => {
  const shapes = [IvrsFields, Ivhd10, Ivhd11, Ivmd, DeviceEntry4, AliasEntry, ExtendedEntry, SpecialEntry, AcpiEntry];
  for (const one of shapes as unknown as Entry<Fields>[])
    fc.assert(fc.property(anyValue(one), (value) => assert.deepEqual(roundTrip(one, value), value)));
  const u8 = fc.nat(255);
  const u16 = fc.nat(0xffff);
  const u64 = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
  const common = { deviceId: u16, dteSetting: u8 };
  const entry = fc.oneof(
    fc.record({
      type: fc.constantFrom('pad' as const, 'all' as const, 'select' as const, 'start' as const, 'end' as const),
      ...common,
    }),
    fc.record({ type: fc.constantFrom('aliasSelect' as const, 'aliasStart' as const), ...common, sourceId: u16 }),
    fc.record({
      type: fc.constantFrom('extendedSelect' as const, 'extendedStart' as const),
      ...common,
      atsDisabled: fc.boolean(),
    }),
    fc.record({ type: fc.constant('special' as const), ...common, handle: u8, sourceId: u16, variety: u8 }),
    fc.record({
      type: fc.constant('acpi' as const),
      ...common,
      hid: fc.string({ unit: fc.constantFrom('A', 'M', '0'), maxLength: 8 }),
      cid: fc.uint8Array({ minLength: 8, maxLength: 8 }),
      uidFormat: u8,
      uid: fc.uint8Array({ maxLength: 12 }),
    }),
    fc.record({
      type: fc.constant('unknown' as const),
      typeNumber: fc.integer({ min: 0x80, max: 0xbf }),
      data: fc.uint8Array({ minLength: 15, maxLength: 15 }),
    }),
  );
  const place = { flags: u8, deviceId: u16, segment: u16, base: u64 };
  const unit = {
    type: fc.constant('IVHD' as const),
    ...place,
    capabilityOffset: u16,
    info: u16,
    features: fc.nat(0xffffffff),
    entries: fc.array(entry, { maxLength: 8 }),
  };
  const block = fc.oneof(
    fc.record({ ...unit, typeNumber: fc.constant(0x10 as const) }),
    fc.record({ ...unit, typeNumber: fc.constantFrom(0x11 as const, 0x40 as const), efr: u64, efr2: u64 }),
    fc.record({
      type: fc.constant('IVMD' as const),
      typeNumber: fc.constantFrom(0x20 as const, 0x21 as const, 0x22 as const),
      ...place,
      auxiliaryData: u16,
      memoryLength: u64,
    }),
    fc.record({
      type: fc.constant('unknown' as const),
      typeNumber: fc.integer({ min: 0x50, max: 255 }),
      flags: u8,
      data: fc.uint8Array({ maxLength: 20 }),
    }),
  );
  fc.assert(
    fc.property(fc.array(block, { maxLength: 5 }), fc.nat(127), fc.boolean(), (blocks, VASize, HtAtsResv) => {
      const bytes = buildIvrs({ VASize, HtAtsResv, blocks });
      const ivrs = readIvrs(bytes)!;
      assert.deepEqual([ivrs.VASize, ivrs.HtAtsResv], [VASize, HtAtsResv]);
      assert.equal(ivrs.blocks.length, blocks.length);
      for (const [i, given] of blocks.entries()) {
        const read = ivrs.blocks[i] as unknown as Record<string, unknown>;
        for (const [field, value] of Object.entries(given))
          if (field !== 'entries') assert.deepEqual(read[field], value, field);
          else
            for (const [j, one] of (value as object[]).entries())
              for (const [name, wanted] of Object.entries(one))
                assert.deepEqual((read.entries as Record<string, unknown>[])[j]?.[name], wanted, name);
      }
      assert.deepEqual(Buffer.from(buildIvrs(ivrs)), Buffer.from(bytes));
    }),
  );
});

test('no bytes make the reader of IVRS throw or hang, and all that it names lies inside them', () => {
  const seeds = [table(ivhd([ioapic]), ivmd()), ...samples.slice(0, 20), ...recorded.slice(0, 5).map(({ bytes }) => bytes)];
  for (const bytes of mutations(4, mutationRuns(), seeds)) {
    const ivrs = readIvrs(bytes);
    if (!ivrs) continue;
    for (const { offset } of ivrs.findings) assert.ok(offset >= 0 && offset <= bytes.length, `${offset} of ${bytes.length}`);
    for (let sid = 0; sid < 0x10000; sid += 0x1fff) aliasOf(ivrs, 0, ivhdOf(ivrs, 0, sid)?.deviceId ?? sid);
  }
});

test('a hostile IVRS table of 16 MiB takes neither long nor much', () => {
  const bytes = new Uint8Array(16 << 20);
  bytes.set(table(ivhd([ioapic])));
  new DataView(bytes.buffer).setUint32(4, bytes.length, true);
  // Blocks of the greatest length, full of padding.
  for (let at = 80; at + 0xfffc <= bytes.length; at += 0xfffc) bytes.set([0x10, 0, 0xfc, 0xff], at);
  const took = cpuTime(() => assert.ok(readIvrs(bytes)!.findings.length < 2000));
  assert.ok(took < 5000, `${took} ms`);
});
