import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import * as m from '../../../test/vtd-machine.ts';
import { Memory } from '../../memory/memory.ts';
import { SUCCESS } from './ats.ts';
import { NO_CACHES } from './caches.ts';
import { CONDITIONS, conditionOf } from './faults.ts';
import { DOMAIN, GLOBAL, PAGE, PASID } from './granularity.ts';
import { ATOMIC, EXEC, NO_WRITE, PRIV, READ, WRITE, ZERO_LENGTH } from './translate.ts';
import { VtdUnit } from './unit.ts';

const { Machine } = m;
const GCMD_REG = 0x18;
const PQA_REG = 0xd0;
/** The upper half of the first fault recording register, with F and PP. */
const FRCD_UPPER = 0x228;
const F = 1n << 63n;
const PP = 1n << 31n;

test('a walk reads as many entries as there are, and fewer with caches', () => {
  const reads = (machine: m.Machine, address: number): number => {
    let count = 0;
    machine.unit.trail = { push: () => count++ };
    assert.equal(machine.unit.translate(m.SID, address, 0, READ, -1), 0);
    return count;
  };
  const cold = (mode: bigint | undefined) => reads(new Machine(mode, { caches: NO_CACHES }), m.IOVA);
  // Structures, then (F + 1)(S + 1) - 1 for F entries of the first stage and S of the second.
  assert.deepEqual([undefined, 4n, 2n, 1n, 3n].map(cold), [2 + 2, 4, 4 + 2, 4 + 4, 4 + 5 * 3 - 1]);
  const machine = new Machine(m.NESTED);
  machine.write(m.FS1 + 8, BigInt(m.PAGE) | 0x67n);
  // The second stage skips its level 4 from the second of its walks on.
  assert.equal(reads(machine, m.IOVA), 4 + 4 + 2 + 4 * 1);
  assert.equal(reads(machine, m.IOVA), 0);
  assert.equal(reads(machine, m.IOVA + 0x1000), 2);
});

test('while translation is off, memory requests go through, and what a Device-TLB sends is refused without a fault', () => {
  for (const mode of [m.NESTED, m.SECOND_STAGE]) {
    const machine = new Machine(mode);
    const { unit } = machine;
    machine.flip(m.CONTEXT, 1n << 4n); // PRE
    unit.write(PQA_REG, 8, 0x90000);
    const pages = { sid: m.SID, pasid: -1, lo: m.IOVA, hi: 0, RDR: 1, WRR: 0, EXR: 0, PMR: 0, LPIG: 1, PRGI: 3 };
    const granted = () => [
      unit.translateAts(m.SID, m.IOVA, 0, 0, -1) === 0,
      unit.completion.status === SUCCESS,
      unit.translated(m.SID, m.PAGE, 0, READ, -1) === 0,
      unit.requestPage(pages) === 'queued',
    ];
    assert.deepEqual(granted(), [true, true, true, true]);
    unit.write(GCMD_REG, 4, 0);
    assert.deepEqual(granted(), [false, false, false, false]);
    assert.equal(unit.reported, false);
    assert.deepEqual([unit.translate(m.SID, 0x1234, 7, READ, -1), unit.out.lo, unit.out.hi], [0, 0x1234, 7]);
    // A PASID is ignored, and nothing is read where interrupts are sent to.
    for (const pasid of [-1, m.ONE]) {
      assert.equal(conditionOf(unit.translate(m.SID, 0xfee00000 | 0, 0, READ, pasid))?.code, '29h');
      assert.equal(unit.reported, true);
      assert.equal(unit.read(FRCD_UPPER, 8) & PP, 0n);
      unit.write(FRCD_UPPER, 8, F);
    }
  }
});

test('a pass-through translation is as large as the largest page', () => {
  const SSLPS = 3n << 34n;
  const FS1GP = 1n << 56n;
  const FSTS = 1n << 47n;
  for (const [cap, ecap, level] of [
    [m.CAP, m.ECAP, 3],
    [m.CAP & ~SSLPS & ~FS1GP, m.ECAP, 2],
    [m.CAP & ~SSLPS & ~FS1GP, m.ECAP & ~FSTS, 1],
    [(m.CAP & ~SSLPS & ~FS1GP) | (1n << 34n), m.ECAP & ~FSTS, 2],
  ] as const) {
    const machine = new Machine(m.PASS_THROUGH, { cap, ecap });
    const { unit } = machine;
    // Without a first stage this is reserved.
    machine.write(m.PASIDS + 16, 0n);
    assert.equal(unit.translateAts(m.SID, 0x12345000, 0, 0, -1), 0);
    assert.equal(unit.completion.level, level);
  }
});

test('a page-selective PASID-based invalidation goes by the bits that the tables translate', () => {
  for (const hi of [0xffff8000, 0x00008000, 0x01ff8000]) {
    const machine = new Machine(m.FIRST_STAGE);
    machine.write(m.FS4 + 256 * 8, BigInt(m.FS3) | 0x27n);
    const ask = (): number => {
      assert.equal(machine.unit.translate(m.SID, m.IOVA, 0xffff8000 | 0, READ, -1), 0);
      return machine.unit.out.lo;
    };
    const before = ask();
    machine.write(m.FS1, BigInt(m.PAGE + 0x1000) | 0x67n);
    assert.equal(ask(), before);
    machine.unit.caches.invalidatePasidIotlb(PAGE, 1, 0, m.IOVA, hi | 0, 0, 0);
    assert.equal(ask(), before + 0x1000);
  }
});

/** Tables with two regions of four pages, in either stage, and how software invalidates them. */
const STAGES = {
  'second stage, legacy': {
    mode: undefined,
    tables: m.SS3,
    level2: 0x60000,
    flags: 3n,
    leafFlags: 3n,
    invalidate: ({ caches }: VtdUnit, page: boolean, address: number, am: number, ih: number, did: number) =>
      caches.invalidateIotlb(page ? PAGE : DOMAIN, did, address, 0, am, ih),
  },
  'first stage, nested': {
    mode: m.NESTED,
    tables: m.FS3,
    level2: 0x70000,
    flags: 0x27n,
    leafFlags: 0x67n,
    invalidate: ({ caches }: VtdUnit, page: boolean, address: number, am: number, ih: number, did: number) =>
      caches.invalidatePasidIotlb(page ? PAGE : PASID, did, 0, address, 0, am, ih),
  },
} as const;

const addressOf = (page: number): number => (page >> 2) * 0x200000 + (page & 3) * 0x1000;
const anyPage = fc.integer({ min: 0, max: 7 });
const anyStep = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('ask' as const), page: anyPage, access: fc.constantFrom(READ, WRITE) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('leaf' as const),
      page: anyPage,
      frame: fc.integer({ min: 0x100, max: 0x120 }),
      present: fc.boolean(),
    }),
  },
  fc.record({ do: fc.constant('table' as const), region: fc.integer({ min: 0, max: 1 }), table: fc.integer({ min: 0, max: 3 }) }),
  fc.record({
    do: fc.constant('drop' as const),
    page: anyPage,
    am: fc.constantFrom(0, 1, 2, 9, 18),
    ih: fc.constantFrom(0, 1),
    whole: fc.boolean(),
    did: fc.constantFrom(1, 1, 2),
  }),
  fc.record({ do: fc.constant('global' as const) }),
);

for (const [name, stage] of Object.entries(STAGES))
  test(`${name}: what is stale may be used until it is invalidated, and never after`, () => {
    fc.assert(
      fc.property(fc.array(anyStep, { minLength: 20, maxLength: 120 }), fc.constantFrom(0, 4, 64), (steps, size) => {
        const machine = new Machine(stage.mode, { caches: { iotlb: size, firstStage: 16, secondStage: 16 } });
        const twin = new VtdUnit({ ...machine.unit.config, caches: NO_CACHES });
        Object.assign(twin.active, machine.unit.active);
        machine.write(stage.tables, BigInt(stage.level2) | stage.flags);
        const leafTable = (table: number) => stage.level2 + 0x1000 * (table + 1);
        for (const table of [0, 1, 2, 3])
          for (let page = 0; page < 4; page++)
            machine.write(leafTable(table) + page * 8, BigInt(0x200000 + table * 0x10000 + page * 0x1000) | stage.leafFlags);
        const inUse = [0, 1];
        for (const region of [0, 1]) machine.write(stage.level2 + region * 8, BigInt(leafTable(region)) | stage.flags);

        const ask = (unit: VtdUnit, page: number, access: number) => {
          const number = unit.translate(m.SID, addressOf(page) | 0x123, 0, access, -1);
          return number === 0 ? unit.out.lo : -number;
        };
        // By page: what a walk gave at any time since nothing of it was stale, and whether a table above it changed.
        const seen = Array.from({ length: 8 }, () => new Set<number>());
        const tableChanged = new Array<boolean>(8).fill(false);
        const note = () => {
          for (let page = 0; page < 8; page++) for (const access of [READ, WRITE]) seen[page]!.add(ask(twin, page, access));
        };
        const clean = (page: number) => {
          seen[page]!.clear();
          for (const access of [READ, WRITE]) seen[page]!.add(ask(twin, page, access));
        };
        note();
        for (const step of steps) {
          if (step.do === 'ask') {
            const ours = ask(machine.unit, step.page, step.access);
            const fresh = ask(twin, step.page, step.access);
            // One more than a read and a write of the present tables: something changed since.
            const stale = seen[step.page]!.size > new Set([ask(twin, step.page, READ), ask(twin, step.page, WRITE)]).size;
            if (tableChanged[step.page]) continue;
            if (stale) assert.ok(seen[step.page]!.has(ours), `page ${step.page}`);
            else assert.equal(ours, fresh, `page ${step.page}`);
          } else if (step.do === 'leaf') {
            const at = leafTable(inUse[step.page >> 2]!) + (step.page & 3) * 8;
            machine.write(at, step.present ? (BigInt(step.frame) << 12n) | stage.leafFlags : 0n);
            note();
          } else if (step.do === 'table') {
            inUse[step.region] = step.table;
            machine.write(stage.level2 + step.region * 8, BigInt(leafTable(step.table)) | stage.flags);
            for (let page = step.region * 4; page < step.region * 4 + 4; page++) tableChanged[page] = true;
            note();
          } else if (step.do === 'drop') {
            const address = addressOf(step.page);
            stage.invalidate(machine.unit, !step.whole, address, step.am, step.ih, step.did);
            if (step.did !== 1) continue;
            const size = 2 ** (12 + step.am);
            for (let page = 0; page < 8; page++) {
              const covered = step.whole || Math.floor(addressOf(page) / size) === Math.floor(address / size);
              if (!covered || (tableChanged[page] && step.ih && !step.whole)) continue;
              tableChanged[page] = false;
              clean(page);
            }
          } else {
            machine.unit.caches.invalidateIotlb(GLOBAL, 0, 0, 0, 0, 0);
            for (let page = 0; page < 8; page++) {
              tableChanged[page] = false;
              clean(page);
            }
          }
        }
      }),
      { numRuns: 150 },
    );
  });

const anyWord = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  fc.constantFrom(0n, 2n ** 64n - 1n),
  // Tables that lead to tables, themselves among them.
  fc
    .record({ table: fc.integer({ min: 1, max: 0x24 }), low: fc.integer({ min: 0, max: 0xfff }) })
    .map(({ table, low }) => BigInt(table * 4096 + low)),
);
const anyRequest = fc.record({
  kind: fc.constantFrom('translate', 'translateAts', 'translated', 'interrupt' as const),
  sid: fc.constantFrom(m.SID, 0, 0x180, 0xffff),
  lo: fc.oneof(fc.constantFrom(m.IOVA, -1, 0, 0xfee00000 | 0), fc.integer()),
  hi: fc.oneof(fc.constantFrom(0, -1), fc.integer()),
  access: fc.constantFrom(READ, WRITE, READ | WRITE | ATOMIC, READ | ZERO_LENGTH, READ | PRIV, READ | EXEC, NO_WRITE),
  pasid: fc.constantFrom(-1, 0, m.ONE, 0xfffff),
});

test('hostile tables cost no more than a walk, and break nothing', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(undefined, 1n, 2n, 3n, 4n),
      fc.array(
        fc.record({ table: fc.integer({ min: 1, max: 0x24 }), entry: fc.constantFrom(0, 1, 2, 16, 32, 40, 511), word: anyWord }),
        { maxLength: 40 },
      ),
      fc.array(anyRequest, { minLength: 1, maxLength: 12 }),
      fc.boolean(),
      (mode, words, requests, cached) => {
        const machine = new Machine(mode, cached ? {} : { caches: NO_CACHES });
        for (const { table, entry, word } of words) machine.write(table * 4096 + entry * 8, word);
        for (const { kind, sid, lo, hi, access, pasid } of requests) {
          let reads = 0;
          machine.unit.trail = { push: () => reads++ };
          if (kind === 'interrupt') machine.unit.interrupt(sid, lo, hi);
          else {
            const number = machine.unit[kind](sid, lo, hi, access, pasid);
            assert.ok(number >= -1 && number <= CONDITIONS.length);
          }
          assert.ok(reads <= 4 + 5 * 6 + 5);
        }
      },
    ),
    { numRuns: 400 },
  );
});

const told = (unit: VtdUnit, number: number) => [number, number === 0 ? unit.out.lo : unit.reported];

test('a unit that is restored goes on as the one that was kept', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(undefined, 1n, 2n, 3n),
      fc.array(anyRequest, { maxLength: 20 }),
      fc.array(anyRequest, { maxLength: 20 }),
      (mode, before, after) => {
        const machine = new Machine(mode);
        const run = (unit: VtdUnit, requests: typeof before) =>
          requests.map(({ kind, sid, lo, hi, access, pasid }) =>
            kind === 'interrupt' ? unit.interrupt(sid, lo, hi) : told(unit, unit[kind](sid, lo, hi, access, pasid)),
          );
        run(machine.unit, [{ kind: 'translate', sid: m.SID, lo: m.IOVA, hi: 0, access: READ, pasid: -1 }, ...before]);
        const kept = machine.unit.snapshot();
        const memory = new Memory(machine.memory.ranges);
        memory.restore(machine.memory.snapshot());
        const other = VtdUnit.restore({ ...machine.unit.config, memory }, kept);
        assert.deepEqual(other.snapshot().registers, kept.registers);
        // Both ask first for what is known, so that `out` of both is of this run.
        const again: typeof before = [{ kind: 'translate', sid: m.SID, lo: m.IOVA, hi: 0, access: READ, pasid: -1 }, ...after];
        assert.deepEqual(run(other, again), run(machine.unit, again));
        assert.deepEqual(other.snapshot().registers, machine.unit.snapshot().registers);
        assert.deepEqual(memory.snapshot(), machine.memory.snapshot());
      },
    ),
    { numRuns: 60 },
  );
});
