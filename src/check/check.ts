import type { Picture } from '../host/picture.ts';
import type { CalculationLine } from '../vfio/index.ts';

/** Something that was read, with where. */
export interface Evidence {
  where: string;
  text: string;
}

/** Our opinion of a host, with what it stands on. `unknown` is an honest answer. */
export interface Verdict {
  is: 'pass' | 'fail' | 'unknown' | 'not-applicable';
  because: string;
  seen: Evidence[];
  /** What to do, safest first. */
  fix?: string[];
  /** How a number came about, where the verdict rests on one. */
  lines?: CalculationLine[];
}

/** One question about one function of a host. */
export interface Check {
  id: string;
  asks: string;
  /** The clause, file or document that the rule stands on. */
  source: string;
  run(picture: Picture, bdf: string): Verdict;
}

/** A verdict with the question it answers. */
export interface Finding extends Verdict {
  id: string;
  asks: string;
  /** The function it is about. */
  bdf: string;
}

/** Declares a check. */
export function check(definition: Check): Check {
  return definition;
}

/** Asks one question. */
export function ask(question: Check, picture: Picture, bdf: string): Finding {
  return findingOf(question, bdf, question.run(picture, bdf));
}

/** An answer with its question. */
export function findingOf({ id, asks }: Check, bdf: string, verdict: Verdict): Finding {
  return { id, asks, bdf, ...verdict };
}
