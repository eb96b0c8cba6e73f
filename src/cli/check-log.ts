import { FaultCollector } from '../check/log-faults.ts';
import { LogReader } from '../check/log-lines.ts';
import { decide, ProblemFinder, type Signals } from '../check/log-problems.ts';
import { anyHarm, survey, wholeHost } from '../check/survey.ts';
import { readPicture } from '../host/picture.ts';
import { type CheckLogReport, type LogCandidate, type SaidLine, showFound, showSaying } from './check-log-report.ts';
import { item, renderWords } from './check-view.ts';
import type { Context } from './context.ts';
import { EXIT } from './exit.ts';
import { readPieces } from './input.ts';
import { harmless, type Page, wrap } from './output.ts';

/** Messages of one kind that are quoted. */
const QUOTED = 6;

/** `check --log FILE`: what the messages of a log stand for. With a host that was named, its state decides between problems. */
export async function runLog(cx: Context, name: string): Promise<number> {
  const [reader, finder, faults] = [new LogReader(), new ProblemFinder(), new FaultCollector()];
  const progress = cx.progress(`reading ${name === '-' ? 'standard input' : name}`);
  try {
    for await (const piece of readPieces(name))
      for (const line of reader.push(piece)) {
        finder.add(line);
        faults.add(line);
      }
  } finally {
    progress.done();
  }
  for (const line of reader.end()) {
    finder.add(line);
    faults.add(line);
  }
  const signals: Signals = finder.guest === undefined ? {} : { guest: finder.guest };
  if (cx.named) {
    const picture = await readPicture(await cx.host());
    signals.verdicts = new Map(survey(picture, wholeHost(picture)).map(({ problem, is }) => [problem.id, is]));
    signals.guest = picture.system.guest;
  }
  const { found, normal } = decide(finder.end(), signals);
  const report: CheckLogReport = {
    schema: 'sluice/check-log/1',
    log: name,
    lines: reader.count,
    ...(signals.guest === undefined ? {} : { guest: signals.guest }),
    found: showFound(found),
    normal: normal.map((saying) => ({ ...showSaying(saying), ids: saying.candidates.map(({ problem }) => problem.id) })),
    faults: faults.end().faults.reduce((sum, { fault, count }) => sum + ('requester' in fault ? count : 0), 0),
  };
  cx.print(report, renderLog);
  return anyHarm(report.found.flatMap(({ candidates }) => candidates.map(({ severity }) => ({ is: 'fail' as const, severity }))))
    ? EXIT.findings
    : EXIT.ok;
}

/** Draws the report. */
export function renderLog(report: CheckLogReport, page: Page): string {
  const { style } = page;
  /** Problems whose words were printed already. */
  const told = new Set<string>();
  const parts = report.found.map(({ said, candidates }) => {
    const lines = candidates.flatMap((one, index) => title(one, index, page));
    for (const line of said.slice(0, QUOTED)) lines.push(...quote(line, page).map(style.dim));
    if (said.length > QUOTED) lines.push(style.dim(`  and ${said.length - QUOTED} other messages`));
    for (const one of candidates) {
      if (candidates.length > 1) lines.push(`  ${style.bold(one.id)}${one.is === undefined ? '' : `: ${HERE[one.is]}`}`);
      if (candidates.length > 1)
        for (const { read, when } of one.see) lines.push(...item('  decides: ', `${read}: ${when}`, page));
      if (told.has(one.id)) lines.push('  What to do: as above.');
      else lines.push(...renderWords(one, page));
      told.add(one.id);
    }
    return lines.join('\n');
  });
  if (parts.length === 0) parts.push(`No known problem is in these ${report.lines} lines.`);
  const end: string[] = [];
  if (report.faults > 0)
    end.push(
      `${report.faults} ${report.faults === 1 ? 'fault' : 'faults'} of remapping units: sluice decode fault - tells what each means.`,
    );
  if (report.normal.length > 0) {
    const ids = [...new Set(report.normal.flatMap((line) => line.ids))].join(', ');
    const count = report.normal.reduce((sum, line) => sum + line.count, 0);
    end.push(
      `${count} ${count === 1 ? 'line is' : 'lines are'} normal, and ${count === 1 ? 'tells' : 'tell'} something only together with the host's state (${ids}): sluice check on that host, or --host SNAPSHOT beside --log.`,
    );
  }
  if (end.length > 0) parts.push(end.flatMap((line) => wrap(line, page.width)).join('\n'));
  return parts.join('\n\n');
}

const HERE: Readonly<Record<NonNullable<LogCandidate['is']>, string>> = {
  fail: 'the state of this host says so',
  pass: 'the state of this host speaks against it',
  'not-applicable': 'it does not apply to this host',
  unknown: 'the state of this host does not tell',
};

function title({ severity, title: words, id }: LogCandidate, index: number, page: Page): string[] {
  const paint = severity === 'blocker' || severity === 'broken' ? page.style.red : page.style.yellow;
  const text = `${index === 0 ? '' : 'or '}${severity}: ${words} (${id})`;
  return wrap(text, page.width).map((line) => page.style.bold(paint(line)));
}

function quote({ text, lines, count }: SaidLine, page: Page): string[] {
  const more = count > lines.length ? ' ...' : '';
  const where = `line${lines.length === 1 ? '' : 's'} ${lines.join(', ')}${more}${count > 1 ? ` (${count} times)` : ''}`;
  const short = text.length > 300 ? `${text.slice(0, 300)} ...` : text;
  return item('  ', harmless(`${where}: ${short}`), page);
}
