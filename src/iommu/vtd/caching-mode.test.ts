import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import * as m from '../../../test/vtd-machine.ts';
import { NO_CACHES } from './caches.ts';
import { conditionOf } from './faults.ts';
import { DEVICE, DOMAIN, GLOBAL, PAGE, PASID, PASID_CACHE_DOMAIN, PASID_CACHE_GLOBAL, PASID_CACHE_PASID } from './granularity.ts';
import { ATOMIC, NO_WRITE, READ, WRITE, ZERO_LENGTH } from './translate.ts';
import { type UnitConfig, VtdUnit } from './unit.ts';

const CM = 1n << 7n;
/** Tables of the second stage, levels 2 and 1. */
const [SS2, SS1] = [0x60000, 0x61000];

/** A machine with caching mode, or another one. */
const machineOf = (pgtt: bigint | undefined, cap: bigint = m.CAP | CM, config: Partial<UnitConfig> = {}) =>
  new m.Machine(pgtt, { cap, ...config });

function ask({ unit }: m.Machine, address: number = m.IOVA, access: number = READ, pasid = -1): string | undefined {
  return conditionOf(unit.translate(m.SID, address, 0, access, pasid))?.code;
}

type Invalidate = (unit: VtdUnit) => void;
const context =
  (G: number, did: number, sid: number = m.SID, fm = 0): Invalidate =>
  ({ caches }) =>
    caches.invalidateContextCache(G, did, sid, fm);
const pasidCache =
  (G: number, did: number, pasid = 0): Invalidate =>
  ({ caches }) =>
    caches.invalidatePasidCache(G, did, pasid);
const iotlb =
  (G: number, did = 1, address: number = m.IOVA, am = 0, ih = 0): Invalidate =>
  ({ caches }) =>
    caches.invalidateIotlb(G, did, address, 0, am, ih);
const pasidIotlb =
  (G: number, did: number, pasid: number): Invalidate =>
  ({ caches }) =>
    caches.invalidatePasidIotlb(G, did, pasid, m.IOVA, 0, 0, 0);

/** An entry that is spoiled, what its requests meet, what does not make up for mending it, and what does. */
interface Row {
  says: string;
  pgtt: bigint | undefined;
  at: number;
  to: bigint;
  code: string;
  tooLittle: readonly Invalidate[];
  enough: readonly Invalidate[];
}

/** Those of the second stage, whatever the mode. */
const pages = (level: number, at: number, bits: number): Row[] =>
  [undefined, m.SECOND_STAGE].map((pgtt) => ({
    says: `a second-stage entry of level ${level}, ${pgtt === undefined ? 'legacy' : 'scalable'} mode`,
    pgtt,
    at,
    to: 0n,
    code: pgtt === undefined ? 'LGN.3' : 'SSS.2',
    tooLittle: [
      context(GLOBAL, 0),
      pasidCache(PASID_CACHE_GLOBAL, 0),
      iotlb(DOMAIN, 2),
      iotlb(PAGE, 2),
      iotlb(PAGE, 1, m.IOVA, bits - 13, 1),
      // The next region of that size.
      ({ caches }) => caches.invalidateIotlb(PAGE, 1, bits < 32 ? 2 ** bits : 0, bits < 32 ? 0 : 2 ** (bits - 32), 0, 0),
      pasidIotlb(PASID, 1, 7),
      pasidIotlb(PAGE, 1, 0),
    ],
    enough: [iotlb(GLOBAL), iotlb(DOMAIN), iotlb(PAGE), iotlb(PAGE, 1, m.IOVA, bits - 12, 1), pasidIotlb(PASID, 1, 0)],
  }));

const ROWS: readonly Row[] = [
  {
    says: 'the context entry',
    pgtt: undefined,
    at: m.CONTEXT,
    to: 0n,
    code: 'LCT.2',
    // The reserved domain-id 0 is that of entries at fault.
    tooLittle: [context(DOMAIN, 1), context(DEVICE, 1), context(DEVICE, 0, m.SID + 8), iotlb(GLOBAL)],
    enough: [context(GLOBAL, 0), context(DOMAIN, 0), context(DEVICE, 0), context(DEVICE, 0, m.SID + 7, 3)],
  },
  {
    says: 'the root entry',
    pgtt: undefined,
    at: m.ROOT + 16,
    to: 0n,
    code: 'LRT.2',
    tooLittle: [iotlb(GLOBAL)],
    enough: [context(GLOBAL, 0), context(DEVICE, 0)],
  },
  {
    says: 'the scalable-mode context entry',
    pgtt: m.SECOND_STAGE,
    at: m.CONTEXT,
    to: 0n,
    code: 'SCT.2',
    tooLittle: [context(DEVICE, 0, m.SID + 8), pasidCache(PASID_CACHE_GLOBAL, 0), iotlb(GLOBAL)],
    enough: [context(GLOBAL, 0), context(DOMAIN, 9), context(DEVICE, 9)],
  },
  ...[
    { says: 'the PASID directory entry', at: m.DIRECTORY, code: 'SPD.2' },
    { says: 'the PASID-table entry', at: m.PASIDS, code: 'SPT.2' },
  ].map((row) => ({
    ...row,
    pgtt: m.SECOND_STAGE,
    to: 0n,
    tooLittle: [pasidCache(PASID_CACHE_PASID, 0, 3), context(GLOBAL, 0), iotlb(GLOBAL)],
    // Drivers name the domain of the entry that they made.
    enough: [pasidCache(PASID_CACHE_GLOBAL, 0), pasidCache(PASID_CACHE_DOMAIN, 0), pasidCache(PASID_CACHE_PASID, 1)],
  })),
  ...pages(4, m.SS4, 39),
  ...pages(3, m.SS3, 30),
];

for (const { says, pgtt, at, to, code, tooLittle, enough } of ROWS)
  test(`with CM = 1 a fault is held until it is invalidated: ${says}`, () => {
    const spoiled = (cap?: bigint, config?: Partial<UnitConfig>) => {
      const machine = machineOf(pgtt, cap, config);
      const good = machine.read(at);
      machine.write(at, to);
      assert.equal(ask(machine), code);
      machine.write(at, good);
      return machine;
    };
    assert.equal(ask(spoiled(m.CAP)), undefined, 'with CM = 0 nothing is');
    assert.equal(ask(spoiled(undefined, { caches: { fault: 0 } })), undefined, 'nor in a unit without room for it');
    const machine = spoiled();
    assert.equal(ask(machine), code);
    assert.equal(ask(machine, m.IOVA, WRITE), code === 'LGN.3' ? 'LGN.2' : code);
    for (const [i, invalidate] of tooLittle.entries()) {
      invalidate(machine.unit);
      assert.equal(ask(machine), code, `after ${i}`);
    }
    for (const [i, invalidate] of enough.entries()) {
      const other = spoiled();
      invalidate(other.unit);
      assert.equal(ask(other), undefined, `after ${i}`);
    }
  });

test('what is held of an entry above a page is held for all its pages', () => {
  const machine = machineOf(undefined);
  const good = machine.read(m.SS3);
  machine.write(m.SS3, 0n);
  assert.equal(ask(machine), 'LGN.3');
  machine.write(m.SS3, good);
  assert.equal(ask(machine, 0x1000), 'LGN.3');
  assert.equal(ask(machine, 2 ** 30), undefined);
});

/** A driver that has mapped one page, with tables of levels 2 and 1, and a device that uses it. */
function driven(pgtt: bigint | undefined): m.Machine {
  const machine = machineOf(pgtt);
  machine.write(m.SS3, BigInt(SS2) | 3n);
  machine.write(SS2, BigInt(SS1) | 3n);
  machine.write(SS1, 0x100003n);
  machine.unit.caches.invalidateIotlb(PAGE, 1, 0, 0, 0, 0);
  assert.equal(ask(machine, 0), undefined);
  return machine;
}

for (const pgtt of [undefined, m.SECOND_STAGE]) {
  const [code, mode] = pgtt === undefined ? ['LGN.3', 'legacy'] : ['SSS.2', 'scalable'];

  test(`with CM = 1 a page that is mapped without an invalidation is not there, though nobody asked for it: ${mode} mode`, () => {
    const machine = driven(pgtt);
    for (const [page, am] of [
      [1, 0],
      [5, 2],
      [511, 3],
    ] as const) {
      machine.write(SS1 + page * 8, (BigInt(page) << 12n) | 3n);
      assert.equal(ask(machine, page * 0x1000), code);
      // The block of pages beside its own.
      machine.unit.caches.invalidateIotlb(PAGE, 1, (page * 0x1000) ^ (0x1000 << am), 0, am, 1);
      assert.equal(ask(machine, page * 0x1000), code);
      machine.unit.caches.invalidateIotlb(PAGE, 1, page * 0x1000, 0, am, 1);
      assert.equal(ask(machine, page * 0x1000), undefined);
    }
    machine.write(SS1 + 8 * 8, 0x3n);
    assert.equal(ask(machine, 0x8000), code);
  });

  test(`with CM = 1 a table that is added needs an invalidation which does not say that no table changed: ${mode} mode`, () => {
    const machine = driven(pgtt);
    machine.write(SS2 + 8, BigInt(SS1 + 0x1000) | 3n);
    machine.write(SS1 + 0x1000, 0x200003n);
    machine.unit.caches.invalidateIotlb(PAGE, 1, 0x200000, 0, 0, 1);
    assert.equal(ask(machine, 0x200000), code);
    machine.unit.caches.invalidateIotlb(PAGE, 1, 0x200000, 0, 0, 0);
    assert.equal(ask(machine, 0x200000), undefined);
    // A large page is a leaf: its whole range is invalidated.
    machine.write(SS2 + 16, 0x400083n);
    machine.unit.caches.invalidateIotlb(PAGE, 1, 0x400000, 0, 9, 1);
    assert.equal(ask(machine, 0x400000), undefined);
  });
}

test('a permission that is lacking is held, for requests that ask the same', () => {
  for (const [pgtt, code] of [
    [undefined, 'LGN.2'],
    [m.SECOND_STAGE, 'SGN.6'],
  ] as const) {
    const machine = machineOf(pgtt);
    machine.flip(m.SS3, 2n);
    assert.equal(ask(machine, m.IOVA, WRITE), code);
    assert.equal(ask(machine, m.IOVA, READ), undefined);
    machine.flip(m.SS3, 2n);
    assert.equal(ask(machine, m.IOVA, WRITE), code);
    machine.unit.caches.invalidateIotlb(PAGE, 1, m.IOVA, 0, 18, 1);
    assert.equal(ask(machine, m.IOVA, WRITE), undefined);
  }
});

test('nothing is held of the first stage', () => {
  for (const pgtt of [m.FIRST_STAGE, m.NESTED]) {
    const machine = machineOf(pgtt);
    const good = machine.read(m.FS1);
    machine.write(m.FS1, 0n);
    assert.equal(ask(machine), 'SFS.2');
    machine.write(m.FS1, good);
    assert.equal(ask(machine), undefined);
  }
});

test('a fault that is held is recorded, unless FPD silences it', () => {
  for (const FPD of [0n, 2n]) {
    const machine = machineOf(undefined);
    machine.flip(m.CONTEXT, 1n | FPD);
    for (let time = 0; time < 2; time++) {
      assert.equal(ask(machine), 'LCT.2');
      assert.equal(machine.unit.reported, FPD === 0n);
      machine.write(m.CONTEXT, machine.read(m.CONTEXT) | 1n);
    }
  }
});

test('a page request drops what is held of its page', () => {
  const machine = machineOf(m.SECOND_STAGE);
  machine.flip(m.CONTEXT, 1n << 4n); // PRE
  machine.unit.write(0xd0, 8, 0x90000n);
  const good = machine.read(m.SS3);
  machine.write(m.SS3, 0n);
  assert.equal(ask(machine), 'SSS.2');
  const request = { sid: m.SID, pasid: -1, lo: m.IOVA, hi: 0, RDR: 1, WRR: 0, EXR: 0, PMR: 0, LPIG: 1, PRGI: 0 };
  assert.equal(machine.unit.requestPage(request), 'queued');
  machine.write(m.SS3, good);
  assert.equal(ask(machine), undefined);
});

const anyPage = fc.integer({ min: 0, max: 7 });
const anyStep = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('ask' as const), page: anyPage, access: fc.constantFrom(READ, WRITE) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('map' as const),
      page: anyPage,
      frame: fc.integer({ min: 0x100, max: 0x110 }),
      rights: fc.constantFrom(0n, 0n, 1n, 3n),
    }),
  },
  fc.record({
    do: fc.constant('drop' as const),
    page: anyPage,
    am: fc.constantFrom(0, 1, 2, 9),
    ih: fc.constantFrom(0, 1),
    G: fc.constantFrom(DOMAIN, PAGE, PAGE),
    did: fc.constantFrom(1, 1, 2),
  }),
);
for (const pgtt of [undefined, m.SECOND_STAGE])
  test(`with CM = 1 what is stale, or missing, may be so until it is invalidated, and never after: PGTT ${pgtt}`, () => {
    fc.assert(
      fc.property(fc.array(anyStep, { minLength: 20, maxLength: 100 }), fc.constantFrom(0, 4, 1024), (steps, fault) => {
        const machine = machineOf(pgtt, undefined, { caches: { fault } });
        const twin = new VtdUnit({ ...machine.unit.config, caches: NO_CACHES });
        Object.assign(twin.active, machine.unit.active);
        machine.write(m.SS3, BigInt(SS2) | 3n);
        machine.write(SS2, BigInt(SS1) | 3n);
        const answer = (unit: VtdUnit, page: number, access: number) => {
          const number = unit.translate(m.SID, page * 0x1000, 0, access, -1);
          return number === 0 ? unit.out.lo : -number;
        };
        // By page and access: what was true at any time since nothing of it was stale.
        const allowed = Array.from({ length: 8 }, () => new Map([READ, WRITE].map((access) => [access, new Set<number>()])));
        const note = (page: number) => {
          for (const [access, set] of allowed[page]!) set.add(answer(twin, page, access));
        };
        for (let page = 0; page < 8; page++) note(page);
        for (const step of steps) {
          if (step.do === 'ask')
            assert.ok(allowed[step.page]!.get(step.access)!.has(answer(machine.unit, step.page, step.access)));
          else if (step.do === 'map') {
            machine.write(SS1 + step.page * 8, step.rights === 0n ? 0n : (BigInt(step.frame) << 12n) | step.rights);
            note(step.page);
          } else {
            machine.unit.caches.invalidateIotlb(step.G, step.did, step.page * 0x1000, 0, step.am, step.ih);
            if (step.did !== 1) continue;
            for (let page = 0; page < 8; page++) {
              if (step.G === PAGE && page >> step.am !== step.page >> step.am) continue;
              for (const set of allowed[page]!.values()) set.clear();
              note(page);
            }
          }
        }
      }),
      { numRuns: 200 },
    );
  });

/** Words of the tables of a machine; a flip of SSADE would let requests change them. */
const WORDS = [
  m.ROOT + 16,
  m.CONTEXT,
  m.CONTEXT + 8,
  m.DIRECTORY,
  m.PASIDS,
  m.PASIDS + 8,
  m.PASID_ENTRY,
  m.SS4,
  m.SS3,
  m.SS3 + 8,
];
const anyFlip = fc.record({
  at: fc.constantFrom(...WORDS),
  bit: fc.integer({ min: 0, max: 63 }).filter((bit) => bit !== 9),
});
const anyRequest = fc.record({
  kind: fc.constantFrom('translate', 'translate', 'translateAts', 'translated' as const),
  lo: fc.constantFrom(m.IOVA, 0x1000, 0x40000000, -4096),
  hi: fc.constantFrom(0, 0, 1 << 16),
  access: fc.constantFrom(READ, WRITE, READ | WRITE | ATOMIC, READ | ZERO_LENGTH, NO_WRITE),
  pasid: fc.constantFrom(-1, -1, m.ONE),
});

test('while no table changes, holding faults changes no answer', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(undefined, m.SECOND_STAGE, m.PASS_THROUGH),
      fc.array(anyFlip, { minLength: 1, maxLength: 3 }),
      fc.array(anyRequest, { minLength: 4, maxLength: 20 }),
      (pgtt, flips, requests) => {
        const answers = (fault: number) => {
          const machine = machineOf(pgtt, undefined, { caches: { ...NO_CACHES, fault } });
          for (const { at, bit } of flips) machine.flip(at, 1n << BigInt(bit));
          const { unit } = machine;
          return requests.map(({ kind, lo, hi, access, pasid }) => {
            const number = unit[kind](m.SID, lo, hi, access, pasid);
            const { status, R, W, U } = unit.completion;
            return [
              number,
              unit.reported,
              number === 0 && [unit.out.lo, unit.out.hi],
              kind === 'translateAts' && [status, R, W, U],
            ];
          });
        };
        assert.deepEqual(answers(1024), answers(0));
      },
    ),
    { numRuns: 600 },
  );
});

test('with CM = 1 a page is there exactly when it was there at its last invalidation, or at a walk after that', () => {
  const anyChange = fc.oneof(
    { weight: 3, arbitrary: fc.record({ do: fc.constant('ask' as const), page: anyPage }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('map' as const), page: anyPage, present: fc.boolean() }) },
    fc.record({ do: fc.constant('drop' as const), page: anyPage, am: fc.constantFrom(0, 1, 2, 9), ih: fc.constantFrom(0, 1) }),
  );
  fc.assert(
    fc.property(fc.constantFrom(undefined, m.SECOND_STAGE), fc.array(anyChange, { maxLength: 80 }), (pgtt, changes) => {
      // Without other caches, so that nothing else is stale.
      const machine = machineOf(pgtt, undefined, { caches: { ...NO_CACHES, fault: 1024 } });
      machine.write(m.SS3, BigInt(SS2) | 3n);
      machine.write(SS2, BigInt(SS1) | 3n);
      const present = Array.from({ length: 8 }, () => false);
      assert.notEqual(ask(machine, 0), undefined);
      // The first walk holds the whole table.
      const held = Array.from({ length: 8 }, () => true);
      for (const { page, ...change } of changes) {
        if (change.do === 'map') {
          present[page] = change.present;
          machine.write(SS1 + page * 8, change.present ? (BigInt(page) << 12n) | 3n : 0n);
        } else if (change.do === 'drop') {
          machine.unit.caches.invalidateIotlb(PAGE, 1, page * 0x1000, 0, change.am, change.ih);
          // A range that has all of the table drops it, and the next walk holds it anew.
          if (change.am === 9) ask(machine, 0x100000);
          for (let each = 0; each < 8; each++)
            if (each >> change.am === page >> change.am) held[each] = change.am === 9 && !present[each];
        } else {
          held[page] ||= !present[page];
          assert.equal(ask(machine, page * 0x1000) === undefined, !held[page]);
        }
      }
    }),
    { numRuns: 200 },
  );
});
