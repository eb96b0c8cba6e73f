import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mutations } from './mutate.ts';

const samples = [Uint8Array.from({ length: 60 }, (_, i) => i), Uint8Array.of(1, 2, 3), new Uint8Array()];

test('a seed gives the same mutations every time, another seed gives others, and the samples stay as they were', () => {
  const before = samples.map((one) => [...one]);
  const first = [...mutations(7, 200, samples)];
  assert.equal(first.length, 200);
  assert.deepEqual([...mutations(7, 200, samples)], first);
  assert.notDeepEqual([...mutations(8, 200, samples)], first);
  assert.deepEqual(
    samples.map((one) => [...one]),
    before,
  );
});

test('mutations are shorter, longer and different from their samples', () => {
  const all = [...mutations(1, 300, samples.slice(0, 1))];
  const share = (test: (bytes: Uint8Array) => boolean) => all.filter(test).length / all.length;
  assert.ok(share((bytes) => bytes.length < 60) > 0.1);
  assert.ok(share((bytes) => bytes.length > 60) > 0.1);
  assert.ok(share((bytes) => bytes.length === 60 && bytes.some((byte, i) => byte !== i)) > 0.1);
});
