import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { captures, tellCaptures } from '../../test/captures.ts';
import { oraclesIn } from '../../test/conformance/acpi.ts';
import { acpiDmar } from '../../test/conformance/acpi-dmar.ts';
import { cpuTime } from '../../test/cpu-time.ts';
import { sharedData } from '../../test/data.ts';
import { anyValue, roundTrip } from '../../test/entries.ts';
import { mutationRuns, mutations } from '../../test/mutate.ts';
import { type Entry, type Fields, fromHex, viewOf } from '../bits/index.ts';
import {
  Andd,
  Atsr,
  atsrOf,
  atsThroughRootPort,
  buildDmar,
  type DmarDescription,
  DmarFields,
  Drhd,
  proximityOf,
  Rhsa,
  Rmrr,
  readDmar,
  readTable,
  reservedRegionsOf,
  Satc,
  ScopeEntry,
  Sidp,
  StructureHeader,
  socPropertiesOf,
  TableHeader,
  unitOf,
} from './index.ts';

const folder = sharedData('acpi');
const skip = !folder && 'no shared data beside the repository';
const samples = folder ? oraclesIn(folder, 'dmar')!.map(({ path }) => Uint8Array.from(readFileSync(path))) : [];

test(`the DMAR tables of ${samples.length} machines read as iasl reads them, and are built again byte for byte`, {
  skip,
}, async () => {
  const outcome = (await acpiDmar.run(folder!))!;
  assert.deepEqual(outcome.disagreements, []);
  assert.ok(outcome.total > 100);
});

/** A table with a right length and checksum around these structures. */
function tableOf(...structures: Uint8Array[]): Uint8Array {
  const body = structures.flatMap((one) => [...one]);
  const length = 48 + body.length;
  const bytes = Uint8Array.from([
    ...TableHeader.encode({ Signature: 'DMAR', Length: length, Revision: 1, OEMID: 'SLUICE' }),
    ...DmarFields.encode({ HostAddressWidth: 38, INTR_REMAP: 1 }),
    ...body,
  ]);
  bytes[9] = 256 - (bytes.reduce((sum, byte) => sum + byte, 0) % 256);
  return bytes;
}

const scopeOf = (type: number, startBus: number, ...path: number[]) =>
  Uint8Array.from([...ScopeEntry.encode({ Type: type, Length: 6 + path.length, StartBusNumber: startBus }), ...path]);
const drhd = (all: number, base: bigint, ...scopes: Uint8Array[]) =>
  Uint8Array.from([
    ...Drhd.encode({
      Type: 0,
      Length: 16 + scopes.reduce((sum, one) => sum + one.length, 0),
      INCLUDE_PCI_ALL: all,
      RegisterBaseAddress: base,
    }),
    ...scopes.flatMap((one) => [...one]),
  ]);

test('a unit that names a device or the bridge above it goes before the one that takes all others', () => {
  const dmar = readDmar(
    tableOf(
      drhd(0, 0xfed90000n, scopeOf(1, 0, 4, 0)),
      drhd(0, 0xfed91000n, scopeOf(2, 0, 7, 0)),
      drhd(1, 0xfed92000n, scopeOf(3, 0xf0, 31, 7)),
      Uint8Array.from([
        ...Rmrr.encode({ Type: 1, Length: 32, BaseAddress: 0xa5000000n, LimitAddress: 0xa77fffffn }),
        ...scopeOf(1, 0, 4, 0),
      ]),
    ),
  )!;
  assert.deepEqual(dmar.findings, []);
  const place = (...pairs: number[][]) => ({
    segment: 0,
    startBus: 0,
    path: pairs.map(([device = 0, fn = 0]) => ({ device, function: fn })),
  });
  assert.equal(unitOf(dmar, place([4, 0]))?.registerBase, 0xfed90000n);
  assert.equal(unitOf(dmar, place([7, 0]))?.registerBase, 0xfed91000n);
  assert.equal(unitOf(dmar, place([7, 0], [0, 0], [1, 2]))?.registerBase, 0xfed91000n);
  assert.equal(unitOf(dmar, place([4, 0], [0, 0]))?.registerBase, 0xfed92000n, 'an endpoint scope does not reach behind it');
  assert.equal(unitOf(dmar, place([31, 7]))?.registerBase, 0xfed92000n);
  assert.equal(unitOf(dmar, { ...place([4, 0]), segment: 1 }), undefined);
  assert.equal(reservedRegionsOf(dmar, place([4, 0]))[0]?.limit, 0xa77fffffn);
  assert.deepEqual(reservedRegionsOf(dmar, place([5, 0])), []);
});

const finding = (bytes: Uint8Array) => readDmar(bytes)!.findings.map(({ offset, says }) => `${offset}: ${says}`);
const good = drhd(1, 0xfed90000n, scopeOf(3, 0xf0, 31, 0));

test('a structure of length zero ends the reading, with what came before it and its place', () => {
  const dmar = readDmar(tableOf(good, StructureHeader.encode({ Type: 1, Length: 0 }), good))!;
  assert.equal(dmar.structures.length, 1);
  assert.deepEqual(finding(tableOf(good, StructureHeader.encode({ Type: 1, Length: 0 }), good)), [
    '72: RMRR has Length 0: nothing after it can be read',
  ]);
});

test('a structure that runs over the end of the table is named with its place', () => {
  assert.deepEqual(finding(tableOf(good, StructureHeader.encode({ Type: 0, Length: 400 }))), [
    '72: DRHD has Length 400 and runs 396 bytes over the end of the table',
  ]);
  const long = drhd(0, 0xfed80000n, scopeOf(1, 0, 2, 0), scopeOf(1, 0, 3, 0)).subarray(0, 28);
  const cut = readDmar(tableOf(long))!;
  assert.equal(cut.structures[0]?.type === 'DRHD' && cut.structures[0].scopes.length, 1, 'what is there of it is read');
  assert.deepEqual(finding(tableOf(long)), ['48: DRHD has Length 32 and runs 4 bytes over the end of the table']);
});

test('a structure too short for its fields is skipped and the next one is read', () => {
  const dmar = readDmar(tableOf(StructureHeader.encode({ Type: 0, Length: 4 }), good))!;
  assert.deepEqual(
    dmar.structures.map(({ type }) => type),
    ['DRHD'],
  );
  assert.equal(dmar.findings.length, 1);
});

test('a scope that does not fit ends the scopes of its structure and not the table', () => {
  const broken = drhd(0, 0xfed91000n, scopeOf(1, 0, 2, 0));
  for (const length of [0, 5, 9, 255]) {
    const bad = broken.slice();
    bad[17] = length;
    const dmar = readDmar(tableOf(bad, good))!;
    assert.equal(dmar.structures.length, 2, `${length}`);
    assert.equal(dmar.findings.length, 1, `${length}`);
    assert.equal(dmar.findings[0]?.offset, 64, `${length}`);
  }
});

test('a structure of a type to come is listed and skipped by its length', () => {
  const { structures, findings } = readDmar(
    tableOf(Uint8Array.from([...StructureHeader.encode({ Type: 9, Length: 6 }), 1, 2]), good),
  )!;
  assert.deepEqual(structures[0], { type: 'unknown', typeNumber: 9, offset: 48, length: 6, data: Uint8Array.of(1, 2) });
  assert.equal(structures[1]?.type, 'DRHD');
  assert.deepEqual(
    findings.map(({ offset, is }) => [offset, is]),
    [[48, 'odd']],
  );
});

test('wrong signature, wrong checksum, wrong length and trailing bytes are told and the units still read', () => {
  const whole = tableOf(good);
  const flipped = whole.slice();
  flipped[0] = 0x58;
  assert.match(finding(flipped).join('\n'), /0: the signature is "XMAR", not DMAR\n9: .*add up/);
  assert.match(finding(whole.subarray(0, 60)).join('\n'), /4: Length is 72, and only 60 bytes are there\n48: DRHD/);
  assert.match(finding(Uint8Array.from([...whole, 0])).join('\n'), /72: 1 bytes follow/);
  const small = whole.slice();
  small.set([7, 0, 0, 0], 4);
  assert.match(finding(small).join('\n'), /4: Length is 7/);
  assert.equal(readDmar(small)?.structures.length, 1);
  assert.equal(readDmar(whole.subarray(0, 47)), undefined);
  assert.equal(readTable(whole.subarray(0, 35), 'DMAR'), undefined);
});

test('a reserved region that ends before it starts, or cuts pages, is told', () => {
  const region = (base: bigint, limit: bigint) =>
    tableOf(good, Rmrr.encode({ Type: 1, Length: 32, BaseAddress: base, LimitAddress: limit }), scopeOf(1, 0, 2, 0));
  assert.match(finding(region(0x2000n, 0x1fffn)).join(), /88: RMRR ends/);
  assert.match(finding(region(0x2000n, 0x2fffn)).join(), /^$/);
  assert.match(finding(region(0x2000n, 0x2ffen)).join(), /80: .*4 KiB/);
});

const found = captures();
const recorded = found.all.flatMap(({ states }) =>
  states.slice(0, 1).flatMap(({ acpi }) => (acpi.DMAR ? [fromHex(acpi.DMAR)] : [])),
);

test(`the tables that QEMU makes have nothing wrong and are built again byte for byte (${tellCaptures(found)})`, () => {
  assert.ok(recorded.length > 5);
  for (const bytes of recorded) {
    const dmar = readDmar(bytes)!;
    assert.deepEqual(
      dmar.findings.filter(({ is }) => is === 'broken'),
      [],
    );
    assert.deepEqual(Buffer.from(buildDmar(dmar)), Buffer.from(bytes));
  }
});

test('no bytes make the reader throw or hang, and all that it names lies inside them', () => {
  const seeds = [tableOf(good, good), ...samples.slice(0, 20), ...recorded.slice(0, 10)];
  for (const bytes of mutations(1, mutationRuns(), seeds)) {
    const dmar = readDmar(bytes);
    if (!dmar) continue;
    for (const { offset } of dmar.findings) assert.ok(offset >= 0 && offset <= bytes.length, `${offset} of ${bytes.length}`);
    for (const { offset } of dmar.structures) assert.ok(offset >= 48 && offset < bytes.length);
    JSON.stringify(dmar.header);
  }
});

test('a hostile table of 16 MiB takes neither long nor much', () => {
  const bytes = new Uint8Array(16 << 20);
  bytes.set(tableOf(good));
  new DataView(bytes.buffer).setUint32(4, bytes.length, true);
  for (let at = 72; at < bytes.length; at += 4) bytes[at + 2] = 4;
  const took = cpuTime(() => {
    const dmar = readDmar(bytes)!;
    assert.ok(dmar.findings.length < 2000);
    assert.equal(dmar.structures[0]?.type, 'DRHD');
  });
  assert.ok(took < 5000, `${took} ms`);
});

test('every ACPI structure keeps every value it can hold', () => {
  const all = [TableHeader, DmarFields, StructureHeader, Drhd, Rmrr, Atsr, Rhsa, Andd, Satc, Sidp, ScopeEntry];
  for (const one of all as unknown as Entry<Fields>[])
    fc.assert(fc.property(anyValue(one), (value) => assert.deepEqual(roundTrip(one, value), value)));
  assert.equal(Drhd.reservedClear(viewOf(good), 0), true);
});

const byte = fc.nat(255);
const segment = fc.nat(0xffff);
const address = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
const scope = fc.record({
  typeNumber: fc.nat(6),
  enumerationId: byte,
  startBus: byte,
  flags: byte,
  path: fc.array(fc.record({ device: byte, function: byte }), { maxLength: 4 }),
});
const scopes = fc.array(scope, { maxLength: 4 });
const structure = fc.oneof(
  fc.record({
    type: fc.constant('DRHD' as const),
    includePciAll: fc.boolean(),
    registerBytes: fc.nat(15).map((size) => 4096 * 2 ** size),
    segment,
    registerBase: address,
    scopes,
  }),
  fc.record({ type: fc.constant('RMRR' as const), segment, base: address, limit: address, scopes }),
  fc.record({ type: fc.constant('ATSR' as const), allPorts: fc.boolean(), segment, scopes }),
  fc.record({ type: fc.constant('RHSA' as const), registerBase: address, proximityDomain: fc.nat(0xffffffff) }),
  fc.record({
    type: fc.constant('ANDD' as const),
    deviceNumber: byte,
    deviceName: fc.string({ unit: fc.constantFrom('\\', '_', 'S', 'B', '.', '0'), maxLength: 40 }),
    reserved: fc.constant({ RSVD_32: 5 }),
  }),
  fc.record({ type: fc.constant('SATC' as const), atcRequired: fc.boolean(), segment, scopes }),
  fc.record({ type: fc.constant('SIDP' as const), segment, scopes }),
  fc.record({
    type: fc.constant('unknown' as const),
    typeNumber: fc.integer({ min: 7, max: 0xffff }),
    data: fc.uint8Array({ maxLength: 20 }),
  }),
);

test('a table that is built reads as it was described, with a right checksum, and is built again as it was', () => {
  const table = fc.record({
    hostAddressWidth: fc.integer({ min: 1, max: 256 }),
    INTR_REMAP: fc.boolean(),
    X2APIC_OPT_OUT: fc.boolean(),
    structures: fc.array(structure, { maxLength: 8 }),
  });
  fc.assert(
    fc.property(table, (described: DmarDescription) => {
      const bytes = buildDmar(described);
      const dmar = readDmar(bytes)!;
      assert.deepEqual(Buffer.from(buildDmar(dmar)), Buffer.from(bytes));
      assert.deepEqual(
        dmar.findings.filter(({ offset }) => offset < 36),
        [],
      );
      assert.equal(dmar.structures.length, described.structures.length);
      for (const [i, given] of described.structures.entries()) {
        const read = dmar.structures[i] as unknown as { [field: string]: unknown };
        for (const [field, value] of Object.entries(given))
          if (field === 'scopes')
            assert.deepEqual(
              (read.scopes as { typeNumber: number }[]).map(({ typeNumber }) => typeNumber),
              (value as { typeNumber: number }[]).map(({ typeNumber }) => typeNumber),
            );
          else assert.deepEqual(read[field], value, field);
      }
    }),
  );
});

const unit = (registerBase: bigint, more: object = {}) =>
  ({ type: 'DRHD', includePciAll: false, segment: 0, registerBase, scopes: [], ...more }) as const;
const endpoint = (device: number, flags = 0) => ({ type: 'endpoint', flags, path: [{ device, function: 0 }] }) as const;
const findingsOf = (...structures: DmarDescription['structures']) =>
  readDmar(buildDmar({ hostAddressWidth: 39, INTR_REMAP: true, structures }))!.findings.map(
    ({ offset, is, says }) => `${offset} ${is}: ${says}`,
  );

test('what a table says that cannot be is told once, at the structure that says it', () => {
  const all = unit(0xfed91000n, { includePciAll: true });
  const cases: [DmarDescription['structures'], RegExp][] = [
    [[], /^48 broken: there is no DRHD/],
    [[unit(0xfed90000n), unit(0xfed90000n)], /^72 broken: .*overlap those of the DRHD at 48/],
    [[unit(0xfed90000n, { registerBytes: 65536 }), unit(0xfed98000n)], /^72 broken: .*overlap/],
    [[unit(0n)], /^56 broken: .*no register base/],
    [[unit(0xfed91000n, { registerBytes: 8192 })], /^56 odd: .*not aligned/],
    [[all, { ...all, registerBase: 0xfed92000n }], /^64 broken: .*takes all functions/],
    [[all, unit(0xfed92000n)], /^64 odd: .*comes after/],
    [[{ ...all, scopes: [endpoint(2)] }], /^64 odd: .*names one more/],
    [[unit(0x1000n, { scopes: [endpoint(2)] }), unit(0x2000n, { scopes: [endpoint(2)] })], /^88 broken: .*behind the unit at 48/],
    [[all, { type: 'RMRR', segment: 0, base: 0x80000000n, limit: 0xcfffffffn, scopes: [endpoint(2)] }], /^72 odd: .*1 GiB/],
    [[all, { type: 'RMRR', segment: 0, base: 0x1000n, limit: 0x1fffn, scopes: [] }], /^64 odd: .*names no device/],
    [
      [all, { type: 'ATSR', allPorts: true, segment: 0, scopes: [{ type: 'bridge', path: [{ device: 1, function: 0 }] }] }],
      /^64 odd: .*ALL_PORTS/,
    ],
    [[all, { type: 'RHSA', registerBase: 0x1000n, proximityDomain: 1 }], /^72 odd: .*no DRHD is there/],
    [[all, { type: 'SIDP', segment: 0, scopes: [endpoint(2, 0x31)] }], /^74 odd: the flags 0x31/],
    [[all, { type: 'SATC', atcRequired: true, segment: 0, scopes: [endpoint(2, 1)] }], /^74 odd: the flags 0x01/],
    [[all, { type: 'ANDD', deviceNumber: 1, deviceName: 'I2C0' }], /^72 odd: .*no full path/],
    [[{ ...all, scopes: [{ type: 'acpi', enumerationId: 4, path: [{ device: 1, function: 0 }] }] }], /^68 odd: .*no ANDD/],
    [[{ type: 'RHSA', registerBase: 0xfed91000n, proximityDomain: 0 }, all], /^68 odd: DRHD comes after RHSA/],
    [[{ ...all, reserved: { RSVD_33: 3 } }], /^52 odd: .*RSVD_33 is 0x3/],
    [
      [all, { type: 'RHSA', registerBase: 0xfed91000n, proximityDomain: 0, rest: Uint8Array.of(1, 2, 3, 4) }],
      /^84 odd: .*4 bytes more/,
    ],
  ];
  for (const [structures, expected] of cases) {
    const told = findingsOf(...structures);
    assert.equal(told.length, 1, `${expected}: ${told.join('; ')}`);
    assert.match(told[0]!, expected);
  }
  assert.deepEqual(findingsOf(unit(0xfed90000n, { scopes: [endpoint(2)] }), all), []);
});

test('a revision that nobody writes is told', () => {
  const bytes = buildDmar({ header: { Revision: 3 }, hostAddressWidth: 39, structures: [unit(0xfed90000n)] });
  assert.deepEqual(
    readDmar(bytes)!.findings.map(({ offset, is }) => [offset, is]),
    [[8, 'broken']],
  );
});

test('ports with ATS, NUMA places and properties of SoC devices are found for a function', () => {
  const bridge = (device: number) => ({ type: 'bridge', path: [{ device, function: 0 }] }) as const;
  const place = (...devices: number[]) => ({
    segment: 0,
    startBus: 0,
    path: devices.map((device) => ({ device, function: 0 })),
  });
  const base = [
    unit(0xfed90000n, { includePciAll: true }),
    { type: 'ATSR', allPorts: false, segment: 0, scopes: [bridge(1)] },
    { type: 'RHSA', registerBase: 0xfed90000n, proximityDomain: 3 },
    { type: 'SATC', atcRequired: true, segment: 0, scopes: [endpoint(2)] },
  ] as const;
  const dmar = readDmar(buildDmar({ hostAddressWidth: 39, structures: base }))!;
  assert.equal(atsThroughRootPort(dmar, place(1, 0)), true);
  assert.equal(atsThroughRootPort(dmar, place(3, 0)), false);
  assert.equal(atsThroughRootPort(dmar, place(2)), true, 'integrated devices have no root port');
  assert.equal(atsThroughRootPort(dmar, { ...place(1, 0), segment: 1 }), undefined);
  assert.equal(atsrOf(dmar).ports.length, 1);
  assert.equal(proximityOf(dmar, { registerBase: 0xfed90000n }), 3);
  assert.equal(proximityOf(dmar, { registerBase: 1n }), undefined);
  assert.deepEqual([socPropertiesOf(dmar, place(2))?.atcRequired, socPropertiesOf(dmar, place(4))], [true, undefined]);
  const sidp = { type: 'SIDP', segment: 0, scopes: [endpoint(4, 0b01001)] } as const;
  const both = readDmar(buildDmar({ hostAddressWidth: 39, structures: [...base, sidp] }))!;
  assert.equal(socPropertiesOf(both, place(2)), undefined, 'SIDP takes the place of SATC');
  assert.deepEqual(
    [socPropertiesOf(both, place(4))?.nestedNotAllowed, socPropertiesOf(both, place(4))?.atcHardened],
    [true, true],
  );
});
