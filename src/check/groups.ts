import { readIvrs, readViot } from '../acpi/index.ts';
import type { PciFunction } from '../host/functions.ts';
import { functionOf, type Picture } from '../host/picture.ts';
import {
  acsAtBoot,
  type Comparison,
  type Computed,
  type ComputedGroup,
  type ConfiguredFunction,
  compareGroups,
  computeGroups,
  coverageBy,
  type Join,
  type Topology,
  topologyOf,
} from '../iommu/index.ts';
import { parseBdf } from '../pci/index.ts';
import { configOf, indexOf, once } from './index-of.ts';

/** What decides the groups of a host, and whether the kernel has made any. */
export interface GroupsOfPicture {
  topology: Topology;
  /** Without a unit that the kernel drives there are none, and the topology is as if there was one. */
  on: boolean;
}

/** What a posted listing tells: its words know what decides groups, and its record as a host does not hold that. */
export interface ListedPicture extends Picture {
  topology: Topology;
}

/** From what was read of a host. Functions that the kernel has in a group are taken as covered by a unit. */
export function groupsOfPicture(picture: Picture): GroupsOfPicture {
  const { topology: listed } = picture as Partial<ListedPicture>;
  if (listed !== undefined) return { topology: listed, on: true };
  const { dmar } = indexOf(picture);
  const on = picture.units.length > 0 || picture.groups.length > 0;
  const table = (signature: 'IVRS' | 'VIOT') => picture.firmwareTables.find((one) => one.signature === signature)?.bytes;
  const [ivrsBytes, viotBytes] = [table('IVRS'), table('VIOT')];
  const ivrs = ivrsBytes && readIvrs(ivrsBytes);
  const viot = viotBytes && readViot(viotBytes);
  const coverageOf = coverageBy({
    names: picture.units.map(({ name }) => name),
    ...(dmar && { dmar }),
    ...(ivrs && { ivrs }),
    ...(viot && { viot }),
  });
  const coverage = (found: PciFunction): Pick<ConfiguredFunction, 'aliases' | 'covered' | 'coveredBecause'> => {
    if (!on) return {};
    const path = (found.physfn === undefined ? undefined : functionOf(picture, found.physfn)?.path) ?? found.path;
    const { bdf, driver } = found;
    const { covered, because, aliases } = coverageOf({ bdf, path, class: found.class, ...(driver !== undefined && { driver }) });
    return {
      covered: found.group !== undefined || (covered ?? false),
      ...(because !== undefined && { coveredBecause: because }),
      ...(aliases && { aliases }),
    };
  };
  const topology = topologyOf(
    // A record may name anything a function.
    picture.functions
      .filter(({ bdf }) => parseBdf(bdf) !== undefined)
      .map((found) => ({
        bdf: found.bdf,
        path: found.path,
        vendor: found.vendor,
        device: found.device,
        class: found.class,
        ...parsedOf(found),
        ...(found.physfn !== undefined && { physfn: found.physfn }),
        ...coverage(found),
      })),
    // Its presence alone makes some quirks apply.
    { ivrs: ivrsBytes !== undefined || picture.units.some(({ name }) => name.startsWith('ivhd')) },
  );
  return { topology: on ? topology : acsAtBoot(topology), on };
}

function parsedOf(found: PciFunction): Pick<ConfiguredFunction, 'parsed'> {
  const parsed = configOf(found);
  return parsed === undefined ? {} : { parsed };
}

/** The groups that the hardware leads to, beside those that the kernel made. */
export interface ComparedGroups extends GroupsOfPicture {
  computed: Computed;
  comparison: Comparison;
  /** The computed group of each function. */
  groupOf: ReadonlyMap<string, ComputedGroup>;
  /** How a function came to a group that was there before it. */
  joinOf: ReadonlyMap<string, Join>;
  /** Functions whose computed group is not known, and why. */
  unknown: ReadonlyMap<string, readonly string[]>;
}

/** Computed once for each picture: all functions ask. */
export const comparedGroups: (picture: Picture) => ComparedGroups = once((picture) => {
  const { topology, on } = groupsOfPicture(picture);
  const computed = computeGroups(topology);
  return {
    topology,
    on,
    computed,
    comparison: compareGroups(topology, computed, picture.groups, picture.system.cmdline),
    groupOf: new Map(computed.groups.flatMap((group) => group.members.map((bdf) => [bdf, group] as const))),
    joinOf: new Map(computed.groups.flatMap(({ joins }) => joins.map((join) => [join.bdf, join] as const))),
    unknown: new Map(computed.unknown.map(({ bdf, because }) => [bdf, because])),
  };
});
