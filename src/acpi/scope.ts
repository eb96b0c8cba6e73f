import type { DeviceScope, Dmar, DrhdStructure, RmrrStructure } from './dmar.ts';

/** Where a function is, as a path does not change when buses are numbered anew. */
export interface Place {
  segment: number;
  /** Bus of the host bridge. */
  startBus: number;
  /** Device and function of each bridge on the way, and of the function last. */
  path: readonly { device: number; function: number }[];
}

/**
 * Whether a device scope names this function, or a bridge that it is behind.
 * A VF is named by its PF: ask with the place of the PF. VT-d 5.10 §8.3.1, §8.3.3.
 */
export function scopeCovers(scope: DeviceScope, place: Place): boolean {
  if (scope.startBus !== place.startBus || scope.path.length === 0) return false;
  const same = scope.path.every((pair, i) => pair.device === place.path[i]?.device && pair.function === place.path[i]?.function);
  if (scope.type === 'endpoint') return same && scope.path.length === place.path.length;
  return scope.type === 'bridge' && same;
}

/**
 * The remapping unit in front of a function: the one that names it, else the one that takes all others of its segment.
 * Undefined when no unit claims it. VT-d 5.10 §8.3.
 */
export function unitOf(dmar: Dmar, place: Place): DrhdStructure | undefined {
  const units = dmar.structures.filter((one) => one.type === 'DRHD' && one.segment === place.segment) as DrhdStructure[];
  return units.find((unit) => unit.scopes.some((scope) => scopeCovers(scope, place))) ?? units.find((unit) => unit.includePciAll);
}

/** Reserved memory regions that this function is named for. VT-d 5.10 §8.4. */
export function reservedRegionsOf(dmar: Dmar, place: Place): RmrrStructure[] {
  return dmar.structures.filter(
    (one): one is RmrrStructure =>
      one.type === 'RMRR' && one.segment === place.segment && one.scopes.some((scope) => scopeCovers(scope, place)),
  );
}
