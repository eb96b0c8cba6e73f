import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { sharedData } from '../../test/data.ts';
import { toHex } from '../bits/index.ts';
import { readHexDump } from './index.ts';

const row = (offset: number, byte = 0x5a) =>
  `${offset.toString(16).padStart(2, '0')}: ${Array(16).fill(byte.toString(16).padStart(2, '0')).join(' ')}`;
const rows = (count: number) => Array.from({ length: count }, (_, i) => row(16 * i, i & 0xff)).join('\n');
const shape = (text: string) => readHexDump(text).functions.map(({ bdf, bytes, line }) => [bdf, bytes.length, line]);
const found = (text: string) => readHexDump(text).findings.map(({ is, line }) => [is, line]);

test('functions of a whole machine are told apart, with and without a domain', () => {
  const text = `00:00.0 Host bridge: x (rev 02)\n${rows(4)}\n\n10000:e1:00.1 Thing\n${rows(16)}\n\n00:02.0\n${rows(256)}\n`;
  assert.deepEqual(shape(text), [
    ['0000:00:00.0', 64, 1],
    ['10000:e1:00.1', 256, 7],
    ['0000:00:02.0', 4096, 25],
  ]);
  assert.deepEqual(found(text), []);
});

test('prose of lspci -vvv, CRLF and marks of quoted mail change nothing', () => {
  const prose = `00:1f.3 Audio: x\n\tSubsystem: y\n\tCapabilities: [50] MSI: Enable+ Count=1/1\n\t\tAddress: fee00238  Data: 0000\n${rows(16)}`;
  const plain = readHexDump(prose).functions[0]!;
  assert.equal(plain.bytes.length, 256);
  for (const text of [
    prose.replaceAll('\n', '\r\n'),
    prose.replace(/^/gm, '> '),
    prose.replace(/^/gm, '>> > '),
    prose.replace(/^/gm, '  '),
  ])
    assert.deepEqual(readHexDump(text), { functions: [plain], findings: [] });
});

test('a row that a mail program broke is put together', () => {
  const text = `> 00:00.0 x\n> ${row(0).slice(0, 40)}\n> ${row(0).slice(40)}\n> ${row(16)}`;
  assert.deepEqual(shape(text), [['0000:00:00.0', 32, 1]]);
  assert.deepEqual(found(text), []);
});

test('a function without a row is none, and rows without an address are a function without one', () => {
  assert.deepEqual(shape('00:00.0 Host bridge\n\tKernel driver in use: x\n'), []);
  assert.deepEqual(shape(`${rows(4)}\n${rows(4)}`), [
    [undefined, 64, 1],
    [undefined, 64, 5],
  ]);
});

test('each line that is not as it should be is told with its number', () => {
  assert.deepEqual(found(`00:00.0 x\n${row(0)}\n${row(32)}\n${row(48)}`), [['out-of-order', 3]]);
  assert.deepEqual(shape(`00:00.0 x\n${row(0)}\n${row(32)}`), [['0000:00:00.0', 16, 1]]);
  assert.deepEqual(found(`00:00.0 x\n${row(0)} 00`), [['malformed', 2]]);
  assert.deepEqual(found(`00:00.0 x\n00: 86 80 zz`), [['malformed', 2]]);
  assert.deepEqual(found(`00:00.0 x\n00: 86 80`), [['short-row', 2]]);
  assert.deepEqual(found(`00:00.0 x\n${rows(4)}\n00:00.0 x\n${rows(4)}`), [['repeated', 6]]);
  const long = `${rows(256)}\n${row(4096)}`;
  assert.equal(readHexDump(long).functions[0]!.bytes.length, 4096, 'the row 1000 is no row: three digits are the most');
});

const folder = sharedData('pci');
test('posted dumps are read whole', { skip: !folder && 'no shared data beside the repository' }, () => {
  let functions = 0;
  for (const part of ['pciutils', 'mail', 'libvirt-config'])
    for (const file of readdirSync(join(folder!, part)).filter((name) => name.endsWith('.hex'))) {
      const dump = readHexDump(readFileSync(join(folder!, part, file), 'utf8'));
      assert.deepEqual(dump.findings, [], file);
      assert.ok(dump.functions.length > 0 && dump.functions.every(({ bdf }) => bdf !== undefined), file);
      functions += dump.functions.length;
      const raw = join(folder!, part, file.replace('.hex', '.config'));
      if (part === 'libvirt-config') assert.equal(toHex(dump.functions[0]!.bytes), toHex(readFileSync(raw)), file);
    }
  assert.ok(functions > 150, `${functions}`);
});

test('no text makes it throw, and it never makes more bytes than the text has', () => {
  const piece = fc.oneof(fc.string(), fc.constantFrom('\n', '> ', '00:00.0 x\n', row(0), row(16), 'fff: 00 ', '\r\n', '00: '));
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
      const text = pieces.join('');
      const { functions, findings } = readHexDump(text);
      const count = text.split('\n').length;
      assert.ok(functions.reduce((sum, one) => sum + one.bytes.length, 0) <= text.length);
      for (const { line } of [...functions, ...findings]) assert.ok(line >= 1 && line <= count);
    }),
    { seed: 1, numRuns: 500 },
  );
});
