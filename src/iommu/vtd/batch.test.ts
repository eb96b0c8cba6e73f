import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import * as m from '../../../test/vtd-machine.ts';
import { Batch } from './batch.ts';
import { numberOf } from './faults.ts';
import { EXEC, PRIV, READ, WRITE, ZERO_LENGTH } from './request.ts';

const GCMD_REG = 0x18;
const FECTL_REG = 0x38;
const PMEN_REG = 0x64;
const PLMLIMIT_REG = 0x6c;
/** CAP_REG.PLMR. */
const PLMR = 1n << 5n;

/** Pages that the tables map, some of them read-only or into the interrupt range, and that nothing maps. */
const anyAddress = fc.oneof(
  fc.integer({ min: 0, max: 5 }).map((page) => m.IOVA + page * 4096 + 8),
  fc.constantFrom(0xfee00000 | 0, -1, 0),
  fc.integer(),
);
const anyRequest = fc.record({
  sid: fc.constantFrom(m.SID, m.SID, 0x180),
  lo: anyAddress,
  hi: fc.constantFrom(0, 0, 0, -1, 1 << 20),
  access: fc.constantFrom(READ, WRITE, READ | ZERO_LENGTH, READ | PRIV, READ | EXEC),
  pasid: fc.constantFrom(-1, -1, m.ONE, 7),
});

const caches = { context: 4, pasid: 4, iotlb: 16, firstStage: 4, secondStage: 4 };

test('requests in batches get what they get one by one, with the same faults in the same order', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(undefined, 1n, 2n, 3n, 4n),
      fc.array(fc.array(anyRequest, { maxLength: 30 }), { maxLength: 4 }),
      fc.boolean(),
      (mode, batches, protect) => {
        const config = { caches, cap: m.CAP | PLMR };
        const [one, many] = [new m.Machine(mode, config), new m.Machine(mode, config)];
        for (const machine of [one, many]) {
          for (const [at, leaf] of [0xfee00067n, 0x51065n, 0x52061n, 0n, 0x53001n].entries())
            machine.write(m.FS1 + 8 + at * 8, leaf);
          if (!protect) continue;
          machine.unit.write(PLMLIMIT_REG, 4, 0x100000);
          machine.unit.write(PMEN_REG, 4, 0x80000000);
        }
        for (const requests of batches) {
          const batch = new Batch(30);
          batch.length = requests.length;
          for (const [i, { sid, lo, hi, access, pasid }] of requests.entries()) {
            [batch.sid[i], batch.lo[i], batch.hi[i], batch.access[i], batch.pasid[i]] = [sid, lo, hi, access, pasid];
          }
          many.unit.translateMany(batch);
          for (const [i, { sid, lo, hi, access, pasid }] of requests.entries()) {
            const condition = one.unit.translate(sid, lo, hi, access, pasid);
            const { out } = one.unit;
            assert.equal(batch.condition[i], condition);
            if (condition === 0) assert.deepEqual([batch.outLo[i], batch.outHi[i], batch.info[i]], [out.lo, out.hi, out.info]);
          }
        }
        assert.deepEqual(many.unit.snapshot(), one.unit.snapshot());
        assert.deepEqual(many.memory.snapshot(), one.memory.snapshot());
      },
    ),
    { numRuns: 100 },
  );
});

test('a fault in a batch may have registers written, which the requests after it meet', () => {
  const machine: m.Machine = new m.Machine(undefined, {
    caches,
    linear: { pages: 64, room: 2 ** 16 },
    send: () => machine.unit.write(GCMD_REG, 4, 0),
  });
  machine.unit.write(FECTL_REG, 4, 0);
  const batch = new Batch(3, machine.memory);
  batch.length = 3;
  batch.sid.set([m.SID, 0x180, m.SID]);
  batch.lo.fill(m.IOVA);
  batch.hi.set([0, 0, 1 << 20]);
  batch.access.fill(READ);
  machine.unit.translateMany(batch);
  assert.equal(machine.unit.active.TES, 0);
  assert.deepEqual([...batch.condition], [0, numberOf('LCT.2'), 0]);
  assert.deepEqual([batch.outHi[0], batch.outHi[2]], [0, 1 << 20]);
});
