import type { Problem } from '../problem.ts';

export const viommuMigration: Problem = {
  id: 'viommu-migration',
  title: 'Live migration is blocked by an assigned device or by the vIOMMU',
  category: 'viommu',
  severity: 'blocker',
  at: 'L0',
  says: [
    {
      in: 'qemu',
      re: /Migration is currently not supported with vIOMMU enabled/,
      example: '0000:01:00.0: Migration is currently not supported with vIOMMU enabled',
      proof: 'src',
    },
    {
      in: 'qemu',
      re: /VFIO migration is not supported with (background snapshot|postcopy migration)/,
      example: '0000:01:00.0: VFIO migration is not supported with postcopy migration',
      proof: 'src',
    },
  ],
  why: 'Dirty tracking through a vIOMMU is not supported; most devices have no migration driver.',
  see: [
    { read: 'VFIO_DEVICE_FEATURE_MIGRATION', when: 'not offered', sure: 'certain' },
    { read: 'plan', when: 'vIOMMU and vfio device', sure: 'certain' },
  ],
  fix: ['hot-unplug before migration (failover pair for NICs)', 'offline migration'],
  beware: 'State it in the plan, not at the time of need.',
  sources: ['qemu:hw/vfio/migration.c', 'qemu-11.1.2 strings', 'cloud-hypervisor:docs/vfio.md'],
  rules: [],
};
