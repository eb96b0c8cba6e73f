import { type Check, check, type Verdict } from '../check.ts';
import { withheld } from '../facts.ts';
import { once } from '../index-of.ts';
import { GROUPS, iommuState, TABLES } from '../iommu-state.ts';

export const iommuOn: Check = check({
  id: 'platform/iommu-on',
  asks: 'Does the kernel drive a remapping unit?',
  source: 'Linux Documentation/ABI/testing/sysfs-class-iommu; the boot line "DMAR: IOMMU enabled" is no proof',
  run: (picture) => verdictOf(picture),
});

/** The same for every function that asks. */
const verdictOf = once((picture): Verdict => {
  const { units, groups, firmwareTables, system } = picture;
  const state = iommuState(picture);
  const seen = [
    {
      where: '/sys/class/iommu',
      text: units.map((unit) => `${unit.name}: ${unit.devices.length} devices`).join(', ') || 'empty',
    },
    { where: GROUPS, text: withheld(picture, GROUPS) ?? `${groups.length} groups` },
    { where: '/proc/cmdline', text: system.cmdline },
  ];
  const tables = { where: TABLES, text: firmwareTables.map((table) => table.signature).join(', ') || 'no DMAR, IVRS or VIOT' };
  switch (state.is) {
    case 'on':
      return { is: 'pass', because: 'there are IOMMU groups', seen };
    case 'unread':
      return { is: 'unknown', because: 'the IOMMU groups could not be read', seen };
    case 'no-group':
      return {
        is: 'fail',
        because: 'a remapping unit is registered, but no device is in a group',
        seen,
        fix: ['look for the unit in the boot log', 'is the driver of the virtio-iommu loaded before the drivers of the devices?'],
      };
    case 'kernel-off':
      return {
        is: 'fail',
        because: `firmware gives a ${state.table} table${state.unreadable === undefined ? '' : ', which could not be read'}, but the kernel drives no remapping unit: ${
          state.option === undefined ? 'DMA remapping is off' : `${state.option} is on the command line`
        }`,
        seen: [...seen, state.unreadable === undefined ? tables : { where: `${TABLES}/${state.table}`, text: state.unreadable }],
        fix: state.option === undefined ? ['boot with intel_iommu=on (AMD needs no option)'] : [`boot without ${state.option}`],
      };
    case 'no-driver':
      return {
        is: 'fail',
        because: 'firmware gives a VIOT table, but no driver has the virtio-iommu that it describes',
        seen: [...seen, tables],
        fix: ['load the module virtio_iommu before the drivers of the devices'],
      };
    case 'hidden':
      return {
        is: 'fail',
        because: `there is no remapping unit and no IOMMU group${state.option === undefined ? '' : `, and ${state.option} is on the command line`}; whether firmware gives one a table could not be read`,
        seen: [...seen, tables, ...state.tables.map(({ what, because }) => ({ where: what, text: because }))],
        fix: ['look again as root', ...(state.option === undefined ? [] : [`boot without ${state.option}`])],
      };
    case 'no-table':
      return {
        is: 'fail',
        because: system.guest
          ? 'this machine is a guest and was given no vIOMMU: there is no DMAR or IVRS table and no remapping unit'
          : 'there is no DMAR or IVRS table and no remapping unit',
        seen: [...seen, tables],
        fix: system.guest
          ? ['give the guest a vIOMMU: with QEMU q35, a split irqchip and intel-iommu with intremap=on,caching-mode=on']
          : ['turn on VT-d or AMD-Vi in the firmware set-up'],
      };
    default:
      return state satisfies never;
  }
});
