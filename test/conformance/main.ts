// npm run conformance -- DIR... [--verbose]: how far Sluice agrees with data of others, one line for each set.
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { SETS } from './sets.ts';

const { values, positionals } = parseArgs({ options: { verbose: { type: 'boolean', short: 'v' } }, allowPositionals: true });
if (positionals.length === 0) end('name at least one folder: npm run conformance -- DIR... [--verbose]');

let any = false;
for (const folder of positionals.map((name) => resolve(name))) {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) end(`${folder} is no folder`);
  for (const set of SETS) {
    const outcome = await set.run(folder);
    if (outcome === undefined) continue;
    any = true;
    console.log(`${set.name}: ${outcome.agreed}/${outcome.total}`);
    if (outcome.agreed !== outcome.total) process.exitCode = 1;
    const left = outcome.undecidable ?? [];
    if (left.length > 0) console.log(`  not judged, because the record does not decide: ${left.length}`);
    if (values.verbose) for (const line of left) console.log(`    ${line}`);
    if (values.verbose) for (const line of outcome.disagreements) console.log(`  ${line}`);
  }
}
if (!any) end(`none of these folders has data of a known set: ${SETS.map(({ name }) => name).join(', ')}`);

function end(message: string): never {
  console.error(message);
  process.exit(2);
}
