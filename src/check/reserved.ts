import { reservedRegionsOf } from '../acpi/index.ts';
import type { Picture } from '../host/picture.ts';
import { indexOf, placeOf } from './index-of.ts';

/** Addresses that a function's DMA may not be mapped at, or has to have mapped. */
export interface ReservedRegion {
  /** First and last address, as `0xfee00000`. */
  start: string;
  end: string;
  /**
   * `direct`: firmware wants its device to reach this memory at any time, and Linux gives such a device to nobody;
   * `direct-relaxable`: the same, but only until a driver takes over (USB, graphics); `reserved`; `msi`: writes there are interrupts.
   */
  kind: string;
  /** Groups whose addresses it takes. */
  groups: number[];
  /** The functions that the DMAR table names for it (RMRR); empty when it names none or could not be read. */
  owners: string[];
}

/** Reserved regions of all groups, each once, by address. Source: reserved_regions of the groups, RMRR of the DMAR table. */
export function reservedRegions(picture: Picture): ReservedRegion[] {
  const regions = new Map<string, ReservedRegion>();
  /** By the texts: most groups have the same. */
  const known = new Map<string, ReservedRegion>();
  for (const group of picture.groups)
    for (const { start, end, type } of group.reserved) {
      const text = `${start} ${end} ${type}`;
      let region = known.get(text);
      if (region === undefined) {
        const key = `${trim(start)} ${trim(end)} ${type}`;
        region = regions.get(key) ?? { start: trim(start), end: trim(end), kind: type, groups: [], owners: [] };
        regions.set(key, region);
        known.set(text, region);
      }
      region.groups.push(group.number);
    }
  const { dmar } = indexOf(picture);
  if (dmar !== undefined)
    for (const found of picture.functions) {
      // RMRRs name PFs, and are not for their VFs.
      const place = found.physfn === undefined ? placeOf(found) : undefined;
      if (place === undefined) continue;
      for (const { base, limit } of reservedRegionsOf(dmar, place)) {
        const [start, end] = [hex(base), hex(limit)];
        const same = [...regions.values()].filter((region) => region.start === start && region.end === end);
        if (same.length === 0) {
          const region = { start, end, kind: 'RMRR', groups: [], owners: [] };
          regions.set(`${start} ${end} RMRR`, region);
          same.push(region);
        }
        for (const region of same) region.owners.push(found.bdf);
      }
    }
  return [...regions.values()].sort((a, b) => Number.parseInt(a.start, 16) - Number.parseInt(b.start, 16));
}

function trim(address: string): string {
  return hex(BigInt(/^0x[0-9a-f]{1,16}$/i.test(address) ? address : 0));
}

function hex(address: bigint): string {
  return `0x${address.toString(16)}`;
}
