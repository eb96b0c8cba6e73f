import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readAddress, readDuration, readInterface, readMac, readMemory, readPf, writeMemory } from './spec-units.ts';

test('memory is read in binary units', () => {
  assert.deepEqual(readMemory('4GiB'), { value: 4 * 2 ** 30 });
  assert.deepEqual(readMemory('512 MiB'), { value: 512 * 2 ** 20 });
  assert.deepEqual(readMemory('2048KiB'), { value: 2 * 2 ** 20 });
  assert.deepEqual(readMemory('4096TiB'), { value: 2 ** 52 });
});

for (const [text, advice] of [
  ['4GB', 'write 4GiB (or 3815MiB if powers of ten were meant)'],
  ['4G', 'write 4GiB (or 3815MiB if powers of ten were meant)'],
  ['4gib', 'write 4GiB'],
  ['4', 'a unit is missing: 4MiB or 4GiB'],
  ['1.5GiB', 'write it without a fraction, as 1536MiB'],
  ['1000KiB', 'memory comes in whole MiB: write 1MiB'],
  ['0GiB', 'a guest needs memory'],
  ['5000TiB', 'that is beyond 4096TiB, the end of a 52-bit address'],
  ['4 furlongs', 'the units are KiB, MiB, GiB and TiB'],
  ['-1GiB', ''],
  ['', ''],
] as const)
  test(`memory of ${JSON.stringify(text)} is refused with advice`, () => assert.deepEqual(readMemory(text), { advice }));

test('every amount of memory is read back from how it is written', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 32 }), (mebibytes) => {
      assert.deepEqual(readMemory(writeMemory(mebibytes * 2 ** 20)), { value: mebibytes * 2 ** 20 });
    }),
  );
});

test('a duration is read in seconds', () => {
  assert.deepEqual(readDuration('90s'), { value: 90 });
  assert.deepEqual(readDuration('2min'), { value: 120 });
  assert.deepEqual(readDuration('24h'), { value: 86400 });
  assert.deepEqual(readDuration('90'), { advice: 'a unit is missing: 90s or 90min' });
  assert.deepEqual(readDuration('0s'), { advice: 'the limits are 1s and 24h' });
  assert.deepEqual(readDuration('25h'), { advice: 'the limits are 1s and 24h' });
  assert.deepEqual(readDuration('5m'), { advice: 'the units are s, min and h' });
});

test('a MAC address is unicast and becomes lower-case', () => {
  assert.deepEqual(readMac('52:54:00:AA:00:01'), { value: '52:54:00:aa:00:01' });
  assert.deepEqual(readMac('52-54-00-AA-00-01'), { advice: 'write 52:54:00:aa:00:01' });
  assert.deepEqual(readMac('5254.00aa.0001'), { advice: 'write 52:54:00:aa:00:01' });
  assert.deepEqual(readMac('52:54:00:aa:00'), { advice: '' });
  for (const mac of ['01:00:5e:00:00:01', 'ff:ff:ff:ff:ff:ff', '00:00:00:00:00:00']) assert.ok('advice' in readMac(mac), mac);
});

test('an address gets its domain and lower-case digits', () => {
  assert.deepEqual(readAddress('0000:01:00.0'), { value: '0000:01:00.0' });
  assert.deepEqual(readAddress('3B:1f.7'), { value: '0000:3b:1f.7' });
  assert.deepEqual(readAddress('10000:e1:00.0'), { value: '10000:e1:00.0' });
  for (const bad of ['1:00.0', '0000:01:00.8', '0000:01:20.0', '01:00', '0000:01:00.0 ', 'x'])
    assert.ok('advice' in readAddress(bad), bad);
});

test('an interface has a name that the kernel takes', () => {
  assert.deepEqual(readInterface('enp3s0f0'), { value: 'enp3s0f0' });
  for (const bad of ['', '.', '..', 'a/b', 'a b', 'a:b', 'sixteen-letters-']) assert.ok('advice' in readInterface(bad), bad);
});

test('a physical function is an address, an interface or an NVMe controller', () => {
  assert.deepEqual(readPf('01:00.0'), { value: '0000:01:00.0' });
  assert.deepEqual(readPf('enp3s0f0'), { value: 'enp3s0f0' });
  assert.deepEqual(readPf('nvme0'), { value: 'nvme0' });
  assert.deepEqual(readPf('/dev/nvme0'), { advice: 'write nvme0' });
  assert.deepEqual(readPf('nvme0n1'), { advice: 'that is a namespace: its controller is nvme0' });
});
