import * as z from 'zod/mini';
import type { Found, Saying } from '../check/log-problems.ts';
import { type ProblemWords, problemWords, wordsOf } from './check-report.ts';

/** Lines that say the same. */
export interface SaidLine {
  /** The first of them, without time and program. */
  text: string;
  /** Numbers of the first few. */
  lines: number[];
  count: number;
}

/** A problem that lines may stand for. `is` is what the rules say of the host that was named with `--host` or `--root`. */
export interface LogCandidate extends ProblemWords {
  is?: 'pass' | 'fail' | 'unknown' | 'not-applicable';
}

export interface CheckLogReport {
  schema: 'sluice/check-log/1';
  log: string;
  lines: number;
  /** Whether the log is of a virtual machine; absent when nothing tells. */
  guest?: boolean;
  /** The likeliest and worst first. Of several candidates the likeliest is first; the signals of each decide. */
  found: { said: SaidLine[]; candidates: LogCandidate[] }[];
  /** Lines that are normal, and mean something only together with the state of the host. */
  normal: (SaidLine & { ids: string[] })[];
  /** Faults of remapping units: `decode fault` tells what they mean. */
  faults: number;
}

const said = { text: z.string(), lines: z.array(z.int()), count: z.int() };
export const checkLogReport: z.ZodMiniType<CheckLogReport> = z.strictObject({
  schema: z.literal('sluice/check-log/1'),
  log: z.string(),
  lines: z.int(),
  guest: z.optional(z.boolean()),
  found: z.array(
    z.strictObject({
      said: z.array(z.strictObject(said)),
      candidates: z.array(
        z.strictObject({ ...problemWords, is: z.optional(z.enum(['pass', 'fail', 'unknown', 'not-applicable'])) }),
      ),
    }),
  ),
  normal: z.array(z.strictObject({ ...said, ids: z.array(z.string()) })),
  faults: z.int(),
}) as z.ZodMiniType<CheckLogReport>;

export function showFound(found: readonly Found[]): CheckLogReport['found'] {
  return found.map(({ candidates, sayings }) => ({
    said: sayings.map(showSaying),
    candidates: candidates.map(({ problem, is }) => ({ ...wordsOf(problem), ...(is === undefined ? {} : { is }) })),
  }));
}

export function showSaying({ text, lines, count }: Saying): SaidLine {
  return { text, lines, count };
}
