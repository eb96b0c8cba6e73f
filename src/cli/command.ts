import { parseArgs } from 'node:util';
import { nearest } from '../plan/spec-words.ts';
import type { Context } from './context.ts';
import { UsageError } from './exit.ts';
import { type COMMANDS, GLOBALS } from './table.ts';

/** An option. With `value` or `choices` it takes text, otherwise it is a flag. */
export interface OptionSpec {
  readonly help: string;
  /** Placeholder of the text it takes. `DIR` and `FILE` complete to paths. */
  readonly value?: string;
  readonly choices?: readonly string[];
  readonly default?: string;
  readonly short?: string;
}

/** An argument by position. Its name in capitals is the placeholder. `rest` takes all that are left, at least one unless optional. */
export interface PositionalSpec {
  readonly name: string;
  readonly help: string;
  readonly optional?: true;
  readonly rest?: true;
  readonly choices?: readonly string[];
  /** What a shell completes it to. */
  readonly completes?: 'file' | 'spec';
}

/** One verb, as data: help, completion and the manual page are made from it, and the command line is read by it. */
export interface CommandSpec {
  /** A sentence. */
  readonly summary: string;
  /** Paragraphs below the summary. */
  readonly description: readonly string[];
  readonly positionals: readonly PositionalSpec[];
  readonly options: Readonly<Record<string, OptionSpec>>;
  /** Command line, and what it does. */
  readonly examples: readonly (readonly [string, string])[];
}

type Commands = typeof COMMANDS;
/** A verb as it is typed: `inspect`, `lab run`. */
export type Verb = keyof Commands;

type Text<S, V> = S extends { default: string } ? V : V | undefined;
type OptionValue<S> = S extends { choices: readonly (infer C)[] }
  ? Text<S, C>
  : S extends { value: string }
    ? Text<S, string>
    : boolean;
type PositionalValue<S> = S extends { rest: true }
  ? string[]
  : S extends { choices: readonly (infer C)[] }
    ? S extends { optional: true }
      ? C | undefined
      : C
    : S extends { optional: true }
      ? string | undefined
      : string;

/** What a verb's `run` gets, from its row in the table: a property for each option and each positional. */
export type Arguments<V extends Verb> = { [K in keyof Commands[V]['options']]: OptionValue<Commands[V]['options'][K]> } & {
  [P in Commands[V]['positionals'][number] as P['name']]: PositionalValue<P>;
};

/** A verb's work: one library call and a report. Returns one of EXIT; errors are thrown. */
export type Run<V extends Verb> = (args: Arguments<V>, cx: Context) => Promise<number>;

export interface Globals {
  json: boolean;
  root: string | undefined;
  host: string | undefined;
  state: string | undefined;
}

export type Line =
  | { kind: 'version'; globals: Globals }
  /** `topic` is a verb, a group of verbs such as `lab`, or empty. */
  | { kind: 'help'; topic: string; globals: Globals }
  | { kind: 'run'; verb: string; args: Record<string, unknown>; globals: Globals };

/**
 * Reads a command line by the table. Options stand anywhere before `--`.
 * @throws UsageError
 */
export function parseLine(argv: readonly string[], commands: Readonly<Record<string, CommandSpec>>): Line {
  // Where the verb stands is known only when it is known which options before it take a value: any verb's options count for that.
  const every: Record<string, OptionSpec> = Object.assign(
    {},
    ...Object.values(commands).map((command) => command.options),
    GLOBALS,
  );
  const { tokens } = parseArgs({
    args: [...argv],
    strict: false,
    allowPositionals: true,
    tokens: true,
    options: Object.fromEntries(
      Object.entries(every).map(([name, { short, ...spec }]) => [
        name,
        { type: takesText(spec) ? ('string' as const) : ('boolean' as const), ...(short !== undefined && { short }) },
      ]),
    ),
  });
  const end = tokens.find((token) => token.kind === 'option-terminator')?.index ?? Number.POSITIVE_INFINITY;
  const words = tokens.filter((token) => token.kind === 'positional');
  const options = tokens.filter((token) => token.kind === 'option');
  const asked = (name: string): boolean => options.some((option) => option.name === name);
  const before = words.filter((word) => word.index < end).map((word) => word.value);
  const help = asked('help') || before[0] === 'help';
  const stray = options.find(({ name }) => !Object.hasOwn(every, name));
  if (before.length === 0 && stray) throw unknownOption(stray.rawName, undefined, GLOBALS);
  const { verb, group } = findVerb(before[0] === 'help' ? before.slice(1) : before, commands, help || asked('version'));

  const allowed = { ...(verb === undefined ? {} : commands[verb]!.options), ...GLOBALS };
  const values = new Map<string, string | true>();
  for (const option of options) {
    const spec = Object.hasOwn(allowed, option.name) ? allowed[option.name] : undefined;
    if (!spec) throw unknownOption(option.rawName, verb, allowed);
    if (values.has(option.name)) throw new UsageError(`${option.rawName} is given twice`);
    values.set(option.name, optionValue(option.rawName, option.value, option.inlineValue, spec));
  }
  const globals: Globals = {
    json: values.has('json'),
    root: text(values, 'root'),
    host: text(values, 'host'),
    state: text(values, 'state'),
  };
  if (asked('version')) return { kind: 'version', globals };
  if (help || verb === undefined) return { kind: 'help', topic: verb ?? group, globals };
  const rest = words.slice(verb.split(' ').length).map((word) => word.value);
  const command = commands[verb]!;
  const args: Record<string, unknown> = takePositionals(verb, command.positionals, rest);
  for (const [name, spec] of Object.entries(command.options))
    args[name] = takesText(spec) ? (text(values, name) ?? spec.default) : values.has(name);
  return { kind: 'run', verb, args, globals };
}

export function takesText(spec: OptionSpec): boolean {
  return spec.value !== undefined || spec.choices !== undefined;
}

const text = (values: ReadonlyMap<string, string | true>, name: string): string | undefined => {
  const value = values.get(name);
  return typeof value === 'string' ? value : undefined;
};

function findVerb(
  words: readonly string[],
  commands: Readonly<Record<string, CommandSpec>>,
  partly: boolean,
): { verb?: string; group: string } {
  const [first = '', second] = words;
  if (Object.hasOwn(commands, `${first} ${second}`)) return { verb: `${first} ${second}`, group: '' };
  if (Object.hasOwn(commands, first)) return { verb: first, group: '' };
  const verbs = Object.keys(commands);
  const inner = verbs.filter((verb) => verb.startsWith(`${first} `)).map((verb) => verb.slice(first.length + 1));
  if (first === '') {
    if (partly) return { group: '' };
    throw new UsageError('which verb?', `They are: ${topLevel(commands).join(', ')}. 'sluice --help' tells more.`);
  }
  if (inner.length > 0) {
    if (second === undefined && partly) return { group: first };
    if (second === undefined) throw new UsageError(`${first} needs one of: ${inner.join(', ')}`);
    throw new UsageError(`${first} has no ${second}`, suggest(second, inner));
  }
  throw new UsageError(`there is no verb ${first}`, suggest(first, topLevel(commands)));
}

/** First words of the verbs, each once. */
export function topLevel(commands: Readonly<Record<string, CommandSpec>>): string[] {
  return [...new Set(Object.keys(commands).map((verb) => verb.split(' ')[0]!))];
}

function suggest(word: string, candidates: readonly string[]): string {
  const meant = nearest(word, candidates);
  return meant === undefined ? `There are: ${candidates.join(', ')}.` : `Did you mean ${meant}?`;
}

function unknownOption(raw: string, verb: string | undefined, allowed: Readonly<Record<string, OptionSpec>>): UsageError {
  const of = verb === undefined ? 'sluice' : verb;
  const all = Object.keys(allowed).map((name) => `--${name}`);
  const meant = nearest(raw, all);
  const hint = meant === undefined ? `It has: ${all.join(', ')}.` : `Did you mean ${meant}?`;
  return new UsageError(`${of} has no option ${raw}`, hint);
}

function optionValue(raw: string, value: string | undefined, inline: boolean | undefined, spec: OptionSpec): string | true {
  if (!takesText(spec)) {
    if (value !== undefined) throw new UsageError(`${raw} takes no value`);
    return true;
  }
  const wanted = spec.value ?? spec.choices!.join('|');
  if (value === undefined || value === '' || (!inline && value.startsWith('-') && value !== '-'))
    throw new UsageError(`${raw} needs a value: ${raw} ${wanted}`);
  return oneOf(raw, value, spec.choices);
}

function oneOf(what: string, value: string, choices: readonly string[] | undefined): string {
  if (choices && !choices.includes(value))
    throw new UsageError(`${what} is one of ${choices.join(', ')}, not ${value}`, suggest(value, choices));
  return value;
}

function takePositionals(verb: string, specs: readonly PositionalSpec[], words: readonly string[]): Record<string, unknown> {
  const args: Record<string, unknown> = {};
  const left = [...words];
  for (const spec of specs) {
    const placeholder = spec.name.toUpperCase();
    if (left.length === 0 && !spec.optional)
      throw new UsageError(`${verb} needs ${placeholder}: ${spec.help}`, `Usage: sluice ${usage(verb, specs)}`);
    if (spec.rest) args[spec.name] = left.splice(0);
    else {
      const word = left.shift();
      args[spec.name] = word === undefined ? undefined : oneOf(placeholder, word, spec.choices);
    }
  }
  if (left.length > 0)
    throw new UsageError(`${verb} takes no further argument: ${left[0]}`, `Usage: sluice ${usage(verb, specs)}`);
  return args;
}

/** `plan SPEC`, `groups [DEVICE...]`, `lab run -- COMMAND...`. */
export function usage(verb: string, specs: readonly PositionalSpec[]): string {
  const parts = specs.map((spec) => {
    // What is handed on to another program stands behind `--`; a list of ours needs none.
    const word = spec.rest ? `${spec.optional ? '' : '-- '}${spec.name.toUpperCase()}...` : spec.name.toUpperCase();
    return spec.optional ? `[${word}]` : word;
  });
  return [verb, ...parts].join(' ');
}
