import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  FIRST_STAGE,
  FS1,
  FS2,
  FS4,
  IOVA,
  Machine,
  NESTED,
  PAGE,
  PASIDS,
  SECOND_STAGE,
  SID,
  SS3,
} from '../../../test/vtd-machine.ts';
import { CACHE_SIZES, NO_CACHES } from './caches.ts';
import { conditionOf } from './faults.ts';
import { READ, WRITE } from './request.ts';

const A = 0x20n;
const D = 0x40n;

for (const [name, mode] of Object.entries({ 'first stage': FIRST_STAGE, nested: NESTED }))
  test(`${name}: flags are set where the tables are by then, when memory grows in the middle of a walk`, () => {
    const machine = new Machine(mode);
    for (const [at, flags] of [
      [FS4, A],
      [FS2 + 2 * 8, A],
      [FS1, A | D],
    ] as const)
      machine.write(at, machine.read(at) & ~flags);
    let reads = 0;
    let replaced = 0;
    machine.unit.trail = {
      push: () => {
        const { words } = machine.memory;
        for (let page = 0; page < 40; page++) machine.write(0x1000000 + (40 * reads + page) * 4096, 1n);
        reads++;
        if (words !== machine.memory.words) replaced++;
      },
    };
    assert.equal(machine.unit.translate(SID, IOVA, 0, WRITE, -1), 0);
    assert.equal(machine.unit.out.lo, PAGE);
    assert.ok(replaced > 1, `replaced ${replaced} times in ${reads} reads`);
    assert.equal(machine.read(FS4) & A, A);
    assert.equal(machine.read(FS2 + 2 * 8) & A, A);
    assert.equal(machine.read(FS1) & (A | D), A | D);
  });

for (const [name, mode, at, dirty] of [
  ['first stage', FIRST_STAGE, FS1, D],
  ['nested', NESTED, FS1, D],
  // SSADE has flags of the second stage: bit 8 is accessed, bit 9 dirty.
  ['second stage', SECOND_STAGE, SS3, 1n << 9n],
] as const)
  test(`${name}: a write sets the dirty flag of a page that was only read before, though its translation is held`, () => {
    const machine = new Machine(mode);
    if (mode === SECOND_STAGE) machine.flip(PASIDS, 1n << 9n);
    machine.write(at, machine.read(at) & ~dirty);
    assert.equal(machine.unit.translate(SID, IOVA, 0, READ, -1), 0);
    assert.equal(machine.unit.translate(SID, IOVA, 0, READ, -1), 0);
    assert.equal(machine.read(at) & dirty, 0n);
    assert.equal(machine.unit.translate(SID, IOVA, 0, WRITE, -1), 0);
    assert.equal(machine.read(at) & dirty, dirty);
  });

test('nested: a table that the second stage only lets be read gets no flags, and no less when the way to it is held', () => {
  for (const caches of [NO_CACHES, CACHE_SIZES]) {
    const machine = new Machine(NESTED, { caches });
    machine.flip(SS3, 2n);
    machine.write(FS1 + 8, BigInt(PAGE) | 7n);
    assert.equal(machine.unit.translate(SID, IOVA, 0, READ, -1), 0, 'its flags are set');
    assert.equal(conditionOf(machine.unit.translate(SID, IOVA + 0x1000, 0, READ, -1))?.code, 'SFS.8');
    assert.equal(machine.read(FS1 + 8) & A, 0n);
  }
});
