import { classKind, formatBdf, parseBdf } from '../pci/index.ts';
import type { PciFunction } from './functions.ts';
import type { Picture } from './picture.ts';

export type DeviceKind = 'net' | 'nvme' | 'other';

/** What Sluice can set up and prove on it. */
export function kindOfDevice(found: PciFunction): DeviceKind {
  const kind = classKind(found.class);
  return kind === 'nvme' ? 'nvme' : kind === 'network' ? 'net' : 'other';
}

/** The function that a person means by an address (`3b:00.0` is in domain 0), a network interface or an NVMe controller. */
export function findFunction(picture: Picture, named: string): PciFunction | undefined {
  const address = parseBdf(named);
  const bdf = address === undefined ? undefined : formatBdf(address);
  return picture.functions.find((found) =>
    bdf === undefined ? found.interfaces.includes(named) || found.nvme.includes(named) : found.bdf === bdf,
  );
}
