import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fn, pictureOf } from '../../test/pictures.ts';
import { bridgesAbove, indexOf } from './index-of.ts';

test('a picture is indexed once, and VFs and siblings are found by slot and by the bridge above', () => {
  const at = (bdf: string) => fn(bdf, { path: `/sys/devices/pci0000:00/0000:00:01.0/${bdf}` });
  const functions = [fn('0000:00:01.0', { headerType: 1 }), at('0000:01:00.0'), at('0000:01:00.1'), at('0000:01:10.0')];
  const picture = pictureOf({ functions });
  const index = indexOf(picture);
  assert.equal(indexOf(picture), index);
  const named = (found: readonly { bdf: string }[] | undefined) => found?.map(({ bdf }) => bdf);
  assert.deepEqual(named(index.slots.get('0000:01:00')), ['0000:01:00.0', '0000:01:00.1']);
  assert.deepEqual(named(index.below.get('/sys/devices/pci0000:00/0000:00:01.0')), named(functions.slice(1)));
  assert.deepEqual(named(index.below.get('/sys/devices/pci0000:00')), ['0000:00:01.0']);
  assert.deepEqual(named(index.ids.get('8086:0001')), named(functions));
  assert.deepEqual(named(bridgesAbove(picture, functions[1]!)), ['0000:00:01.0']);
  assert.deepEqual(bridgesAbove(picture, functions[0]!), []);
});
