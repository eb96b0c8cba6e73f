import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import fc from 'fast-check';
import { columns, harmless, jsonPieces, makeStyle, showBytes, table, toJson, wantsColour, wrap } from './output.ts';
import { startProgress } from './progress.ts';

const page = { width: 40, style: makeStyle(false) };

test('columns are as wide as their widest cell, and the last one continues below itself', () => {
  assert.equal(
    table(
      page,
      ['bdf', 'what'],
      [
        ['0000:01:00.0', 'a card that has a rather long description'],
        ['x', 'short'],
      ],
    ),
    [
      'bdf           what',
      '0000:01:00.0  a card that has a rather',
      '              long description',
      'x             short',
    ].join('\n'),
  );
});

test('colour takes no columns', () => {
  const style = makeStyle(true);
  const plain = table(
    { width: 60, style: makeStyle(false) },
    ['a', 'b'],
    [
      ['red', 'x'],
      ['longer', 'y'],
    ],
  );
  assert.equal(
    stripVTControlCharacters(
      table(
        { width: 60, style },
        ['a', 'b'],
        [
          [style.red('red'), 'x'],
          ['longer', 'y'],
        ],
      ),
    ),
    plain,
  );
});

test('wrapping loses no word and keeps to the width where words allow', () => {
  const words = fc.array(fc.stringMatching(/^[a-z]{1,12}$/), { minLength: 1, maxLength: 30 });
  fc.assert(
    fc.property(words, fc.integer({ min: 12, max: 80 }), (list, width) => {
      const lines = wrap(list.join(' '), width);
      assert.deepEqual(lines.join(' ').split(' '), list);
      for (const line of lines) assert.ok(columns(line) <= width);
    }),
  );
});

test('colour is for terminals, unless the environment says otherwise', () => {
  assert.equal(wantsColour({}, true), true);
  assert.equal(wantsColour({}, false), false);
  assert.equal(wantsColour({ NO_COLOR: '1' }, true), false);
  assert.equal(wantsColour({ NO_COLOR: '' }, true), true);
  assert.equal(wantsColour({ TERM: 'dumb' }, true), false);
  assert.equal(wantsColour({ FORCE_COLOR: '1', NO_COLOR: '1' }, false), true);
  assert.equal(wantsColour({ FORCE_COLOR: '0' }, true), false);
});

test('text of a device or a guest cannot move the cursor', () => {
  assert.equal(harmless('a\u001b[2Jb\rc\u0007d\ne\tf\u202eg'), 'ab?c?d\ne\tf?g');
});

test('bytes have the unit that suits them', () => {
  assert.deepEqual([0, 1023, 1024, 1536, 2 ** 30, 2 ** 40 * 1.25].map(showBytes), [
    '0 B',
    '1023 B',
    '1 KiB',
    '1.5 KiB',
    '1 GiB',
    '1.3 TiB',
  ]);
});

test('JSON has big numbers and bytes as hexadecimal text', () => {
  assert.deepEqual(JSON.parse(toJson({ a: 0xfee00000n, b: Uint8Array.of(1, 255), c: [1n] })), {
    a: '0xfee00000',
    b: '01ff',
    c: ['0x1'],
  });
});

function sink(isTTY: boolean) {
  const written: string[] = [];
  return { written, isTTY, columns: 30, write: (piece: string | Uint8Array) => written.push(String(piece)) };
}

test('progress says nothing of what takes less than a second', () => {
  const to = sink(true);
  const progress = startProgress(to, 'working', () => 500);
  progress.update('still working');
  progress.done();
  assert.deepEqual(to.written, []);
});

test('progress is one live line on a terminal, cut to its width and wiped in the end', () => {
  const to = sink(true);
  let now = 0;
  const progress = startProgress(to, 'first', () => now);
  now = 2500;
  progress.update('the second thing, which has a long name');
  progress.done('finished');
  assert.deepEqual(to.written, ['\r\u001b[K| the second thing, which has', '\r\u001b[K', 'finished\n']);
});

test('progress is a plain line for each thing elsewhere', () => {
  const to = sink(false);
  let now = 0;
  const progress = startProgress(to, 'first', () => now);
  now = 2500;
  for (const thing of ['second', 'second', 'third']) progress.update(thing);
  progress.done();
  assert.deepEqual(to.written, ['second\n', 'third\n']);
});

test('a report in pieces is the report, whatever is in it', () =>
  fc.assert(
    fc.property(
      fc.dictionary(fc.string(), fc.oneof(fc.jsonValue(), fc.bigInt(), fc.uint8Array({ maxLength: 4 }), fc.constant(undefined))),
      fc.array(fc.jsonValue({ maxDepth: 1 }), { minLength: 255, maxLength: 520, size: 'max' }),
      (some, many) => {
        const report = { ...some, many };
        assert.equal([...jsonPieces(report)].join(''), toJson(report));
      },
    ),
    { seed: 3, numRuns: 30 },
  ));
