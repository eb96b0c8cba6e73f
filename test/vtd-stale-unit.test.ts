import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { writeWords } from './conformance/vtd-cases.ts';
import { askPage, shownPage } from './conformance/vtd-driver.ts';
import { type Asker, History, invalidationOf } from './conformance/vtd-stale.ts';
import * as m from './vtd-machine.ts';

// A unit with caches, whatever software changes and invalidates in whatever order, answers as the tables are or as they were
// before, and never as they were before an invalidation that covers it. The judge knows nothing of how the unit keeps its caches.

const QUEUE = 0x30000;
const OTHER_FS1 = 0x24000;
const OTHER_SS3 = 0x12000;
const PAGES = [m.IOVA, m.IOVA + 0x1000, m.IOVA + 0x200000, 0x40000000];

/** Words that software changes, each to a few values. */
const WORDS: readonly (readonly [at: number, ...values: bigint[]])[] = [
  [m.FS1, BigInt(m.PAGE) | 0x67n, 0x51067n, 0x51065n, 0n],
  [m.FS1 + 8, 0x52067n, 0x53067n, 0n],
  [m.FS2 + 16, BigInt(m.FS1) | 0x27n, BigInt(OTHER_FS1) | 0x27n, 0x6000e7n, 0n],
  [m.FS2 + 24, BigInt(m.FS1) | 0x27n, 0x8000e7n],
  [m.FS3, BigInt(m.FS2) | 0x27n, 0x400000e7n, 0n],
  [m.FS3 + 8, 0x400000e7n, BigInt(m.FS2) | 0x27n],
  [m.FS4, BigInt(m.FS3) | 0x27n, BigInt(m.FS3) | 0x25n, 0n],
  [m.SS3, 0x83n, 0x81n, 0xc0000083n, 0n],
  [m.SS3 + 8, 0x40000083n, 0xc0000083n],
  [m.SS4, BigInt(m.SS3) | 3n, BigInt(OTHER_SS3) | 3n, BigInt(m.SS3) | 1n],
];
/** Words 0 and 1 of the entry that names the tables and the domain: a context entry, or a PASID-table entry. */
const namesOf = (mode: bigint | undefined): readonly (readonly [at: number, ...values: bigint[]])[] => {
  const domains = (at: number): [number, bigint, bigint] => {
    const rest = mode === undefined ? 2n : 1n << 23n;
    const shift = mode === undefined ? 8n : 0n;
    return [at, rest | (1n << shift), rest | (2n << shift)];
  };
  if (mode === undefined) return [[m.CONTEXT, BigInt(m.SS4) | 1n, 0n], domains(m.CONTEXT + 8)];
  const tables = BigInt(m.SS4) | (2n << 2n) | (mode << 6n) | 1n;
  return [m.PASIDS, m.PASID_ENTRY].flatMap((at) => [[at, tables, 0n], domains(at + 8), [at + 16, BigInt(m.FS4) | 1n]]);
};

const small = (max: number) => fc.integer({ min: 0, max });
const anyStep = fc.oneof(
  { weight: 3, arbitrary: fc.record({ what: fc.constant('change' as const), which: small(99), value: small(9) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      what: fc.constant('ask' as const),
      iova: fc.constantFrom(...PAGES),
      write: fc.boolean(),
      pasid: fc.constantFrom(undefined, m.ONE),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      what: fc.constant('invalidate' as const),
      type: fc.constantFrom(1n, 2n, 6n, 7n),
      G: fc.bigInt({ min: 0n, max: 3n }),
      did: fc.constantFrom(1n, 1n, 2n),
      // Of context entries the requester, its function and another one; else a PASID.
      who: fc.constantFrom(BigInt(m.SID), BigInt(m.SID ^ 4), 0x900n),
      pasid: fc.constantFrom(0n, BigInt(m.ONE)),
      fm: fc.constantFrom(0n, 1n),
      page: fc.constantFrom(...PAGES, 0),
      am: fc.constantFrom(0n, 1n, 9n, 18n),
      ih: fc.constantFrom(0n, 1n),
    }),
  },
);

/** The granularities that each type has, in order of use. */
const GRANULARITIES: Readonly<Record<string, readonly bigint[]>> = {
  1: [1n, 2n, 3n, 3n],
  2: [1n, 2n, 3n, 3n],
  6: [2n, 3n, 3n, 2n],
  7: [0n, 1n, 3n, 1n],
};

for (const [name, mode] of Object.entries({ legacy: undefined, first: 1n, second: 2n, nested: 3n }))
  test(`${name}: an answer is never older than the last invalidation that covers it`, () => {
    let stale = 0;
    fc.assert(
      fc.property(fc.array(anyStep, { minLength: 6, maxLength: 30 }), (steps) => {
        const machine = new m.Machine(mode);
        const { unit, memory } = machine;
        const words = [...WORDS, ...namesOf(mode)];
        machine.write(OTHER_FS1, 0x54067n);
        machine.write(OTHER_SS3, 0x83n);
        machine.write(m.PASID_ENTRY + 8, 2n | (1n << 23n));
        for (const [at, first] of words) if (at !== m.PASID_ENTRY + 8 && machine.read(at) === 0n) machine.write(at, first!);
        // A queue of 256-bit descriptors.
        unit.write(0x90, 8, BigInt(QUEUE) | 0x800n);
        unit.write(0x18, 4, 0x84000000);
        const history = new History(unit);
        let tail = 0;
        for (const [at, step] of steps.entries()) {
          history.now = at;
          if (step.what === 'change') {
            const [address, ...values] = words[step.which % words.length]!;
            history.changes(BigInt(address), true);
            machine.write(address, values[step.value % values.length]!);
          } else if (step.what === 'invalidate') {
            const { type, did, who, pasid, fm, page, am, ih } = step;
            const G = GRANULARITIES[`${type}`]![Number(step.G)]!;
            const rest = type === 1n ? (who << 32n) | (fm << 48n) : type === 2n ? 0n : pasid << 32n;
            const low = type | (G << 4n) | (did << 16n) | rest;
            const high = type === 2n || (type === 6n && G === 3n) ? BigInt(page) | (ih << 6n) | am : 0n;
            if (mode === undefined && type > 5n) continue;
            writeWords(memory, `0x${(QUEUE + tail).toString(16)}`, [low, high, 0n, 0n].map(String));
            tail = (tail + 32) % 4096;
            unit.write(0x88, 8, BigInt(tail));
            assert.equal(unit.read(0x80, 8), BigInt(tail), `descriptor ${low.toString(16)}`);
            history.invalidates(invalidationOf(low, high)!);
          } else {
            if (mode === undefined && step.pasid !== undefined) continue;
            const { iova, write, pasid } = step;
            const op = {
              op: 'dma',
              sid: m.SID,
              iova: '',
              write,
              len: 8,
              clear: true,
              expect: { r: '' },
              ...(pasid && { pasid }),
            } as const;
            const ask: Asker['ask'] = (each) => {
              const answer = askPage(each, op, BigInt(iova));
              return { shown: shownPage(answer), held: answer.hpa !== undefined };
            };
            const { shown } = ask(unit);
            const asker = { sid: m.SID, pasid, iova: BigInt(iova), index: -1, ask };
            assert.ok(history.explains(asker, shown), `step ${at}: ${shown}`);
            if (!new History(unit).explains(asker, shown)) stale++;
          }
        }
      }),
      { numRuns: 150 },
    );
    assert.ok(stale > 10, `${stale} answers were of tables that had been changed`);
  });
