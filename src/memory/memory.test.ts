import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import fc from 'fast-check';
import { Memory } from './memory.ts';

const GIB = 2 ** 30;
const halves = (address: number): [lo: number, hi: number] => [address | 0, Math.floor(address / 2 ** 32)];

test('memory reads as zeros until it is written, and nothing is behind addresses outside of its ranges', () => {
  const memory = new Memory([
    { start: 0, end: 0xa0000 },
    { start: GIB, end: 2 * GIB },
    { start: 2 ** 51, end: 2 ** 51 + 4096 },
  ]);
  for (const address of [0, 0x9fffc, GIB, 2 * GIB - 4, 2 ** 51 + 8]) {
    assert.equal(memory.read32(...halves(address)), 0);
    assert.equal(memory.write32(...halves(address), -address | 1), true);
    assert.equal(memory.read32(...halves(address)), -address | 1);
  }
  for (const address of [0xa0000, GIB - 4, 2 * GIB, 2 ** 51 - 4, 2 ** 51 + 4096]) {
    assert.equal(memory.locate(...halves(address)), -1);
    assert.equal(memory.touch(...halves(address)), -1);
    assert.equal(memory.read32(...halves(address)), undefined);
    assert.equal(memory.read64(...halves(address)), undefined);
    assert.equal(memory.write64(...halves(address), 1n), false);
  }
  // Upper halves that would wrap when a block number is made of them.
  for (const hi of [0x7fffffff, -1, 0x100000, 0x1000000]) assert.equal(memory.locate(0, hi), -1);
  assert.equal(memory.pageCount, 5);
});

test('a range that is not whole pages below 2^52 is refused', () => {
  for (const [start, end] of [
    [0, 1],
    [4096, 0],
    [0, 2 ** 53],
    [-4096, 0],
    [Number.NaN, 4096],
  ] as const)
    assert.throws(() => new Memory([{ start, end }]), RangeError);
});

test('64-bit words are two 32-bit words, the low one first', () => {
  const memory = new Memory([{ start: 0, end: GIB }]);
  memory.write64(0x1000, 0, 0xfedc_ba98_7654_3210n);
  assert.equal(memory.read32(0x1000, 0), 0x76543210);
  assert.equal(memory.read32(0x1004, 0), 0xfedcba98 | 0);
  assert.equal(memory.read64(0x1000, 0), 0xfedc_ba98_7654_3210n);
});

test('bytes may begin anywhere and cross pages, and stop where nothing is', () => {
  const memory = new Memory([{ start: 0, end: 5 * GIB }]);
  const at = 4 * GIB - 3;
  assert.equal(memory.writeBytes(...halves(at), [1, 2, 3, 4, 5, 0xff]), true);
  assert.deepEqual([...memory.readBytes(...halves(at - 1), 8)!], [0, 1, 2, 3, 4, 5, 0xff, 0]);
  assert.equal(memory.writeBytes(...halves(5 * GIB - 2), [7, 8, 9]), false);
  assert.deepEqual([...memory.readBytes(...halves(5 * GIB - 2), 2)!], [7, 8]);
  assert.equal(memory.readBytes(...halves(5 * GIB - 2), 3), undefined);
});

const ranges = [
  { start: 0, end: 64 * GIB },
  { start: 2 ** 45, end: 2 ** 45 + GIB },
];
const anyAddress = fc.oneof(
  fc.integer({ min: 0, max: 15 }).map((page) => page * 4096 + 8),
  fc.integer({ min: 0, max: (64 * GIB) / 8 - 1 }).map((word) => word * 8),
  fc.integer({ min: 0, max: GIB / 8 - 1 }).map((word) => 2 ** 45 + word * 8),
);
const anyWrites = fc.array(fc.tuple(anyAddress, fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })), { maxLength: 60 });

/** For memories that WebAssembly can read; ordinary ones without. */
const anyOptions = fc.constantFrom({}, { linear: { pages: 256, room: 4096 } });

test('memory holds exactly what was written, as a map of addresses does', () =>
  fc.assert(
    fc.property(anyOptions, anyWrites, fc.array(anyAddress), (options, writes, others) => {
      const memory = new Memory(ranges, options);
      const model = new Map<number, bigint>();
      for (const [address, value] of writes) {
        memory.write64(...halves(address), value);
        model.set(address, value);
      }
      for (const address of [...model.keys(), ...others])
        assert.equal(memory.read64(...halves(address)), model.get(address) ?? 0n);
    }),
    { numRuns: 50 },
  ));

test('restoring a snapshot gives exactly the content of its time', () =>
  fc.assert(
    fc.property(anyOptions, anyWrites, anyWrites, (options, before, after) => {
      const memory = new Memory(ranges, options);
      for (const [address, value] of before) memory.write64(...halves(address), value);
      const kept = memory.snapshot();
      const { generation } = memory;
      for (const [address, value] of after) memory.write64(...halves(address), value);
      memory.restore(kept);
      assert.notEqual(memory.generation, generation);
      assert.deepEqual(memory.snapshot(), kept);
      const model = new Map(before);
      for (const [address] of [...before, ...after]) assert.equal(memory.read64(...halves(address)), model.get(address) ?? 0n);
      const other = new Memory(ranges);
      other.restore(kept);
      assert.deepEqual(other.snapshot(), kept);
    }),
    { numRuns: 50 },
  ));

test('a snapshot of a larger memory is refused', () => {
  const large = new Memory([{ start: 0, end: GIB }]);
  large.write32(GIB / 2, 0, 1);
  assert.throws(() => new Memory([{ start: 0, end: 4096 }]).restore(large.snapshot()), /no memory at frame/);
});

test('what is read-only keeps what it has', () => {
  const memory = new Memory([{ start: 0, end: GIB }]);
  memory.write64(0x1ff8, 0, 5n);
  memory.makeReadOnly({ start: 0x1000, end: 0x3000 });
  for (const at of [0x1000, 0x1ff8, 0x2000]) {
    assert.deepEqual([memory.isWritable(at, 0), memory.touch(at, 0), memory.write32(at, 0, 1)], [false, -1, false]);
    assert.equal(memory.writeBytes(at, 0, [1]), false);
  }
  for (const at of [0xff8, 0x3000]) assert.deepEqual([memory.isWritable(at, 0), memory.write64(at, 0, 1n)], [true, true]);
  assert.deepEqual([memory.read64(0x1ff8, 0), memory.read64(0x2000, 0), memory.isWritable(0x1000, 1)], [5n, 0n, true]);
});

/** Writes pages far apart, all of whose frame numbers have the same low 32 bits by sixteens, and reads them again. */
function fill(memory: Memory, pages: number): void {
  const address = (page: number) => (page % 16) * 2 ** 44 + Math.floor(page / 16) * 3 * 2 ** 20;
  const first = memory.touch(0, 0);
  for (let page = 0; page < pages; page++) memory.write32(...halves(address(page)), page + 1);
  for (let page = 0; page < pages; page++) assert.equal(memory.read32(...halves(address(page))), page + 1);
  assert.equal(memory.words[first], 1);
  assert.equal(memory.read32(0x1000, 0), 0);
  assert.equal(memory.locate(0, 2 ** 16), -1);
  assert.equal(memory.pageCount, pages);
}

test('a memory that grows keeps its content, and every page its place', () => {
  const memory = new Memory([{ start: 0, end: 2 ** 48 }]);
  const few = memory.words;
  fill(memory, 1000);
  assert.notEqual(memory.words, few);
  // Once large, it does not move again.
  const { words } = memory;
  for (let page = 1000; page < 5000; page++) memory.write32(...halves(2 ** 47 + page * 4096), 1);
  assert.equal(memory.words, words);
});

test('where address space is limited a memory grows as it needs to', () => {
  const module = new URL('./memory.js', import.meta.url).href;
  const program = `const { Memory } = await import(${JSON.stringify(module)});
    const memory = new Memory([{ start: 0, end: 2 ** 42 }]);
    for (let page = 0; page < 1000; page++) memory.write32(0, page, page + 1);
    for (let page = 0; page < 1000; page++) if (memory.read32(0, page) !== page + 1) process.exit(1);
    if (memory.words.length !== 2 ** 20 || memory.pageCount !== 1000) process.exit(2);`;
  const { status, stderr } = spawnSync(
    'sh',
    ['-c', 'ulimit -v 3000000; exec "$0" --input-type=module -e "$1"', process.execPath, program],
    { encoding: 'utf8' },
  );
  assert.equal(status, 0, stderr);
});

test('beside the pages of a linear memory there is room, which the pages do not reach', () => {
  const memory = new Memory([{ start: 0, end: GIB }], { linear: { pages: 100, room: 2 ** 17 } });
  const rooms: Int32Array[] = [];
  for (let room = memory.room(1000); room !== undefined; room = memory.room(1000)) rooms.push(room.fill(rooms.length + 1));
  assert.ok(rooms.length > 32);
  // One page is that of all untouched memory.
  for (let page = 0; page < 99; page++) memory.write32(page * 4096, 0, -1);
  assert.throws(() => memory.write32(100 * 4096, 0, -1), /more than 100 pages/);
  for (const [i, room] of rooms.entries())
    assert.ok(room.buffer === memory.linear!.buffer && room.every((word) => word === i + 1));
  assert.equal(memory.words.buffer, memory.linear!.buffer);
  assert.deepEqual([new Memory([]).room(1), new Memory([]).linear], [undefined, undefined]);
});

test('where address space for a linear memory is refused there is less of it, or an ordinary one', () => {
  const module = new URL('./memory.js', import.meta.url).href;
  const program = `const { LINEAR, Memory } = await import(${JSON.stringify(module)});
    const memory = new Memory([{ start: 0, end: 2 ** 42 }], { linear: LINEAR });
    for (let page = 0; page < 1000; page++) memory.write32(0, page, page + 1);
    for (let page = 0; page < 1000; page++) if (memory.read32(0, page) !== page + 1) process.exit(1);
    console.log(memory.linear === undefined);`;
  const run = (limit: string) =>
    spawnSync('sh', ['-c', `ulimit -v ${limit}; exec "$0" --input-type=module -e "$1"`, process.execPath, program], {
      encoding: 'utf8',
    });
  for (const [limit, ordinary] of [
    ['3000000', 'true'],
    ['unlimited', 'false'],
  ] as const) {
    const { status, stdout, stderr } = run(limit);
    assert.deepEqual([status, stdout.trim()], [0, ordinary], stderr);
  }
});
