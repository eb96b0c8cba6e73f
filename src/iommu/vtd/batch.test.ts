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
/** ECAP_REG.SSIRWS. */
const SSIRWS = 1n << 57n;

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

/** Pages of 4 KiB: rights, reserved bits, SNP, the interrupt range, above 4 GiB, nothing. */
const LEAVES = [0x100003n, 0x101001n, 0x102002n, 0x103803n, 0xfee00003n, (1n << 50n) | 3n, 0n, 0x3_0000_0003n];
const LEAF_TABLE = 0x61000;
/** Two requesters of different buses that have the same tables, and one that has none. */
const anyRun = fc.record({
  sid: fc.constantFrom(m.SID, m.SID, 0x200, 0x180),
  pasid: fc.constantFrom(-1, -1, -1, m.ONE),
  requests: fc.array(
    fc.record({
      page: fc.integer({ min: 0, max: LEAVES.length - 1 }),
      hi: fc.constantFrom(0, 0, 0, 0, 2, 1 << 20),
      access: fc.constantFrom(READ, WRITE, READ | WRITE, 0, READ | ZERO_LENGTH, READ | PRIV),
    }),
    { minLength: 1, maxLength: 8 },
  ),
});
/** What is done before a batch: a page changes, snooping or flag updates are turned on or off, the memory lives another life. */
const anyChange = fc.oneof(
  fc.record({ page: fc.integer({ min: 0, max: 7 }), leaf: fc.constantFrom(...LEAVES) }),
  fc.constantFrom('PGSNP' as const, 'SSADE' as const, 'restore' as const, 'nothing' as const),
);

test('the loop of a batch over 4-KByte pages does what single requests do, whatever the IOTLB holds', () => {
  let answered = 0;
  fc.assert(
    fc.property(
      fc.constantFrom(undefined, m.SECOND_STAGE),
      fc.boolean(),
      fc.constantFrom(0, 16),
      fc.array(fc.record({ change: anyChange, runs: fc.array(anyRun, { minLength: 1, maxLength: 4 }) }), { maxLength: 6 }),
      (mode, ioRights, iotlb, steps) => {
        const SSIRWE = ioRights && mode !== undefined;
        // IR and IW the other way round than R and W, so that it matters which of them count.
        const leafOf = (leaf: bigint) => (SSIRWE ? leaf | ((leaf & 1n) << 62n) | ((leaf & 2n) << 60n) : leaf);
        const table = (at: number) => BigInt(at) | 3n | (SSIRWE ? 3n << 61n : 0n);
        const config = { ecap: m.ECAP | SSIRWS, caches: { context: 8, pasid: 8, iotlb, firstStage: 4, secondStage: 8 } };
        const [one, many] = [new m.Machine(mode, config), new m.Machine(mode, config)];
        const both = (each: (machine: m.Machine) => void) => [one, many].forEach(each);
        both((machine) => {
          machine.write(m.ROOT + 32, BigInt(m.CONTEXT) | 1n);
          if (SSIRWE) machine.program(BigInt(m.ROOT) | (1n << 10n) | (1n << 7n));
          machine.write(m.SS4, table(m.SS3));
          machine.write(m.SS3, table(0x60000));
          machine.write(0x60000, table(LEAF_TABLE));
          for (const [page, leaf] of LEAVES.entries()) machine.write(LEAF_TABLE + page * 8, leafOf(leaf));
          // Written last, with a low address: it moves all others when the memory is restored.
          machine.write(0x8000, 1n);
        });
        for (const { change, runs } of steps) {
          both((machine) => {
            if (change === 'restore') machine.memory.restore(machine.memory.snapshot());
            else if (change === 'PGSNP' && mode !== undefined) machine.flip(m.PASIDS + 8, 1n << 24n);
            else if (change === 'SSADE' && mode !== undefined) machine.flip(m.PASIDS, 1n << 9n);
            else if (typeof change === 'object') machine.write(LEAF_TABLE + change.page * 8, leafOf(change.leaf));
            if (change === 'PGSNP' || change === 'SSADE') machine.unit.flush();
          });
          const requests = runs.flatMap(({ sid, pasid, requests: own }) => own.map((each) => ({ sid, pasid, ...each })));
          const batch = new Batch(32);
          batch.length = requests.length;
          for (const [i, { sid, pasid, page, hi, access }] of requests.entries()) {
            [batch.sid[i], batch.pasid[i], batch.hi[i], batch.access[i]] = [sid, pasid, hi, access];
            batch.lo[i] = (page << 12) | 0x128;
          }
          many.unit.translateMany(batch);
          for (const [i, { sid, pasid, page, hi, access }] of requests.entries()) {
            const condition = one.unit.translate(sid, (page << 12) | 0x128, hi, access, pasid);
            const { out } = one.unit;
            assert.equal(batch.condition[i], condition);
            if (condition !== 0) continue;
            answered++;
            assert.deepEqual([batch.outLo[i], batch.outHi[i], batch.info[i]], [out.lo, out.hi, out.info]);
          }
        }
        assert.deepEqual(many.unit.snapshot(), one.unit.snapshot());
        assert.deepEqual(many.memory.snapshot(), one.memory.snapshot());
      },
    ),
    { numRuns: 300 },
  );
  assert.ok(answered > 300);
});

test('a fault in a batch may have registers written, which the requests after it meet', () => {
  const machine: m.Machine = new m.Machine(undefined, {
    caches,
    send: () => machine.unit.write(GCMD_REG, 4, 0),
  });
  machine.unit.write(FECTL_REG, 4, 0);
  const batch = new Batch(3);
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
