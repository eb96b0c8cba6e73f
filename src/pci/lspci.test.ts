import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareFunction, pciCapabilities, pciHeaders, printedFunctions } from '../../test/conformance/pci.ts';
import { Tally } from '../../test/conformance/set.ts';
import { sharedData } from '../../test/data.ts';
import { readConfig } from './index.ts';

const folder = sharedData('.');
const skip = !sharedData('pci') && 'no shared data beside the repository';

for (const [set, least] of [
  [pciHeaders, 150],
  [pciCapabilities, 600],
] as const)
  test(`${set.name}: what lspci prints of real functions is what their bytes say here`, { skip }, async () => {
    const { agreed, total, disagreements } = (await set.run(folder!))!;
    assert.deepEqual(disagreements, []);
    assert.ok(agreed === total && total > least, `${agreed} of ${total}`);
  });

test('the comparison with lspci sees a changed bit of a capability', { skip }, () => {
  // Bytes whose bit 4 is printed.
  const offsets: { readonly [name: string]: number } = {
    'Access Control Services': 4,
    'MSI-X': 4,
    'Power Management': 5,
    'PCI Express': 8,
    'Advanced Error Reporting': 4,
    'Single Root I/O Virtualization': 0x14,
  };
  const seen = new Set<string>();
  for (const printed of printedFunctions(folder!))
    for (const { name, offset } of printed.config.capabilities) {
      const at = offsets[name];
      if (at === undefined) continue;
      const bytes = new Uint8Array(printed.config.view.buffer).slice(0, printed.config.length);
      bytes[offset + at]! ^= 0x10;
      const tally = new Tally();
      compareFunction({ ...printed, config: readConfig(bytes)! }, new Tally(), tally);
      assert.equal(tally.agreed, tally.total - 1, `${printed.where} ${name}`);
      seen.add(name);
    }
  assert.deepEqual([...seen].toSorted(), Object.keys(offsets).toSorted());
});
