import { type Dmar, type Place, readDmar } from '../acpi/index.ts';
import type { PciFunction } from '../host/functions.ts';
import type { Picture } from '../host/picture.ts';
import { type Config, parseBdf, readConfig } from '../pci/index.ts';

// Bytes of a picture, taken apart once however many questions look at them. A picture does not change.

const dmars = new WeakMap<Picture, Dmar | undefined>();
const configs = new WeakMap<PciFunction, Config | undefined>();

/** The DMAR table; undefined when there is none, it may not be read, or it is cut before its first structure. */
export function dmarOf(picture: Picture): Dmar | undefined {
  if (!dmars.has(picture)) {
    const table = picture.firmwareTables.find(({ signature }) => signature === 'DMAR');
    dmars.set(picture, table === undefined ? undefined : readDmar(table.bytes));
  }
  return dmars.get(picture);
}

/** Configuration space of a function, as far as it could be read: without privilege only the header is in it. */
export function configOf(found: PciFunction): Config | undefined {
  if (!configs.has(found)) configs.set(found, found.config === undefined ? undefined : readConfig(found.config));
  return configs.get(found);
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
