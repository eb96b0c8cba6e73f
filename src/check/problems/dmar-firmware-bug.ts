import type { Problem } from '../problem.ts';

export const dmarFirmwareBug: Problem = {
  id: 'dmar-firmware-bug',
  title: 'The DMAR table is wrong (bad RMRR, broken unit address, scope naming the wrong device)',
  category: 'platform',
  severity: 'broken',
  at: 'L0',
  says: [
    {
      in: 'kernel',
      re: /Your BIOS is broken; (bad RMRR|DMAR reported at address)/,
      example: 'Your BIOS is broken; DMAR reported at address fbffc000 returns all ones!',
      proof: 'src',
    },
    {
      in: 'kernel',
      re: /DMAR: Device scope type does not match for/,
      example: 'DMAR: Device scope type does not match for 0000:00:1c.0',
      proof: 'src',
    },
    {
      in: 'kernel',
      re: /RMRR entry for device [0-9a-f:.]+ is broken - applying workaround/,
      example: 'DMAR: [Firmware Bug]: RMRR entry for device 01:00.1 is broken - applying workaround',
      proof: 'src',
    },
    {
      in: 'kernel',
      re: /No DRHD structure found in DMAR table/,
      example: 'DMAR: [Firmware Bug]: No DRHD structure found in DMAR table',
      proof: 'src',
    },
  ],
  why: 'Firmware error. A unit that reads all ones is dropped and with it the groups of the devices in its scope.',
  see: [
    {
      read: '/sys/firmware/acpi/tables/DMAR',
      when: 'a DRHD/RMRR scope path leads to no device, or an RMRR has base > limit, is not in e820 reserved, or is not page aligned',
      sure: 'likely',
    },
    { read: '/sys/class/iommu', when: 'fewer dmar units than DRHD structures', sure: 'certain' },
  ],
  fix: ['firmware update', 'report the decoded structure to the vendor', 'intel_iommu=off only if passthrough is not needed'],
  beware: 'A unit with flags 0 and no scope match is normal for an unpopulated socket.',
  sources: ['gh:linuxboot/heads#286', 'linux:drivers/iommu/intel/dmar.c', 'linux:drivers/iommu/intel/iommu.c'],
  rules: [],
};
