import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import * as m from '../../../../test/vtd-machine.ts';
import { Batch } from '../batch.ts';
import { DEVICE, DOMAIN, GLOBAL, PAGE, PASID, PASID_CACHE_GLOBAL } from '../granularity.ts';
import { EXEC, PRIV, READ, WRITE, ZERO_LENGTH } from '../request.ts';
import { Kernel } from './kernel.ts';

const GCMD_REG = 0x18;
const SRTP_AND_TE = 0xc0000000;
const RTADDR_REG = 0x20;
const PMEN_REG = 0x64;
const PLMLIMIT_REG = 0x6c;
/** CAP_REG.PLMR and CM; ECAP_REG.SSIRWS and SC. */
const PLMR = 1n << 5n;
const CM = 1n << 7n;
const MGAW = 0x3fn << 16n;
const SSIRWS = 1n << 57n;
/** Without it, SNP is reserved. */
const SC = 1n << 7n;
const LINEAR = { pages: 64, room: 2 ** 16 };
const OTHERS = 12;
/** Bit 36 of an address, as an upper half. */
const BEYOND_36 = 1 << 4;
const OTHER_PAGE = Array.from({ length: 8 }, (_, at) => BigInt(at << 20) | 0x67n);

/** Level 2 and 1 of the second stage for the first GiB. The last might be a page of 2 MiB; another is above 4 GiB. */
const SS2 = 0x60000;
const SS1 = 0x3400000;
const HIGH = 2n ** 32n;
/** Where the second stage has the last table of the first stage: the one at its own address says something else. */
const NESTED_FS1 = 0x70000;
/** Second-stage pages: rights, reserved bits, SNP, the interrupt range, above 4 GiB, IR and IW, nothing. */
const SS_LEAVES = [0x100003n, 0x101001n, 0x102002n, 0x103803n, 0xfee00003n, (1n << 50n) | 3n, 0n, 0x3_0000_0003n];
/** What the first stage says of its pages: accessed and dirty, one of both, neither, EA, read-only, of a supervisor, reserved, absent. */
const FS_FLAGS = [0x67n, 0x27n, 0x7n, 0x467n, 0x65n, 0x63n, (1n << 51n) | 0x67n, 0n];
/** Small pages of the first stage, one in the upper half of its table, pages of 2 MiB, the same of the second stage, one from a table above 4 GiB, 1 GiB, what nothing maps, the interrupt range. */
const PLACES = [
  ...Array.from({ length: 8 }, (_, page) => m.IOVA + page * 0x1000),
  m.IOVA + 0x150000,
  m.IOVA + 0x151000,
  0x600000,
  0x800000,
  ...Array.from({ length: 8 }, (_, page) => page * 0x1000),
  0x200000,
  0x40000000,
  0x7fff000,
  0xfee00000 | 0,
];

/** One of the first values three times in four. */
const mostly = <T>(usual: readonly T[], other: readonly T[]): fc.Arbitrary<T> =>
  fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...usual) }, fc.constantFrom(...other));
const anyRequest = fc.record({
  sid: mostly([m.SID, m.SID, 0x200], [m.SID, 0x180]),
  lo: fc.tuple(fc.constantFrom(...PLACES), fc.constantFrom(0x128, 0x9a8)).map(([place, offset]) => place | offset),
  hi: mostly([0], [0, BEYOND_36, 1, 1 << 20, -1]),
  access: mostly([READ, WRITE, READ | WRITE], [READ | ZERO_LENGTH, READ | PRIV, READ | EXEC, 0]),
  pasid: mostly([-1], [-1, m.ONE, m.ONE, 7]),
});
type Request = typeof anyRequest extends fc.Arbitrary<infer Of> ? Of : never;

/** What software does: changes of page tables, of the tables above them, and invalidations, which it may forget. */
const anyChange = fc.oneof(
  fc.record({ do: fc.constant('ss'), page: fc.nat(7), to: fc.constantFrom(...SS_LEAVES) }),
  fc.record({ do: fc.constant('table'), page: fc.constantFrom(m.FS2, m.FS1), to: fc.constantFrom(0n, 1n, 2n, 3n) }),
  fc.record({ do: fc.constant('fs'), page: fc.nat(7), to: fc.constantFrom(...FS_FLAGS) }),
  fc.record({ do: fc.constant('flip'), page: fc.nat(17), to: fc.constant(0n) }),
  fc.record({ do: fc.constant('invalidate'), page: fc.nat(6), to: fc.constant(0n) }),
  fc.record({ do: fc.constant('restore'), page: fc.constant(0), to: fc.constant(0n) }),
);
const MOST_REQUESTS = 30;
const anyStep = fc.record({
  changes: fc.array(anyChange, { maxLength: 1 }),
  requests: fc.array(anyRequest, { minLength: 10, maxLength: MOST_REQUESTS }),
});
const anyMachine = fc.record({
  mode: fc.constantFrom(undefined, m.FIRST_STAGE, m.SECOND_STAGE, m.NESTED),
  iotlb: fc.constantFrom(0, 8, 64),
  structures: fc.constantFrom(4, 64, 64),
  protect: fc.boolean(),
  CM: mostly([false], [false, true]),
  ioRights: fc.boolean(),
  SC: mostly([true], [true, false]),
  narrow: mostly([false], [false, true]),
});
type Shape = typeof anyMachine extends fc.Arbitrary<infer Of> ? Of : never;

/** @param linear whether a kernel may answer */
function machineOf({ mode, iotlb, structures, protect, ...shape }: Shape, linear: boolean): m.Machine {
  const caches = { context: 8, pasid: 8, iotlb, firstStage: structures, secondStage: structures };
  // Of 36 bits, which a table of level 3 has more than.
  const wide = shape.narrow ? (m.CAP & ~MGAW) | (35n << 16n) : m.CAP;
  const cap = wide | PLMR | (shape.CM ? CM : 0n);
  const machine = new m.Machine(mode, {
    caches,
    cap,
    haw: shape.narrow ? 36 : 46,
    ecap: (m.ECAP | SSIRWS) ^ (shape.SC ? 0n : SC),
    ...(linear ? { linear: LINEAR } : {}),
  });
  const ioRights = shape.ioRights && mode !== undefined;
  // With SSIRWE the rights of pages are the other way round in R and W, so that it matters which count.
  const both = (entry: bigint): bigint => (ioRights ? entry | ((entry & 1n) << 62n) | ((entry & 2n) << 60n) : entry);
  const all = 3n | (ioRights ? 3n << 61n : 0n);
  // Other pages, so that tables are not always in the first place where they are looked for.
  for (let page = 0; page < OTHERS; page++) machine.write(0x5000000 + page * 0x7000, ...OTHER_PAGE);
  machine.write(m.ROOT + 32, BigInt(m.CONTEXT) | 1n);
  if (ioRights) machine.program(BigInt(m.ROOT) | (1n << 10n) | (1n << 7n));
  machine.write(m.SS4, BigInt(m.SS3) | all);
  machine.write(m.SS3, BigInt(SS2) | all, (1n << 30n) | 0x80n | all);
  machine.write(m.SS3 + 24, 0x80n | all);
  machine.write(m.SS3 + BEYOND_36 * 32, 0x80n | all);
  machine.write(SS2, BigInt(SS1) | all, 0x200000n | 0x80n | all, 0n, HIGH | all);
  machine.memory.write64(0, 1, 0x77000n | all);
  for (let at = 0; at < 512; at++) machine.write(SS1 + at * 8, BigInt(at << 12) | all);
  for (const [at, leaf] of SS_LEAVES.entries()) machine.write(SS1 + at * 8, both(leaf));
  const fs1 = lastTable(mode);
  for (const [at, flags] of FS_FLAGS.entries()) machine.write(fs1 + at * 8, BigInt(at << 12) | flags);
  // And one that is read-only, in a part of the second stage of its own.
  machine.write(fs1 + 0x150 * 8, 0x7067n, 0x600065n);
  if (mode === m.NESTED) {
    machine.write(SS1 + (m.FS1 >>> 9), BigInt(NESTED_FS1) | all);
    machine.write(m.FS1, ...OTHER_PAGE);
  }
  machine.write(m.FS2 + 3 * 8, 0x2000e7n, 0xe7n);
  // Written last, with a low address: it moves all others when the memory is restored.
  machine.write(0x8000, 1n);
  if (!protect) return machine;
  machine.unit.write(PLMLIMIT_REG, 4, 0x100000);
  machine.unit.write(PMEN_REG, 4, 0x80000000);
  return machine;
}

/** Where the last table of the first stage is. */
function lastTable(mode: bigint | undefined): number {
  return mode === m.NESTED ? NESTED_FS1 : m.FS1;
}

function change(
  machine: m.Machine,
  mode: bigint | undefined,
  what: typeof anyChange extends fc.Arbitrary<infer Of> ? Of : never,
): void {
  const { page, to } = what;
  const { caches } = machine.unit;
  if (what.do === 'ss') machine.write(SS1 + page * 8, to);
  // A table of the first stage, in the second.
  else if (what.do === 'table') machine.write(SS1 + (page >>> 9), BigInt(page) | to);
  else if (what.do === 'fs') machine.write(lastTable(mode) + page * 8, BigInt(page << 12) | to);
  else if (what.do === 'restore') machine.memory.restore(machine.memory.snapshot());
  else if (what.do === 'flip') {
    // W, A, U and an ignored bit of tables; FPD, RID_PRIV; SSADE, PGSNP, SRE, EAFE; the place of the second
    // stage's last table; reserved bits of large pages; PAT, and bits that are ignored above an address.
    const flips: readonly [number, bigint][] = [
      [SS2, 2n],
      [m.SS3, 1n],
      [m.FS2 + 16, 2n],
      [m.FS2 + 16, 0x20n],
      [m.FS3, 4n],
      [m.CONTEXT + 16, 1n << 52n],
      [m.PASIDS, 1n << 9n],
      [m.PASIDS + 8, 1n << 24n],
      [m.PASIDS + 16, 1n],
      [m.PASIDS + 16, 1n << 7n],
      [SS2, 0x1000n],
      [m.FS2 + 16, 0x800n],
      [m.FS3, 0x800n],
      [m.FS2 + 24, 0x2000n],
      [SS2 + 8, 0x2000n],
      [m.FS2 + 24, 0x1000n],
      [m.FS2 + 16, 1n << 52n],
      [lastTable(mode), 1n << 52n],
    ];
    machine.flip(...flips[page]!);
  } else if (page === 0) caches.invalidateContextCache(GLOBAL, 0, 0, 0);
  else if (page === 1) caches.invalidatePasidCache(PASID_CACHE_GLOBAL, 0, 0);
  else if (page === 2) caches.invalidateIotlb(GLOBAL, 0, 0, 0, 0, 0);
  else if (page === 3) caches.invalidateIotlb(DOMAIN, 1, 0, 0, 0, 0);
  else if (page === 4) caches.invalidateIotlb(PAGE, 1, 0, 0, 3, 0);
  else if (page === 5) caches.invalidatePasidIotlb(PASID, 1, 0, 0, 0, 0, 0);
  else caches.invalidateContextCache(DEVICE, 1, m.SID, 0);
}

function answerOf({ unit }: m.Machine, { sid, lo, hi, access, pasid }: Request): unknown[] {
  const number = unit.translate(sid, lo, hi, access, pasid);
  return number === 0 ? [0, unit.out.lo, unit.out.hi, unit.out.info] : [number, unit.reported];
}

/** All that a machine holds, with the places of tables as they are now. */
function leftBy({ unit, memory }: m.Machine): unknown {
  unit.caches.firstStage.settle(memory);
  unit.caches.secondStage.settle(memory);
  return [unit.snapshot(), memory.snapshot()];
}

/** How many times a method of the kernel said that it had answered, while something is done. */
function answered(of: 'passes' | 'answer', work: () => void): number {
  const { prototype } = Kernel;
  const own = prototype[of] as (...given: readonly unknown[]) => boolean | number;
  let count = 0;
  prototype[of] = function (this: Kernel, ...given: readonly unknown[]): never {
    const result = own.apply(this, [...given]);
    count += result === true ? 1 : typeof result === 'number' ? result - (given[1] as number) : 0;
    return result as never;
  };
  try {
    work();
  } finally {
    prototype[of] = own as never;
  }
  return count;
}

test('a unit with a kernel answers as the model alone, request by request, and leaves the same behind', () => {
  const count = answered('passes', () =>
    fc.assert(
      fc.property(anyMachine, fc.array(anyStep, { minLength: 1, maxLength: 6 }), (shape, steps) => {
        const [fast, model] = [machineOf(shape, true), machineOf(shape, false)];
        for (const { changes, requests } of steps) {
          for (const each of changes) for (const machine of [fast, model]) change(machine, shape.mode, each);
          for (const request of requests) assert.deepEqual(answerOf(fast, request), answerOf(model, request));
        }
        assert.deepEqual(leftBy(fast), leftBy(model));
      }),
      { numRuns: 800 },
    ),
  );
  assert.ok(count > 1500, `the kernel answered ${count}`);
});

test('a batch gets from a kernel what its requests get from the model one by one', () => {
  const count = answered('answer', () =>
    fc.assert(
      fc.property(anyMachine, fc.array(anyStep, { minLength: 1, maxLength: 6 }), fc.boolean(), (shape, steps, sorted) => {
        const [fast, model] = [machineOf(shape, true), machineOf(shape, false)];
        for (const { changes, requests } of steps) {
          for (const each of changes) for (const machine of [fast, model]) change(machine, shape.mode, each);
          const inOrder = sorted ? requests.toSorted((a, b) => a.sid - b.sid || a.pasid - b.pasid) : requests;
          const batch = new Batch(MOST_REQUESTS, fast.memory);
          batch.length = inOrder.length;
          for (const [i, { sid, lo, hi, access, pasid }] of inOrder.entries()) {
            [batch.sid[i], batch.lo[i], batch.hi[i], batch.access[i], batch.pasid[i]] = [sid, lo, hi, access, pasid];
          }
          fast.unit.translateMany(batch);
          for (const [i, request] of inOrder.entries()) {
            const [number, ...went] = answerOf(model, request);
            assert.equal(batch.condition[i], number);
            if (number === 0) assert.deepEqual([batch.outLo[i], batch.outHi[i], batch.info[i]], went);
          }
        }
        assert.deepEqual(leftBy(fast), leftBy(model));
        // What a batch left is as well what single requests find.
        for (const request of steps.at(-1)!.requests) assert.deepEqual(answerOf(fast, request), answerOf(model, request));
      }),
      { numRuns: 800 },
    ),
  );
  assert.ok(count > 800, `the kernel answered ${count}`);
});

test('whoever follows what a unit reads is told of everything: no kernel answers then', () => {
  const machine = new m.Machine(undefined, { caches: { iotlb: 0, firstStage: 4, secondStage: 4 }, linear: LINEAR });
  const ask = (): number => machine.unit.translate(m.SID, 0x40000000, 0, READ, -1);
  assert.deepEqual([ask(), answered('passes', () => assert.equal(ask(), 0))], [0, 1]);
  const reads: unknown[] = [];
  machine.unit.trail = reads;
  assert.equal(answered('passes', ask), 0);
  assert.equal(reads.length, 1);
  machine.unit.trail = undefined;
  assert.equal(answered('passes', ask), 1);
});

test('nothing of scalable mode is left for a kernel when legacy mode is turned on', () => {
  const caches = { iotlb: 0, firstStage: 4, secondStage: 4 };
  const machine = new m.Machine(m.SECOND_STAGE, { caches, linear: LINEAR });
  const [root, context] = [0x30000, 0x31000];
  machine.write(root + 16, BigInt(context) | 1n);
  machine.write(context, BigInt(m.SS4) | 1n, 2n | (1n << 8n));
  machine.flip(m.PASIDS + 8, 1n << 24n);
  const snoops = (): number[] =>
    [0, 1].map(() => {
      assert.equal(machine.unit.translate(m.SID, 0x40000000, 0, READ, -1), 0);
      return machine.unit.out.snoop;
    });
  assert.deepEqual(snoops(), [1, 1]);
  // Translation stays on: turning it off would drop the caches.
  machine.unit.write(RTADDR_REG, 8, BigInt(root));
  machine.unit.write(GCMD_REG, 4, SRTP_AND_TE);
  assert.deepEqual(snoops(), [0, 0]);
});

test('no requester is taken for another that a kernel knows', () => {
  const machine = new m.Machine(m.SECOND_STAGE, { caches: { iotlb: 0, firstStage: 4, secondStage: 4 }, linear: LINEAR });
  const others = Array.from({ length: 2 ** 12 }, (_, at) => [(at << 8) ^ m.SID ^ (at >>> 8), at & 1 ? -1 : m.ONE] as const);
  // With the same key, but for bits 7:0 of the requester-id, which it does not have: see `keyPasid`.
  const alike = Array.from({ length: 2 ** 8 }, (_, at) => [m.SID ^ at, m.ONE ^ (at << 12)] as const);
  const ask = ([sid, pasid]: readonly [number, number]): number => machine.unit.translate(sid, 0x40000000, 0, READ, pasid);
  for (const pasid of [m.ONE, -1]) {
    const known = [m.SID, pasid] as const;
    const isOther = ([sid, of]: readonly [number, number]): boolean => sid !== m.SID || (of !== -1 && of !== m.ONE);
    for (const other of [...others, ...alike].filter(isOther)) {
      assert.equal(ask(known), 0);
      assert.notEqual(ask(other), 0, `requester ${other[0]} with PASID ${other[1]}`);
    }
  }
});

test('a unit for which the memory has no room left works without a kernel, with batches of its own', () => {
  const machine = new m.Machine(undefined, { linear: { pages: 64, room: 2 ** 10 } });
  const batch = new Batch(4, machine.memory);
  batch.length = 4;
  batch.sid.fill(m.SID);
  batch.access.fill(READ);
  assert.equal(
    answered('answer', () => machine.unit.translateMany(batch)),
    0,
  );
  assert.deepEqual([...batch.condition], [0, 0, 0, 0]);
  // One of a memory that the kernel cannot read.
  const other = new m.Machine(undefined, { caches: { firstStage: 4, secondStage: 4 }, linear: { pages: 64, room: 2 ** 17 } });
  other.unit.translateMany(batch);
  assert.deepEqual([...batch.condition], [0, 0, 0, 0]);
});

test('the module is what its source compiles to', { timeout: 60_000 }, async () => {
  const { CODE, compileKernel } = await import(new URL('../../../../../scripts/kernel.mjs', import.meta.url).href);
  assert.equal(readFileSync(CODE, 'utf8'), await compileKernel(), '`npm run kernel` compiles it anew');
});
