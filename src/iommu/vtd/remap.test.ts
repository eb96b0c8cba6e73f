import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { anyValue, roundTrip } from '../../../test/entries.ts';
import type { Entry, Fields } from '../../bits/index.ts';
import { Memory } from '../../memory/memory.ts';
import { INTERRUPT_CONDITIONS, interruptCondition } from './faults-interrupt.ts';
import * as formats from './formats-interrupt.ts';
import {
  CompatibilityAddress,
  CompatibilityData,
  PostedInterruptDescriptor,
  PostedIrte,
  RemappedIrte,
} from './formats-interrupt.ts';
import { InterruptEntryCache } from './interrupt-cache.ts';
import { reservedWords } from './masks.ts';
import {
  BLOCKED,
  InterruptRemapper,
  type InterruptRules,
  latchInterruptTable,
  newInterruptRules,
  PASSED,
  POSTED,
  REMAPPED,
} from './remap.ts';

const TABLE = 0x10000;
const DESCRIPTOR = 0x20000;
/** Beyond all memory of `bench`. */
const NOWHERE = 0x40000000;
const HAW = 46;
const PI = 1n << 59n;
const EIMER = 1n << 61n;
const IRREQ = 1n << 62n;

const definitions = Object.values(formats).filter((one) => typeof one === 'object') as unknown as Entry<Fields>[];
for (const definition of definitions)
  test(`${definition.name} keeps every value it can hold`, () =>
    fc.assert(fc.property(anyValue(definition), (value) => assert.deepEqual(roundTrip(definition, value), value))));

test('masks of reserved bits are those of the definitions', () => {
  assert.deepEqual([...reservedWords(RemappedIrte)].map(hex), ['ff007000', '0', 'fff00000', 'ffffffff']);
  assert.deepEqual([...reservedWords(PostedIrte)].map(hex), ['ff0030fc', '3f', 'fff00000', '0']);
  assert.deepEqual([...reservedWords(PostedInterruptDescriptor)].slice(8).map(hex), [
    'ff00fffc',
    '0',
    ...Array(6).fill('ffffffff'),
  ]);
});

test('a request picks its entry by handle, and by handle and subhandle when SHV is set', () => {
  const unit = bench({ entries: 0xf });
  const send = (address: number, data = 0) => {
    unit.send(7, address, data);
    return unit.out.index;
  };
  assert.equal(send(0xfee00010), 0);
  assert.equal(send(0xfee00014), 0x8000);
  assert.equal(send(0xfee00010 | (0x7fff << 5)), 0x7fff);
  assert.equal(send(0xfee00010 | (5 << 5), 0xffff0003), 5, 'data does not count without SHV');
  assert.equal(send(0xfee00018 | (5 << 5), 3), 8);
});

test('a remapped interrupt goes out as its entry says, in both APIC modes', () => {
  const unit = bench({ EIME: 0 });
  const entry = { P: 1, DM: 1, RH: 1, TM: 1, DLM: 1, V: 0x93, AVAIL: 0xf };
  unit.irte(3, RemappedIrte.encode({ ...entry, DST: 0x2300 }));
  assert.equal(unit.send(0x100, message(3)), 0);
  assert.deepEqual(sent(unit), { kind: REMAPPED, lo: 0xfee2300c, hi: 0, data: 0xc193, DST: 0x23, DLM: 'lowestPriority' });

  latchInterruptTable(unit.rules, TABLE | (1 << 11) | 7, 0);
  unit.irte(3, RemappedIrte.encode({ ...entry, TM: 0, DST: 0x89abcdef }));
  assert.equal(unit.send(0x100, message(3)), 0);
  assert.deepEqual(sent(unit), {
    kind: REMAPPED,
    lo: 0xfeeef00c,
    hi: 0x89abcd00,
    data: 0x4193,
    DST: 0xef,
    DLM: 'lowestPriority',
  });
});

test('a table of 2 to the power of S + 1 entries ends where IRTA_REG says', () => {
  for (const S of [0, 3, 15]) {
    const unit = bench({ entries: S });
    const last = 2 ** (S + 1) - 1;
    assert.equal(unit.send(1, message(last)), 0x22, 'not present, so it was read');
    assert.equal(unit.out.index, last);
    assert.equal(unit.send(1, message(last) | 8, 1), 0x21);
  }
});

test('the source check takes every bit, leaves out what SQ says, or takes a range of buses', () => {
  const unit = bench({});
  const accepted = (source: { SVT: number; SQ?: number; SID: number }) => {
    unit.irte(0, RemappedIrte.encode({ P: 1, ...source }));
    return (sid: number) => unit.send(sid, message(0)) === 0;
  };
  const sid = 0x3a2d;
  for (const [SQ, ignored] of [0, 4, 6, 7].entries()) {
    const passes = accepted({ SVT: 1, SQ, SID: sid });
    for (let flip = 0; flip < 16; flip++)
      assert.equal(passes(sid ^ (1 << flip)), (ignored & (1 << flip)) !== 0, `SQ ${SQ}, bit ${flip}`);
    assert.ok(passes(sid));
  }
  const bus = accepted({ SVT: 2, SID: 0x2024 });
  assert.deepEqual([0x1fff, 0x2000, 0x24ff, 0x2500].map(bus), [false, true, true, false]);
  assert.equal(accepted({ SVT: 2, SID: 0x2420 })(0x2200), false, 'no bus lies between start and end');
  assert.ok(accepted({ SVT: 0, SID: 0 })(0xffff));
  assert.equal(accepted({ SVT: 3, SID: sid })(sid), false);
});

/** One request for each row, and what must be recorded. */
const PROVOKED: Readonly<Record<string, (fpd: number) => { reason: number; FPD: number; index: number }>> = {
  '20h': () => ask(bench({}), message(2) | 8, 0x10000),
  '21h': () => ask(bench({ entries: 1 }), message(4)),
  '22h': (FPD) => ask(bench({}).irte(1, RemappedIrte.encode({ FPD })), message(1)),
  '23h': () => ask(bench({ table: NOWHERE }), message(1)),
  '24h': (FPD) => ask(bench({}).irte(1, RemappedIrte.encode({ P: 1, FPD, RSVD_24: 1 })), message(1)),
  '25h': () => ask(bench({}), 0xfee01000),
  '26h': (FPD) => ask(bench({}).irte(1, RemappedIrte.encode({ P: 1, FPD, SVT: 1, SID: 8 })), message(1)),
  '27h': (FPD) => ask(bench({}).irte(1, PostedIrte.encode({ P: 1, FPD, IM: 1, PDAL: NOWHERE >>> 6 })), message(1)),
  '28h': (FPD) => ask(bench({}).irte(1, postedTo(DESCRIPTOR, { FPD })).descriptor(DESCRIPTOR, { RSVD_280: 1 }), message(1)),
  '2Ah': () => ask(bench({ ecap: EIMER }), message(1)),
  '2Bh': () => ask(bench({ ecap: IRREQ, IRES: 0 }), message(1)),
};

// The row of requests that are no interrupts: they never come here, the translation of addresses meets it.
for (const [code, { reason, qualified, index, says }] of Object.entries(INTERRUPT_CONDITIONS))
  if (code !== '29h')
    test(`${code}: ${says}`, () => {
      for (const fpd of [0, 1]) {
        const answer = PROVOKED[code]!(fpd);
        assert.equal(answer.reason, reason);
        if (qualified) assert.equal(answer.FPD, fpd);
        if (index) assert.ok(answer.index >= 0);
      }
    });

// §5.1.4 looks at the source first, Table 15 orders nothing, and recorded units tell of the reserved bits.
test('an entry with reserved bits that does not allow the requester either is reported for its reserved bits', () => {
  for (const bits of [{ RSVD_24: 1 }, { DST: 1 }]) {
    const unit = bench({}).irte(1, RemappedIrte.encode({ P: 1, SVT: 1, SID: 8, ...bits }));
    assert.equal(unit.send(0, message(1)), 0x24);
    assert.equal(unit.send(8, message(1)), 0x24);
  }
  assert.equal(
    bench({})
      .irte(1, postedTo(DESCRIPTOR, { SVT: 1, SID: 8, RSVD_24: 1 }))
      .send(0, message(1)),
    0x24,
  );
});

test('a posted interrupt descriptor in read-only memory cannot be written', () => {
  const unit = bench({}).irte(1, postedTo(DESCRIPTOR)).descriptor(DESCRIPTOR, {});
  unit.memory.makeReadOnly({ start: DESCRIPTOR & ~0xfff, end: (DESCRIPTOR & ~0xfff) + 0x1000 });
  const before = unit.memory.snapshot();
  assert.equal(unit.send(0, message(1)), 0x27);
  assert.deepEqual(unit.memory.snapshot(), before);
});

test('every reserved bit of an entry is a fault, and those of the destination in xAPIC mode', () => {
  for (const EIME of [0, 1]) {
    const unit = bench({ EIME });
    for (let bit = 0; bit < 128; bit++) {
      const bytes = RemappedIrte.encode({ P: 1 });
      bytes[bit >>> 3]! |= 1 << (bit & 7);
      const { kind } = RemappedIrte.fields.find(({ high, low }) => high >= bit && bit >= low)!;
      const destination = bit >= 32 && bit < 64;
      const reserved = destination ? !EIME && (bit < 40 || bit >= 48) : kind === 'reserved';
      // IM makes it a posted one, and SVT asks who it was.
      const expected = bit === 15 ? 0 : bit === 82 ? 0 : bit === 83 ? 0 : reserved ? 0x24 : 0;
      unit.irte(1, bytes);
      assert.equal(unit.send(0, message(1)), expected, `bit ${bit}`);
    }
  }
});

test('every reserved bit of a posted entry and of its descriptor is a fault', () => {
  for (const EIME of [0, 1]) {
    const unit = bench({ EIME });
    for (const { kind, low, high, name } of PostedIrte.fields)
      for (let bit = low; bit <= high; bit++) {
        const bytes = postedTo(DESCRIPTOR, { PDAH: 0 });
        bytes[bit >>> 3]! |= 1 << (bit & 7);
        if (kind === 'reserved' || bit >= 96 + HAW - 32)
          assert.equal(unit.irte(1, bytes).send(0, message(1)), 0x24, `${name}, bit ${bit}`);
      }
    unit.irte(1, postedTo(DESCRIPTOR));
    for (let bit = 256; bit < 512; bit++) {
      unit.descriptor(DESCRIPTOR, {});
      unit.flip(DESCRIPTOR, bit);
      const { kind } = PostedInterruptDescriptor.fields.find(({ high, low }) => high >= bit && bit >= low)!;
      const reserved = bit >= 288 && bit < 320 ? !EIME && (bit < 296 || bit >= 304) : kind === 'reserved';
      assert.equal(unit.send(0, message(1)), reserved ? 0x28 : 0, `bit ${bit}`);
    }
  }
});

test('an entry above the host address width is not read', () => {
  const unit = bench({ tableHi: 1 << (HAW - 32) });
  assert.equal(unit.send(1, message(0)), 0x21);
  const edge = bench({ table: 0xffff_f000, tableHi: (1 << (HAW - 32)) - 1, entries: 15 });
  assert.equal(edge.send(1, message(255)), 0x23, 'the last below it');
  assert.equal(edge.send(1, message(256)), 0x21, 'the first above it');
});

test('without posted interrupts the mode bit is reserved', () => {
  assert.equal(bench({ cap: 0n }).irte(1, postedTo(DESCRIPTOR)).send(0, message(1)), 0x24);
});

test('compatibility format passes when remapping is off, or CFI is set and x2APIC mode is off', () => {
  const of = (rules: Partial<Parameters<typeof bench>[0]>) => {
    const unit = bench(rules);
    return [unit.send(1, 0xfee31000, 0x4021), unit.out.kind, unit.out.lo >>> 0, unit.out.data];
  };
  assert.deepEqual(of({ IRES: 0 }), [0, PASSED, 0xfee31000, 0x4021]);
  assert.deepEqual(of({ CFIS: 1 }), [0, PASSED, 0xfee31000, 0x4021]);
  assert.deepEqual(of({ CFIS: 1, EIME: 1 }).slice(0, 2), [0x25, BLOCKED]);
  const off = bench({ IRES: 0 });
  assert.equal(off.send(1, message(9), 5), 0);
  assert.deepEqual([off.out.kind, off.out.index], [PASSED, -1], 'remappable format means nothing then');
});

test('a posted interrupt is noted, and told once until ON is cleared', () => {
  const unit = bench({ EIME: 1 })
    .irte(1, postedTo(DESCRIPTOR, { VV: 200 }))
    .irte(2, postedTo(DESCRIPTOR, { VV: 3, URG: 1 }));
  unit.descriptor(DESCRIPTOR, { NV: 0xf2, NDST: 0x1234567 });
  const post = (index: number) => [unit.send(0, message(index)), unit.out.kind, unit.out.vector, unit.out.message];
  assert.deepEqual(post(1), [0, POSTED, 200, 1]);
  assert.deepEqual(sent(unit), { kind: POSTED, lo: 0xfee67000, hi: 0x1234500, data: 0x40f2, DST: 0x67, DLM: 'fixed' });
  assert.deepEqual(post(1), [0, POSTED, 200, 0], 'ON is set');
  assert.deepEqual(post(2), [0, POSTED, 3, 0], 'an urgent one as well');
  assert.deepEqual(
    [...unit.posted(DESCRIPTOR).PIR.entries()].filter(([, byte]) => byte),
    [
      [0, 8],
      [25, 1],
    ],
  );

  unit.descriptor(DESCRIPTOR, { NV: 0xf2, SN: 1 });
  assert.deepEqual(post(1), [0, POSTED, 200, 0], 'suppressed');
  assert.equal(unit.posted(DESCRIPTOR).ON, 0);
  assert.deepEqual(post(2), [0, POSTED, 3, 1], 'urgent ones are not');
  assert.equal(unit.posted(DESCRIPTOR).ON, 1);
});

test('descriptors in memory that nobody wrote to are zeros of their own', () => {
  const unit = bench({});
  const pages = Array.from({ length: 40 }, (_, page) => 0x100000 + page * 4096);
  for (const [page, at] of pages.entries()) assert.equal(unit.irte(0, postedTo(at, { VV: page })).send(0, message(0)), 0);
  for (const [page, at] of pages.entries()) {
    const { PIR, ON } = unit.posted(at);
    assert.deepEqual([[...PIR.entries()].filter(([, byte]) => byte), ON], [[[page >> 3, 1 << (page & 7)]], 1]);
  }
});

test('the trail has each entry read and none that came from the cache', () => {
  const unit = bench({ cache: 8 }).irte(1, postedTo(DESCRIPTOR));
  unit.descriptor(DESCRIPTOR, {});
  const reads = () => {
    const trail: [string, number, number][] = [];
    unit.remapper.trail = trail;
    unit.send(0, message(1));
    return trail;
  };
  assert.deepEqual(reads(), [
    ['irte', TABLE + 16, 0],
    ['pid', DESCRIPTOR, 0],
  ]);
  assert.deepEqual(reads(), [['pid', DESCRIPTOR, 0]]);
});

test('an entry that met a fault is held only in caching mode', () => {
  for (const CM of [0n, 1n]) {
    const unit = bench({ cache: 4, cap: PI | (CM << 7n) });
    assert.equal(unit.send(0, message(1)), 0x22);
    unit.irte(1, RemappedIrte.encode({ P: 1, V: 9 }));
    assert.equal(unit.send(0, message(1)), CM ? 0x22 : 0);
    unit.cache.invalidate(1, 0);
    assert.equal(unit.send(0, message(1)), 0);
  }
});

test('property: PIR holds what was posted since it was taken, and a notification is sent exactly when ON goes from 0 to 1', () => {
  const step = fc.oneof(
    fc.record({ post: fc.integer({ min: 0, max: 255 }), URG: fc.integer({ min: 0, max: 1 }) }),
    fc.record({ take: fc.constant(true), SN: fc.integer({ min: 0, max: 1 }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const unit = bench({}).irte(0, postedTo(DESCRIPTOR));
      unit.descriptor(DESCRIPTOR, { NV: 0x55 });
      let pending = new Set<number>();
      for (const one of steps) {
        const before = unit.posted(DESCRIPTOR);
        if ('take' in one) {
          unit.descriptor(DESCRIPTOR, { NV: 0x55, SN: one.SN });
          pending = new Set();
          continue;
        }
        unit.irte(0, postedTo(DESCRIPTOR, { VV: one.post, URG: one.URG }));
        assert.equal(unit.send(0, message(0)), 0);
        pending.add(one.post);
        const { PIR, ON, SN, NV, NDST } = unit.posted(DESCRIPTOR);
        assert.deepEqual({ SN, NV, NDST }, { SN: before.SN, NV: 0x55, NDST: 0 });
        const bits = Array.from({ length: 256 }, (_, at) => at).filter((at) => PIR[at >>> 3]! & (1 << (at & 7)));
        assert.deepEqual(
          bits,
          [...pending].sort((a, b) => a - b),
        );
        assert.equal(unit.out.message, ON - before.ON);
        assert.equal(ON, before.ON || (SN && !one.URG ? 0 : 1));
      }
    }),
    { numRuns: 100 },
  );
});

test('property: an entry may be used until it is invalidated and never after', () => {
  const index = fc.integer({ min: 0, max: 7 });
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ ask: index }) },
    { weight: 3, arbitrary: fc.record({ write: index, value: fc.integer({ min: 0, max: 300 }) }) },
    { weight: 1, arbitrary: fc.record({ drop: index, mask: fc.integer({ min: 0, max: 3 }) }) },
    { weight: 1, arbitrary: fc.record({ all: fc.constant(true) }) },
  );
  fc.assert(
    fc.property(fc.constantFrom(0, 1, 3, 64), fc.constantFrom(0n, 1n), fc.array(step, { maxLength: 80 }), (size, CM, steps) => {
      const unit = bench({ cache: size, cap: PI | (CM << 7n) });
      // All that an entry was since it was last invalidated; the last is what it is. 0 is not present.
      const was = Array.from({ length: 8 }, () => [0]);
      const forget = (from: number, count: number) => {
        for (let at = from; at < from + count && at < 8; at++) was[at] = was[at]!.slice(-1);
      };
      for (const one of steps) {
        if ('write' in one) {
          const value = one.value > 255 ? 0 : one.value;
          unit.irte(one.write, RemappedIrte.encode(value ? { P: 1, V: value } : {}));
          was[one.write]!.push(value);
        } else if ('drop' in one) {
          unit.cache.invalidate(one.drop, one.mask);
          forget((one.drop >> one.mask) << one.mask, 1 << one.mask);
        } else if ('all' in one) {
          unit.cache.invalidateAll();
          forget(0, 8);
        } else {
          const reason = unit.send(0, message(one.ask));
          const got = reason === 0x22 ? 0 : unit.out.data & 0xff;
          const allowed = size ? was[one.ask]! : was[one.ask]!.slice(-1);
          assert.ok(allowed.includes(got), `${got} is none of ${allowed.join()}`);
        }
      }
    }),
    { numRuns: 200 },
  );
});

test('property: whatever the table holds, a request reads at most an entry and a descriptor and changes only that', () => {
  const word = fc.oneof(
    fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
    fc.constantFrom(-1, 0, 1, 0x8001, 0xc001, TABLE, DESCRIPTOR),
  );
  fc.assert(
    fc.property(
      fc.array(word, { minLength: 16, maxLength: 16 }),
      fc.array(word, { minLength: 2, maxLength: 2 }),
      fc.array(fc.record({ sid: fc.nat(0xffff), address: fc.nat(0xfffff), data: word }), { maxLength: 10 }),
      fc.nat(0x7ff),
      (content, irta, requests, flags) => {
        const unit = bench({
          cache: flags & 7,
          cap: flags & 8 ? PI : 0n,
          ecap: (flags & 16 ? EIMER : 0n) | (flags & 32 ? IRREQ : 0n),
        });
        if (flags & 64) latchInterruptTable(unit.rules, irta[0]!, flags & 128 ? irta[1]! : 0);
        Object.assign(unit.rules, { IRES: (flags >> 8) & 1, CFIS: (flags >> 9) & 1 });
        for (const [at, value] of content.entries()) unit.memory.write32(TABLE + at * 4, 0, value);
        for (const { sid, address, data } of requests) {
          const before = Int32Array.from(unit.memory.words);
          const trail: [string, number, number][] = [];
          const { out } = unit;
          unit.remapper.trail = trail;
          const reason = unit.send(sid, 0xfee00000 | address, data);
          assert.equal(reason === 0, out.kind !== BLOCKED);
          assert.ok(reason === 0 || interruptCondition(reason));
          assert.ok(trail.length <= 2 && trail.filter(([kind]) => kind === 'irte').length <= 1);
          let changed = 0;
          for (const [at, now] of unit.memory.words.entries()) if (now !== (before[at] ?? 0)) changed++;
          assert.ok(changed <= (out.kind === POSTED ? 1 + out.message : 0), `${changed} words changed`);
          if (out.kind === POSTED) assert.deepEqual(trail.at(-1), ['pid', out.pidLo, out.pidHi]);
          if (out.message) assert.equal(out.lo >>> 20, 0xfee);
        }
      },
    ),
    { numRuns: 300 },
  );
});

interface Bench {
  cap?: bigint;
  ecap?: bigint;
  IRES?: number;
  CFIS?: number;
  EIME?: number;
  /** IRTA_REG.S */
  entries?: number;
  table?: number;
  tableHi?: number;
  cache?: number;
}

/** A unit with remapping on, its table at TABLE, some memory, and hands to fill both. */
function bench({ cap = PI, ecap = 0n, IRES = 1, CFIS = 0, EIME = 0, entries = 7, table = TABLE, tableHi = 0, cache = 0 }: Bench) {
  const memory = new Memory([{ start: 0, end: NOWHERE }]);
  const rules: InterruptRules = newInterruptRules(cap, ecap, HAW);
  latchInterruptTable(rules, table | (EIME << 11) | entries, tableHi);
  Object.assign(rules, { IRES, CFIS });
  const remapper = new InterruptRemapper(memory, rules, new InterruptEntryCache(cache));
  const unit = {
    memory,
    rules,
    remapper,
    cache: remapper.cache,
    out: remapper.out,
    write(at: number, bytes: Uint8Array) {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      for (let word = 0; word < bytes.length; word += 4) memory.write32(at + word, 0, view.getInt32(word, true));
    },
    irte(index: number, bytes: Uint8Array) {
      unit.write(table + index * 16, bytes);
      return unit;
    },
    descriptor(at: number, values: Parameters<typeof PostedInterruptDescriptor.encode>[0]) {
      unit.write(at, PostedInterruptDescriptor.encode(values));
      return unit;
    },
    posted(at: number) {
      const view = new DataView(new ArrayBuffer(64));
      for (let word = 0; word < 64; word += 4) view.setInt32(word, memory.read32(at + word, 0)!, true);
      return PostedInterruptDescriptor.decode(view);
    },
    flip(at: number, bit: number) {
      const word = at + (bit >>> 5) * 4;
      memory.write32(word, 0, memory.read32(word, 0)! ^ (1 << (bit & 31)));
    },
    send: (sid: number, address: number, data = 0) => remapper.request(sid, address | 0, data),
  };
  return unit;
}

/** The address of a remappable request without subhandle. */
function message(index: number): number {
  return 0xfee00010 | ((index & 0x7fff) << 5) | ((index >>> 15) << 2);
}

function postedTo(at: number, values: Parameters<typeof PostedIrte.encode>[0] = {}): Uint8Array {
  return PostedIrte.encode({ P: 1, IM: 1, PDAL: at >>> 6, ...values });
}

function ask(unit: ReturnType<typeof bench>, address: number, data = 0) {
  const reason = unit.send(0x10, address, data);
  return { reason, FPD: unit.out.FPD, index: unit.out.index };
}

/** The message as its definition reads it. */
function sent({ out }: ReturnType<typeof bench>) {
  const view = new DataView(new ArrayBuffer(8));
  view.setInt32(0, out.lo, true);
  view.setInt32(4, out.data, true);
  const DST = CompatibilityAddress.decode(view, 0).DST;
  const DLM = CompatibilityData.nameOf('DLM', CompatibilityData.decode(view, 4).DLM);
  return { kind: out.kind, lo: out.lo >>> 0, hi: out.hi >>> 0, data: out.data, DST, DLM };
}

const hex = (word: number): string => (word >>> 0).toString(16);
