import type { PciFunction } from '../host/functions.ts';
import { functionOf, type Picture } from '../host/picture.ts';
import { acsAtBoot, type ConfiguredFunction, coverageOf, type Topology, topologyOf } from '../iommu/index.ts';
import { parseBdf } from '../pci/index.ts';
import { indexOf } from './index-of.ts';

/** What decides the groups of a host, and whether the kernel has made any. */
export interface GroupsOfPicture {
  topology: Topology;
  /** Without a unit that the kernel drives there are none, and the topology is as if there was one. */
  on: boolean;
}

/** From what was read of a host. Functions that the kernel has in a group are taken as covered by a unit. */
export function groupsOfPicture(picture: Picture): GroupsOfPicture {
  const { dmar } = indexOf(picture);
  const on = picture.units.length > 0 || picture.groups.length > 0;
  const ivrs = picture.firmwareTables.some(({ signature }) => signature === 'IVRS');
  const units = { names: picture.units.map(({ name }) => name), ...(dmar !== undefined && { dmar }) };
  const coverage = (found: PciFunction): Pick<ConfiguredFunction, 'covered' | 'coveredBecause'> => {
    if (!on || found.group !== undefined) return {};
    const path = (found.physfn === undefined ? undefined : functionOf(picture, found.physfn)?.path) ?? found.path;
    const { covered, because } = coverageOf({ ...found, path }, units);
    return { covered: covered ?? false, ...(because !== undefined && { coveredBecause: because }) };
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
        ...(found.config !== undefined && { config: found.config }),
        ...(found.physfn !== undefined && { physfn: found.physfn }),
        ...coverage(found),
      })),
    { ivrs },
  );
  return { topology: on ? topology : acsAtBoot(topology), on };
}
