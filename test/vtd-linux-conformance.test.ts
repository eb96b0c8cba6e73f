import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { Tally } from './conformance/set.ts';
import { type Capture, judgeCapture } from './conformance/vtd-linux.ts';
import { ROOT } from './data.ts';

const vectors = join(ROOT, '../shared/vectors');
const skip = !existsSync(vectors) && 'no shared vectors beside the repository';

const captures = skip ? [] : readdirSync(join(vectors, 'linux')).filter((name) => name.endsWith('.json.gz'));
const read = (name: string) => JSON.parse(gunzipSync(readFileSync(join(vectors, 'linux', name))).toString()) as Capture;

for (const name of captures)
  test(`${name}: what a kernel wrote to its unit, replayed, translates and interrupts as it did there`, () => {
    const tally = new Tally();
    judgeCapture(read(name), name, tally);
    assert.deepEqual(tally.disagreements, []);
    assert.ok(tally.total > 1000);
  });

test('a capture of which one descriptor is wrong does not come out', { skip: captures.length === 0 && 'no captures' }, () => {
  const capture = read(captures[0]!);
  const [type, high, , order] = capture.descriptors[10]!;
  capture.descriptors[10] = [type, high, '0xf', order];
  const tally = new Tally();
  judgeCapture(capture, 'changed', tally);
  assert.match(tally.disagreements[0]!, /head is/);
});
