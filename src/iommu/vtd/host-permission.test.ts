import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { anyValue, roundTrip } from '../../../test/entries.ts';
import * as m from '../../../test/vtd-machine.ts';
import type { Entry, Fields } from '../../bits/entry.ts';
import { NO_CACHES } from './caches.ts';
import { conditionOf } from './faults.ts';
import * as formats from './formats-permission.ts';
import { ATOMIC, READ, WRITE, ZERO_LENGTH } from './translate.ts';
import { type UnitConfig, VtdUnit } from './unit.ts';

const [HPTS, HPT1GPS, PTRS] = [1n << 55n, 1n << 59n, 1n << 56n];
const [HPTE, EPTR] = [1n << 5n, 1n << 6n];
/** Tables of levels 4 to 1; that of level 4 has eight pages. */
const L4 = 0x100000;
const [L3, L2, L1] = [0x110000, 0x120000, 0x130000];
const AT = [0, L1, L2, L3, L4];
const DID = 7;
const [GLOBAL, DOMAIN, PAGE] = [1, 2, 3];

for (const layout of Object.values(formats) as unknown as Entry<Fields>[])
  test(`${layout.name} keeps every value it can hold`, () =>
    fc.assert(fc.property(anyValue(layout), (value) => assert.deepEqual(roundTrip(layout, value), value))));

/** A unit whose device is checked by the table at `L4`, of which nothing is written. */
function checked(config: Partial<UnitConfig> = {}): m.Machine {
  const machine = new m.Machine(m.SECOND_STAGE, { ecap: m.ECAP | HPTS | HPT1GPS | PTRS, haw: 52, ...config });
  machine.flip(m.CONTEXT, HPTE | EPTR);
  for (const entry of [m.PASIDS, m.PASID_ENTRY]) machine.write(entry + 32, BigInt(L4) | 3n, BigInt(DID));
  return machine;
}

/** The condition of a translated request, or undefined when it goes through. */
function ask({ unit }: m.Machine, address: number, access: number, pasid = -1): string | undefined {
  return conditionOf(unit.translated(m.SID, address | 0, Math.floor(address / 2 ** 32), access, pasid))?.code;
}

test('a permission is found in the entry of its page, at every level', () => {
  // Every index differs: bits 51:41, 40:33, 32:30, 32:25, 24:21, 24:17 and 16:12.
  const address = 0x5_a3b7_c6d9_5000;
  const bits = (high: number, low: number) => Math.floor(address / 2 ** low) % 2 ** (high - low + 1);
  const entry = [0, L1 + bits(24, 17) * 16, L2 + bits(32, 25) * 16, L3 + bits(40, 33) * 16, L4 + bits(51, 41) * 16];
  const page = [0, bits(16, 12), bits(24, 21), bits(32, 30)];
  for (const leaf of [1, 2, 3]) {
    const machine = checked({ caches: NO_CACHES });
    for (let level = 4; level > leaf; level--) machine.write(entry[level]! + 8, BigInt(AT[level - 1]!) | 1n);
    const at = page[leaf]! * 4;
    machine.write(entry[leaf]! + (at >> 6) * 8, 1n << BigInt(at & 63));
    const kinds: string[] = [];
    machine.unit.trail = { push: ([kind]) => kinds.push(kind) };
    assert.equal(ask(machine, address, READ), undefined);
    assert.deepEqual(
      kinds.filter((kind) => kind.startsWith('hpt')),
      ['hpt4', 'hpt3', 'hpt2', 'hpt1'].slice(0, 5 - leaf),
    );
    assert.deepEqual([machine.unit.out.lo, machine.unit.out.hi], [address | 0, Math.floor(address / 2 ** 32)]);
    assert.equal(ask(machine, address, WRITE), 'HPT.5');
    assert.equal(ask(machine, address, READ | WRITE | ATOMIC), 'HPT.5');
    const size = [0, 2 ** 12, 2 ** 21, 2 ** 30][leaf]!;
    assert.equal(ask(machine, address - size, READ), 'HPT.6');
    assert.equal(ask(machine, address + size, READ), 'HPT.6');
    machine.write(entry[leaf]! + (at >> 6) * 8, 2n << BigInt(at & 63));
    assert.deepEqual([ask(machine, address, WRITE), ask(machine, address, READ)], [undefined, 'HPT.6']);
    assert.equal(ask(machine, address, READ | ZERO_LENGTH), undefined, 'ZLR: any permission will do');
  }
});

test('what a unit does not have is reserved', () => {
  const one = checked({ ecap: m.ECAP | HPTS, caches: NO_CACHES });
  one.write(L4 + 8, BigInt(L3) | 1n);
  one.write(L3, 1n);
  assert.equal(ask(one, 0, READ), 'HPT.2', 'no pages of 1 GiB');
  const none = checked({ ecap: m.ECAP });
  assert.equal(ask(none, 0, READ), 'SCT.3');
  const narrow = checked({ haw: 46, caches: NO_CACHES });
  narrow.write(L4 + 8, BigInt(L3) | 1n | (1n << 46n));
  assert.equal(ask(narrow, 0, READ), 'HPT.2');
  narrow.write(L4 + 8, BigInt(L3) | 1n | (1n << 52n));
  assert.equal(ask(narrow, 0, READ), 'HPT.6', 'bits 63:52 are ignored');
});

test('without ZLR a read of nothing needs permission to read', () => {
  const machine = checked({ cap: m.CAP & ~(1n << 22n), caches: NO_CACHES });
  machine.write(L4 + 8, BigInt(L3) | 1n);
  machine.write(L3, 2n);
  assert.equal(ask(machine, 0, READ | ZERO_LENGTH), 'HPT.6');
});

test('requests without PASID are checked by the table of RID_PASID, and those with one by theirs', () => {
  const machine = checked();
  machine.write(L4 + 8, BigInt(L3) | 1n);
  machine.write(L3, 3n);
  machine.write(m.PASID_ENTRY + 32, BigInt(L2) | 3n);
  assert.deepEqual([ask(machine, 0, READ), ask(machine, 0, READ, m.ONE)], [undefined, 'HPT.6']);
  machine.write(m.PASID_ENTRY, 0n);
  machine.unit.caches.flush();
  assert.equal(ask(machine, 0, READ, m.ONE), 'SPT.2');
});

test('untranslated requests are not checked', () => {
  const machine = checked();
  assert.equal(machine.unit.translate(m.SID, m.IOVA, 0, READ, -1), 0);
  assert.equal(machine.unit.translateAts(m.SID, m.IOVA, 0, 0, -1), 0);
});

/** Permissions of pages 0 to 3 of each level, the words of which a step changes. */
const anyStep = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('ask' as const),
      page: fc.integer({ min: 0, max: 7 }),
      access: fc.constantFrom(READ, WRITE),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('set' as const),
      level: fc.integer({ min: 1, max: 3 }),
      page: fc.integer({ min: 0, max: 3 }),
      rights: fc.integer({ min: 0, max: 3 }),
    }),
  },
  fc.record({
    do: fc.constant('drop' as const),
    G: fc.constantFrom(GLOBAL, DOMAIN, PAGE, PAGE),
    page: fc.integer({ min: 0, max: 7 }),
    am: fc.constantFrom(0, 1, 9, 18),
    ih: fc.integer({ min: 0, max: 3 }),
    did: fc.constantFrom(DID, DID, 8),
  }),
);
/** Two pages of 4 KiB in each of two regions of 2 MiB in each of two of 1 GiB. */
const addressOf = (page: number) => ((page >> 2) & 1) * 2 ** 30 + ((page >> 1) & 1) * 2 ** 21 + (page & 1) * 2 ** 12;

test('a permission that was taken back may be used until it is invalidated, and never after', () => {
  fc.assert(
    fc.property(fc.array(anyStep, { minLength: 20, maxLength: 100 }), fc.constantFrom(0, 2, 256), (steps, hostPermission) => {
      const machine = checked({ caches: { hostPermission } });
      const twin = new VtdUnit({ ...machine.unit.config, caches: NO_CACHES });
      Object.assign(twin.active, machine.unit.active);
      machine.write(L4 + 8, BigInt(L3) | 1n);
      machine.write(L3 + 8, BigInt(L2) | 1n);
      machine.write(L2 + 8, BigInt(L1) | 1n);
      // The second gigabyte has tables of its own: pages 4 to 7 have no permission from its larger pages.
      const fresh = (page: number, access: number) => twin.translated(m.SID, addressOf(page), 0, access, -1);
      const allowed = Array.from({ length: 8 }, () => new Map([READ, WRITE].map((access) => [access, new Set<number>()])));
      const note = () => {
        for (let page = 0; page < 8; page++)
          for (const access of [READ, WRITE]) allowed[page]!.get(access)!.add(fresh(page, access));
      };
      note();
      for (const step of steps) {
        if (step.do === 'ask') {
          const ours = machine.unit.translated(m.SID, addressOf(step.page), 0, step.access, -1);
          assert.ok(allowed[step.page]!.get(step.access)!.has(ours));
        } else if (step.do === 'set') {
          const at = AT[step.level]!;
          const shift = BigInt(step.page * 4);
          machine.write(at, (machine.read(at) & ~(15n << shift)) | (BigInt(step.rights) << shift));
          note();
        } else {
          const address = addressOf(step.page);
          machine.unit.caches.invalidateHostPermissions(step.G, step.did, address, 0, step.am, step.ih);
          if (step.G !== GLOBAL && (step.did !== DID || step.ih < 2)) continue;
          const size = 2 ** (12 + step.am);
          for (let page = 0; page < 8; page++) {
            if (step.G === PAGE && Math.floor(addressOf(page) / size) !== Math.floor(address / size)) continue;
            for (const access of [READ, WRITE]) allowed[page]!.set(access, new Set([fresh(page, access)]));
          }
        }
      }
    }),
    { numRuns: 200 },
  );
});

test('an invalidation hint preserves what is from higher levels', () => {
  const machine = checked();
  machine.write(L4 + 8, BigInt(L3) | 1n);
  machine.write(L3, 3n);
  assert.equal(ask(machine, 0, READ), undefined);
  machine.write(L3, 0n, 0n);
  machine.unit.caches.invalidateHostPermissions(DOMAIN, DID, 0, 0, 0, 1);
  assert.equal(ask(machine, 0, READ), undefined);
  machine.unit.caches.invalidateHostPermissions(DOMAIN, DID, 0, 0, 0, 2);
  assert.equal(ask(machine, 0, READ), 'HPT.6');
  // What permits nothing is not held.
  machine.write(L3, 3n);
  assert.equal(ask(machine, 0, READ), undefined);
});

test('while no table changes, caches change no answer, and a check reads four entries at most', () => {
  const anyFlip = fc.record({
    at: fc.constantFrom(L4, L4 + 8, L3, L3 + 8, L2, L2 + 8, L1, L1 + 8, m.PASIDS + 32, m.CONTEXT),
    bit: fc.integer({ min: 0, max: 63 }),
  });
  const anyRequest = fc.record({
    page: fc.integer({ min: 0, max: 7 }),
    access: fc.constantFrom(READ, WRITE, READ | WRITE | ATOMIC, READ | ZERO_LENGTH),
    pasid: fc.constantFrom(-1, m.ONE),
  });
  fc.assert(
    fc.property(
      fc.array(anyFlip, { minLength: 1, maxLength: 6 }),
      fc.array(anyRequest, { minLength: 4, maxLength: 20 }),
      (flips, requests) => {
        const answers = (config: Partial<UnitConfig>) => {
          const machine = checked(config);
          for (const [at, next] of [
            [L4, L3],
            [L3, L2],
            [L2, L1],
          ] as const)
            machine.write(at + 8, BigInt(next) | 1n);
          machine.write(L1, 0x3333n);
          for (const { at, bit } of flips) machine.flip(at, 1n << BigInt(bit));
          return requests.map(({ page, access, pasid }) => {
            let reads = 0;
            machine.unit.trail = { push: ([kind]) => kind.startsWith('hpt') && reads++ };
            const code = ask(machine, addressOf(page), access, pasid);
            assert.ok(reads <= 4);
            return [code, machine.unit.reported];
          });
        };
        assert.deepEqual(answers({}), answers({ caches: NO_CACHES }));
      },
    ),
    { numRuns: 300 },
  );
});
