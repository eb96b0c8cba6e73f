import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { captures, tellCaptures } from '../../test/captures.ts';
import { sharedData } from '../../test/data.ts';
import { readDmar } from '../acpi/index.ts';
import { fromHex } from '../bits/index.ts';
import { summarizeDmar } from './dmar.ts';

/** What iasl says of a table. */
interface Oracle {
  file: string;
  iasl: {
    hostAddressWidthBits: number;
    flags: number;
    structures: {
      type: number;
      segment: number;
      flags: number;
      registerBase: string;
      base: string;
      limit: string;
      scopes?: unknown[];
    }[];
  };
}

const folder = sharedData('acpi');
const tables = folder === undefined ? [] : (JSON.parse(readFileSync(join(folder, 'dmar.json'), 'utf8')) as Oracle[]);
const skip = folder === undefined ? 'the tables of real machines are not here: ../shared/data/acpi' : false;

test(`the summary of a table agrees with iasl (${tables.length} machines)`, { skip }, () => {
  assert.ok(tables.length > 50);
  for (const { file, iasl } of tables) {
    const summary = summarizeDmar(readDmar(readFileSync(join(folder!, file)))!);
    assert.ok(summary, file);
    assert.equal(summary.hostAddressWidth, iasl.hostAddressWidthBits, file);
    const { INTR_REMAP, X2APIC_OPT_OUT, DMA_CTRL_PLATFORM_OPT_IN_FLAG } = summary.flags;
    assert.deepEqual(
      [INTR_REMAP, X2APIC_OPT_OUT, DMA_CTRL_PLATFORM_OPT_IN_FLAG],
      [1, 2, 4].map((bit) => (iasl.flags & bit) !== 0),
      file,
    );
    const drhds = iasl.structures.filter(({ type }) => type === 0);
    assert.deepEqual(
      summary.units.map((unit) => [unit.segment, BigInt(unit.registerBase), unit.includePciAll, unit.scopes.length]),
      drhds.map((unit) => [unit.segment, BigInt(unit.registerBase), (unit.flags & 1) === 1, unit.scopes?.length ?? 0]),
      file,
    );
    const rmrrs = iasl.structures.filter(({ type }) => type === 1);
    assert.deepEqual(
      summary.reserved.map((region) => [region.segment, BigInt(region.base), BigInt(region.limit), region.scopes.length]),
      rmrrs.map((region) => [region.segment, BigInt(region.base), BigInt(region.limit), region.scopes?.length ?? 0]),
      file,
    );
    for (const scope of [...summary.units, ...summary.reserved].flatMap(({ scopes }) => scopes))
      assert.match(scope, /^(endpoint|bridge|\w+ \d+( \d+)? at|\w+ \d+ at) ?[0-9a-f]{2}:[0-9a-f]{2}\.[0-9]/, `${file}: ${scope}`);
  }
});

const summaryOf = (bytes: Uint8Array) => {
  const dmar = readDmar(bytes);
  return dmar === undefined ? undefined : summarizeDmar(dmar);
};

const found = captures();
test(`the unit of a machine is where its kernel found it (${tellCaptures(found)})`, () => {
  let count = 0;
  for (const { name, states } of found.all)
    for (const { label, acpi, iommus } of states) {
      if (acpi.DMAR === undefined) continue;
      const summary = summaryOf(fromHex(acpi.DMAR));
      assert.ok(summary, name);
      assert.equal(summary.units.length, 1, name);
      for (const unit of Object.values(iommus))
        assert.equal(summary.units[0]!.registerBase, `0x${unit['intel-iommu'].address}`, `${name} ${label}`);
      count++;
    }
  assert.ok(count > 5, `${count}`);
});

test('bytes that are no DMAR table are none, and no bytes make it fail', () => {
  assert.equal(summaryOf(new Uint8Array()), undefined);
  assert.equal(summaryOf(fromHex('4d434647 2c000000')), undefined);
  const any = states().map((digits) => fromHex(digits));
  fc.assert(
    fc.property(
      fc.constantFrom(...any),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 12 }),
      fc.nat(),
      (table, edits, cut) => {
        const broken = table.slice(0, table.length - (cut % 3 ? 0 : cut % table.length));
        // The signature stays, so that it is looked into.
        for (const [at, byte] of edits) if (broken.length > 4) broken[4 + (at % (broken.length - 4))] = byte;
        summaryOf(broken);
      },
    ),
  );
});

function states(): string[] {
  return found.all.flatMap(({ states: all }) => all.slice(0, 1).flatMap(({ acpi }) => acpi.DMAR ?? []));
}
