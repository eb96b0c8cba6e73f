import type { Dmar, DrhdStructure, RmrrStructure, SatcStructure, SidpStructure } from './dmar.ts';
import type { DeviceScope } from './dmar-scopes.ts';

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

/** Path of the first pair, segment and bus: a root port. */
function rootPortOf({ segment, startBus, path }: Place): Place {
  return { segment, startBus, path: path.slice(0, 1) };
}

/**
 * Whether firmware says that the root port above this function passes ATS requests on. A function that is integrated in the
 * root complex needs none, so the answer is true. Undefined when no ATSR speaks of the segment: then nothing is known, and
 * Linux takes it for a no. VT-d 5.10 §8.5.
 */
export function atsThroughRootPort(dmar: Dmar, place: Place): boolean | undefined {
  if (place.path.length < 2) return true;
  const tables = dmar.structures.filter((one) => one.type === 'ATSR' && one.segment === place.segment);
  if (tables.length === 0) return undefined;
  const port = rootPortOf(place);
  return tables.some((one) => one.type === 'ATSR' && (one.allPorts || one.scopes.some((scope) => scopeCovers(scope, port))));
}

/** The root ports that ATSR names, and the segments whose root ports it names all. VT-d 5.10 §8.5. */
export function atsrOf(dmar: Dmar): { allPorts: number[]; ports: { segment: number; scope: DeviceScope }[] } {
  const tables = dmar.structures.filter((one) => one.type === 'ATSR');
  return {
    allPorts: tables.filter((one) => one.allPorts).map((one) => one.segment),
    ports: tables.flatMap(({ segment, scopes }) => scopes.map((scope) => ({ segment, scope }))),
  };
}

/** What SATC or SIDP say of a device of the SoC. */
export interface SocProperties {
  /** The structure that says so. */
  from: SatcStructure | SidpStructure;
  /** Its address translation cache is validated: ATS may be on. */
  atcHardened: boolean;
  /** It does not work with ATS off. */
  atcRequired: boolean;
  /** Requests without PASID: no nested translation, no PWSNP, no PGSNP. */
  nestedNotAllowed: boolean;
  pwsnpNotAllowed: boolean;
  pgsnpNotAllowed: boolean;
}

/**
 * Properties of a device that is integrated in the SoC, undefined when firmware has none to tell. Where there is an SIDP in
 * the table, SATC does not count. A VF has those of its PF: ask with the place of the PF. VT-d 5.10 §8.3.1, §8.8, §8.9.
 */
export function socPropertiesOf(dmar: Dmar, place: Place): SocProperties | undefined {
  const covers = (from: SatcStructure | SidpStructure) =>
    from.segment === place.segment ? from.scopes.find((scope) => scopeCovers(scope, place)) : undefined;
  const sidps = dmar.structures.filter((one) => one.type === 'SIDP');
  for (const from of sidps) {
    const scope = covers(from);
    if (!scope) continue;
    const has = (bit: number) => (scope.flags & (1 << bit)) !== 0;
    return {
      from,
      nestedNotAllowed: has(0),
      pwsnpNotAllowed: has(1),
      pgsnpNotAllowed: has(2),
      atcHardened: has(3),
      atcRequired: has(4),
    };
  }
  if (sidps.length > 0) return undefined;
  const from = dmar.structures.find((one): one is SatcStructure => one.type === 'SATC' && covers(one) !== undefined);
  const none = { nestedNotAllowed: false, pwsnpNotAllowed: false, pgsnpNotAllowed: false };
  return from && { from, atcHardened: true, atcRequired: from.atcRequired, ...none };
}

/** The NUMA proximity domain of a unit, as SRAT numbers them; undefined when no RHSA tells. VT-d 5.10 §8.6. */
export function proximityOf(dmar: Dmar, unit: Pick<DrhdStructure, 'registerBase'>): number | undefined {
  const found = dmar.structures.find((one) => one.type === 'RHSA' && one.registerBase === unit.registerBase);
  return found?.type === 'RHSA' ? found.proximityDomain : undefined;
}
