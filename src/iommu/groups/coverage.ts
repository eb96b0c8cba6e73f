import { type Dmar, unitOf } from '../../acpi/index.ts';
import { parseBdf } from '../../pci/index.ts';

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
}

export interface Coverage {
  /** Undefined when it depends on what has happened since boot. */
  covered: boolean | undefined;
  /** A clause, when it is not covered or not known to be. */
  because?: string;
}

/** Base class and subclass of a remapping unit. */
const IOMMU = 0x0806;

/**
 * Whether the kernel gives a function a group at all.
 *
 * VT-d: when a DRHD claims it (without a readable DMAR table it is taken so). AMD-Vi: all but the unit itself.
 * virtio-iommu: the unit itself never; others when a driver asks for them, which a bound driver shows.
 * Source: VT-d 5.10 §8.3; Linux drivers/iommu/amd/iommu.c, check_device(); drivers/iommu/virtio-iommu.c, drivers/acpi/scan.c.
 */
export function coverageOf({ bdf, path, class: code, driver }: Covered, { names, dmar }: UnitsOfHost): Coverage {
  if (names.length === 0) return { covered: false, because: 'the kernel drives no remapping unit' };
  if (names.includes(bdf) || code >> 8 === IOMMU) return { covered: false, because: 'it is the remapping unit itself' };
  if (names.some((name) => name.startsWith('dmar'))) {
    const place = placeOf(path);
    if (dmar === undefined || place === undefined || unitOf(dmar, place) !== undefined) return { covered: true };
    return { covered: false, because: 'no remapping unit of the DMAR table claims it' };
  }
  if (names.some((name) => parseBdf(name) !== undefined) && driver === undefined)
    return { covered: undefined, because: 'behind virtio-iommu a function has no group before a driver asks for it' };
  return { covered: true };
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
