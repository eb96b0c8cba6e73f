import assert from 'node:assert/strict';
import { test } from 'node:test';
import { capturedHost } from '../../test/captured-host.ts';
import { captures, tellCaptures } from '../../test/captures.ts';
import { BDF, fn, pictureOf } from '../../test/pictures.ts';
import { readPicture } from '../host/picture.ts';
import { defaultDomain, expectedDomain } from './domain.ts';

const recorded = captures();
const told = tellCaptures(recorded);

test(`boot options, the unit and the function lead to the default domain that the kernel chose (${told})`, async () => {
  const wrong: string[] = [];
  let compared = 0;
  for (const capture of recorded.all) {
    const state = capture.states[0]!;
    const picture = await readPicture(capturedHost(capture, state));
    for (const found of picture.functions) {
      const domain = defaultDomain(picture, found);
      if (domain === undefined) continue;
      compared++;
      const expected = expectedDomain(picture, found);
      if (expected.type !== domain.type)
        wrong.push(`${capture.name} ${found.bdf}: ${domain.type}, not ${expected.type} (${expected.because})`);
    }
  }
  assert.deepEqual(wrong, []);
  assert.ok(compared > (recorded.whole ? 500 : 100), `${compared}`);
});

test('what is not trusted is translated, whatever iommu=pt says', () => {
  const groups = [{ number: 1, type: 'DMA', devices: [BDF], reserved: [] }];
  const picture = pictureOf({ groups, functions: [fn(BDF, { removable: 'removable' })] }, 'intel_iommu=on iommu=pt');
  const domain = defaultDomain(picture, picture.functions[0]!);
  assert.equal(domain?.type, 'DMA');
  assert.match(domain.because, /not trusted/);
});

test('of two options for the same thing the last one counts', () => {
  const type = (cmdline: string) => expectedDomain(pictureOf({}, cmdline), fn(BDF)).type;
  assert.equal(type('iommu.passthrough=0 iommu=pt'), 'identity');
  assert.equal(type('iommu=pt iommu.passthrough=0'), 'DMA');
  assert.equal(type('iommu=pt,nopt'), 'DMA');
});
