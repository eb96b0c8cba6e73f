import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { manual } from './man.ts';
import { program } from './package.ts';
import { COMMANDS } from './table.ts';

const script = (shell: string) => spawnSync(process.execPath, [program(), 'completion', shell], { encoding: 'utf8' }).stdout;
const present = (name: string) => spawnSync(name, ['--version']).error === undefined;

test('bash completes verbs, options, choices and files', { skip: !present('bash') && 'bash is not installed' }, () => {
  const lines = [
    ['sluice', 'ins'],
    ['sluice', 'lab', 's'],
    ['sluice', '--root', '/x', 'lab', 's'],
    ['sluice', 'lab', 'run', '--flavour', ''],
    ['sluice', 'plan', '--st'],
    ['sluice', 'completion', ''],
    ['sluice', '--root', '/us'],
    ['sluice', 'lab', 'run', '--', ''],
  ];
  const asks = lines.map(
    (words) =>
      `COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}; _sluice; echo "\${COMPREPLY[*]}"`,
  );
  const { stdout, stderr } = spawnSync('bash', ['--norc', '-c', `compopt() { :; }; ${script('bash')}\n${asks.join('\n')}`], {
    encoding: 'utf8',
  });
  assert.equal(stderr, '');
  assert.deepEqual(stdout.trimEnd().split('\n').concat('').slice(0, 8), [
    'inspect',
    'setup shell status',
    'setup shell status',
    'backports stock',
    '--state',
    'bash zsh fish',
    '/usr',
    '',
  ]);
});

for (const shell of ['zsh', 'fish'])
  test(`the ${shell} script parses`, { skip: !present(shell) && `${shell} is not installed` }, (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'completion-'));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const file = join(folder, shell);
    writeFileSync(file, script(shell));
    const { status, stderr } = spawnSync(shell, ['-n', file], { encoding: 'utf8' });
    assert.deepEqual([status, stderr], [0, '']);
  });

for (const shell of ['bash', 'zsh', 'fish'])
  test(`the ${shell} script knows every verb and every option`, () => {
    const text = script(shell);
    for (const [verb, { options }] of Object.entries(COMMANDS)) {
      for (const word of verb.split(' ')) assert.match(text, new RegExp(`\\b${word}\\b`));
      for (const name of Object.keys(options)) assert.match(text, new RegExp(`(--|-l )${name}\\b`));
    }
  });

test('the manual page tells of every verb', () => {
  const text = manual();
  for (const verb of Object.keys(COMMANDS)) assert.match(text, new RegExp(`^\\.SS ${verb}`, 'm'));
  // A line that begins with a dot and no known macro would vanish from the page.
  for (const line of text.split('\n')) if (line.startsWith('.')) assert.match(line, /^\.(TH|SH|SS|TP|B|I|RI|PP|RS|RE|EX|EE)\b/);
});

test('the manual page formats without a warning', { skip: !present('groff') && 'groff is not installed' }, () => {
  const { stderr, status } = spawnSync('groff', ['-man', '-ww', '-Tascii'], { input: manual(), encoding: 'utf8' });
  assert.deepEqual([status, stderr], [0, '']);
});
