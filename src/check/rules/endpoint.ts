import { functionOf } from '../../host/picture.ts';
import { type Check, check } from '../check.ts';

/** Base class and subclass. PCI Code and ID Assignment 1.14 §1.9. */
const REMAPPING_UNIT = 0x0806;

export const endpoint: Check = check({
  id: 'device/endpoint',
  asks: 'Is it a device that a guest can drive?',
  source: 'Linux drivers/vfio/pci/vfio_pci_core.c: only header type 0 is taken',
  run(picture, bdf) {
    const found = functionOf(picture, bdf);
    if (found === undefined) return { is: 'unknown', because: 'there is no such function', seen: [] };
    const base = found.class >>> 16;
    const seen = [{ where: `/sys/bus/pci/devices/${bdf}/class`, text: `0x${found.class.toString(16).padStart(6, '0')}` }];
    if ((found.headerType !== undefined && found.headerType !== 0) || base === 0x06)
      return { is: 'fail', because: 'it is a bridge: bridges stay with the host and do not hinder their group', seen };
    if (found.class >>> 8 === REMAPPING_UNIT)
      return { is: 'fail', because: 'it is a remapping unit itself, and stays with the host', seen };
    return { is: 'pass', because: 'it is an endpoint', seen };
  },
});
