import { type Dmar, type Place, readDmar } from '../acpi/index.ts';
import type { PciFunction } from '../host/functions.ts';
import { functionOf, type Picture } from '../host/picture.ts';
import type { Usage } from '../host/usage.ts';
import { type Config, parseBdf, readConfig } from '../pci/index.ts';

/**
 * A picture by further keys that questions ask with, so that a question about one of thousands of functions costs no walk of
 * all. What has a name of its own is found with `functionOf`, `groupNumbered` and `unitNamed`.
 */
export interface Index {
  /** By address without function number, as `0000:3b:00`. */
  slots: ReadonlyMap<string, readonly PciFunction[]>;
  /** By the path of the bridge or host bridge above: VFs count with their PF. */
  below: ReadonlyMap<string, readonly PciFunction[]>;
  /** By `8086:10c9`. */
  ids: ReadonlyMap<string, readonly PciFunction[]>;
  usesOfFunction: ReadonlyMap<string, readonly Usage[]>;
  usesOfGroup: ReadonlyMap<number, readonly Usage[]>;
  /** Absent when there is none, or it may not be read. */
  dmar?: Dmar;
}

/** By the bytes, which functions that are alike may share. */
const configs = new WeakMap<Uint8Array, Config | null>();

/** Something that depends on the picture alone, found once for all functions that ask. */
export function once<T>(find: (picture: Picture) => T): (picture: Picture) => T {
  const found = new WeakMap<Picture, { value: T }>();
  return (picture) => {
    let known = found.get(picture);
    if (known === undefined) {
      known = { value: find(picture) };
      found.set(picture, known);
    }
    return known.value;
  };
}

/** Built once for each picture. A picture is not changed after it was read. */
export const indexOf: (picture: Picture) => Index = once((picture) => {
  const table = picture.firmwareTables.find(({ signature }) => signature === 'DMAR');
  const dmar = table === undefined ? undefined : readDmar(table.bytes);
  return {
    slots: gather(picture.functions, ({ bdf }) => slotOf(bdf)),
    below: gather(picture.functions, ({ path }) => pathAbove(path)),
    ids: gather(picture.functions, idsOf),
    usesOfFunction: gather(picture.usage, ({ bdf }) => bdf),
    usesOfGroup: gather(picture.usage, ({ group }) => group),
    ...(dmar === undefined ? {} : { dmar }),
  };
});

/** What uses a function itself, or its group as a whole. */
export function usesOf(picture: Picture, bdf: string, group: number | undefined): readonly Usage[] {
  const { usesOfFunction, usesOfGroup } = indexOf(picture);
  const own = usesOfFunction.get(bdf) ?? NONE;
  const ofGroup = (group === undefined ? undefined : usesOfGroup.get(group)) ?? NONE;
  return ofGroup.length === 0 ? own : [...own, ...ofGroup.filter((use) => use.bdf !== bdf)];
}

const NONE: readonly Usage[] = [];

/** Configuration space of a function, taken apart once; undefined when less than a header could be read. */
export function configOf({ config: bytes }: PciFunction): Config | undefined {
  if (bytes === undefined) return undefined;
  let config = configs.get(bytes);
  if (config === undefined) {
    config = readConfig(bytes) ?? null;
    configs.set(bytes, config);
  }
  return config ?? undefined;
}

/** `0000:3b:00` of `0000:3b:00.1`. */
export function slotOf(bdf: string): string {
  return bdf.slice(0, bdf.lastIndexOf('.'));
}

/** `8086:10c9` */
export function idsOf({ vendor, device }: PciFunction): string {
  return [vendor, device].map((id) => id.toString(16).padStart(4, '0')).join(':');
}

/** The folder that a function is in: of the bridge above it, or `/sys/devices/pci0000:00`. */
export function pathAbove(path: string): string {
  return path.slice(0, path.lastIndexOf('/'));
}

/**
 * Where a function is below its host bridge, for scopes of ACPI tables; a VF is asked for by the path of its PF.
 * Undefined when sysfs shows no path of bridges.
 */
export function placeOf(found: PciFunction): Place | undefined {
  const root = /\/pci([0-9a-f]+):([0-9a-f]{2})\//i.exec(found.path);
  if (root === null) return undefined;
  const path = found.path
    .slice(root.index + root[0].length)
    .split('/')
    .flatMap((name) => {
      const bdf = parseBdf(name);
      return bdf === undefined ? [] : [{ device: bdf.device, function: bdf.function }];
    });
  return { segment: Number.parseInt(root[1]!, 16), startBus: Number.parseInt(root[2]!, 16), path };
}

/** Bridges above a function that are in the picture, the nearest first. */
export function bridgesAbove(picture: Picture, found: PciFunction): PciFunction[] {
  return found.path
    .split('/')
    .slice(0, -1)
    .reverse()
    .flatMap((name) => functionOf(picture, name) ?? []);
}

function gather<T, K>(all: readonly T[], key: (one: T) => K | undefined): Map<K, T[]> {
  const found = new Map<K, T[]>();
  for (const one of all) {
    const k = key(one);
    if (k === undefined) continue;
    const list = found.get(k);
    if (list === undefined) found.set(k, [one]);
    else list.push(one);
  }
  return found;
}
