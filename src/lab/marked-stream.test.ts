import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MarkedStream } from './marked-stream.ts';

/** Cuts bytes at these places and pushes the pieces. */
function pass(bytes: Buffer, cuts: readonly number[], mark: string): { out: Buffer; stream: MarkedStream } {
  const pieces: Buffer[] = [];
  const stream = new MarkedStream(mark, (piece) => pieces.push(Buffer.from(piece)));
  let at = 0;
  for (const cut of [...cuts.map((n) => n % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]) {
    stream.push(bytes.subarray(at, cut));
    at = cut;
  }
  return { out: Buffer.concat(pieces), stream };
}

// Few letters, so that parts of the mark occur all over the text.
const text = fc.stringMatching(/^[ab\n]{0,30}$/).filter((value) => !value.includes('abba'));

test('what is before the mark comes through byte for byte, however it is cut, and nothing behind it does', () => {
  fc.assert(
    fc.property(text, text, fc.array(fc.nat()), (before, behind, cuts) => {
      const all = `${before}abba${behind}`;
      const { out, stream } = pass(Buffer.from(all), cuts, 'abba');
      assert.equal(out.toString(), all.slice(0, all.indexOf('abba')));
      assert.ok(stream.ended);
    }),
  );
});

test('a stream that ends without its mark comes through whole once it is flushed', () => {
  fc.assert(
    fc.property(text, fc.array(fc.nat()), (all, cuts) => {
      const pieces: Buffer[] = [];
      const stream = new MarkedStream('abba', (piece) => pieces.push(Buffer.from(piece)));
      let at = 0;
      for (const cut of [...cuts.map((n) => n % (all.length + 1)).sort((a, b) => a - b), all.length]) {
        stream.push(Buffer.from(all.slice(at, cut)));
        at = cut;
      }
      stream.flush();
      assert.equal(Buffer.concat(pieces).toString(), all);
    }),
  );
});

test('what cannot be the mark is not held back', () => {
  const { out } = pass(Buffer.from('hello a'), [], 'abba');
  assert.equal(out.toString(), 'hello ');
});
