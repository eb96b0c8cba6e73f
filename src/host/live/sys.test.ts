import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HostError } from '../host.ts';
import { errnoName } from './errors.ts';
import { Mapping } from './mapping.ts';
import { nativeSys } from './sys.ts';

const mapping = (bytes: number): { memory: Mapping; released: () => number } => {
  let count = 0;
  return { memory: new Mapping(new ArrayBuffer(bytes), 0x1000, () => void count++), released: () => count };
};

test('mapped memory is read and written inside its bounds and nowhere else', () => {
  const { memory } = mapping(16);
  memory.write32(12, 0x80000001);
  assert.equal(memory.read32(12), 0x80000001);
  memory.write(1, Uint8Array.of(1, 2));
  assert.deepEqual(memory.read(0, 4), Uint8Array.of(0, 1, 2, 0));
  for (const offset of [16, 13, -4, 0.5, Number.NaN]) {
    assert.throws(() => memory.read32(offset), RangeError);
    assert.throws(() => memory.write32(offset, 0), RangeError);
  }
  for (const [offset, length] of [
    [0, 17],
    [16, 1],
    [-1, 1],
    [0, -1],
    [1.5, 1],
  ] as const)
    assert.throws(() => memory.read(offset, length), RangeError);
  assert.throws(() => memory.write(15, new Uint8Array(2)), RangeError);
});

test('what was read is a copy', () => {
  const { memory } = mapping(8);
  const copy = memory.read(0, 8);
  copy[0] = 7;
  assert.equal(memory.read32(0), 0);
});

test('after it was closed memory cannot be used, and it is given back once', async () => {
  const { memory, released } = mapping(8);
  memory.close();
  memory.close();
  assert.equal(released(), 1);
  assert.equal(memory.closed, true);
  for (const use of [
    () => memory.read32(0),
    () => memory.write32(0, 1),
    () => memory.read(0, 0),
    () => memory.write(0, new Uint8Array(0)),
  ])
    assert.throws(use, /after it was closed/);
  await assert.rejects(
    memory.lend(() => Promise.resolve()),
    /after it was closed/,
  );
});

test('an errno has the name that the kernel gives it', () => {
  assert.deepEqual([1, 11, 16, 95].map(errnoName), ['EPERM', 'EAGAIN', 'EBUSY', 'EOPNOTSUPP']);
  assert.equal(errnoName(4095), 'errno 4095');
});

const native = await nativeSys().catch(() => undefined);
const needsNative = { skip: native === undefined && 'the optional package koffi is not installed' };

test('anonymous memory is whole zeroed pages of the process', needsNative, () => {
  assert.ok(native);
  // Enough rounds for the kernel to give the same address again: an old view must not get in the way.
  for (let round = 0; round < 50; round++) {
    const memory: Mapping = native.anonymous(5000);
    assert.equal(memory.bytes, 8192);
    assert.ok(memory.address > 0 && memory.address % 4096 === 0);
    assert.equal(memory.read32(8188), 0);
    memory.write32(8188, round + 1);
    assert.equal(memory.read32(8188), round + 1);
    memory.close();
  }
});

test('a call that the kernel refuses is an error with its name and errno', needsNative, () => {
  assert.ok(native);
  const file = native.open('/dev/null', 0);
  try {
    const refused = (error: unknown): boolean =>
      error instanceof HostError && error.subject === 'VFIO_SET_IOMMU' && error.errno === 'ENOTTY';
    assert.throws(() => native.ioctl(file, { name: 'VFIO_SET_IOMMU', number: 0x3b66 }, 3), refused);
    assert.throws(() => native.ioctl(file, { name: 'VFIO_SET_IOMMU', number: 0x3b66 }, new Uint8Array(8)), refused);
    assert.throws(() => native.map(file, 0, 0), HostError);
  } finally {
    native.close(file);
  }
  assert.throws(
    () => native.open('/nonexistent', 0),
    (error: unknown) => error instanceof HostError && error.errno === 'ENOENT',
  );
});

test('an eventfd wakes its waiter and counts', needsNative, async () => {
  assert.ok(native);
  const event = native.eventfd();
  assert.equal(native.takeEvents(event), 0);
  const { writeSync } = await import('node:fs');
  const signal = (count: bigint): number => writeSync(event, new Uint8Array(new BigUint64Array([count]).buffer));
  await new Promise<void>((done) => {
    native.whenReadable(event, done);
    setTimeout(() => signal(2n), 5);
  });
  assert.equal(native.takeEvents(event), 2);
  const stop = native.whenReadable(event, () => assert.fail('nobody waits any more'));
  stop();
  signal(1n);
  await new Promise((done) => setTimeout(done, 20));
  assert.equal(native.takeEvents(event), 1);
  native.close(event);
});
