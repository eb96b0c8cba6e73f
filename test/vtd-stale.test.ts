import assert from 'node:assert/strict';
import { test } from 'node:test';
import { askPage, shownPage } from './conformance/vtd-driver.ts';
import { EVERYTHING, History, type Invalidation, invalidationOf } from './conformance/vtd-stale.ts';
import { CONTEXT, FIRST_STAGE, FS1, FS2, FS4, IOVA, Machine, PAGE, SECOND_STAGE, SID, SS3 } from './vtd-machine.ts';

const OTHER = 0x51000;

/** A machine of which a word changes, and what may be answered then. */
class Changed {
  readonly machine: Machine;
  readonly history: History;

  constructor(mode: bigint | undefined, at: number, word: bigint) {
    this.machine = new Machine(mode);
    this.history = new History(this.machine.unit);
    this.history.now = 1;
    this.history.changes(BigInt(at), true);
    this.machine.write(at, word);
    this.history.now = 2;
  }

  /** Whether a read may go to a place, or be refused. */
  may(hpa: number | undefined, iova = BigInt(IOVA)): boolean {
    const op = { op: 'dma', sid: SID, iova: '', write: false, len: 8, clear: true, expect: { r: 'ok' } } as const;
    const ask: Parameters<History['explains']>[0]['ask'] = (unit) => {
      const answer = askPage(unit, op, iova);
      return { shown: shownPage(answer), held: answer.hpa !== undefined };
    };
    const shown =
      hpa === undefined
        ? ask(this.machine.unit).shown
        : shownPage({ hpa: BigInt(hpa), reason: 0, reported: false, completion: undefined });
    return this.history.explains({ sid: SID, iova, index: -1, ask }, shown);
  }

  after(low: bigint, high = 0n): this {
    this.history.invalidates(invalidationOf(low, high)!);
    return this;
  }
}

const iotlb = (G: bigint, did = 1n) => 2n | (G << 4n) | (did << 16n);
const context = (G: bigint, sid = SID, fm = 0n) => 1n | (G << 4n) | (1n << 16n) | (BigInt(sid) << 32n) | (fm << 48n);
const page = (address: number, am = 0n, ih = 0n) => BigInt(address) | (ih << 6n) | am;

test('a page that software moved is where it is, or where it was until an invalidation covers it', () => {
  const moved = () => new Changed(FIRST_STAGE, FS1, BigInt(OTHER) | 0x67n);
  assert.ok(moved().may(OTHER) && moved().may(PAGE));
  assert.ok(!moved().may(0x52000));
  for (const covers of [
    () => moved().after(iotlb(1n)),
    () => moved().after(iotlb(2n)),
    // First-stage entries go by domain: Table 23.
    () => moved().after(iotlb(3n), page(0x7000)),
    () => moved().after(6n | (2n << 4n) | (1n << 16n)),
    () => moved().after(6n | (3n << 4n) | (1n << 16n), page(IOVA)),
    () => moved().after(6n | (3n << 4n) | (1n << 16n), page(IOVA ^ 0x1000, 1n)),
  ])
    assert.ok(covers().may(OTHER) && !covers().may(PAGE), String(covers));
  for (const misses of [
    () => moved().after(iotlb(2n, 2n)),
    () => moved().after(6n | (2n << 4n) | (2n << 16n)),
    () => moved().after(6n | (2n << 4n) | (1n << 16n) | (7n << 32n)),
    () => moved().after(6n | (3n << 4n) | (1n << 16n), page(IOVA ^ 0x1000)),
    () => moved().after(context(1n)),
  ])
    assert.ok(misses().may(PAGE), String(misses));
});

test('second-stage pages and legacy ones go by address', () => {
  for (const mode of [undefined, SECOND_STAGE]) {
    const moved = () => new Changed(mode, SS3, 0x40000083n);
    assert.ok(moved().may(IOVA) && moved().may(0x40000000 + IOVA));
    assert.ok(!moved().after(iotlb(3n), page(IOVA)).may(IOVA));
    assert.ok(!moved().after(iotlb(3n), page(0, 18n)).may(IOVA));
    assert.ok(moved().after(iotlb(3n), page(0x800000)).may(IOVA), 'another page');
  }
});

test('what is held of a table tells of the entries above it after these are forgotten', () => {
  const cut = (invalidated: number) => {
    const changed = new Changed(FIRST_STAGE, FS4, 0n).after(6n | (3n << 4n) | (1n << 16n), page(invalidated));
    changed.history.now = 3;
    changed.history.changes(BigInt(FS1), true);
    changed.machine.write(FS1, BigInt(OTHER) | 0x67n);
    changed.history.now = 4;
    return changed;
  };
  assert.ok(cut(0x40000000).may(OTHER), 'in another GiB');
  assert.ok(cut(IOVA ^ 0x800000).may(OTHER), 'in a table beside');
  assert.ok(!cut(IOVA ^ 0x1000).may(OTHER), 'in the same table');
});

test('a table that is held leads to the pages that are in it now', () => {
  // The entry above the table is cleared, and the page in it changes.
  const cut = () => {
    const changed = new Changed(FIRST_STAGE, FS2 + 16, 0n);
    changed.history.now = 3;
    changed.history.changes(BigInt(FS1), true);
    changed.machine.write(FS1, BigInt(OTHER) | 0x67n);
    changed.history.now = 4;
    return changed;
  };
  for (const hpa of [PAGE, OTHER, undefined]) assert.ok(cut().may(hpa));
  // With IH the tables stay.
  const byPage = (ih: bigint) => cut().after(6n | (3n << 4n) | (1n << 16n), page(IOVA, 0n, ih));
  assert.deepEqual(
    [PAGE, OTHER].map((hpa) => byPage(1n).may(hpa)),
    [false, true],
  );
  assert.deepEqual(
    [PAGE, OTHER].map((hpa) => byPage(0n).may(hpa)),
    [false, false],
  );
});

test('a context entry that is held leads to the tables that it named', () => {
  const elsewhere = () => {
    const changed = new Changed(undefined, CONTEXT, BigInt(FS4) | 1n);
    changed.machine.write(FS4, BigInt(SS3) | 3n);
    return changed;
  };
  const other = () => new Changed(undefined, CONTEXT, 0n);
  assert.ok(other().may(IOVA) && other().may(undefined) && elsewhere().may(IOVA));
  // The translation is still held: software has to invalidate the IOTLB as well.
  assert.ok(other().after(context(1n)).may(IOVA));
  const both = (low: bigint) => other().after(low).after(iotlb(1n)).may(IOVA);
  assert.deepEqual([context(1n), context(2n), context(3n), context(3n, SID ^ 4, 1n)].map(both), [false, false, false, false]);
  assert.deepEqual([context(3n, SID ^ 4), context(3n, SID ^ 1, 1n), context(2n) ^ (3n << 16n)].map(both), [true, true, true]);
});

test('what met a fault is not held', () => {
  const repaired = new Changed(FIRST_STAGE, FS1, 0n);
  repaired.history.now = 3;
  repaired.history.changes(BigInt(FS1), true);
  repaired.machine.write(FS1, BigInt(PAGE) | 0x67n);
  repaired.history.now = 4;
  assert.ok(repaired.may(PAGE));
  const refused = new Machine(FIRST_STAGE);
  refused.write(FS1, 0n);
  const op = { op: 'dma', sid: SID, iova: '', write: false, len: 8, clear: true, expect: { r: 'ok' } } as const;
  const { shown } = { shown: shownPage(askPage(refused.unit, op, BigInt(IOVA))) };
  const ask = (unit: Machine['unit']) => {
    const answer = askPage(unit, op, BigInt(IOVA));
    return { shown: shownPage(answer), held: answer.hpa !== undefined };
  };
  assert.ok(!repaired.history.explains({ sid: SID, iova: BigInt(IOVA), index: -1, ask }, shown));
});

test('descriptors are taken as software wrote them', () => {
  const read = (low: bigint, high = 0n): Partial<Invalidation> | undefined => invalidationOf(low, high);
  assert.deepEqual(read(0x0003_0100_0007_0031n), { ...EVERYTHING, type: 1, G: 3, did: 7, sid: 0x100, fm: 3, pasid: 0x30100 });
  assert.deepEqual(read(0x0000_0005_0007_0036n, 0x5049n), {
    ...EVERYTHING,
    type: 6,
    G: 3,
    did: 7,
    sid: 5,
    pasid: 5,
    address: 0x5000n,
    am: 9,
    ih: 1,
  });
  assert.deepEqual(read(0x0000_0012_1000_0014n), { ...EVERYTHING, type: 4, G: 1, address: 0x12n, am: 2 });
  assert.equal(read(0x25n), undefined, 'a wait');
});
