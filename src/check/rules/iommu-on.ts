import type { Picture } from '../../host/picture.ts';
import { type Check, check, type Evidence, type Verdict } from '../check.ts';
import { iommuOffOption } from '../cmdline.ts';

const TABLES = '/sys/firmware/acpi/tables';
const GROUPS = '/sys/kernel/iommu_groups';

export const iommuOn: Check = check({
  id: 'platform/iommu-on',
  asks: 'Does the kernel drive a remapping unit?',
  source: 'Linux Documentation/ABI/testing/sysfs-class-iommu; the boot line "DMAR: IOMMU enabled" is no proof',
  run(picture) {
    const { units, groups, firmwareTables, system, unread } = picture;
    const withheld = unread.find(({ what }) => what === GROUPS);
    const seen = [
      {
        where: '/sys/class/iommu',
        text: units.map((unit) => `${unit.name}: ${unit.devices.length} devices`).join(', ') || 'empty',
      },
      { where: GROUPS, text: withheld?.because ?? `${groups.length} groups` },
      { where: '/proc/cmdline', text: system.cmdline },
    ];
    if (groups.length > 0) return { is: 'pass', because: 'there are IOMMU groups', seen };
    if (withheld !== undefined) return { is: 'unknown', because: 'the IOMMU groups could not be read', seen };
    if (units.length > 0)
      return {
        is: 'fail',
        because: 'a remapping unit is registered, but no device is in a group',
        seen,
        fix: ['look for the unit in the boot log', 'is the driver of the virtio-iommu loaded before the drivers of the devices?'],
      };
    seen.push({ where: TABLES, text: firmwareTables.map((table) => table.signature).join(', ') || 'no DMAR, IVRS or VIOT' });
    return withoutUnit(picture, seen);
  },
});

/** Why there is no unit at all: a boot option, a driver that is not loaded, or firmware that gives none. */
function withoutUnit({ firmwareTables, system, unread }: Picture, seen: Evidence[]): Verdict {
  const option = iommuOffOption(system.cmdline);
  const given = firmwareTables.find(({ signature }) => signature !== 'VIOT')?.signature;
  if (given !== undefined)
    return {
      is: 'fail',
      because: `firmware gives a ${given} table, but the kernel drives no remapping unit: ${
        option === undefined ? 'DMA remapping is off' : `${option} is on the command line`
      }`,
      seen,
      fix: option === undefined ? ['boot with intel_iommu=on (AMD needs no option)'] : [`boot without ${option}`],
    };
  if (firmwareTables.length > 0)
    return {
      is: 'fail',
      because: 'firmware gives a VIOT table, but no driver has the virtio-iommu that it describes',
      seen,
      fix: ['load the module virtio_iommu before the drivers of the devices'],
    };
  const hidden = unread.filter(({ what }) => what.startsWith(`${TABLES}/`));
  if (hidden.length > 0)
    return {
      is: 'fail',
      because: `there is no remapping unit and no IOMMU group${option === undefined ? '' : `, and ${option} is on the command line`}; whether firmware gives one a table could not be read`,
      seen: [...seen, ...hidden.map(({ what, because }) => ({ where: what, text: because }))],
      fix: ['look again as root', ...(option === undefined ? [] : [`boot without ${option}`])],
    };
  return {
    is: 'fail',
    because: system.guest
      ? 'this machine is a guest and was given no vIOMMU: there is no DMAR or IVRS table and no remapping unit'
      : 'there is no DMAR or IVRS table and no remapping unit',
    seen,
    fix: system.guest
      ? ['give the guest a vIOMMU: with QEMU q35, a split irqchip and intel-iommu with intremap=on,caching-mode=on']
      : ['turn on VT-d or AMD-Vi in the firmware set-up'],
  };
}
