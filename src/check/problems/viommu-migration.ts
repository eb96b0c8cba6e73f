import type { Verdict } from '../check.ts';
import { notApplicable, unknown } from '../facts.ts';
import type { Problem } from '../problem.ts';
import { iommuOf, quote, type Vm } from '../vm.ts';

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
  rules: [{ about: 'vm', asks: 'Could it be migrated live?', run: judge }],
};

function judge(vm: Vm): Verdict {
  if (vm.hostDevices.length === 0) return notApplicable('it has no host devices');
  const iommu = iommuOf(vm);
  const seen = vm.hostDevices.map(({ device }) => quote(vm, device));
  const wanted =
    'incoming' in vm.options ||
    'only-migratable' in vm.options ||
    vm.hostDevices.some(({ device }) => device.props['enable-migration'] === 'on');
  if (iommu === undefined && !wanted) return notApplicable('nobody asks for migration', ...seen);
  const why =
    iommu === undefined
      ? 'few devices of the host can be migrated, and only VFIO says which'
      : 'a host device behind a vIOMMU cannot be migrated live';
  if (iommu !== undefined && wanted)
    return { is: 'fail', because: `migration is asked for, and ${why}`, seen: [...seen, quote(vm, iommu.device)] };
  return unknown(`${why}; ${wanted ? 'it is asked for' : 'nobody said whether it is to be'}`, ...seen);
}
