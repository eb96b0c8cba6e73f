// npm run bench [startup] [inspect] [vtd]: prints what is measured beside its limit; the exit code is 1 when a limit is exceeded.
import { prepare } from '../scripts/prepare.mjs';
import { inspect } from './inspect.mjs';
import { startup } from './startup.mjs';
import { vtd } from './vtd.mjs';

const SUBJECTS = { startup, inspect, vtd };
const asked = process.argv.slice(2);
const unknown = asked.find((name) => !Object.hasOwn(SUBJECTS, name));
if (unknown !== undefined) {
  console.error(`there is no bench ${unknown}; there are: ${Object.keys(SUBJECTS).join(', ')}`);
  process.exit(2);
}

prepare();
for (const [name, run] of Object.entries(SUBJECTS))
  if ((asked.length === 0 || asked.includes(name)) && !(await run())) process.exitCode = 1;
