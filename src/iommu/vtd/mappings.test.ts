import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CAP, ECAP } from '../../../test/vtd-machine.ts';
import { Memory } from '../../memory/memory.ts';
import { abilitiesOf } from './abilities.ts';
import { AddressSpace, FIRST_STAGE, NESTED, SECOND_STAGE } from './address-space.ts';
import { Caches, NO_CACHES } from './caches.ts';
import { END_OF_ADDRESSES, joinMappings, MappingReader, Mappings, USER } from './mappings.ts';
import { ALL, READ, SNOOP, WRITE } from './request.ts';
import { PageWalk, RW, US } from './walk.ts';

const UNITS = [
  { cap: CAP, ecap: ECAP },
  // Without pages of 2 MiB and 1 GiB in the second stage; without snoop control.
  { cap: CAP & ~(3n << 34n), ecap: ECAP },
  { cap: CAP, ecap: ECAP & ~(1n << 7n) },
].map((registers) => abilitiesOf({ ...registers, ver: 0x60, haw: 46 }));
type Can = (typeof UNITS)[number];

/** Tables are here, and may lead to each other and themselves. */
const TABLES = 0x10000;
const TABLE_COUNT = 12;
const tableAt = (table: number): number => TABLES + table * 4096;

interface Shape {
  readonly type: number;
  readonly levels: number;
  readonly under: number;
  readonly SSIRWE: number;
  readonly SSADE: number;
  /** Whether the first entries of tables lead to the next table whatever else is written. */
  readonly chained: boolean;
}

function spaceOf(can: Can, { type, levels, under, SSIRWE, SSADE }: Shape): AddressSpace {
  const space = new AddressSpace();
  const ssLevels = type === SECOND_STAGE ? levels : under;
  space.type = type;
  space.nested = type === NESTED ? 1 : 0;
  if (type !== SECOND_STAGE) {
    space.fsLo = tableAt(0);
    space.fsLevels = Math.max(levels, 4);
  }
  if (type !== FIRST_STAGE) {
    space.ssLo = type === NESTED ? tableAt(TABLE_COUNT) : tableAt(0);
    space.ssLevels = ssLevels;
  }
  space.ssBeyond = can.beyondWidth[ssLevels - 2]!;
  space.SSIRWE = SSIRWE;
  space.SSADE = SSADE;
  space.ssReservedHi = SSIRWE ? can.addressReserved : can.ssReservedHi;
  space.snooped = 1;
  return space;
}

interface Page {
  readonly from: number;
  readonly level: number;
  readonly target: number;
  readonly info: number;
}
const SIZES = [0, 1, 512, 512 * 512];

/** What requests find at a frame, by the walk that they take. */
function walked(walk: PageWalk, space: AddressSpace, frame: number): Page | undefined {
  const lo = frame << 12;
  let hi = Math.floor(frame / 2 ** 20) | 0;
  let info = READ | WRITE | USER;
  let level = 3;
  const from = () => frame - (frame % SIZES[level]!);
  walk.begin();
  let to = lo;
  if (space.type !== SECOND_STAGE) {
    const sign = hi >> (space.fsLevels === 5 ? 24 : 15);
    if ((sign !== 0 && sign !== -1) || walk.firstStage(space, lo, hi, false, 0) !== 0) return undefined;
    info = READ | (walk.fsRights & RW ? WRITE : 0) | (walk.fsRights & US ? USER : 0);
    level = walk.level;
    [to, hi] = [walk.lo, walk.hi];
  }
  if (space.type !== FIRST_STAGE) {
    if (hi & space.ssBeyond || walk.secondStage(space, to, hi, false, 0) !== 0) return undefined;
    info &= walk.ssRights | USER;
    if ((info & ALL) === 0) return undefined;
    if (walk.SNP) info |= SNOOP;
    level = Math.min(level, walk.level);
  }
  const target = walk.hi * 2 ** 20 + (walk.lo >>> 12);
  return { from: from(), level, target: target - (target % SIZES[level]!), info };
}

function pagesOf(mappings: Mappings): Page[] {
  return Array.from({ length: mappings.count }, (_, i) => {
    const stretch = mappings.stretchOf(i);
    return {
      from: mappings.iova(i),
      level: mappings.level(stretch),
      target: mappings.hi(i) * 2 ** 20 + (mappings.lo(i) >>> 12),
      info: mappings.info[stretch]! & 0x1ff,
    };
  });
}

/** The listing in calls of a size, up to `most` pages, and the frame before which it has all. */
function listed(reader: MappingReader, space: AddressSpace, out: Mappings, most: number): { pages: Page[]; next: number } {
  const pages: Page[] = [];
  let next = 0;
  for (let calls = 0; next < END_OF_ADDRESSES && pages.length < most && calls < 200; calls++) {
    reader.read(space, next, END_OF_ADDRESSES, out);
    assert.ok(out.next > next, `from ${next} on to ${out.next}`);
    next = out.next;
    pages.push(...pagesOf(out));
  }
  return { pages, next };
}

/** Few, so that addresses that are tried are often mapped. */
const anyIndex = fc.constantFrom(0, 0, 0, 1, 1, 255, 256, 511);
const anyTable = fc.integer({ min: 0, max: TABLE_COUNT - 1 }).map((table) => BigInt(tableAt(table)));
const anyTarget = fc.oneof(
  { weight: 3, arbitrary: anyTable },
  fc.constantFrom(0n, 1n, 512n, 2560n).map((mib) => mib << 21n),
  fc.bigInt({ min: 0n, max: 2n ** 34n - 1n }).map((frame) => frame << 12n),
);
/** Flags of both stages: rights, PS, SNP, A and D, what is reserved at some levels, IR and IW, what is ignored. */
const anyFlags = fc
  .tuple(
    fc.constantFrom(3n, 7n, 7n, 7n, 0x67n, 5n, 2n, 1n, 0n),
    fc.constantFrom(0n, 0n, 0n, 0n, 0n, 0x80n, 0x80n, 0x80n, 0x800n, 0x880n, 1n << 46n, 1n << 13n),
    fc.constantFrom(0n, 0n, 0n, 0n, 1n << 61n, 1n << 62n, 0xffn << 52n, 0x120n),
  )
  .map(([rights, page, high]) => rights | page | high);
const anyLargePage = fc
  .tuple(fc.constantFrom(0n, 1n, 512n, 1024n, 2560n), fc.constantFrom(0x83n, 0x87n, 0x81n, 0x887n))
  .map(([mib, flags]) => (mib << 21n) | flags);
const anyEntry = fc.oneof(
  { weight: 2, arbitrary: fc.tuple(anyTarget, anyFlags).map(([target, flags]) => target | flags) },
  anyLargePage,
);
const anyWrites = fc.array(
  fc.tuple(
    fc.oneof({ weight: 3, arbitrary: fc.integer({ min: 0, max: 4 }) }, fc.integer({ min: 0, max: TABLE_COUNT + 2 })),
    anyIndex,
    anyEntry,
  ),
  { minLength: 8, maxLength: 40 },
);
/** Tables whose entries are all alike, as drivers make them. */
const anyDense = fc.array(fc.tuple(fc.integer({ min: 2, max: TABLE_COUNT - 1 }), anyEntry), { maxLength: 2 });
const anyShape = fc.record({
  type: fc.constantFrom(FIRST_STAGE, SECOND_STAGE, NESTED),
  levels: fc.constantFrom(3, 4, 4, 5),
  under: fc.constantFrom(3, 4, 5),
  SSIRWE: fc.constantFrom(0, 0, 1),
  SSADE: fc.constantFrom(0, 0, 1),
  chained: fc.constantFrom(true, true, false),
});

function build(can: Can, shape: Shape, writes: readonly [number, number, bigint][], dense: readonly [number, bigint][]) {
  const memory = new Memory([{ start: 0, end: 2 ** 30 }]);
  // With SSIRWE other bits are the rights.
  const put = (table: number, index: number, entry: bigint) =>
    memory.write64(tableAt(table) + index * 8, 0, shape.SSIRWE ? entry | ((entry & 3n) << 61n) : entry);
  for (let table = 0; table < 5; table++) put(table, 0, BigInt(tableAt(table + 1)) | 7n);
  // The second stage of nested tables: the first GiB to itself.
  for (let level = shape.under; level > 3; level--) {
    const table = TABLE_COUNT + shape.under - level;
    put(table, 0, BigInt(tableAt(table + 1)) | 3n);
  }
  put(TABLE_COUNT + shape.under - 3, 0, 0x83n);
  for (const [table, entry] of dense) for (let index = 0; index < 512; index++) put(table, index, entry + (BigInt(index) << 12n));
  for (const [table, index, entry] of writes) if (index !== 0 || !shape.chained || table > 4) put(table, index, entry);
  return { memory, space: spaceOf(can, shape), walk: new PageWalk(memory, can, new Caches(NO_CACHES)) };
}

const anyFrame = fc
  .tuple(
    fc.array(fc.oneof({ weight: 9, arbitrary: anyIndex }, fc.integer({ min: 0, max: 511 })), { minLength: 5, maxLength: 5 }),
    fc.constantFrom(9 * 3, 9 * 4, 9 * 5),
  )
  .map(([indexes, bits]) => {
    const frame = indexes.reduce((frame, index) => frame * 512 + index, 0) % 2 ** bits;
    // Both the address as it is, and canonical.
    return [frame, frame >= 2 ** (bits - 1) ? frame + END_OF_ADDRESSES - 2 ** bits : frame] as const;
  });

test('what is listed is what walks find, and they find nothing else, in either stage and nested', () => {
  let mapped = 0;
  fc.assert(
    fc.property(
      fc.constantFrom(...UNITS),
      anyShape,
      anyWrites,
      anyDense,
      fc.array(anyFrame, { maxLength: 60 }),
      fc.constantFrom(7, 600, 2000),
      (can, shape, writes, dense, samples, size) => {
        const { memory, space, walk } = build(can, shape, writes, dense);
        const reader = new MappingReader(memory, can);
        const { pages, next } = listed(reader, space, new Mappings(size), 2000);
        let before = 0;
        for (const page of pages) {
          assert.ok(page.from >= before, 'pages are in order and do not overlap');
          before = page.from + SIZES[page.level]!;
          assert.deepEqual(page, walked(walk, space, page.from));
          assert.deepEqual(page, walked(walk, space, before - 1));
        }
        const at = new Map(pages.map((page) => [page.from, page]));
        const one = new Mappings(2);
        for (const frame of [
          ...samples.flat(),
          ...pages.slice(0, 50).flatMap((page) => [page.from + SIZES[page.level]!, page.from - 1]),
        ]) {
          if (frame < 0 || frame >= END_OF_ADDRESSES) continue;
          const page = walked(walk, space, frame);
          if (page !== undefined) mapped++;
          reader.read(space, frame, frame + 1, one);
          assert.deepEqual(pagesOf(one), page === undefined ? [] : [page]);
          if (page === undefined || page.from >= next) continue;
          assert.deepEqual(at.get(page.from), page);
        }
      },
    ),
    { numRuns: 300 },
  );
  assert.ok(mapped > 100, `${mapped} samples were mapped`);
});

test('nested: of two pages over each other the smaller is listed', () => {
  const shape: Shape = { type: NESTED, levels: 4, under: 4, SSIRWE: 0, SSADE: 0, chained: false };
  const GIB = 2n ** 30n;
  const second = TABLE_COUNT;
  const table = (number: number) => BigInt(tableAt(number));
  const every = (number: number, entryAt: (index: bigint) => bigint): [number, number, bigint][] =>
    Array.from({ length: 512 }, (_, index) => [number, index, entryAt(BigInt(index))]);
  /** What the second stage has behind its second GiB, and how many pages of each level are listed. */
  const cases: [[number, number, bigint][], number[]][] = [
    [[[second + 1, 1, (5n * GIB) | 0x83n]], [0, 1, 1, 1]],
    [
      [[second + 1, 1, table(second + 2) | 3n], ...every(second + 2, (index) => (index << 22n) | 0x83n)],
      [0, 1, 513, 0],
    ],
    [
      [
        [second + 1, 1, table(second + 2) | 3n],
        [second + 2, 1, table(second + 3) | 3n],
        ...every(second + 3, (index) => (index === 5n ? 0n : (index << 13n) | 1n)),
      ],
      [0, 1023, 0, 0],
    ],
  ];
  for (const [writes, expected] of cases) {
    // Pages of 1 GiB, 2 MiB and 4 KiB, all of them to addresses in that GiB.
    const first: [number, number, bigint][] = [
      [1, 1, GIB | 0x87n],
      [2, 1, (GIB + 0x200000n) | 0x87n],
      [3, 0, 0n],
      [3, 1, (GIB + 0x201000n) | 7n],
    ];
    const { memory, space, walk } = build(UNITS[0]!, shape, [...first, ...writes], []);
    const reader = new MappingReader(memory, UNITS[0]!);
    const { pages } = listed(reader, space, new Mappings(2000), 2000);
    const counts = [0, 0, 0, 0];
    for (const page of pages) {
      counts[page.level]!++;
      assert.deepEqual(page, walked(walk, space, page.from + SIZES[page.level]! - 1));
    }
    assert.deepEqual(counts, expected);
  }
});

test('a listing goes on where it stopped, however little it takes at a time', () =>
  fc.assert(
    fc.property(
      anyShape,
      anyWrites,
      anyDense,
      fc.integer({ min: 1, max: 40 }),
      fc.constantFrom(64, 100),
      (shape, writes, dense, size, tables) => {
        const { memory, space } = build(UNITS[0]!, shape, writes, dense);
        const reader = new MappingReader(memory, UNITS[0]!);
        const whole = listed(reader, space, new Mappings(4000), 1);
        const parts = listed(reader, space, new Mappings(size, tables), 100);
        const end = Math.min(whole.next, parts.next);
        const upTo = ({ pages }: { pages: Page[] }) => pages.filter(({ from }) => from < end);
        assert.deepEqual(upTo(parts), upTo(whole));
      },
    ),
    { numRuns: 100 },
  ));

test('tables that lead to themselves are listed in bounded steps', () => {
  for (const entry of [BigInt(TABLES) | 3n, BigInt(TABLES) | 7n])
    for (const type of [FIRST_STAGE, SECOND_STAGE]) {
      const { memory, space } = build(UNITS[0]!, { type, levels: 5, under: 5, SSIRWE: 0, SSADE: 0, chained: true }, [], []);
      for (let index = 0; index < 512; index++) memory.write64(TABLES + index * 8, 0, entry);
      const reader = new MappingReader(memory, UNITS[0]!);
      const out = new Mappings(2 ** 16);
      reader.read(space, 0, END_OF_ADDRESSES, out);
      assert.deepEqual([out.count, out.next], [2 ** 16, 2 ** 16]);
      // Without any mapping: entries of level 1 with a reserved address, of tables whose entries are all present.
      const [last, locked] = [tableAt(1), 1n << 46n];
      for (let index = 0; index < 512; index++) {
        memory.write64(last + index * 8, 0, entry | locked);
        memory.write64(tableAt(2) + index * 8, 0, BigInt(last) | (entry & 7n));
        memory.write64(tableAt(3) + index * 8, 0, BigInt(tableAt(2)) | (entry & 7n));
        memory.write64(tableAt(4) + index * 8, 0, BigInt(tableAt(3)) | (entry & 7n));
        memory.write64(TABLES + index * 8, 0, BigInt(tableAt(4)) | (entry & 7n));
      }
      const few = new Mappings(10, 1000);
      let next = 0;
      for (let calls = 0; calls < 20; calls++) {
        reader.read(space, next, END_OF_ADDRESSES, few);
        assert.equal(few.count, 0);
        assert.ok(few.next >= next + 900 * 512, `${few.next - next} frames in a call`);
        next = few.next;
      }
    }
});

test('a pass-through address space has nothing to list', () => {
  const out = new Mappings(1);
  new MappingReader(new Memory([]), UNITS[0]!).read(new AddressSpace(), 0, 100, out);
  assert.deepEqual([out.count, out.next], [0, 100]);
});

test('neighbours with the same rights are joined, over the end of a call as well', () => {
  const memory = new Memory([{ start: 0, end: 2 ** 30 }]);
  const space = spaceOf(UNITS[0]!, { type: SECOND_STAGE, levels: 3, under: 3, SSIRWE: 0, SSADE: 0, chained: true });
  memory.write64(tableAt(0), 0, BigInt(tableAt(1)) | 3n);
  memory.write64(tableAt(1), 0, BigInt(tableAt(2)) | 3n);
  // 512 pages of 4 KiB lead to where the page of 2 MiB after them goes on; the last of them can only be read.
  for (let index = 0; index < 512; index++)
    memory.write64(tableAt(2) + index * 8, 0, BigInt(0x200000 + index * 4096) | (index === 511 ? 1n : 3n));
  memory.write64(tableAt(1) + 8, 0, 0x400083n);
  memory.write64(tableAt(1) + 16, 0, 0x600083n);
  memory.write64(tableAt(1) + 32, 0, 0x800083n);
  const reader = new MappingReader(memory, UNITS[0]!);
  const expected = [
    { from: 0, to: 511, target: 0x200, info: READ | WRITE | USER },
    { from: 511, to: 512, target: 0x3ff, info: READ | USER },
    { from: 512, to: 1536, target: 0x400, info: READ | WRITE | USER },
    { from: 2048, to: 2560, target: 0x800, info: READ | WRITE | USER },
  ];
  for (const size of [1, 100, 1000]) {
    const out = new Mappings(size);
    const runs: ReturnType<typeof joinMappings> = [];
    for (let next = 0; next < END_OF_ADDRESSES; next = out.next) {
      reader.read(space, next, END_OF_ADDRESSES, out);
      joinMappings(out, runs);
    }
    assert.deepEqual(runs, expected);
  }
});
