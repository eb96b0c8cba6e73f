import fc from 'fast-check';

/** Every code point but the halves of surrogate pairs, which stand for nothing alone: 2,048 from U+D800. */
const codePoint = fc.integer({ min: 0, max: 0x10ffff - 0x800 }).map((n) => String.fromCodePoint(n < 0xd800 ? n : n + 0x800));

/**
 * Any text of at most so many code points: control characters, quotes and what no font shows. The unit `binary` of fast-check
 * gives the same and takes most of a second to be made.
 */
export function anyText(maxLength: number): fc.Arbitrary<string> {
  return fc.string({ unit: fc.oneof(fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 1 }), codePoint), maxLength });
}
