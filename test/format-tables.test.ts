import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ROOT } from './data.ts';
import { tables } from './format-tables.ts';

for (const [name, text] of tables())
  test(`docs/tables/${name} says what the definitions say`, () => {
    const path = join(ROOT, 'docs/tables', name);
    assert.ok(existsSync(path) && readFileSync(path, 'utf8') === text, `${name} is stale: run \`npm run tables\``);
  });

test('a table has the bits, the access and the value after reset of every field', () => {
  const registers = tables().get('vtd-registers.md')!;
  assert.match(registers, /## FECTL_REG\n\nFault Event Control Register, 32 bits, at 0x38\. VT-d 5\.10 §11\.4\.7\.2\./);
  assert.match(registers, /\| 31 \| IM \| rw \| 1 \| Interrupt Mask \|/);
  assert.match(registers, /\| 2:0 \| ND \| ro \| X \|/);
  assert.match(registers, /\| 29:0 \| {2}\| {2}\| {2}\| Reserved \|/);
});
