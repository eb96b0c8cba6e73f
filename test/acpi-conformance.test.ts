import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { differences, disagreement, listingsIn, oraclesIn } from './conformance/acpi.ts';
import { acpiAnomalies } from './conformance/acpi-anomalies.ts';
import { sharedData } from './data.ts';

const folder = sharedData('acpi');
const skip = !folder && 'no shared data beside the repository';

test("iasl's listings say what the index says of them", { skip }, () => {
  for (const kind of ['dmar', 'ivrs', 'mcfg']) {
    const listings = new Map(listingsIn(join(folder!, kind), kind).map(({ path, oracle }) => [path, oracle]));
    for (const { path, oracle } of oraclesIn(folder!, kind)!)
      assert.deepEqual(differences(oracle.iasl, listings.get(path)?.iasl), [], path);
    assert.ok(listings.size > 50);
  }
});

test('what a collector found odd in tables of real machines is among our findings', { skip }, async () => {
  const outcome = (await acpiAnomalies.run(folder!))!;
  assert.deepEqual(outcome.disagreements, []);
  assert.ok(outcome.total > 10);
});

test('a difference is found wherever it is, and named by its place', () => {
  const expected = { a: 1, list: [{ b: 'x' }, { b: 'y' }] };
  assert.deepEqual(differences(expected, { a: 1, list: [{ b: 'x' }, { b: 'y' }], more: 1 }), []);
  assert.deepEqual(differences(expected, { a: 2, list: [{ b: 'x' }] }), ['a is 2, not 1', 'list has 1 members, not 2']);
  assert.deepEqual(differences(expected, { a: 1, list: [{}, { b: 'y' }] }), ['list[0].b is undefined, not "x"']);
  assert.deepEqual(differences(expected, undefined), [' is missing']);
  const oracle = { file: 'x', bytes: 2, header: { length: 2 }, lengthMatches: true, checksumOk: true, iasl: {} };
  const reading = { header: { length: 2 }, iasl: {}, findings: [], rebuilt: Uint8Array.of(1, 2) };
  assert.equal(disagreement(oracle, Uint8Array.of(1, 2), reading), undefined);
  assert.match(disagreement(oracle, Uint8Array.of(1, 3), reading)!, /differs at byte 1/);
  assert.match(
    disagreement(oracle, Uint8Array.of(1, 2), { ...reading, findings: [{ offset: 9, is: 'broken', says: '' }] })!,
    /checksumOk/,
  );
});
