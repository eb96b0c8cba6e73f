import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import * as m from '../../../test/vtd-machine.ts';
import { EXEC, PRIV, READ, WRITE, ZERO_LENGTH } from './request.ts';

const PMEN_REG = 0x64;
const PLMLIMIT_REG = 0x6c;
const caches = { context: 4, pasid: 4, iotlb: 0, firstStage: 4, secondStage: 8 };

/** Pages of a second stage: rights, reserved bits, SNP, the interrupt range, protected memory, nothing. */
const LEAVES = [0x100003n, 0x101001n, 0x102002n, 0x103800n | 3n, 0xfee00003n, (1n << 50n) | 3n, 0n, 0x3_0000_0003n];
const anyStep = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constant('ask' as const),
      sid: fc.constantFrom(m.SID, m.SID, m.SID, 0x180),
      page: fc.integer({ min: 0, max: LEAVES.length }),
      hi: fc.constantFrom(0, 0, 0, 0, 1 << 20, -1),
      access: fc.constantFrom(READ, WRITE, READ | WRITE, READ | ZERO_LENGTH, READ | PRIV, READ | EXEC),
      pasid: fc.constantFrom(-1, -1, -1, m.ONE),
    }),
  },
  fc.record({ do: fc.constant('leaf' as const), page: fc.integer({ min: 0, max: 7 }), leaf: fc.constantFrom(...LEAVES) }),
  fc.record({ do: fc.constant('entry' as const), bits: fc.constantFrom(2n, 1n << 23n, 1n << 52n) }),
  fc.record({ do: fc.constant('forget' as const) }),
  fc.record({ do: fc.constant('restore' as const) }),
);

test('a request that takes the short way gets what it gets step by step', () => {
  let short = 0;
  fc.assert(
    fc.property(
      fc.constantFrom(undefined, m.SECOND_STAGE),
      fc.array(anyStep, { minLength: 10, maxLength: 60 }),
      fc.boolean(),
      fc.boolean(),
      (mode, steps, protect, CM) => {
        const cap = CM ? m.CAP | (1n << 7n) : m.CAP;
        const [one, other] = [new m.Machine(mode, { caches, cap }), new m.Machine(mode, { caches, cap })];
        // Whoever follows a walk is told of every entry, so there it is never cut short.
        let reads = 0;
        other.unit.trail = { push: () => reads++ };
        const both = (each: (machine: m.Machine) => void) => [one, other].forEach(each);
        both((machine) => {
          machine.write(m.SS3, 0x60000n | 3n);
          machine.write(0x60000, 0x61000n | 3n);
          for (const [page, leaf] of LEAVES.entries()) machine.write(0x61000 + page * 8, leaf);
          if (!protect) return;
          machine.unit.write(PLMLIMIT_REG, 4, 0x100000);
          machine.unit.write(PMEN_REG, 4, 0x80000000);
        });
        for (const step of steps)
          if (step.do === 'ask') {
            const { sid, page, hi, access, pasid } = step;
            reads = 0;
            const lo = page === LEAVES.length ? 0xfee00000 | 0 : (page << 12) | 0x123;
            const [number, expected] = [one, other].map(({ unit }) => unit.translate(sid, lo, hi, access, pasid));
            assert.equal(number, expected);
            if (reads === 1 && number === 0) short++;
            if (number === 0) assert.deepEqual(one.unit.out, other.unit.out);
            else assert.equal(one.unit.reported, other.unit.reported);
          } else if (step.do === 'leaf') both((machine) => machine.write(0x61000 + step.page * 8, step.leaf));
          else if (step.do === 'entry') both((machine) => machine.flip(mode === undefined ? m.CONTEXT : m.PASIDS, step.bits));
          else if (step.do === 'forget') both(({ unit }) => unit.caches.invalidateContextCache(1, 0, 0, 0));
          else both(({ memory }) => memory.restore(memory.snapshot()));
        assert.deepEqual(one.unit.snapshot(), other.unit.snapshot());
      },
    ),
    { numRuns: 200 },
  );
  assert.ok(short > 100);
});
