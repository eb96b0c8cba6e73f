import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { sharedData } from '../../test/data.ts';
import { anyValue, roundTrip } from '../../test/entries.ts';
import { type Entry, type Fields, viewOf } from '../bits/index.ts';
import {
  Andd,
  type DeviceScope,
  DmarFields,
  type DmarStructure,
  Drhd,
  Rmrr,
  readDmar,
  readTable,
  reservedRegionsOf,
  ScopeEntry,
  StructureHeader,
  TableHeader,
  unitOf,
} from './index.ts';

interface Oracle {
  file: string;
  header: { [name: string]: string | number };
  iasl: {
    hostAddressWidthBits: number;
    flags: number;
    structures: {
      offset: number;
      type: number;
      length: number;
      flags?: number;
      sizeByte?: number;
      segment?: number;
      registerBase?: string;
      base?: string;
      limit?: string;
      deviceNumber?: number;
      deviceName?: string;
      scopes?: { offset: number; length: number; type: number; flags: number; enumId: number; bus: number; path: number[][] }[];
    }[];
  };
}

const folder = sharedData('acpi');
const oracles = folder ? (JSON.parse(readFileSync(join(folder, 'dmar.json'), 'utf8')) as Oracle[]) : [];

test(`the DMAR tables of ${oracles.length} machines read as iasl reads them`, {
  skip: !folder && 'no shared data beside the repository',
}, () => {
  assert.ok(oracles.length > 100);
  for (const { file, header, iasl } of oracles) {
    const dmar = readDmar(readFileSync(join(folder!, file)));
    assert.ok(dmar, file);
    const { Length, Revision, Checksum, OEMRevision, CreatorID, CreatorRevision } = dmar.header;
    assert.deepEqual(
      [Length, Revision, Checksum, OEMRevision, CreatorID, CreatorRevision],
      [
        header.length,
        header.revision,
        header.checksum,
        header.oemRevision,
        String(header.creatorId).replace(/\0+$/, ''),
        header.creatorRevision,
      ],
      file,
    );
    assert.equal(dmar.header.OEMTableID, String(header.oemTableId).replace(/\0+$/, ''), file);
    assert.equal(dmar.hostAddressWidth, iasl.hostAddressWidthBits, file);
    assert.equal(
      Number(dmar.INTR_REMAP) + 2 * Number(dmar.X2APIC_OPT_OUT) + 4 * Number(dmar.DMA_CTRL_PLATFORM_OPT_IN_FLAG),
      iasl.flags,
      file,
    );
    assert.equal(dmar.structures.length, iasl.structures.length, file);
    for (const [i, expected] of iasl.structures.entries()) {
      const found: DmarStructure = dmar.structures[i]!;
      const where = `${file} at ${expected.offset}`;
      assert.deepEqual([found.offset, found.length], [expected.offset, expected.length], where);
      if (found.type === 'DRHD') {
        assert.deepEqual(
          [0, Number(found.includePciAll), found.segment, found.registerBase, found.registerBytes],
          [
            expected.type,
            expected.flags,
            expected.segment,
            BigInt(expected.registerBase!),
            4096 * 2 ** (expected.sizeByte! & 15),
          ],
          where,
        );
        assertScopes(found.scopes, expected.scopes ?? [], where);
      } else if (found.type === 'RMRR') {
        const { type, segment, base, limit } = expected;
        assert.deepEqual([1, found.segment, found.base, found.limit], [type, segment, BigInt(base!), BigInt(limit!)], where);
        assertScopes(found.scopes, expected.scopes ?? [], where);
      } else if (found.type === 'ANDD') {
        assert.deepEqual(
          [4, found.deviceNumber, found.deviceName],
          [expected.type, expected.deviceNumber, expected.deviceName],
          where,
        );
      } else {
        assert.equal(found.typeNumber, expected.type, where);
        assert.notEqual(found.type, 'unknown', where);
      }
    }
  }
});

function assertScopes(
  found: DeviceScope[],
  expected: NonNullable<Oracle['iasl']['structures'][number]['scopes']>,
  where: string,
): void {
  assert.deepEqual(
    found.map(({ offset, length, typeNumber, flags, enumerationId, startBus, path }) => [
      offset,
      length,
      typeNumber,
      flags,
      enumerationId,
      startBus,
      path.map((pair) => [pair.device, pair.function]),
    ]),
    expected.map(({ offset, length, type, flags, enumId, bus, path }) => [offset, length, type, flags, enumId, bus, path]),
    where,
  );
}

test('recorded tables of real machines are sound but for register bases and sizes that really are odd', {
  skip: !folder && 'no shared data beside the repository',
}, () => {
  for (const { file, iasl } of oracles) {
    const { findings } = readDmar(readFileSync(join(folder!, file)))!;
    const odd = iasl.structures.some(({ type, registerBase, sizeByte = 0 }) => {
      const base = BigInt(registerBase ?? 0);
      return type === 0 && (base === 0n || base % BigInt(4096 * 2 ** (sizeByte & 15)) !== 0n);
    });
    assert.equal(
      findings.some(({ says }) => says.startsWith('DRHD')),
      odd,
      `${file}: ${JSON.stringify(findings)}`,
    );
    assert.deepEqual(
      findings.filter(({ says }) => /Length|checksum|add up|signature/.test(says)),
      [],
      file,
    );
  }
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
const good = drhd(1, 0xfed90000n, scopeOf(1, 0, 2, 0));

test('a structure of length zero ends the reading, with what came before it and its place', () => {
  const dmar = readDmar(tableOf(good, StructureHeader.encode({ Type: 1, Length: 0 }), good))!;
  assert.equal(dmar.structures.length, 1);
  assert.deepEqual(finding(tableOf(good, StructureHeader.encode({ Type: 1, Length: 0 }), good)), [
    '72: RMRR has Length 0: nothing after it can be read',
  ]);
});

test('a structure that runs over the end of the table is named with its place', () => {
  assert.deepEqual(finding(tableOf(good, StructureHeader.encode({ Type: 0, Length: 400 }))), [
    '72: DRHD has Length 400 and runs over the end of the table',
  ]);
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
  const broken = drhd(0, 0xfed90000n, scopeOf(1, 0, 2, 0));
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
  assert.deepEqual(structures[0], { type: 'unknown', typeNumber: 9, offset: 48, length: 6 });
  assert.equal(structures[1]?.type, 'DRHD');
  assert.deepEqual(findings, []);
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
    tableOf(Rmrr.encode({ Type: 1, Length: 24, BaseAddress: base, LimitAddress: limit }));
  assert.match(finding(region(0x2000n, 0x1fffn)).join(), /64: RMRR ends/);
  assert.match(finding(region(0x2000n, 0x2fffn)).join(), /^$/);
  assert.match(finding(region(0x2000n, 0x2ffen)).join(), /56: .*4 KiB/);
});

test('no bytes make the reader throw or hang, and its findings lie inside the table', () => {
  const seeds = [
    tableOf(good, good),
    ...oracles.slice(0, 10).map(({ file }) => Uint8Array.from(readFileSync(join(folder!, file)))),
  ];
  const mutated = fc
    .record({
      seed: fc.constantFrom(...seeds),
      at: fc.array(fc.nat(400), { maxLength: 8 }),
      to: fc.array(fc.nat(255), { minLength: 8, maxLength: 8 }),
      cut: fc.nat(400),
    })
    .map(({ seed, at, to, cut }) => {
      const bytes = seed.slice(0, seed.length - (cut % seed.length));
      for (const [i, where] of at.entries()) if (bytes.length) bytes[where % bytes.length] = to[i]!;
      return bytes;
    });
  fc.assert(
    fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 300 })), (bytes) => {
      const dmar = readDmar(bytes);
      if (!dmar) return;
      for (const { offset } of dmar.findings) assert.ok(offset >= 0 && offset <= bytes.length);
      for (const { offset, length } of dmar.structures) assert.ok(offset >= 48 && offset + length <= bytes.length);
    }),
    { numRuns: 2000 },
  );
});

test('every ACPI structure keeps every value it can hold', () => {
  for (const one of [TableHeader, DmarFields, StructureHeader, Drhd, Rmrr, Andd, ScopeEntry] as unknown as Entry<Fields>[])
    fc.assert(fc.property(anyValue(one), (value) => assert.deepEqual(roundTrip(one, value), value)));
  assert.equal(Drhd.reservedClear(viewOf(good), 0), true);
});
