// npm run bench [startup] [inspect] [vtd [workload ...]]: prints what is measured beside its limit; the exit code is 1 when a
// limit is exceeded.
import { prepare } from '../scripts/prepare.mjs';
import { inspect } from './inspect.mjs';
import { startup } from './startup.mjs';
import { vtd, WORKLOAD_NAMES } from './vtd.mjs';

const SUBJECTS = { startup, inspect, vtd };
const asked = process.argv.slice(2);
const isWorkload = (name) => asked.includes('vtd') && WORKLOAD_NAMES.includes(name);
const unknown = asked.find((name) => !Object.hasOwn(SUBJECTS, name) && !isWorkload(name));
if (unknown !== undefined) {
  console.error(
    `there is no bench ${unknown}; there are: ${Object.keys(SUBJECTS).join(', ')}; of vtd: ${WORKLOAD_NAMES.join(', ')}`,
  );
  process.exit(2);
}

prepare();
for (const [name, run] of Object.entries(SUBJECTS))
  if ((asked.length === 0 || asked.includes(name)) && !(await run(asked.filter(isWorkload)))) process.exitCode = 1;
