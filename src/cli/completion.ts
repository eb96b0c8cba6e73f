import { type CommandSpec, type OptionSpec, type PositionalSpec, type Run, takesText } from './command.ts';
import { EXIT } from './exit.ts';
import type { TextReport } from './own-reports.ts';
import { COMMANDS, GLOBALS, GROUPS } from './table.ts';

const ALL: Readonly<Record<string, CommandSpec>> = COMMANDS;

export const run: Run<'completion'> = async ({ shell }, cx) => {
  const report: TextReport = { schema: 'sluice/text/1', text: { bash, zsh, fish }[shell]() };
  cx.print(report, ({ text }) => text);
  return EXIT.ok;
};

interface Word {
  word: string;
  help: string;
}

/** What may stand after the words of a verb, of a group, or after nothing. */
function verbsAfter(group: string): Word[] {
  const words = new Map<string, string>();
  for (const [verb, { summary }] of Object.entries(ALL)) {
    const [first = '', second] = verb.split(' ');
    if (group === '') words.set(first, GROUPS[first] ?? summary);
    else if (first === group && second !== undefined) words.set(second, summary);
  }
  return [...words].map(([word, help]) => ({ word, help }));
}

const optionsOf = (verb: string): [string, OptionSpec][] => Object.entries({ ...ALL[verb]?.options, ...GLOBALS });
const paths = (value: string | undefined): 'file' | 'folder' | undefined =>
  value === 'DIR' ? 'folder' : value === 'FILE' ? 'file' : undefined;
/** In single quotes for a shell of the Bourne family, or for fish, which knows the same quotes but escapes inside them. */
const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

function bash(): string {
  const words = (list: readonly string[]): string => `COMPREPLY=($(compgen -W ${quote(list.join(' '))} -- "$cur"))`;
  const position = ({ completes, choices }: PositionalSpec): string | undefined => {
    if (choices) return words(choices);
    if (completes === 'file') return 'compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur"))';
    if (completes === 'spec')
      return `compopt -o filenames; COMPREPLY=($(compgen -d -- "$cur"; compgen -f -X '!*.@(yaml|yml|json)' -- "$cur"))`;
    return undefined;
  };
  const lines = ['# bash completion of sluice', '_sluice() {'];
  lines.push('  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb="" count=0 i word', '  COMPREPLY=()');
  // The verb is the first word or two that are no options; the value of an option is none either.
  const taking = [
    ...new Set(
      Object.keys(ALL).flatMap((verb) =>
        optionsOf(verb)
          .filter(([, spec]) => takesText(spec))
          .map(([name]) => `--${name}`),
      ),
    ),
  ];
  lines.push(
    '  for ((i = 1; i < COMP_CWORD; i++)); do',
    '    word=${COMP_WORDS[i]}',
    '    case $word in',
    '      --) return ;;',
    `      ${taking.join('|')}) ((i++)) ;;`,
    '      -*) ;;',
    `      *) case $verb in ''|${Object.keys(GROUPS).join('|')}) verb="\${verb:+$verb }$word" ;; *) ((count++)) ;; esac ;;`,
    '    esac',
    '  done',
    '  case "$verb $prev" in',
  );
  for (const verb of Object.keys(ALL))
    for (const [name, spec] of Object.entries(ALL[verb]!.options))
      if (spec.choices) lines.push(`    ${quote(`${verb} --${name}`)}) ${words(spec.choices)}; return ;;`);
  lines.push('  esac', '  case $prev in');
  for (const name of taking) {
    const spec = Object.assign({}, GLOBALS, ...Object.values(ALL).map(({ options }) => options))[name.slice(2)] as OptionSpec;
    const kind = paths(spec.value);
    lines.push(
      `    ${name}) ${kind === undefined ? '' : `compopt -o filenames; COMPREPLY=($(compgen ${kind === 'folder' ? '-d' : '-f'} -- "$cur")); `}return ;;`,
    );
  }
  lines.push('  esac', '  if [[ $cur == -* ]]; then', '    case $verb in');
  for (const verb of Object.keys(ALL))
    lines.push(`      ${quote(verb)}) ${words(optionsOf(verb).map(([name]) => `--${name}`))} ;;`);
  lines.push(
    `      *) ${words(optionsOf('').map(([name]) => `--${name}`))} ;;`,
    '    esac',
    '    return',
    '  fi',
    '  case "$verb:$count" in',
  );
  for (const group of ['', ...Object.keys(GROUPS)])
    lines.push(`    ${quote(`${group}:0`)}) ${words(verbsAfter(group).map(({ word }) => word))} ;;`);
  for (const [verb, { positionals }] of Object.entries(ALL))
    for (const [index, spec] of positionals.entries()) {
      const action = position(spec);
      if (action !== undefined) lines.push(`    ${quote(`${verb}:${index}`)}) ${action} ;;`);
    }
  lines.push('  esac', '}', 'complete -F _sluice sluice');
  return `${lines.join('\n')}\n`;
}

function zsh(): string {
  // In an _arguments specification brackets and colons mean something.
  const plain = (text: string): string => text.replace(/([[\]:\\])/g, '\\$1');
  const option = ([name, spec]: [string, OptionSpec]): string => {
    const kind = paths(spec.value);
    const action = spec.choices
      ? `(${spec.choices.join(' ')})`
      : kind === 'folder'
        ? '_files -/'
        : kind === 'file'
          ? '_files'
          : ' ';
    return quote(`--${name}[${plain(spec.help)}]${takesText(spec) ? `:${plain(spec.value ?? name)}:${action}` : ''}`);
  };
  const positional = ({ name, choices, completes, rest }: PositionalSpec): string => {
    const action = choices
      ? `(${choices.join(' ')})`
      : completes === 'spec'
        ? '_files -g "*.(yaml|yml|json)"'
        : completes === 'file'
          ? '_files'
          : ' ';
    return quote(rest ? `*::${plain(name)}:_normal` : `:${plain(name)}:${action}`);
  };
  const describe = (words: readonly Word[]): string => words.map(({ word, help }) => quote(`${word}:${plain(help)}`)).join(' ');
  const lines = ['#compdef sluice', '_sluice() {', '  local -a verbs'];
  const verbCase = (verb: string): string => {
    const { positionals } = ALL[verb]!;
    return `_arguments ${[...optionsOf(verb).map(option), ...positionals.map(positional)].join(' ')}`;
  };
  lines.push(
    '  if ((CURRENT == 2)); then',
    `    verbs=(${describe(verbsAfter(''))})`,
    '    _describe verb verbs; return',
    '  fi',
    '  shift words; ((CURRENT--))',
    '  case $words[1] in',
  );
  for (const { word } of verbsAfter('')) {
    if (GROUPS[word] === undefined) lines.push(`    ${word}) ${verbCase(word)} ;;`);
    else {
      lines.push(
        `    ${word})`,
        '      if ((CURRENT == 2)); then',
        `        verbs=(${describe(verbsAfter(word))})`,
        '        _describe verb verbs; return',
        '      fi',
      );
      lines.push('      shift words; ((CURRENT--))', '      case $words[1] in');
      for (const inner of verbsAfter(word)) lines.push(`        ${inner.word}) ${verbCase(`${word} ${inner.word}`)} ;;`);
      lines.push('      esac ;;');
    }
  }
  lines.push('  esac', '}', 'if [ "$funcstack[1]" = _sluice ]; then _sluice "$@"; else compdef _sluice sluice; fi');
  return `${lines.join('\n')}\n`;
}

function fish(): string {
  const say = (text: string): string => `'${text.replace(/[\\']/g, '\\$&')}'`;
  const lines = ['# fish completion of sluice', 'complete -c sluice -f'];
  const seen = (words: readonly string[]): string => words.map((word) => `__fish_seen_subcommand_from ${word}`).join('; and ');
  for (const { word, help } of verbsAfter(''))
    lines.push(`complete -c sluice -n __fish_use_subcommand -a ${word} -d ${say(help)}`);
  for (const group of Object.keys(GROUPS)) {
    const inner = verbsAfter(group);
    const none = `${seen([group])}; and not __fish_seen_subcommand_from ${inner.map(({ word }) => word).join(' ')}`;
    for (const { word, help } of inner) lines.push(`complete -c sluice -n ${say(none)} -a ${word} -d ${say(help)}`);
  }
  const option = (condition: string, [name, spec]: [string, OptionSpec]): string => {
    const kind = paths(spec.value);
    const takes = spec.choices
      ? ` -x -a ${say(spec.choices.join(' '))}`
      : kind === 'folder'
        ? " -x -a '(__fish_complete_directories)'"
        : kind === 'file'
          ? ' -r -F'
          : takesText(spec)
            ? ' -x'
            : '';
    return `complete -c sluice${condition} -l ${name}${spec.short === undefined ? '' : ` -s ${spec.short}`}${takes} -d ${say(spec.help)}`;
  };
  for (const entry of Object.entries(GLOBALS)) lines.push(option('', entry));
  for (const [verb, { options, positionals }] of Object.entries(ALL)) {
    const condition = ` -n ${say(seen(verb.split(' ')))}`;
    for (const entry of Object.entries(options)) lines.push(option(condition, entry));
    for (const { choices, completes } of positionals) {
      if (choices) lines.push(`complete -c sluice${condition} -a ${say(choices.join(' '))}`);
      if (completes) lines.push(`complete -c sluice${condition} -F`);
    }
  }
  return `${lines.join('\n')}\n`;
}
