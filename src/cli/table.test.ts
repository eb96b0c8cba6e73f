import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type CommandSpec, parseLine, takesText } from './command.ts';
import { helpText } from './help.ts';
import { columns, makeStyle } from './output.ts';
import { SCHEMAS } from './schemas.ts';
import { COMMANDS, GLOBALS, GROUPS } from './table.ts';
import { VERBS } from './verbs.ts';

const all: [string, CommandSpec][] = Object.entries(COMMANDS);
const page = { width: 80, style: makeStyle(false) };

for (const [verb, command] of all) {
  test(`${verb} has help with an example, no line of it longer than 80 columns`, () => {
    const text = helpText(verb, page);
    assert.ok(command.examples.length > 0);
    assert.match(text, new RegExp(`Usage: sluice ${verb}\\b`));
    for (const line of text.split('\n')) assert.ok(columns(line) <= 80, line);
    for (const name of Object.keys(command.options)) assert.match(text, new RegExp(`--${name}\\b`));
  });

  test(`the examples of ${verb} are command lines that it takes`, () => {
    for (const [example] of command.examples) {
      const words = /sluice ([^|>)]*)/.exec(example)?.[1]?.trim().split(/\s+/);
      assert.ok(words, example);
      const line = parseLine(words, COMMANDS);
      assert.equal(line.kind === 'run' && line.verb, verb);
    }
  });

  test(`${verb} has a file with a function for it`, async () => {
    const { run } = await VERBS[verb as keyof typeof VERBS]();
    assert.equal(typeof run, 'function');
  });
}

test('an option of the same name means the same kind of thing everywhere', () => {
  const kinds = new Map(Object.entries(GLOBALS).map(([name, spec]) => [name, takesText(spec)]));
  for (const [verb, { options }] of all)
    for (const [name, spec] of Object.entries(options)) {
      assert.ok(!Object.hasOwn(GLOBALS, name), `${verb} --${name} hides a global option`);
      assert.equal(kinds.get(name) ?? takesText(spec), takesText(spec), `${verb} --${name}`);
      kinds.set(name, takesText(spec));
      if (spec.default !== undefined && spec.choices) assert.ok(spec.choices.includes(spec.default));
    }
});

test('every verb of two words belongs to a group that is described', () => {
  for (const [verb] of all) if (verb.includes(' ')) assert.ok(GROUPS[verb.split(' ')[0]!], verb);
});

for (const [name, { load }] of Object.entries(SCHEMAS))
  test(`the JSON Schema ${name} is one, and carries its own name`, async () => {
    const schema = (await load()) as { $schema: string; type?: string; properties: Record<string, { const?: string }> };
    assert.equal(schema.$schema, 'https://json-schema.org/draft/2020-12/schema');
    if (name !== 'spec') assert.match(schema.properties.schema?.const ?? '', new RegExp(`^sluice/${name}/[0-9]+$`));
  });

test('every verb that reports has a schema', () => {
  const reporting = Object.keys(COMMANDS).filter((verb) => !['schema', 'completion', 'man', 'lab shell'].includes(verb));
  const without = reporting.filter((verb) => !Object.hasOwn(SCHEMAS, verb.replace(' ', '-')));
  assert.equal(without.join(', '), '');
});
