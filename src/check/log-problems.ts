import type { Verdict } from './check.ts';
import type { LogLine } from './log-lines.ts';
import type { Message, Problem } from './problem.ts';
import { PROBLEMS } from './problems/index.ts';
import { SEVERITIES } from './survey.ts';

/** A problem that a message stands for, with the message of the catalogue. */
export interface Candidate {
  problem: Problem;
  message: Message;
  /** Characters of the line that the message covers: a longer match is a closer one. */
  covered: number;
}

/** Lines of a log that say the same: the same messages of the catalogue are in them. */
export interface Saying {
  /** The first, without time and program. */
  text: string;
  /** Numbers of the first lines, at most {@link LINES}. */
  lines: number[];
  count: number;
  /** Every problem that it may stand for, the closest first. */
  candidates: Candidate[];
  /** It is a normal line: it means something only together with a signal. */
  marker: boolean;
}

/** Line numbers that are kept of each saying. */
export const LINES = 8;
/** Combinations of problems in one line that are told apart; beyond them only the closest problem of a line counts. */
const COMBINATIONS = 256;
/** Further than this a line is not looked at: a message begins within. */
const LOOKED_AT = 2048;

interface Entry {
  problem: Problem;
  message: Message;
  /** Text without which the message is not in a line: looking for it first is many times faster. */
  needle: string | undefined;
}
const ENTRIES: readonly Entry[] = PROBLEMS.flatMap((problem) =>
  problem.says.map((message) => ({ problem, message, needle: needleOf(message.re) })),
);

/** The longest text that every match of an expression has; undefined when there is none, or it is not simple to see. */
export function needleOf({ source, flags }: RegExp): string | undefined {
  if (flags !== '') return undefined;
  let [longest, run, depth] = ['', '', 0];
  const stop = () => {
    if (run.length > longest.length) longest = run;
    run = '';
  };
  for (const [token] of source.matchAll(/\\.|\[(?:\\.|[^\]])*\]|\{[\d,]*\}|[\s\S]/g)) {
    if (token === '|' && depth === 0) return undefined;
    // What may be left out, or comes any number of times, ends before its last character.
    if (/^[?*{]/.test(token)) run = run.slice(0, -1);
    if (token === '(') depth++;
    if (token === ')') depth--;
    const plain = /^\\[^\w\s]$/.test(token) ? token[1] : /^[^\\[\]{}()?*+.^$|]$/.test(token) ? token : undefined;
    if (depth > 0 || plain === undefined) stop();
    else run += plain;
  }
  stop();
  return longest.length < 3 ? undefined : longest;
}

/** Every problem of the catalogue that a line may stand for, the closest first. Each problem once. */
export function candidatesFor(text: string): Candidate[] {
  const line = text.length > LOOKED_AT ? text.slice(0, LOOKED_AT) : text;
  const found = new Map<string, Candidate>();
  for (const { problem, message, needle } of ENTRIES) {
    if (needle !== undefined && !line.includes(needle)) continue;
    const covered = message.re.exec(line)?.[0].length;
    if (covered === undefined) continue;
    const known = found.get(problem.id);
    // A message that is none of the normal lines says more than one that is.
    if (known === undefined || weight(message, covered) > weight(known.message, known.covered))
      found.set(problem.id, { problem, message, covered });
  }
  return [...found.values()].sort((a, b) => weight(b.message, b.covered) - weight(a.message, a.covered));
}

function weight(message: Message, covered: number): number {
  return (message.marker === true ? 0 : LOOKED_AT) + covered;
}

/** What is known beside the log, to decide between problems that share a message. */
export interface Signals {
  /** What the rules of problems say of the host that the log is of, by id. */
  verdicts?: ReadonlyMap<string, Verdict['is']>;
  /** Whether the log is of a virtual machine; undefined when nothing tells. */
  guest?: boolean;
}

/** Finds the messages of the catalogue in a log, line by line. Memory grows with the catalogue, not with the log. */
export class ProblemFinder {
  readonly #sayings = new Map<string, Saying>();
  #guest: boolean | undefined;

  /** Whether the log is of a virtual machine, as far as its lines tell. */
  get guest(): boolean | undefined {
    return this.#guest;
  }

  add({ number, text }: LogLine): void {
    if (text.startsWith('DMI: ')) this.#guest ??= /QEMU|KVM|Bochs|VMware|VirtualBox|Xen|Virtual Machine/.test(text);
    if (text.startsWith('Hypervisor detected: ')) this.#guest = true;
    let candidates = candidatesFor(text);
    if (candidates.length === 0) return;
    if (this.#sayings.size >= COMBINATIONS && !this.#sayings.has(keyOf(candidates))) candidates = candidates.slice(0, 1);
    const key = keyOf(candidates);
    const known = this.#sayings.get(key);
    if (known === undefined)
      this.#sayings.set(key, {
        text,
        lines: [number],
        count: 1,
        candidates,
        marker: candidates.every(({ message }) => message.marker === true),
      });
    else {
      known.count++;
      if (known.lines.length < LINES) known.lines.push(number);
    }
  }

  /** What was found, in the order of the first lines. */
  end(): Saying[] {
    return [...this.#sayings.values()];
  }
}

function keyOf(candidates: readonly Candidate[]): string {
  return candidates.map(({ problem, message }) => `${problem.id} ${problem.says.indexOf(message)}`).join(', ');
}

/** Sayings that have the same problems behind them, in the same order. */
export interface Found {
  /** The likeliest first. */
  candidates: { problem: Problem; is: Verdict['is'] | undefined }[];
  sayings: Saying[];
}

/**
 * Decides, as far as something tells: between the problems that share a message, and which come first. Normal lines count
 * when a rule says that their problem is there, or another line does; else they are `normal`.
 */
export function decide(sayings: readonly Saying[], signals: Signals): { found: Found[]; normal: Saying[] } {
  const told = new Set(sayings.flatMap(({ marker, candidates }) => (marker ? [] : candidates.map(({ problem }) => problem.id))));
  const counts = ({ problem, message }: Candidate) =>
    message.marker !== true || told.has(problem.id) || signals.verdicts?.get(problem.id) === 'fail';
  const found = new Map<string, Found>();
  const normal: Saying[] = [];
  for (const saying of sayings) {
    const candidates = saying.candidates
      .filter(counts)
      .map(({ problem }) => ({ problem, is: signals.verdicts?.get(problem.id) }))
      .sort((a, b) => belief(b.problem, signals) - belief(a.problem, signals));
    if (candidates.length === 0) {
      normal.push(saying);
      continue;
    }
    const key = candidates.map(({ problem }) => problem.id).join(' ');
    const same = found.get(key);
    if (same === undefined) found.set(key, { candidates, sayings: [saying] });
    else same.sayings.push(saying);
  }
  const first = ({ candidates }: Found) => candidates[0]!.problem;
  return {
    found: [...found.values()].sort(
      (a, b) =>
        Math.sign(belief(first(b), signals)) - Math.sign(belief(first(a), signals)) ||
        SEVERITIES.indexOf(first(a).severity) - SEVERITIES.indexOf(first(b).severity),
    ),
    normal,
  };
}

/** How much more or less likely the signals make a problem; 0 when they say nothing. */
function belief({ id, at }: Problem, { verdicts, guest }: Signals): number {
  const is = verdicts?.get(id);
  const rule = is === 'fail' ? 4 : is === 'pass' || is === 'not-applicable' ? -4 : 0;
  const place = guest === undefined || at === 'any' ? 0 : guest === (at === 'L1') ? 1 : -1;
  return rule + place;
}
