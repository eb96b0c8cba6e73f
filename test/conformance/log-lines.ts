import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { logLines } from '../../src/check/log-lines.ts';
import { candidatesFor } from '../../src/check/log-problems.ts';
import { readRecords } from './fault-lines.ts';
import { type ConformanceSet, partOf, Tally } from './set.ts';

/** How a line is judged that nobody explained: by the words with which kernel and QEMU complain. */
type Mood = 'complains' | 'normal' | 'between';

const COMPILER = /\.[ch]:\d+:\d*|^make: |\bto-do\b/;
const COMPLAINS =
  /\[Firmware (Bug|Warn)\]|\bBIOS is broken|table failure|\bUnable to (?!(read\/)?write to IOMMU perf counter)|\bCannot\b|\bno space for|can't (assign|reserve|enable)|failed to assign|\bnot ready \d+ms|Refused to|not viable|out of range of|timed out waiting|[Ff]ailed to (setup|enable)|failed with error|no available reset|DMA mapping failed|error getting device|hardware error|Request device|fault reason|IOMMU disabled\b/;
const BETWEEN =
  /fail|error|disabl|not available|unable|unknown|invalid|inconsistent|mismatch|no such|not found|opt out|fault|suppress/i;

/** Undefined for what is no line of a running system. */
function moodOf(line: string): Mood | undefined {
  if (COMPILER.test(line)) return undefined;
  return COMPLAINS.test(line) ? 'complains' : BETWEEN.test(line) ? 'between' : 'normal';
}

/** Undefined when a complaint is recognised, and a normal line is not taken for a problem. */
export function compareLine(line: string, mood: Mood): string | undefined {
  const problems = candidatesFor(line).filter(({ message }) => message.marker !== true);
  if (mood === 'complains' && problems.length === 0) return 'a complaint that no problem has';
  if (mood === 'normal' && problems.length > 0)
    return `a normal line taken for ${problems.map(({ problem }) => problem.id).join(', ')}`;
  return undefined;
}

/** Lines of a file, each once, with how often it was seen; told apart by {@link moodOf}. */
function lineSet(name: string, file: string): ConformanceSet {
  return {
    name,
    run(folder) {
      const part = partOf(folder, 'logs');
      const path = part === undefined ? undefined : join(part, file);
      if (path === undefined || !existsSync(path)) return undefined;
      const tally = new Tally();
      for (const { line } of readRecords<{ line: string }>(path)) {
        const mood = moodOf(line);
        if (mood === undefined || mood === 'between')
          tally.leaveOut(line, mood === undefined ? 'of a compiler' : 'nobody recorded whether it is a problem');
        else tally.add(line, compareLine(line, mood));
      }
      return tally;
    },
  };
}

/** Whole logs: no line of the recorded kinds gets lost on the way, whatever stands before it. */
const bootLogs: ConformanceSet = {
  name: 'logs/boot',
  run(folder) {
    const part = partOf(folder, 'logs');
    const path = part === undefined ? undefined : join(part, 'boot-index.json');
    if (part === undefined || path === undefined || !existsSync(path)) return undefined;
    const tally = new Tally();
    for (const { file, groupLines } of JSON.parse(readFileSync(path, 'utf8')) as { file: string; groupLines: number }[]) {
      const name = join(part, file);
      if (!existsSync(name)) continue;
      const found = [...logLines(readFileSync(name, 'utf8'))].filter(({ text }) =>
        candidatesFor(text).some(({ problem }) => problem.id === 'acs-missing-upstream'),
      );
      tally.add(
        file,
        found.length === groupLines ? undefined : `${groupLines} lines put a device into a group, we find ${found.length}`,
      );
    }
    return tally;
  },
};

export const LOGS: readonly ConformanceSet[] = [
  lineSet('logs/vfio', 'vfio.jsonl'),
  lineSet('logs/lines', 'boot.jsonl'),
  bootLogs,
];

/** A message that somebody asked about, and what it was in the end. */
interface Case {
  id: string;
  message: string;
  cause: string;
  fix: string;
}

/** Words that every other problem has. */
const COMMON = new Set(
  'with that this from have when will into only also more than same which while then device devices guest host kernel there must need needs does'.split(
    ' ',
  ),
);

function wordsOf(text: string): Set<string> {
  const words = text.toLowerCase().match(/[a-z][a-z0-9_-]{2,}/g) ?? [];
  return new Set(words.map((word) => word.replaceAll('_', '-').replace(/(ing|ed|s)$/, '')).filter((word) => !COMMON.has(word)));
}

/** How many candidates are looked at: somebody who asks reads no further. */
const FEW = 3;
/** Words that cause or fix and the problem must have in common. */
const SHARED = 2;

const NONE = 'no problem is recognised';

/** Undefined when one of the first candidates is about what the case turned out to be, as far as words tell. */
function compareCase({ message, cause, fix }: Case): string | undefined {
  const candidates = [...logLines(message)].flatMap(({ text }) => candidatesFor(text)).slice(0, FEW);
  if (candidates.length === 0) return NONE;
  const wanted = wordsOf(`${cause} ${fix}`);
  // "As above" refers to a case that may be in another file.
  const unsettled = /not (settled|established)|as above/.test(cause);
  const about = candidates.some(({ problem }) => {
    const words = wordsOf(
      [problem.id, problem.title, problem.why, ...problem.fix, problem.beware, ...problem.see.map(({ read }) => read)].join(' '),
    );
    return [...wanted].filter((word) => words.has(word)).length >= SHARED;
  });
  if (about || unsettled) return undefined;
  return `${candidates.map(({ problem }) => problem.id).join(', ')} are about something else than: ${cause}`;
}

export const CASES: ConformanceSet = {
  name: 'cases',
  run(folder) {
    const part = partOf(folder, 'cases');
    if (part === undefined) return undefined;
    const files = readdirSync(part).filter((name) => name.endsWith('.json'));
    const tally = new Tally();
    for (const name of files)
      for (const one of JSON.parse(readFileSync(join(part, name), 'utf8')) as Case[]) {
        const why = compareCase(one);
        // A message has a source, a number, a path or a quotation; what has none of them is a description.
        if (why === NONE && (/^\(no error\)/.test(one.message) || !/[:_=/'"[\]\d]/.test(one.message)))
          tally.leaveOut(one.message, 'nobody recorded a message, only what was seen');
        else tally.add(one.message, why);
      }
    return tally;
  },
};
