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
      re: /(echo|write).*: (No such device|Device or resource busy)/,
      example: 'write /sys/bus/pci/drivers/vfio-pci/bind: No such device',
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
  rules: [],
};
