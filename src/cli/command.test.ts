import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type CommandSpec, parseLine } from './command.ts';
import { UsageError } from './exit.ts';
import { COMMANDS } from './table.ts';

const commands: Record<string, CommandSpec> = {
  look: {
    summary: 'Look.',
    description: [],
    positionals: [{ name: 'thing', help: 'what', optional: true }],
    options: {
      colour: { help: 'which', choices: ['red', 'blue'], default: 'red' },
      deep: { help: 'how', short: 'd' },
      at: { help: 'where', value: 'PLACE' },
    },
    examples: [],
  },
  'box open': {
    summary: 'Open.',
    description: [],
    positionals: [{ name: 'word', help: 'all', rest: true }],
    options: {},
    examples: [],
  },
  'box shut': { summary: 'Shut.', description: [], positionals: [], options: {}, examples: [] },
};
const parse = (...argv: string[]) => parseLine(argv, commands);
const args = (...argv: string[]) => {
  const line = parse(...argv);
  assert.equal(line.kind, 'run');
  return line.kind === 'run' ? { verb: line.verb, ...line.args } : undefined;
};
const refused = (says: RegExp, ...argv: string[]) =>
  assert.throws(
    () => parse(...argv),
    (error) => error instanceof UsageError && says.test(`${error.message} ${error.hint ?? ''}`),
    argv.join(' '),
  );

test('options are read before and after their verb', () => {
  const expected = { verb: 'look', thing: 'x', colour: 'blue', deep: true, at: 'home' };
  assert.deepEqual(args('look', 'x', '--colour', 'blue', '-d', '--at=home'), expected);
  assert.deepEqual(args('--at', 'home', '--colour=blue', 'look', '--deep', 'x'), expected);
});

test('what is left out has its default, or is undefined, or is off', () => {
  assert.deepEqual(args('look'), { verb: 'look', thing: undefined, colour: 'red', deep: false, at: undefined });
});

test('after two dashes nothing is an option', () => {
  assert.deepEqual(args('box', 'open', '--', 'ls', '--help', '-x', '--', 'y'), {
    verb: 'box open',
    word: ['ls', '--help', '-x', '--', 'y'],
  });
});

test('global options are known everywhere', () => {
  const line = parse('--json', 'box', 'shut', '--root', '/x', '--state=/y', '--host', '/z');
  assert.deepEqual(line.globals, { json: true, root: '/x', host: '/z', state: '/y' });
});

test('help is asked for in three ways, of everything, a group or a verb', () => {
  for (const [argv, topic] of [
    [['--help'], ''],
    [['help'], ''],
    [['box', '-h'], 'box'],
    [['help', 'box'], 'box'],
    [['look', '--help'], 'look'],
    [['help', 'box', 'open'], 'box open'],
    [['box', 'open', '--help'], 'box open'],
  ] as const)
    assert.deepEqual({ ...parse(...argv), globals: undefined }, { kind: 'help', topic, globals: undefined });
});

test('--version needs no verb', () => assert.equal(parse('--version', '--json').kind, 'version'));

test('mistakes get one message that says what was meant', () => {
  refused(/which verb.*look, box/);
  refused(/no verb loop.*Did you mean look/, 'loop');
  refused(/no verb zzzzz.*There are: look, box/, 'zzzzz');
  refused(/box needs one of: open, shut/, 'box');
  refused(/box has no opne.*Did you mean open/, 'box', 'opne');
  refused(/look has no option --colur.*--colour/, 'look', '--colur', 'red');
  refused(/sluice has no option --jsn.*--json/, '--jsn');
  refused(/box shut has no option --deep/, 'box', 'shut', '--deep');
  refused(/--colour is one of red, blue, not blau/, 'look', '--colour', 'blau');
  refused(/--at needs a value: --at PLACE/, 'look', '--at');
  refused(/--at needs a value/, 'look', '--at', '--deep');
  refused(/--at needs a value/, 'look', '--at=');
  refused(/--deep takes no value/, 'look', '--deep=yes');
  refused(/--deep is given twice/, 'look', '--deep', '--deep');
  refused(/look takes no further argument: y.*look \[THING\]/, 'look', 'x', 'y');
  refused(/box open needs WORD.*box open -- WORD\.\.\./, 'box', 'open');
});

test('names that every object has are neither verbs nor options', () => {
  refused(/no verb constructor/, 'constructor');
  refused(/no option --toString/, 'look', '--toString');
  refused(/no option --__proto__/, 'look', '--__proto__');
});

test('any words are read or refused, never more', () => {
  const word = fc.oneof(
    fc.constantFrom(
      ...Object.keys(COMMANDS).flatMap((verb) => verb.split(' ')),
      '--json',
      '--root',
      '--',
      '-h',
      '--flavour',
      '-',
    ),
    fc.string(),
  );
  fc.assert(
    fc.property(fc.array(word, { maxLength: 6 }), (argv) => {
      try {
        parseLine(argv, COMMANDS);
      } catch (error) {
        assert.ok(error instanceof UsageError, String(error));
      }
    }),
  );
});
