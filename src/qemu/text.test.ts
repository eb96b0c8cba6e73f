import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { anyText } from '../../test/any-text.ts';
import { decodeBase64, decodeUtf8, lastLines } from './text.ts';

test('base64 of any bytes comes back as those bytes', () =>
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) =>
      assert.deepEqual(decodeBase64(Buffer.from(bytes).toString('base64')), bytes),
    ),
  ));

test('text that is not padded base64 is refused', () => {
  for (const text of [
    'A',
    'AA',
    'AAA',
    'A===',
    '====',
    'AA=A',
    'AA==AAAA',
    'AA A',
    'AAA\n',
    'AA-_',
    'AB==',
    'AAB=',
    'é===',
    '\u2603AAA',
  ])
    assert.equal(decodeBase64(text), undefined, text);
  assert.deepEqual(decodeBase64(''), new Uint8Array(0));
});

test('bytes become the text that the platform makes of them, broken UTF-8 included', () => {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  const pieces = fc.oneof(
    fc.uint8Array({ maxLength: 8 }),
    anyText(8).map((text) => new TextEncoder().encode(text)),
    fc.constantFrom(
      [0xe0, 0x9f, 0xbf],
      [0xed, 0xa0, 0x80],
      [0xf0, 0x8f, 0xbf, 0xbf],
      [0xf4, 0x90, 0x80, 0x80],
      [0xf0, 0x90, 0x80],
      [0xc1, 0x80],
    ),
  );
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 6 }), (parts) => {
      const bytes = Uint8Array.from(parts.flatMap((part) => [...part]));
      assert.equal(decodeUtf8(bytes), decoder.decode(bytes));
    }),
    { numRuns: 2000 },
  );
});

test('a long text is decoded whole', () => {
  const text = 'añ€😀'.repeat(50_000);
  assert.equal(decodeUtf8(Buffer.from(text)), text);
});

test('the last lines of a console carry no escape sequence and no control character', () => {
  const text = 'one\r\n\x1b[2J\x1b[1;31mtwo\x1b[0m\x07\r\n\x1b]0;title\x07three\x1b(B\tx\r\n\u009b31mfour\0';
  assert.deepEqual(lastLines(text, 3), ['two', 'three\tx', '31mfour']);
  assert.deepEqual(lastLines('', 3), []);
  assert.deepEqual(lastLines('a\n', 0), []);
});
