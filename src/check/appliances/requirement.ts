import type { Answer, Facts } from './facts.ts';

/** One thing that an appliance asks of a host. */
export interface Requirement {
  /** The vendor's name for it. */
  name: string;
  asks: string;
  /** Requirements that must not have failed for this one to be worth asking. */
  after?: readonly string[];
  judge: (facts: Facts) => Answer;
}

/** An answer with what it answers. */
export interface RequirementFinding extends Answer {
  name: string;
  asks: string;
}

/**
 * Goes through requirements in their order. One that depends on another which failed is skipped.
 * @param before answers given already, by name
 */
export function judgeRequirements(
  requirements: readonly Requirement[],
  facts: Facts,
  before: Readonly<Record<string, Answer['is']>> = {},
): RequirementFinding[] {
  const given = new Map(Object.entries(before));
  return requirements.map(({ name, asks, after = [], judge }) => {
    const failed = after.filter((other) => given.get(other) === 'fail' || given.get(other) === 'skipped');
    const answer: Answer =
      failed.length > 0
        ? { is: 'skipped', because: `it makes no sense before ${failed.join(', ')} is met`, seen: [] }
        : judge(facts);
    given.set(name, answer.is);
    return { name, asks, ...answer };
  });
}
