import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { anyField, anyValue, roundTrip } from '../../test/entries.ts';
import {
  bit,
  bytes,
  type Entry,
  entry,
  type Field,
  type Fields,
  field,
  frame,
  fromHex,
  ignored,
  reserved,
  reservedBytes,
  text,
  toHex,
  u8,
  u16,
  u32,
  u64,
  viewOf,
  wide,
} from './index.ts';

const SOURCE = { source: 'VT-d 5.10 §9.3', bits: 128 };
const ContextEntry = entry('Context Entry', SOURCE, {
  P: bit(0, 'Present'),
  FPD: bit(1, 'Fault Processing Disable'),
  TT: field(3, 2, 'Translation Type', { untranslated: 0, deviceTlb: 1, passThrough: 2 }),
  RSVD_4: reserved(11, 4),
  SSPTPTR: frame(63, 12, 'Second Stage Page Translation Pointer'),
  AW: field(66, 64, 'Address Width', { w39: 1, w48: 2, w57: 3 }),
  IGN_67: ignored(70, 67),
  RSVD_71: reserved(71),
  DID: field(87, 72, 'Domain Identifier'),
  RSVD_88: reserved(127, 88),
});

/** The value of bits high..low of a little-endian structure, the slow and obvious way. */
function bitsOf(data: Uint8Array, high: number, low: number): bigint {
  let value = 0n;
  for (let at = high; at >= low; at--) value = (value << 1n) | BigInt((data[at >> 3]! >> (at & 7)) & 1);
  return value;
}

/** A random tiling of a random number of bytes, so that fields start anywhere and cross words. */
const anyLayout: fc.Arbitrary<Entry<Fields>> = fc
  .record({
    size: fc.integer({ min: 1, max: 40 }),
    cuts: fc.array(fc.integer({ min: 1, max: 70 }), { minLength: 8, maxLength: 60 }),
  })
  .map(({ size, cuts }) => {
    const fields: { [name: string]: Field } = {};
    let low = 0;
    for (const width of [...cuts, ...Array.from({ length: 320 }, () => 53)]) {
      if (low >= size * 8) break;
      const high = Math.min(low + width, size * 8) - 1;
      fields[`f${low}`] = high - low >= 53 ? wide(high, low, 'wide') : low % 3 ? field(high, low, 'number') : reserved(high, low);
      low = high + 1;
    }
    return entry('anything', { source: 'none', bits: size * 8 }, fields);
  });

const anyPlaced = anyLayout.chain((layout) =>
  fc.record({
    layout: fc.constant(layout),
    // Room before and after, and a view that does not begin where its buffer does.
    data: fc.uint8Array({ minLength: layout.bytes + 9, maxLength: layout.bytes + 9 }),
    at: fc.integer({ min: 0, max: 5 }),
    value: anyValue(layout),
  }),
);

test('a context entry of the specification reads as its fields', () => {
  const data = viewOf(fromHex('01f08c0200000000 0107000000000000'));
  assert.equal(ContextEntry.get.SSPTPTR(data, 0), 0x28cf);
  assert.equal(ContextEntry.get.AW(data, 0), 1);
  assert.equal(ContextEntry.get.DID(data, 0), 7);
  assert.equal(ContextEntry.format(data), 'P=1 FPD=0 TT=untranslated SSPTPTR=0x28cf AW=w39 DID=7');
  assert.equal(ContextEntry.values.TT.passThrough, 2);
  assert.equal(ContextEntry.nameOf('AW', 3), 'w57');
  assert.equal(ContextEntry.nameOf('AW', 5), undefined);
});

test('encoding needs only the fields that are not zero', () => {
  assert.equal(toHex(ContextEntry.encode({ P: 1, SSPTPTR: 0x28cf, AW: 1, DID: 7 })), '01f08c02000000000107000000000000');
});

test('reserved bits are noticed, ignored ones are not', () => {
  const clear = ContextEntry.encode({ P: 1, IGN_67: 15, SSPTPTR: 2 ** 52 - 1, DID: 0xffff });
  assert.equal(ContextEntry.reservedClear(viewOf(clear), 0), true);
  for (const name of ['RSVD_4', 'RSVD_71', 'RSVD_88'] as const) {
    const dirty = viewOf(clear.slice());
    ContextEntry.set[name](dirty, 0, 1);
    assert.equal(ContextEntry.reservedClear(dirty, 0), false, name);
    assert.match(ContextEntry.format(dirty), new RegExp(`${name}=1`));
  }
});

test('fields that leave a gap, overlap or run over the end are refused with the bit', () => {
  const define = (fields: Fields) => () => entry('E', { source: 'none', bits: 16 }, fields);
  assert.throws(define({ A: field(7, 0, 'a'), B: field(15, 9, 'b') }), /E: bit 8 belongs to no field/);
  assert.throws(define({ A: field(14, 0, 'a') }), /E: bit 15 belongs to no field/);
  assert.throws(define({ A: field(8, 0, 'a'), B: field(15, 8, 'b') }), /E: bit 8 belongs to A and B/);
  assert.throws(define({ A: field(15, 0, 'a'), B: bit(3, 'b') }), /E: bit 3 belongs to A and B/);
  assert.throws(define({ A: field(16, 0, 'a') }), /E: bit 16 of A lies beyond the last bit 15/);
  assert.throws(define({ A: field(0, 15, 'a') }), /A has no bits 0:15/);
  assert.throws(() => entry('E', { source: 'none', bits: 12 }, { A: field(11, 0, 'a') }), /12 bits/);
  assert.throws(() => entry('E', { source: 'none', bits: 64 }, { A: field(63, 0, 'a') }), /bit 63 with more than 53 bits/);
  assert.throws(
    () => entry('E', { source: 'none', bits: 16 }, { A: bit(0, 'a'), B: { ...bytes(0, 1, 'b'), low: 1, high: 15 } }),
    /whole bytes/,
  );
});

test('a value that does not fit is refused and named, and nothing is written', () => {
  const data = new Uint8Array(16);
  const view = viewOf(data);
  assert.throws(() => ContextEntry.set.DID(view, 0, 0x10000), /Context Entry: DID \(bits 87:72\) cannot hold 65536/);
  assert.throws(() => ContextEntry.set.P(view, 0, -1), RangeError);
  assert.throws(() => ContextEntry.set.AW(view, 0, 1.5), RangeError);
  assert.throws(() => ContextEntry.set.AW(view, 0, Number.NaN), RangeError);
  assert.throws(() => ContextEntry.encode({ NOT_A_FIELD: 1 } as never), /has no field NOT_A_FIELD/);
  assert.ok(data.every((byte) => byte === 0));
});

test('an entry beyond the end of its view is not read', () => {
  const view = viewOf(new Uint8Array(20).subarray(1, 17));
  assert.equal(ContextEntry.fits(view), true);
  assert.equal(ContextEntry.fits(view, 1), false);
  assert.throws(() => ContextEntry.decode(view, 1), RangeError);
});

const Mixed = entry(
  'Mixed',
  { source: 'none', bits: 8 * 27 },
  {
    Id: text(0, 4, 'Id'),
    Small: u8(4, 'Small', { yes: 1 }),
    RSVD_5: reservedBytes(5, 2),
    Half: u16(7, 'Half'),
    Word: u32(9, 'Word'),
    Address: u64(13, 'Address'),
    Raw: bytes(21, 3, 'Raw'),
    Padded: text(24, 3, 'Padded', ' '),
  },
);

test('structures counted in bytes hold text, raw bytes and 64-bit addresses', () => {
  const data = Mixed.encode({
    Id: 'DMAR',
    Small: 1,
    Half: 0xbeef,
    Word: 0xfedcba98,
    Address: 0xfed90000n,
    Raw: new Uint8Array([1, 2, 3]),
    Padded: 'a',
  });
  assert.equal(toHex(data), '444d4152' + '01' + '0000' + 'efbe' + '98badcfe' + '0000d9fe00000000' + '010203' + '612020');
  assert.equal(
    Mixed.format(viewOf(data)),
    'Id="DMAR" Small=yes Half=48879 Word=4275878552 Address=0xfed90000 Raw=010203 Padded="a"',
  );
  assert.throws(() => Mixed.set.Id(viewOf(data), 0, 'DMARX'), RangeError);
  assert.throws(() => Mixed.set.Id(viewOf(data), 0, '€'), RangeError);
  assert.throws(() => Mixed.get.Padded(viewOf(data.subarray(0, 26)), 0), RangeError);
});

test('every value of an entry survives encoding and decoding', () => {
  for (const one of [ContextEntry, Mixed] as unknown as Entry<Fields>[])
    fc.assert(fc.property(anyValue(one), (value) => assert.deepEqual(roundTrip(one, value), value)));
});

test('with any layout, each field reads exactly its own bits', () =>
  fc.assert(
    fc.property(anyPlaced, ({ layout, data, at }) => {
      const view = new DataView(data.buffer, data.byteOffset + 2, data.length - 2);
      const own = data.subarray(2 + at);
      for (const { name, high, low } of layout.fields)
        assert.equal(BigInt(layout.get[name]!(view, at) as number | bigint), bitsOf(own, high, low), `${name} ${high}:${low}`);
    }),
  ));

test('with any layout, setting a field changes its own bits and no other byte or bit', () =>
  fc.assert(
    fc.property(anyPlaced, ({ layout, data, at, value }) => {
      const view = new DataView(data.buffer, data.byteOffset + 2, data.length - 2);
      for (const { name, high, low } of layout.fields) {
        const before = data.slice();
        layout.set[name]!(view, at, value[name]!);
        for (let position = 0; position < data.length * 8; position++) {
          const inside = position - (2 + at) * 8;
          const expected =
            inside >= low && inside <= high
              ? (BigInt(value[name] as number | bigint) >> BigInt(inside - low)) & 1n
              : bitsOf(before, position, position);
          assert.equal(bitsOf(data, position, position), expected, `${name} ${high}:${low}, bit ${inside}`);
        }
      }
    }),
    { numRuns: 30 },
  ));

test('with any bytes, decoding and encoding gives the same bytes', () =>
  fc.assert(
    fc.property(anyPlaced, ({ layout, data }) => {
      const own = data.subarray(0, layout.bytes);
      assert.equal(toHex(layout.encode(layout.decode(viewOf(own)))), toHex(own));
    }),
  ));

test('every bit belongs to exactly one field: each bit set alone appears in one field', () =>
  fc.assert(
    fc.property(anyLayout, (layout) => {
      for (let position = 0; position < layout.bits; position++) {
        const data = new Uint8Array(layout.bytes);
        data[position >> 3] = 1 << (position & 7);
        const holders = Object.values(layout.decode(viewOf(data))).filter((value) => value !== 0 && value !== 0n);
        assert.equal(holders.length, 1);
      }
    }),
    { numRuns: 30 },
  ));

test('reserved bits are clear exactly when no reserved field has a value', () =>
  fc.assert(
    fc.property(anyPlaced, ({ layout, data, at }) => {
      const view = viewOf(data);
      const dirty = layout.fields.some(({ name, kind }) => kind === 'reserved' && Number(layout.get[name]!(view, at)) !== 0);
      assert.equal(layout.reservedClear(view, at), !dirty);
    }),
  ));

test('the metadata lists fields from the lowest bit and can fill a table', () => {
  assert.deepEqual(
    ContextEntry.fields.map(({ name, high, low }) => `${high}:${low} ${name}`),
    [
      '0:0 P',
      '1:1 FPD',
      '3:2 TT',
      '11:4 RSVD_4',
      '63:12 SSPTPTR',
      '66:64 AW',
      '70:67 IGN_67',
      '71:71 RSVD_71',
      '87:72 DID',
      '127:88 RSVD_88',
    ],
  );
  assert.deepEqual([ContextEntry.bytes, ContextEntry.source], [16, 'VT-d 5.10 §9.3']);
  fc.assert(fc.property(anyField(ContextEntry.fields[4]!), (value) => typeof value === 'number' && value < 2 ** 52));
});

test('hexadecimal text becomes bytes, and a wrong digit is refused', () => {
  assert.deepEqual([...fromHex('00 ff\n10')], [0, 255, 16]);
  assert.throws(() => fromHex('0'), RangeError);
  assert.throws(() => fromHex('0x'), RangeError);
  fc.assert(fc.property(fc.uint8Array(), (data) => assert.deepEqual(fromHex(toHex(data)), Uint8Array.from(data))));
});
