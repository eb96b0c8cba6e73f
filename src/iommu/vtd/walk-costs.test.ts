import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CAP, CONTEXT, DIRECTORY, ECAP, PASIDS, ROOT, SID } from '../../../test/vtd-machine.ts';
import { Memory } from '../../memory/memory.ts';
import { type CacheSizes, NO_CACHES } from './caches.ts';
import { POSTED, REMAPPED } from './remap.ts';
import { NO_WRITE, READ } from './request.ts';
import { VtdUnit } from './unit.ts';

// How many entries a request costs: VT-d 5.10 §3.4 (structures), §3.6 and §3.7 (a walk), §3.8 (nested: each address of the
// first stage is one that the second translates), §6.2 (what caches leave of it).

/** Levels of a stage, and the level of the entry that maps the page: 1 is 4 KiB, 2 is 2 MiB, 3 is 1 GiB. */
interface Stage {
  levels: number;
  leaf: number;
}
/** What a requester walks: neither stage is pass-through. */
interface Mode {
  legacy?: boolean;
  first?: Stage;
  second?: Stage;
}

/** No two levels have the same index, and 3 levels reach it. */
const IOVA = 0x35_c2b2_9000;
/** Where the first stage leads; the second maps all to itself. */
const PAGE = 0x1_8765_4000;
/** First-stage tables, and all others. */
const GUEST_TABLES = 0x1_4000_0000;
const TABLES = 0x100000;
const SMALL = 1;

const sizeOf = ({ leaf }: Stage): number => 2 ** (3 + 9 * leaf);
/** Where `IOVA` goes. */
const destination = (first: Stage | undefined): number => (first ? PAGE - (PAGE % sizeOf(first)) + (IOVA % sizeOf(first)) : IOVA);

/** What the structures cost, and the walk. */
const structures = ({ legacy }: Mode): number => (legacy ? 2 : 4);
const levelsOf = (stage: Stage | undefined): number => (stage === undefined ? 0 : stage.levels - stage.leaf + 1);
const walk = ({ first, second }: Mode): number => (levelsOf(first) + 1) * (levelsOf(second) + 1) - 1;

/** A unit with the tables of a mode for one page, and for the page of 4 KiB behind it where pages are small. */
function unitOf({ legacy, first, second }: Mode, caches: Partial<CacheSizes> = NO_CACHES): VtdUnit {
  const memory = new Memory([{ start: 0, end: 2 ** 34 }]);
  const write = (at: number, word: bigint) => memory.write64(at | 0, Math.floor(at / 2 ** 32), word);
  const read = (at: number) => memory.read64(at | 0, Math.floor(at / 2 ** 32))!;
  let next = TABLES;
  let guestNext = GUEST_TABLES;

  /** Makes the entries that lead an address to another one. @returns the tables on the way */
  const map = (root: number, stage: Stage, from: number, to: number, flags: bigint, allocate: () => number): number[] => {
    const tables = [root];
    for (let level = stage.levels; ; level--) {
      const at = tables.at(-1)! + (Math.floor(from / 2 ** (3 + 9 * level)) % 512) * 8;
      if (level === stage.leaf) {
        const size = 2 ** (3 + 9 * level);
        write(at, BigInt(Math.floor(to / size) * size) | flags | (level > 1 ? 0x80n : 0n));
        return tables;
      }
      if (read(at) === 0n) write(at, BigInt(allocate()) | (flags & ~0x40n));
      tables.push(Number(read(at) & ~0xfffn));
    }
  };
  const host = () => (next += 4096);
  const guest = () => (guestNext += 4096);

  const fsRoot = guest();
  const ssRoot = host();
  const leads = destination(first);
  const pages = [leads];
  for (const more of [0, 4096]) {
    if (first) pages.push(...map(fsRoot, first, IOVA + more, leads + more, 0x67n, guest), leads + more);
    else pages.push(leads + more);
  }
  if (second) for (const page of pages) map(ssRoot, second, page, page, 3n, host);

  const AW = BigInt((second?.levels ?? 4) - 2);
  write(ROOT + (SID >> 8) * 16, BigInt(CONTEXT) | 1n);
  if (legacy) {
    write(CONTEXT, BigInt(ssRoot) | (second ? 1n : 9n));
    write(CONTEXT + 8, AW | (1n << 8n));
  } else {
    const PGTT = first ? (second ? 3n : 1n) : second ? 2n : 4n;
    // DTE.
    write(CONTEXT, BigInt(DIRECTORY) | 5n);
    write(DIRECTORY, BigInt(PASIDS) | 1n);
    write(PASIDS, BigInt(ssRoot) | (AW << 2n) | (PGTT << 6n) | 1n);
    // DID and PWSNP.
    write(PASIDS + 8, 1n | (1n << 23n));
    write(PASIDS + 16, BigInt(fsRoot) | (first?.levels === 5 ? 4n : 0n));
  }
  const unit = new VtdUnit({ cap: CAP, ecap: ECAP, ver: 0x60, haw: 46, memory, caches });
  unit.write(0x20, 8, BigInt(ROOT) | (legacy ? 0n : 1n << 10n));
  unit.write(0x18, 4, 1 << 30);
  unit.write(0x18, 4, 0x80000000);
  return unit;
}

/** The entries that are read meanwhile. */
function readsOf(unit: VtdUnit, during: () => void): string[] {
  const kinds: string[] = [];
  unit.trail = { push: ([kind]) => kinds.push(kind) };
  during();
  unit.trail = undefined;
  return kinds;
}

/** What a read costs of the page `more` bytes behind `IOVA`, which has to go where the tables say. */
function costOf(unit: VtdUnit, { first }: Mode, more = 0): number {
  return readsOf(unit, () => {
    const address = IOVA + more;
    assert.equal(unit.translate(SID, address | 0, Math.floor(address / 2 ** 32), READ, -1), 0);
    assert.equal((unit.out.hi >>> 0) * 2 ** 32 + (unit.out.lo >>> 0), destination(first) + more);
  }).length;
}

const stages = (...levels: number[]): Stage[] => levels.flatMap((count) => [1, 2, 3].map((leaf) => ({ levels: count, leaf })));
const SECOND = stages(3, 4, 5);
const FIRST = stages(4, 5);
const MODES: readonly Mode[] = [
  { legacy: true },
  {},
  ...SECOND.flatMap((second) => [{ legacy: true, second }, { second }]),
  ...FIRST.map((first) => ({ first })),
  ...FIRST.flatMap((first) => SECOND.map((second) => ({ first, second }))),
];

test('every walk reads as many entries as its stages, levels and pages say', () => {
  assert.equal(MODES.length, 80);
  for (const mode of MODES) {
    const unit = unitOf(mode);
    assert.equal(costOf(unit, mode), structures(mode) + walk(mode), JSON.stringify(mode));
  }
  // As printed in tables of others: 4 levels of 4 KiB in both stages, and 5.
  const nested = (levels: number) => walk({ first: { levels, leaf: SMALL }, second: { levels, leaf: SMALL } });
  assert.deepEqual([nested(4), nested(5)], [24, 35]);
});

test('a context entry and a PASID-table entry that are held leave the walk', () => {
  const hold = (sizes: Partial<CacheSizes>) => ({ ...NO_CACHES, ...sizes });
  for (const mode of MODES) {
    const again = (caches: CacheSizes) => {
      const unit = unitOf(mode, caches);
      costOf(unit, mode);
      return costOf(unit, mode) - walk(mode);
    };
    assert.equal(again(hold({ context: 16, pasid: 16 })), 0);
    assert.equal(again(hold({ context: 16 })), mode.legacy ? 0 : 2);
    assert.equal(again(hold({ pasid: 16 })), 2);
  }
});

test('a translation that is held costs nothing, and neither does a translated request of a requester that is known', () => {
  for (const mode of MODES) {
    const unit = unitOf(mode, { ...NO_CACHES, iotlb: 16 });
    costOf(unit, mode);
    assert.equal(costOf(unit, mode), 0);
    if (mode.legacy) continue;
    const known = unitOf(mode, { ...NO_CACHES, context: 16, pasid: 16 });
    const [lo, hi] = [IOVA | 0, Math.floor(IOVA / 2 ** 32)];
    const asked = readsOf(known, () => known.translateAts(SID, lo, hi, NO_WRITE, -1));
    assert.equal(known.completion.R, 1);
    assert.equal(asked.length, 4 + walk(mode));
    const { completion } = known;
    assert.deepEqual(
      readsOf(known, () => assert.equal(known.translated(SID, completion.lo, completion.hi, READ, -1), 0)),
      [],
    );
  }
});

test('paging structures that are held leave the entry of the page, and what the second stage makes of its address', () => {
  for (const mode of MODES) {
    const { first, second } = mode;
    const hold = (sizes: Partial<CacheSizes>) => {
      const unit = unitOf(mode, { ...NO_CACHES, context: 16, pasid: 16, ...sizes });
      costOf(unit, mode);
      // The next page, where its entry is in the same table.
      return costOf(unit, mode, (first ?? second)?.leaf === SMALL ? 4096 : 0);
    };
    const S = levelsOf(second);
    if (first) {
      // The entry of the page, once its table's host address is known: §6.2.5.
      assert.equal(hold({ firstStage: 64 }), 1 + S, JSON.stringify(mode));
      // Of each address that the second stage translates only the page.
      if (second) assert.equal(hold({ secondStage: 4096 }), levelsOf(first) * 2 + 1, JSON.stringify(mode));
      assert.equal(hold({ firstStage: 64, secondStage: 4096 }), second ? 2 : 1, JSON.stringify(mode));
    } else assert.equal(hold({ secondStage: 4096 }), second ? 1 : 0, JSON.stringify(mode));
  }
});

test('an interrupt costs its entry, a posted one the descriptor as well, and an entry that is held costs nothing', () => {
  const unit = unitOf({}, { ...NO_CACHES, interrupt: 16 });
  const table = 0x8000;
  const descriptor = 0x9000n;
  unit.memory.write64(table, 0, 1n);
  unit.memory.write64(table + 16, 0, ((descriptor & 0xffffffc0n) << 32n) | 0x8001n);
  unit.write(0xb8, 8, BigInt(table) | 0x807n);
  unit.write(0x18, 4, 0x81000000);
  unit.write(0x18, 4, 0x82000000);
  const ask = (index: number, kind: number) =>
    readsOf(unit, () => assert.equal(unit.interrupt(SID, 0xfee00010 | (index << 5), 0), kind));
  assert.deepEqual([ask(0, REMAPPED), ask(0, REMAPPED)], [['irte'], []]);
  assert.deepEqual([ask(1, POSTED), ask(1, POSTED)], [['irte', 'pid'], ['pid']]);
});
