import { reasonOf } from '../iommu/index.ts';
import { comparedGroups, type ListedPicture } from './groups.ts';
import { type Inspection, inspect } from './inspect.ts';

/**
 * Judges what a posted listing tells. Where it has no groups of the kernel they are computed from what it shows, as if one unit was
 * in front of all; functions whose group that does not decide are named with the reason. Pure.
 */
export function inspectListing(picture: ListedPicture): Inspection {
  const inspection = inspect(picture);
  const { computed } = comparedGroups(picture);
  const unknownGroups = computed.unknown.map(({ bdf, because }) => ({ bdf, because }));
  if (inspection.groups.length > 0) return { ...inspection, unknownGroups };
  const groupOf = new Map(computed.groups.flatMap(({ number, members }) => members.map((bdf) => [bdf, number] as const)));
  return {
    ...inspection,
    groupsAre: 'computed',
    groups: computed.groups.map((group) => {
      const because = reasonOf(group);
      return { number: group.number, devices: group.members, ...(because !== undefined && { because }) };
    }),
    unknownGroups,
    functions: inspection.functions.map((found) => {
      const group = groupOf.get(found.bdf);
      return group === undefined ? found : { ...found, group };
    }),
  };
}
