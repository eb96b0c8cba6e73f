import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { oraclesIn } from '../../test/conformance/acpi.ts';
import { acpiMcfg } from '../../test/conformance/acpi-mcfg.ts';
import { sharedData } from '../../test/data.ts';
import { mutationRuns, mutations } from '../../test/mutate.ts';
import { buildMcfg, configAddressOf, type McfgDescription, readMcfg } from './index.ts';

const folder = sharedData('acpi');
const skip = !folder && 'no shared data beside the repository';
const samples = folder ? oraclesIn(folder, 'mcfg')!.map(({ path }) => Uint8Array.from(readFileSync(path))) : [];

test(`the MCFG tables of ${samples.length} machines read as iasl reads them, and are built again byte for byte`, {
  skip,
}, async () => {
  const outcome = (await acpiMcfg.run(folder!))!;
  assert.deepEqual(outcome.disagreements, []);
  assert.ok(outcome.total > 100);
});

const one = { base: 0xe0000000n, segment: 0, startBus: 0, endBus: 255 };
const findingsOf = (described: McfgDescription) =>
  readMcfg(buildMcfg(described))!.findings.map(({ offset, is, says }) => `${offset} ${is}: ${says}`);

test('what an MCFG table says that cannot be is told once, at the allocation that says it', () => {
  const cases: [McfgDescription, RegExp][] = [
    [{ allocations: [] }, /^44 broken: there is no allocation/],
    [{ allocations: [{ ...one, base: 0n }] }, /^44 broken: .*no base/],
    [{ allocations: [{ ...one, base: 0xe0001000n }] }, /^44 broken: .*1 MiB/],
    [{ allocations: [{ ...one, startBus: 9, endBus: 8 }] }, /^55 broken: .*ends at bus 0x08/],
    [{ allocations: [one, { ...one, base: 0x1_0000_0000n, startBus: 255 }] }, /^70 broken: buses of segment 0/],
    [{ allocations: [one, { ...one, segment: 1 }] }, /^60 broken: the window overlaps that of the allocation at 44/],
    [{ allocations: [one], rest: Uint8Array.of(1, 2, 3) }, /^60 broken: 3 bytes/],
    [{ allocations: [one], header: { Revision: 2 } }, /^8 broken: Revision is 2/],
    [{ allocations: [{ ...one, reserved: { RSVD_96: Uint8Array.of(1, 0, 0, 0) } }] }, /^56 odd: .*01000000/],
  ];
  for (const [described, expected] of cases) {
    const told = findingsOf(described);
    assert.equal(told.length, 1, `${expected}: ${told.join('; ')}`);
    assert.match(told[0]!, expected);
  }
  assert.deepEqual(findingsOf({ allocations: [one, { ...one, segment: 1, base: 0xf0000000n, endBus: 15 }] }), []);
});

test('a function has its configuration space where its bus, device and number say', () => {
  const mcfg = { allocations: [{ ...one, offset: 44, length: 16, startBus: 0x10, endBus: 0x3f }] };
  assert.equal(configAddressOf(mcfg, { segment: 0, bus: 0x3b, device: 2, function: 1 }), 0xe3b11000n);
  assert.equal(configAddressOf(mcfg, { segment: 0, bus: 0x40, device: 0, function: 0 }), undefined);
  assert.equal(configAddressOf(mcfg, { segment: 1, bus: 0x3b, device: 0, function: 0 }), undefined);
});

test('an MCFG table that is built reads as it was described', () => {
  const allocation = fc.record({
    base: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
    segment: fc.nat(0xffff),
    startBus: fc.nat(255),
    endBus: fc.nat(255),
  });
  fc.assert(
    fc.property(fc.array(allocation, { maxLength: 6 }), (allocations) => {
      const bytes = buildMcfg({ allocations });
      const mcfg = readMcfg(bytes)!;
      assert.deepEqual(
        mcfg.allocations.map(({ base, segment, startBus, endBus }) => ({ base, segment, startBus, endBus })),
        allocations.map((given) => ({ ...given })),
      );
      assert.deepEqual(Buffer.from(buildMcfg(mcfg)), Buffer.from(bytes));
    }),
  );
});

test('no bytes make the reader of MCFG throw, and its findings lie inside them', () => {
  const seeds = [buildMcfg({ allocations: [one, one] }), ...samples.slice(0, 10)];
  for (const bytes of mutations(2, mutationRuns(), seeds))
    for (const { offset } of readMcfg(bytes)?.findings ?? []) assert.ok(offset >= 0 && offset <= bytes.length);
  assert.equal(readMcfg(new Uint8Array(43)), undefined);
});
