import fc from 'fast-check';
import type { Entry, FieldInfo, Fields, Value, Values } from '../src/bits/index.ts';

/** Every value that a field can hold, its ends more often than chance has them. */
export function anyField(field: FieldInfo): fc.Arbitrary<Value> {
  const width = field.high - field.low + 1;
  if (field.zero instanceof Uint8Array) return fc.uint8Array({ minLength: width / 8, maxLength: width / 8 });
  if (typeof field.zero === 'string') {
    // Text ends where its padding begins, so it cannot itself end in padding.
    const pad = field.pad ?? '\0';
    return fc
      .array(fc.integer({ min: 0, max: 255 }), { maxLength: width / 8 })
      .map((codes) => String.fromCharCode(...codes))
      .filter((text) => !text.endsWith(pad));
  }
  if (typeof field.zero === 'bigint') return fc.bigInt({ min: 0n, max: (1n << BigInt(width)) - 1n });
  const most = 2 ** width - 1;
  return fc.oneof(
    { weight: 1, arbitrary: fc.constantFrom(0, most) },
    { weight: 3, arbitrary: fc.maxSafeInteger().map((n) => modulo(n, most)) },
  );
}

function modulo(value: number, most: number): number {
  return most >= Number.MAX_SAFE_INTEGER ? Math.abs(value) : Math.abs(value) % (most + 1);
}

/** Every value of a whole entry. */
export function anyValue<F extends Fields>(entry: Entry<F>): fc.Arbitrary<Values<F>> {
  return fc.record(Object.fromEntries(entry.fields.map((field) => [field.name, anyField(field)])), {
    noNullPrototype: true,
  }) as fc.Arbitrary<Values<F>>;
}

/** What is left of a value after encoding and decoding. */
export function roundTrip<F extends Fields>(entry: Entry<F>, value: Values<F>): Values<F> {
  const bytes = entry.encode(value);
  return entry.decode(new DataView(bytes.buffer));
}
