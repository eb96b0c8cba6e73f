import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parseLine } from '../src/cli/command.ts';
import { COMMANDS } from '../src/cli/table.ts';
import { parseSpec } from '../src/plan/spec.ts';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const read = (name: string): string => readFileSync(join(root, name), 'utf8');
const { scripts, version, dependencies, devDependencies, optionalDependencies } = JSON.parse(read('package.json')) as {
  scripts: Record<string, string>;
  version: string;
} & Record<'dependencies' | 'devDependencies' | 'optionalDependencies', Record<string, string>>;

for (const page of ['README.md', 'CONTRIBUTING.md']) {
  /** Lines of its shell blocks, without prompts, comments and what a command printed. */
  const lines = [...read(page).matchAll(/^```(?:sh|bash|console)\n([\s\S]*?)^```/gm)].flatMap((block) =>
    block[1]!.split('\n').map((line) => line.replace(/\s+#.*$/, '').replace(/^\$ /, '')),
  );

  test(`every npm script that ${page} names is there`, () => {
    const named = lines.flatMap((line) =>
      [...line.matchAll(/\bnpm (?:run ([\w:-]+)|(start|test))\b/g)].map((match) => match[1] ?? match[2]!),
    );
    assert.ok(named.length > 0);
    for (const name of named) assert.ok(scripts[name], `npm run ${name}`);
  });

  test(`every sluice command that ${page} shows is one`, () => {
    for (const line of lines) {
      const words = /^(?:sudo )?sluice ([^|>;&]*)/.exec(line)?.[1]?.trim();
      if (words) assert.notEqual(parseLine(words.split(/\s+/), COMMANDS).kind, 'help', line);
    }
  });

  test(`every file that ${page} links to is there`, () => {
    for (const [, target] of read(page).matchAll(/\]\((?!https?:)([^)#]+)/g)) assert.ok(existsSync(join(root, target!)), target);
  });

  test(`the specs that ${page} shows are specs`, () => {
    for (const [, text] of read(page).matchAll(/^```yaml\n([\s\S]*?)^```/gm)) {
      const result = parseSpec(text!, page);
      assert.ok('spec' in result, 'errors' in result ? result.errors[0]?.message : '');
    }
  });
}

test('every example is a spec', () => {
  const examples = readdirSync(join(root, 'examples')).filter((name) => name.endsWith('.yaml'));
  assert.ok(examples.includes('demo.yaml') && examples.includes('xrd.yaml'));
  for (const name of examples) {
    const result = parseSpec(read(`examples/${name}`), name);
    assert.ok('spec' in result, 'errors' in result ? result.errors[0]?.message : '');
  }
});

test('every dependency has one exact version, the one in the lock file', () => {
  const lock = JSON.parse(read('package-lock.json')) as { version: string; packages: Record<string, { version: string }> };
  assert.equal(lock.version, version);
  for (const [name, wanted] of Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies })) {
    assert.match(wanted, /^\d+\.\d+\.\d+$/, name);
    assert.equal(lock.packages[`node_modules/${name}`]?.version, wanted, name);
  }
});

test('every script is a file that is there, and CI runs npm test', () => {
  for (const command of Object.values(scripts))
    for (const [file] of command.matchAll(/\b[\w-]+\/[\w./-]+\.mjs\b/g)) assert.ok(existsSync(join(root, file)), file);
  assert.match(read('.ci/run'), /^npm test$/m);
  assert.ok(statSync(join(root, '.ci/run')).mode & 0o111);
});
