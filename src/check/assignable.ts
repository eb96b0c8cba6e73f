import type { Picture } from '../host/picture.ts';
import { ask, type Check, type Finding, findingOf } from './check.ts';
import { endpoint } from './rules/endpoint.ts';
import { groupViable } from './rules/group-viable.ts';
import { inGroup } from './rules/in-group.ts';
import { interruptsRemapped } from './rules/interrupts-remapped.ts';
import { iommuOn } from './rules/iommu-on.ts';
import { noVfs } from './rules/no-vfs.ts';
import { notInUse } from './rules/not-in-use.ts';

/** The questions that decide whether a function can be given to a guest, the most basic first. */
export const ASSIGNABLE: readonly Check[] = [iommuOn, endpoint, inGroup, groupViable, interruptsRemapped, noVfs, notInUse];

/**
 * Everything that stands in the way of giving this function to a guest. Without an IOMMU only that is told: the rest
 * follows from it.
 */
export function judgeAssignment(picture: Picture, bdf: string): Finding[] {
  const basic = ask(iommuOn, picture, bdf);
  if (basic.is === 'fail') return [basic];
  return [basic, ...ASSIGNABLE.slice(1).map((question) => ask(question, picture, bdf))];
}

/** The same, but only what fails or could not be told: nearly all of thousands of answers are fine, and nobody reads those. */
export function obstaclesTo(picture: Picture, bdf: string): Finding[] {
  const basic = iommuOn.run(picture, bdf);
  const asked = basic.is === 'fail' ? [iommuOn] : ASSIGNABLE;
  const obstacles: Finding[] = [];
  for (const question of asked) {
    const verdict = question.run(picture, bdf);
    if (verdict.is === 'fail' || verdict.is === 'unknown') obstacles.push(findingOf(question, bdf, verdict));
  }
  return obstacles;
}
