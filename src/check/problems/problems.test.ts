import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ROOT } from '../../../test/data.ts';
import { PROBLEMS } from './index.ts';

test('every problem has a file of its name and stands in the list', () => {
  const files = readdirSync(join(ROOT, 'src/check/problems')).filter((name) => name.includes('-'));
  assert.deepEqual(PROBLEMS.map(({ id }) => `${id}.ts`).sort(), files.sort());
  assert.equal(new Set(PROBLEMS.map(({ id }) => id)).size, PROBLEMS.length);
});

test('every message is recognised in its example', () => {
  for (const { id, says } of PROBLEMS) for (const { re, example } of says) assert.match(example, re, id);
});

test('every problem says why, what to do, and where that is from', () => {
  for (const { id, title, why, fix, sources } of PROBLEMS) {
    assert.ok(title !== '' && why !== '' && sources.length > 0, id);
    assert.ok(
      fix.every((line) => line !== ''),
      id,
    );
  }
});
