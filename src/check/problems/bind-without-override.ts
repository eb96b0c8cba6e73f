import type { PciFunction } from '../../host/functions.ts';
import type { Picture } from '../../host/picture.ts';
import type { Verdict } from '../check.ts';
import { at, counted, listed, notApplicable, ofEndpoints, pass, unknown, withheld } from '../facts.ts';
import { idsOf, indexOf } from '../index-of.ts';
import { takenById } from '../modprobe.ts';
import type { Problem } from '../problem.ts';

export const bindWithoutOverride: Problem = {
  id: 'bind-without-override',
  title: 'Binding by vendor:device id catches the wrong card or nothing at all',
  category: 'bind',
  severity: 'broken',
  at: 'any',
  says: [
    {
      in: 'write',
      re: /\b(echo|write)\b(?!.*sriov_numvfs).*: (No such device|Device or resource busy)/,
      example: 'write /sys/bus/pci/drivers/vfio-pci/bind: No such device',
      proof: 'rep',
    },
    {
      in: 'dpdk',
      re: /Cannot bind to driver (?=vfio-pci)/,
      example: 'Error: bind failed for 0000:01:00.0 - Cannot bind to driver vfio-pci',
      proof: 'rep',
    },
  ],
  why: 'bind works only for ids the driver knows. new_id or vfio-pci.ids takes EVERY device with the id, including the twin the host needs; with neither, the device ends without driver and without /dev/vfio entry.',
  see: [
    { read: '{d}/driver_override', when: '(null) and the id is not in vfio-pci.ids', sure: 'certain' },
    { read: 'all devices with the same vendor:device', when: 'more than one and only some are wanted', sure: 'certain' },
  ],
  fix: [
    'write vfio-pci into {d}/driver_override, unbind, write the BDF to /sys/bus/pci/drivers_probe',
    'undo by writing a newline to driver_override and probing again',
  ],
  beware:
    'driver_override is gone after reboot; persistence needs driverctl, udev or initramfs. A udev rule keyed on BDF follows the slot, not the card.',
  sources: [
    'gh:ydb-platform/nbs#5296',
    'gh:OFS/opae-sdk#2721',
    'gh:Mellanox/rshim-user-space#99',
    'gh:cloud-hypervisor/cloud-hypervisor#2548',
  ],
  rules: [{ about: 'function', asks: 'Does binding by numbers catch this function alone?', run: ofEndpoints(caughtAlone) }],
};

function caughtAlone(picture: Picture, found: PciFunction): Verdict {
  if (found.driverOverride !== undefined)
    return pass(`driver_override names ${found.driverOverride} for this function alone`, {
      where: at(found, 'driver_override'),
      text: found.driverOverride,
    });
  const told = takenById(picture, found);
  if (told === undefined) {
    const hidden = withheld(picture, '/etc/modprobe.d');
    return hidden === undefined
      ? notApplicable('nothing tells vfio-pci to take it by its numbers')
      : unknown(`whether vfio-pci is told to take it by its numbers could not be read: ${hidden}`);
  }
  const twins = (indexOf(picture).ids.get(idsOf(found)) ?? []).filter(
    (one) => one.bdf !== found.bdf && takenById(picture, one) !== undefined,
  );
  // VFs have one number for all, and come in such a number on purpose.
  const others = twins.filter((one) => one.physfn === undefined || one.physfn !== found.physfn);
  const seen = [told, ...others.slice(0, 8).map((one) => ({ where: at(one, 'driver'), text: one.driver ?? 'none' }))];
  if (others.length === 0) return pass(`vfio-pci is told to take ${idsOf(found)}, and there is no other of that kind`, ...seen);
  return {
    is: 'fail',
    because: `vfio-pci is told to take ${idsOf(found)}: that is ${counted(others.length, 'other function')} as well (${listed(others.map(({ bdf, driver }) => `${bdf}, ${driver ?? 'no driver'}`))})`,
    seen,
  };
}
