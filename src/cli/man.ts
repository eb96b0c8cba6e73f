import { type CommandSpec, type Run, usage } from './command.ts';
import { EXIT, EXIT_MEANINGS } from './exit.ts';
import { optionHelp, optionWords } from './help.ts';
import type { TextReport } from './own-reports.ts';
import { version } from './package.ts';
import { COMMANDS, GLOBALS } from './table.ts';

export const run: Run<'man'> = async (_, cx) => {
  const report: TextReport = { schema: 'sluice/text/1', text: manual() };
  cx.print(report, ({ text }) => text);
  return EXIT.ok;
};

/** Text for roff: a backslash, a dash, and a dot or quote at the start of a line would mean something. */
function roff(text: string): string {
  return text.replaceAll('\\', '\\e').replaceAll('-', '\\-').replaceAll("'", '\\(aq').replace(/^\./gm, '\\&.');
}

/** The manual page sluice(8), in the man macros of roff. */
export function manual(): string {
  const lines = [
    `.TH SLUICE 8 "" "sluice ${roff(version())}" "System Administration"`,
    '.SH NAME',
    'sluice \\- PCI passthrough on KVM: look at a host, plan it, do it, prove it, put it back',
    '.SH SYNOPSIS',
    '.B sluice',
    '.I VERB',
    '.RI [ options ]',
    '.SH OPTIONS',
    'Every verb has these.',
  ];
  const tagged = (tag: string, text: string): void => void lines.push('.TP', `.B ${roff(tag)}`, roff(text));
  for (const [name, spec] of Object.entries(GLOBALS))
    tagged(`${spec.short === undefined ? '' : `-${spec.short}, `}${optionWords(name, spec)}`, optionHelp(spec));
  lines.push('.SH VERBS');
  for (const [verb, { summary, description, positionals, options, examples }] of Object.entries<CommandSpec>(COMMANDS)) {
    lines.push(`.SS ${roff(usage(verb, positionals))}`, roff(summary));
    for (const paragraph of description) lines.push('.PP', roff(paragraph));
    for (const { name, help } of positionals) tagged(name.toUpperCase(), help);
    for (const [name, spec] of Object.entries(options)) tagged(optionWords(name, spec), optionHelp(spec));
    for (const [line, what] of examples) lines.push('.PP', `${roff(what)}:`, '.PP', '.RS', '.EX', roff(line), '.EE', '.RE');
  }
  lines.push('.SH EXIT STATUS');
  for (const [code, meaning] of EXIT_MEANINGS) tagged(String(code), meaning);
  lines.push('.SH ENVIRONMENT');
  tagged('XDG_STATE_HOME, XDG_CACHE_HOME', 'where a user other than root has journals, and where the lab is kept');
  tagged('NO_COLOR, FORCE_COLOR', 'colour never, and always');
  lines.push('.SH FILES');
  tagged('/var/lib/sluice', 'journals of root');
  return `${lines.join('\n')}\n`;
}
