import * as z from 'zod/mini';
import type { Evidence } from '../check/check.ts';
import { linkOf } from '../check/links.ts';
import type { Problem } from '../check/problem.ts';
import type { Answer, Surveyed } from '../check/survey.ts';
import type { Refusal } from '../plan/plan.ts';

/** Everything of a problem that does not depend on a host. */
export interface ProblemWords {
  id: string;
  title: string;
  category: string;
  severity: Problem['severity'];
  why: string;
  /** Where it can be seen, and when it is there. */
  see: { read: string; when: string; sure: string }[];
  /** Safest first. */
  fix: string[];
  beware: string;
  sources: { text: string; link?: string }[];
}

export interface CheckedProblem extends ProblemWords {
  is: Answer['is'];
  answers: Answer[];
}

export interface CheckReport {
  schema: 'sluice/check/1';
  host: string;
  /** What was asked about. */
  about: { kind: 'host' } | { kind: 'function'; bdf: string; name: string } | { kind: 'vm'; name: string; file: string };
  /** Of a function: whether it can be given to a guest, and what has to be done before. */
  verdict?: { is: string; because: string; steps: string[] };
  /** Of a VM: why there is no plan for it. */
  refusals: Refusal[];
  /** What fails first, the worst first; then what is unknown, what passed, and what does not apply. */
  problems: CheckedProblem[];
  /** What could not be read of the host. */
  unread: { what: string; because: string }[];
}

const evidence: z.ZodMiniType<Evidence> = z.strictObject({ where: z.string(), text: z.string() });
const state = z.enum(['pass', 'fail', 'unknown', 'not-applicable']);
export const problemWords: Record<keyof ProblemWords, z.ZodMiniType> = {
  id: z.string(),
  title: z.string(),
  category: z.string(),
  severity: z.enum(['blocker', 'broken', 'risk', 'slow', 'misread']),
  why: z.string(),
  see: z.array(z.strictObject({ read: z.string(), when: z.string(), sure: z.string() })),
  fix: z.array(z.string()),
  beware: z.string(),
  sources: z.array(z.strictObject({ text: z.string(), link: z.optional(z.string()) })),
};
export const answer: z.ZodMiniType<Answer> = z.strictObject({
  asks: z.string(),
  about: z.enum(['host', 'function', 'vm']),
  functions: z.array(z.string()),
  is: state,
  because: z.string(),
  seen: z.array(evidence),
  fix: z.optional(z.array(z.string())),
  lines: z.optional(z.array(z.strictObject({ text: z.string(), source: z.string() }))),
}) as z.ZodMiniType<Answer>;

export const checkReport: z.ZodMiniType<CheckReport> = z.strictObject({
  schema: z.literal('sluice/check/1'),
  host: z.string(),
  about: z.union([
    z.strictObject({ kind: z.literal('host') }),
    z.strictObject({ kind: z.literal('function'), bdf: z.string(), name: z.string() }),
    z.strictObject({ kind: z.literal('vm'), name: z.string(), file: z.string() }),
  ]),
  verdict: z.optional(z.strictObject({ is: z.string(), because: z.string(), steps: z.array(z.string()) })),
  refusals: z.array(
    z.strictObject({
      id: z.string(),
      asks: z.string(),
      bdf: z.string(),
      at: z.strictObject({ file: z.string(), line: z.int(), column: z.int() }),
      is: state,
      because: z.string(),
      seen: z.array(evidence),
      fix: z.optional(z.array(z.string())),
      lines: z.optional(z.array(z.strictObject({ text: z.string(), source: z.string() }))),
    }),
  ),
  problems: z.array(z.strictObject({ ...problemWords, is: state, answers: z.array(answer) })),
  unread: z.array(z.strictObject({ what: z.string(), because: z.string() })),
}) as z.ZodMiniType<CheckReport>;

export function wordsOf({ id, title, category, severity, why, see, fix, beware, sources }: Problem): ProblemWords {
  return {
    id,
    title,
    category,
    severity,
    why,
    see: see.map((signal) => ({ ...signal, read: whole(signal.read) })),
    fix: [...fix],
    beware,
    sources: sources.map((text) => {
      const link = linkOf(text);
      return link === undefined ? { text } : { text, link };
    }),
  };
}

export function showSurveyed(surveyed: readonly Surveyed[]): CheckedProblem[] {
  return surveyed.map(({ problem, is, answers }) => ({ ...wordsOf(problem), is, answers }));
}

/** The places of the catalogue as paths. */
function whole(read: string): string {
  return read.replaceAll('{d}', '/sys/bus/pci/devices/BDF').replaceAll('{g}', '/sys/kernel/iommu_groups/N');
}
