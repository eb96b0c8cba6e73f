import type { Answer } from '../check/survey.ts';
import type { CheckedProblem, CheckReport, ProblemWords } from './check-report.ts';
import { harmless, type Page, wrap } from './output.ts';
import { renderRefusals } from './plan.ts';

/** Answers of one problem and lines of evidence that are shown; JSON has all. */
const ANSWERS = 4;
const EVIDENCE = 5;
/** Links of one problem. */
const LINKS = 5;
/** Functions that are named in a row. */
const NAMED = 6;

/** Draws the report of a survey. @param all also what passed and what does not apply */
export function renderCheck(report: CheckReport, page: Page, all: boolean): string {
  const { style } = page;
  const of = (state: Answer['is']) => report.problems.filter(({ is }) => is === state);
  const parts = [
    wrap(harmless(headline(report)), page.width)
      .map(style.bold)
      .join('\n'),
  ];
  if (report.refusals.length > 0) parts.push(renderRefusals(report.refusals, page));
  for (const problem of of('fail')) parts.push(renderProblem(problem, page));
  const unknown = of('unknown');
  if (unknown.length > 0) {
    const lines = unknown.flatMap((problem) => shortly(problem, 'unknown', page));
    parts.push([style.bold('Not known'), ...lines].join('\n'));
  }
  if (all)
    for (const [state, title] of [
      ['pass', 'Passed'],
      ['not-applicable', 'Does not apply'],
    ] as const) {
      const lines = of(state).flatMap((problem) => shortly(problem, state, page));
      if (lines.length > 0) parts.push([style.bold(title), ...lines].join('\n'));
    }
  parts.push(wrap(sum(report, all), page.width).join('\n'));
  return parts.join('\n\n');
}

function headline({ about, verdict, host }: CheckReport): string {
  if (about.kind === 'host') return `Known problems of passthrough on ${host}`;
  if (about.kind === 'vm') return `Known problems of the VM ${about.name} on ${host}`;
  const whether = verdict === undefined ? '' : `: ${WHETHER[verdict.is] ?? verdict.is}: ${verdict.because}`;
  return `${about.bdf} ${about.name}${whether}`;
}

const WHETHER: Readonly<Record<string, string>> = {
  ready: 'it can be given to a guest now',
  possible: 'it can be given to a guest after some steps',
  blocked: 'it cannot be given to a guest',
  unknown: 'whether it can be given to a guest is not known',
  bridge: 'a bridge',
};

/** One problem that is there, with everything about it. */
function renderProblem(problem: CheckedProblem, page: Page): string {
  const { style } = page;
  const paint = problem.severity === 'blocker' || problem.severity === 'broken' ? style.red : style.yellow;
  const lines = wrap(`${problem.severity}: ${problem.title} (${problem.id})`, page.width).map((line) => style.bold(paint(line)));
  const failed = problem.answers.filter(({ is }) => is === 'fail');
  for (const answer of failed.slice(0, ANSWERS)) lines.push(...renderAnswer(answer, page));
  if (failed.length > ANSWERS) {
    const functions = new Set(failed.slice(ANSWERS).flatMap((answer) => answer.functions));
    lines.push(...item('  ', `and for other reasons ${named([...functions])}`, page));
  }
  const fixes = [...new Set([...failed.slice(0, ANSWERS).flatMap(({ fix }) => fix ?? []), ...problem.fix])];
  lines.push(...renderWords({ ...problem, fix: fixes }, page));
  return lines.join('\n');
}

/** Why, what to do, what not to do, and where that is from. */
export function renderWords({ why, fix, beware, sources }: ProblemWords, page: Page): string[] {
  const { style } = page;
  const lines = item('  ', why, page);
  for (const text of fix) lines.push(...item('  -> ', text, page));
  if (beware !== '') lines.push(...item(`  beware: `, beware, page));
  for (const { text, link } of sources.slice(0, LINKS)) lines.push(...item('  ', link ?? text, page).map(style.dim));
  if (sources.length > LINKS) lines.push(style.dim(`  and ${sources.length - LINKS} more sources in --json`));
  return lines;
}

function renderAnswer({ functions, because, seen, lines }: Answer, page: Page): string[] {
  const { style } = page;
  const about = functions.length === 0 ? '' : `${named(functions)}: `;
  return [
    ...item('  ', `${about}${because}`, page),
    ...(lines ?? []).flatMap(({ text }) => item('    = ', text, page)),
    ...seen.slice(0, EVIDENCE).flatMap(({ where, text }) => item('    ', `${where}: ${text}`, page).map(style.dim)),
    ...(seen.length > EVIDENCE ? [style.dim(`    and ${seen.length - EVIDENCE} more`)] : []),
  ];
}

function shortly({ id, answers }: CheckedProblem, state: Answer['is'], page: Page): string[] {
  const told = answers.filter(({ is }) => is === state);
  const lines = told.slice(0, 2).flatMap(({ functions, because, lines: calculation = [] }) => {
    const about = functions.length === 0 ? '' : `${named(functions, 2)}: `;
    return [...item('  ', `${id}: ${about}${because}`, page), ...calculation.flatMap(({ text }) => item('    = ', text, page))];
  });
  return told.length > 2 ? [...lines, `  ${id}: and ${told.length - 2} more reasons`] : lines;
}

function sum({ problems, unread }: CheckReport, all: boolean): string {
  const count = (state: Answer['is']) => problems.filter(({ is }) => is === state).length;
  const failed = count('fail');
  const found =
    failed === 0 ? 'No known problem was found' : `${failed} known ${failed === 1 ? 'problem was' : 'problems were'} found`;
  const rest = `${count('unknown')} could not be decided, ${count('pass')} passed, ${count('not-applicable')} do not apply`;
  const more = all ? '' : ' (--all shows them)';
  const hidden = unread.length === 0 ? '' : ` ${unread.length} things could not be read; sluice inspect names them.`;
  return `${found}; ${rest}${more}.${hidden}`;
}

function named(functions: readonly string[], most = NAMED): string {
  const shown = functions.slice(0, most).join(', ');
  return functions.length > most ? `${shown} and ${functions.length - most} more` : shown;
}

/** Text behind a mark, its further lines below its first. */
export function item(mark: string, text: string, page: Page): string[] {
  const [first = '', ...more] = wrap(harmless(text), page.width - mark.length);
  return [`${mark}${first}`, ...more.map((line) => `${' '.repeat(mark.length)}${line}`)];
}
