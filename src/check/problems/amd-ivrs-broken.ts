import type { Problem } from '../problem.ts';

export const amdIvrsBroken: Problem = {
  id: 'amd-ivrs-broken',
  title: 'AMD IVRS names no IOAPIC or carries malformed entries; interrupt remapping or the whole IOMMU is dropped',
  category: 'platform',
  severity: 'blocker',
  at: 'L0',
  says: [
    {
      in: 'kernel',
      re: /AMD-Vi: .*IOAPIC\[\d+\] not in IVRS table/,
      example: 'AMD-Vi: [Firmware Bug]: IOAPIC[32] not in IVRS table',
      proof: 'src',
    },
    {
      in: 'kernel',
      re: /AMD-Vi: .*No southbridge IOAPIC found/,
      example: 'AMD-Vi: [Firmware Bug]: : No southbridge IOAPIC found',
      proof: 'src',
    },
    { in: 'kernel', re: /AMD-Vi: Disabling interrupt remapping/, example: 'AMD-Vi: Disabling interrupt remapping', proof: 'src' },
    { in: 'kernel', re: /IVRS table error/, example: 'AMD-Vi: IVRS table error: AE_NOT_FOUND', proof: 'src' },
  ],
  why: 'Each IOAPIC/HPET must have a special-device entry with the right id; boards ship with wrong ids, zero IVMD ranges or bad checksums.',
  see: [
    {
      read: '/sys/firmware/acpi/tables/IVRS special-device (type 0x48) entries vs APIC (MADT) IOAPIC ids',
      when: 'an IOAPIC id of MADT has no entry',
      sure: 'certain',
    },
    {
      read: 'IVRS checksum and IVMD entries',
      when: 'checksum wrong, or an IVMD with start 0 or length not page sized',
      sure: 'likely',
    },
  ],
  fix: ['firmware update', 'ivrs_ioapic=<id>@<ssss:bb:dd.f> and ivrs_hpet=..., with the values found in MADT and lspci'],
  beware: 'Do not go to allow_unsafe_interrupts before trying ivrs_ioapic.',
  sources: [
    'gh:QubesOS/qubes-issues#10931',
    'gh:QubesOS/qubes-issues#6439',
    'gh:pcengines/coreboot#288',
    'gh:chyves/chyves#30',
    'linux:drivers/iommu/amd/init.c',
  ],
  rules: [],
};
