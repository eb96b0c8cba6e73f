import { claimsOf, type Dmar, type Ivrs, ivhdsOf, unitOf, type Viot, viotOwnerOf } from '../../acpi/index.ts';
import { parseBdf, routingId } from '../../pci/index.ts';

/** A function, for the question whether a unit is in front of it. */
export interface Covered {
  bdf: string;
  /** `/sys/devices/pci0000:00/0000:00:02.0/0000:01:00.0`; of the PF for a VF, which scopes name. */
  path: string;
  class: number;
  driver?: string;
}

export interface UnitsOfHost {
  /** Names in /sys/class/iommu: `dmar0`, `ivhd0`, or the address of a virtio-iommu. */
  names: readonly string[];
  dmar?: Dmar;
  ivrs?: Ivrs;
  viot?: Viot;
}

export interface Coverage {
  /** Undefined when it depends on what has happened since boot. */
  covered: boolean | undefined;
  /** A clause, when it is not covered or not known to be. */
  because?: string;
  /** Device and function of its bus whose ID its requests carry, as IVRS says; absent for its own. */
  aliases?: readonly number[];
}

/** Base class and subclass of a remapping unit. */
const IOMMU = 0x0806;

/**
 * Tells whether the kernel gives a function a group at all.
 *
 * VT-d: when a DRHD claims it. AMD-Vi: when an IVHD does, and never the unit itself. virtio-iommu: never the unit itself; others
 * of its ranges when a driver asks for them, which a bound driver shows. A table that could not be read is taken to claim all.
 * Source: VT-d 5.10 §8.3; Linux drivers/iommu/amd/iommu.c, check_device(), setup_aliases(); drivers/iommu/virtio-iommu.c,
 * drivers/acpi/viot.c.
 */
export function coverageBy({ names, dmar, ivrs, viot }: UnitsOfHost): (found: Covered) => Coverage {
  const units = new Set(names);
  const vtd = names.some((name) => name.startsWith('dmar'));
  const amd = names.some((name) => name.startsWith('ivhd'));
  const virtio = names.some((name) => parseBdf(name) !== undefined);
  const claimed = ivrs && claimedBy(ivrs);
  return ({ bdf, path, class: code, driver }) => {
    if (units.size === 0) return { covered: false, because: 'the kernel drives no remapping unit' };
    if (units.has(bdf) || code >> 8 === IOMMU) return { covered: false, because: 'it is the remapping unit itself' };
    const address = parseBdf(bdf);
    if (vtd && dmar) {
      const place = placeOf(path);
      if (place && !unitOf(dmar, place)) return { covered: false, because: 'no remapping unit of the DMAR table claims it' };
    }
    if (amd && claimed && address) {
      const own = routingId(address);
      const carries = claimed.get(address.domain)?.[own] ?? NOBODY;
      if (carries === NOBODY) return { covered: false, because: 'no remapping unit of the IVRS table claims it' };
      return { covered: true, ...(carries !== own && carries >> 8 === own >> 8 && { aliases: [carries & 0xff] }) };
    }
    if (virtio && viot && address && !viotOwnerOf(viot, address.domain, routingId(address)))
      return { covered: false, because: 'no range of the VIOT table has it' };
    if (virtio && driver === undefined)
      return { covered: undefined, because: 'behind virtio-iommu a function has no group before a driver asks for it' };
    return { covered: true };
  };
}

const NOBODY = -1;

/** The ID that each device ID of a segment carries, of those that a block of IVRS claims; the last entry counts. */
function claimedBy(ivrs: Ivrs): ReadonlyMap<number, Int32Array> {
  const segments = new Map<number, Int32Array>();
  for (const block of ivhdsOf(ivrs)) {
    let ids = segments.get(block.segment);
    if (!ids) {
      ids = new Int32Array(0x10000).fill(NOBODY);
      segments.set(block.segment, ids);
    }
    for (const { start, end, sourceId } of claimsOf(block)) {
      if (sourceId !== undefined) ids.fill(sourceId, start, end + 1);
      // A table that claims everything many times is gone through once.
      else if (ids.includes(NOBODY)) for (let id = start; id <= end; id++) if (ids[id] === NOBODY) ids[id] = id;
    }
  }
  return segments;
}

/** Where a sysfs path leads: the segment and bus of the host bridge, and the way below it. */
function placeOf(path: string): Parameters<typeof unitOf>[1] | undefined {
  const root = /\/pci([0-9a-f]{4,8}):([0-9a-f]{2})\//i.exec(path);
  if (!root) return undefined;
  const way = path
    .slice(root.index + root[0].length)
    .split('/')
    .map(parseBdf);
  if (way.length === 0 || way.some((step) => step === undefined)) return undefined;
  return {
    segment: Number.parseInt(root[1]!, 16),
    startBus: Number.parseInt(root[2]!, 16),
    path: way.map((step) => ({ device: step!.device, function: step!.function })),
  };
}
