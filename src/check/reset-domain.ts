import type { PciFunction } from '../host/functions.ts';
import { functionOf, type Picture } from '../host/picture.ts';
import { isBridge } from './facts.ts';
import { indexOf, pathAbove } from './index-of.ts';

/**
 * Functions that a reset of the bus resets together with this one, itself among them: all below the same bridge. Empty on a
 * root bus, which cannot be reset. A VF is reset with its PF, and never by way of the bus for itself.
 * Source: Linux drivers/pci/pci.c pci_reset_bus(), drivers/vfio/pci/vfio_pci_core.c vfio_pci_for_each_slot_or_bus().
 */
export function resetTogether(picture: Picture, found: PciFunction): readonly PciFunction[] {
  const folder = pathAbove(found.path);
  const bridge = functionOf(picture, folder.slice(folder.lastIndexOf('/') + 1));
  if (bridge === undefined || !isBridge(bridge)) return [];
  return indexOf(picture).below.get(folder) ?? [];
}
