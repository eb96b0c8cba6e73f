// npm test: format and lint, the quick tests, the comparison with data of others, then the tests that boot the lab. `--quick` leaves
// the last two out, and reads a part of the recorded captures (test/captures.ts).
// The last lines are those that node:test prints, over both parts.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { run } from 'node:test';
import { inspect } from 'node:util';
import { prepare, root } from './prepare.mjs';

const quick = process.argv.includes('--quick');
const ci = ['1', 'true'].includes(process.env.CI ?? '');
if (!quick) process.env.SLUICE_CAPTURES = 'all';
const started = performance.now();
const totals = { tests: 0, suites: 0, pass: 0, fail: 0, cancelled: 0, skipped: 0, todo: 0 };
const problems = [];
const skips = [];

prepare();
tool('biome', ['@biomejs/biome/bin/biome', 'check', '--error-on-warnings', '.']);
tool('oxlint', ['oxlint/bin/oxlint', '--type-aware', '--deny-warnings']);

const files = readdirSync(join(root, 'dist'), { recursive: true })
  .filter((name) => name.endsWith('.test.js'))
  .map((name) => join(root, 'dist', name))
  .sort();
const labFiles = files.filter((file) => file.endsWith('.lab.test.js'));
const quickFiles = files.filter((file) => !labFiles.includes(file));

console.log(`\nquick tests: ${quickFiles.length} files`);
await runFiles(quickFiles, Math.max(1, availableParallelism()), false);
if (!quick) {
  conformance();
  await labTests();
}

for (const { where, reason } of skips)
  console.log(`skipped: ${where}${typeof reason === 'string' && reason !== '' ? `: ${reason}` : ''}`);
for (const problem of problems) console.log(`FAILED: ${problem}`);
console.log('');
for (const [name, count] of Object.entries(totals)) console.log(`# ${name} ${count}`);
console.log(`# duration_ms ${Math.round(performance.now() - started)}`);
process.exitCode = problems.length > 0 || totals.fail > 0 || totals.cancelled > 0 ? 1 : 0;

/** The collections live beside the repository; in CI they have to be there. */
function conformance() {
  const folders = ['data', 'vectors'].map((name) => join(root, '../shared', name));
  const missing = folders.filter((folder) => !existsSync(folder)).map((folder) => relative(root, folder));
  if (missing.length > 0 && ci) problems.push(`conformance: not there: ${missing.join(', ')}`);
  else if (missing.length > 0) skips.push({ where: 'conformance', reason: `not there: ${missing.join(', ')}` });
  const there = folders.filter((folder) => existsSync(folder));
  if (there.length === 0) return;
  console.log('\nconformance');
  const { status } = spawnSync(process.execPath, [join(root, 'dist/test/conformance/main.js'), ...there, '--verbose'], {
    stdio: 'inherit',
  });
  if (status !== 0) problems.push('conformance');
}

async function labTests() {
  console.log(`\nlab tests: ${labFiles.length} files`);
  if (labFiles.length === 0) problems.push('there are no lab tests: dist/**/*.lab.test.js');
  const setup = spawnSync(process.execPath, [join(root, 'dist/bin/sluice.js'), 'lab', 'setup'], { cwd: root, stdio: 'inherit' });
  if (setup.status === 0) return await runFiles(labFiles, 1, true);
  if (ci) {
    problems.push('the lab could not be set up');
    return;
  }
  totals.tests += labFiles.length;
  totals.skipped += labFiles.length;
  const line = `!!! LAB TESTS SKIPPED: ${labFiles.length} files were not run, because the lab could not be set up (see above) !!!`;
  console.log(`${'!'.repeat(line.length)}\n${line}\n${'!'.repeat(line.length)}`);
}

/** Runs test files, each in a process of its own. `each` says every test as it ends and shows what it prints. */
async function runFiles(list, concurrency, each) {
  const began = performance.now();
  const rooms = new Map();
  const printed = new Map();
  const stream = run({ files: list, concurrency });
  let seen = 0;
  for await (const { type, data } of stream) {
    if (type === 'test:stdout' || type === 'test:stderr') {
      if (each) process.stdout.write(data.message);
      else printed.set(data.file, (printed.get(data.file) ?? '') + data.message);
    } else if (type === 'test:diagnostic' && data.nesting === 0) count(data.message);
    else if (type === 'test:pass' || type === 'test:fail') {
      seen++;
      const where = `${relative(join(root, 'dist'), data.file ?? '').replace(/\.js$/, '.ts')}: ${data.name}`;
      const room = where.split('/').slice(0, 2).join('/').replace(/:.*/, '');
      if (data.nesting === 0) rooms.set(room, (rooms.get(room) ?? 0) + 1);
      if (data.skip !== undefined) skips.push({ where, reason: data.skip });
      if (type === 'test:fail') {
        problems.push(where);
        console.log(`\n✖ ${where}\n${explain(data.details.error)}`);
        if (printed.has(data.file)) console.log(printed.get(data.file));
      } else if (each && data.skip === undefined)
        console.log(`✔ ${data.name} (${(data.details.duration_ms / 1000).toFixed(1)} s)`);
    }
  }
  if (list.length > 0 && seen === 0) problems.push(`${list.length} files, and no test in them ran`);
  if (!each)
    console.log(
      [...rooms]
        .sort(([a], [b]) => a.localeCompare(b))
        .map(([room, tests]) => `  ${room} ${tests}`)
        .join('\n'),
    );
  console.log(`  in ${((performance.now() - began) / 1000).toFixed(1)} s`);
}

/** node:test says its sums as diagnostics of the whole run. */
function count(message) {
  const [, name, number] = /^(\w+) (\d+)$/.exec(message) ?? [];
  if (name in totals) totals[name] += Number(number);
}

function explain(error) {
  const cause = error.cause ?? error;
  return (cause.stack ?? inspect(cause)).replace(/^/gm, '  ');
}

function tool(name, [script, ...args]) {
  const { status } = spawnSync(process.execPath, [join(root, 'node_modules', script), ...args], { cwd: root, stdio: 'inherit' });
  if (status !== 0) problems.push(name);
}
