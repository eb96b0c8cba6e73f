import { type CommandSpec, type OptionSpec, takesText, usage } from './command.ts';
import { EXIT_MEANINGS } from './exit.ts';
import { indent, type Page, table, wrap } from './output.ts';
import { COMMANDS, GLOBALS, GROUPS } from './table.ts';

const ALL: Readonly<Record<string, CommandSpec>> = COMMANDS;

/** Help on a verb, a group of verbs, or all (empty topic). */
export function helpText(topic: string, page: Page): string {
  const command = ALL[topic];
  return command ? verbHelp(topic, command, page) : groupHelp(topic, page);
}

function groupHelp(group: string, page: Page): string {
  const { bold } = page.style;
  const inside = Object.entries(ALL).filter(([verb]) => group === '' || verb.startsWith(`${group} `));
  const intro = group === '' ? 'PCI passthrough on KVM: look at a host, plan it, do it, prove it, put it back.' : GROUPS[group]!;
  const parts = [
    wrap(intro, page.width).join('\n'),
    `${bold('Usage:')} sluice ${group === '' ? 'VERB' : `${group} VERB`} [options]`,
    `${bold('Verbs')}\n${indent(
      table(
        { ...page, width: page.width - 2 },
        [],
        inside.map(([verb, { summary, positionals }]) => [usage(verb, positionals), summary]),
      ),
    )}`,
    options('Options', GLOBALS, page),
  ];
  if (group === '')
    parts.push(
      `${bold('Exit codes')}\n${indent(
        table(
          page,
          [],
          EXIT_MEANINGS.map(([code, meaning]) => [String(code), meaning]),
        ),
      )}`,
      "'sluice VERB --help' tells more of one verb. To begin: sluice inspect",
    );
  return parts.join('\n\n');
}

function verbHelp(verb: string, command: CommandSpec, page: Page): string {
  const { bold, dim } = page.style;
  const paragraphs = [command.summary, ...command.description].map((text) => wrap(text, page.width).join('\n'));
  const parts = [...paragraphs, `${bold('Usage:')} sluice ${usage(verb, command.positionals)} [options]`];
  if (command.positionals.length > 0)
    parts.push(
      `${bold('Arguments')}\n${indent(
        table(
          page,
          [],
          command.positionals.map(({ name, help }) => [name.toUpperCase(), help]),
        ),
      )}`,
    );
  parts.push(options('Options', { ...command.options, ...GLOBALS }, page));
  const examples = command.examples.map(([line, what]) => `  ${line}\n      ${dim(what)}`);
  if (examples.length > 0) parts.push(`${bold('Examples')}\n${examples.join('\n')}`);
  return parts.join('\n\n');
}

function options(title: string, specs: Readonly<Record<string, OptionSpec>>, page: Page): string {
  const rows = Object.entries(specs).map(([name, spec]) => [
    spec.short === undefined ? '' : `-${spec.short}`,
    optionWords(name, spec),
    optionHelp(spec),
  ]);
  return `${page.style.bold(title)}\n${indent(table({ ...page, width: page.width - 2 }, [], rows))}`;
}

/** `--device BDF`, `--json`. */
export function optionWords(name: string, spec: OptionSpec): string {
  return takesText(spec) ? `--${name} ${spec.value ?? spec.choices!.join('|')}` : `--${name}`;
}

export function optionHelp(spec: OptionSpec): string {
  return spec.default === undefined ? spec.help : `${spec.help} (default: ${spec.default})`;
}
