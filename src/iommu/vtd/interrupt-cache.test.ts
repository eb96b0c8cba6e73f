import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { InterruptEntryCache } from './interrupt-cache.ts';

/** The indexes that a cache holds. */
function held(cache: InterruptEntryCache): number[] {
  return Array.from({ length: 0x10000 }, (_, index) => index).filter((index) => cache.find(index) >= 0);
}

test('an entry is found by its own index alone, as it was put', () => {
  const cache = new InterruptEntryCache(4);
  cache.put(0, 1, 2, 3, 4);
  cache.put(0xffff, -1, -2, -3, -4);
  assert.deepEqual(held(cache), [0, 0xffff]);
  const at = cache.find(0xffff);
  assert.deepEqual([...cache.words.subarray(at, at + 4)], [-1, -2, -3, -4]);
  cache.put(4, 5, 5, 5, 5);
  assert.deepEqual(held(cache), [4, 0xffff], 'it has the slot of 0');
});

test('a unit without this cache holds nothing', () => {
  const cache = new InterruptEntryCache(0);
  cache.put(0, 1, 1, 1, 1);
  cache.invalidate(0, 31);
  cache.invalidateAll();
  assert.equal(cache.find(0), -1);
});

test('an index mask leaves out the low bits: what it covers is dropped and nothing else', () => {
  const sizes = fc.constantFrom(16, 64, 100, 0x10000);
  fc.assert(
    fc.property(sizes, fc.nat(31), fc.nat(0xffff), fc.array(fc.nat(63), { maxLength: 12 }), (size, mask, index, near) => {
      const cache = new InterruptEntryCache(size);
      for (const each of near) cache.put((index ^ each) & 0xffff, 1, 1, 1, 1);
      const before = near.map((each) => (index ^ each) & 0xffff).filter((each) => cache.find(each) >= 0);
      cache.invalidate(index, mask);
      for (const each of before)
        assert.equal(cache.find(each) >= 0, Math.floor(each / 2 ** mask) !== Math.floor(index / 2 ** mask));
    }),
  );
});

test('a global invalidation drops everything', () => {
  const cache = new InterruptEntryCache(3);
  for (const index of [0, 1, 2]) cache.put(index, 1, 1, 1, 1);
  cache.invalidateAll();
  assert.deepEqual(held(cache), []);
});
