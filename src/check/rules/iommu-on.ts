import { type Check, check } from '../check.ts';

export const iommuOn: Check = check({
  id: 'platform/iommu-on',
  asks: 'Does the kernel drive a remapping unit?',
  source: 'Linux Documentation/ABI/testing/sysfs-class-iommu; the boot line "DMAR: IOMMU enabled" is no proof',
  run({ units, groups, firmwareTables, system }) {
    const seen = [
      {
        where: '/sys/class/iommu',
        text: units.map((unit) => `${unit.name}: ${unit.devices.length} devices`).join(', ') || 'empty',
      },
      { where: '/sys/kernel/iommu_groups', text: `${groups.length} groups` },
      { where: '/proc/cmdline', text: system.cmdline },
    ];
    if (groups.length > 0) return { is: 'pass', because: 'there are IOMMU groups', seen };
    if (units.length > 0)
      return {
        is: 'fail',
        because: 'a remapping unit is registered, but no device is in a group',
        seen,
        fix: ['look for the unit in the boot log', 'is the driver of the virtio-iommu loaded before the drivers of the devices?'],
      };
    if (firmwareTables.length > 0)
      return {
        is: 'fail',
        because: `firmware gives a ${firmwareTables[0]?.signature} table, but the kernel drives no remapping unit: DMA remapping is off`,
        seen,
        fix: ['boot with intel_iommu=on (AMD needs no option)', 'remove intel_iommu=off, amd_iommu=off or iommu=off'],
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
  },
});
