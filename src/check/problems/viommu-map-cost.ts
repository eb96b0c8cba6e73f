import type { PciFunction } from '../../host/functions.ts';
import type { Picture } from '../../host/picture.ts';
import { groupNumbered, unitNamed } from '../../host/picture.ts';
import { classKind } from '../../pci/index.ts';
import type { Verdict } from '../check.ts';
import { at, notApplicable, ofEndpoints, pass, unknown } from '../facts.ts';
import type { Problem } from '../problem.ts';
import { isVirtual } from '../viommu.ts';

export const viommuMapCost: Problem = {
  id: 'viommu-map-cost',
  title: 'Assigned device is slow in L1 because every map and unmap traps to QEMU',
  category: 'viommu',
  severity: 'slow',
  at: 'L1',
  says: [
    {
      in: 'guest',
      re: /IOMMU batching disallowed due to virtualization/,
      example: 'DMAR: IOMMU batching disallowed due to virtualization',
      proof: 'seen',
      marker: true,
    },
    {
      in: 'guest',
      re: /AMD-Vi: Using strict mode due to virtualization/,
      example: 'AMD-Vi: Using strict mode due to virtualization',
      proof: 'src',
      marker: true,
    },
  ],
  why: 'With CM=1 Linux invalidates on map and turns lazy flushing off; QEMU replays each range into VFIO. Kernel network/storage drivers map per packet.',
  see: [
    { read: 'guest {g}/type', when: 'DMA (translated) for a device used by a kernel driver at high rate', sure: 'likely' },
    { read: 'guest cap bit 7', when: '1', sure: 'certain' },
  ],
  fix: [
    'L1 kernel iommu=pt: devices of L1 drivers get the pass-through domain, only what L1 hands to VFIO is translated',
    'DPDK/L2 with static hugepage mappings (few maps)',
    'first-stage nested translation where possible',
  ],
  beware:
    "pt works only if the vIOMMU offers ECAP.PT (pt=on, default in 7.2-10.0); a report on QEMU 11 found devices behind a bridge still translated. It is not a loss of protection for L2, only for L1's own drivers.",
  sources: [
    'linux:drivers/iommu/intel/iommu.c',
    'linux:drivers/iommu/amd/init.c',
    'gh:lf-edge/eve#1491',
    'cloud-hypervisor:docs/iommu.md',
    'poc boot log',
  ],
  rules: [
    { about: 'function', asks: 'Can a driver of this guest use it without a trap for each mapping?', run: ofEndpoints(judge) },
  ],
};

/** What maps memory for every packet or block. */
const BUSY = new Set(['network', 'nvme', 'storage']);

function judge(picture: Picture, found: PciFunction): Verdict {
  const unit = found.unit === undefined ? undefined : unitNamed(picture, found.unit);
  if (unit === undefined || !isVirtual(unit)) return notApplicable('no vIOMMU with shadowed tables is before it');
  const { driver, group } = found;
  if (driver === undefined || driver === 'vfio-pci') return notApplicable('no driver of this guest has it');
  if (!BUSY.has(classKind(found.class))) return notApplicable('its driver maps little');
  const type = group === undefined ? undefined : groupNumbered(picture, group)?.type;
  const seen = [
    { where: `/sys/kernel/iommu_groups/${group}/type`, text: type ?? 'not read' },
    { where: at(found, 'driver'), text: driver },
  ];
  if (type === undefined) return unknown('the type of its group could not be read', ...seen);
  if (type === 'identity') return pass('its driver reaches memory untranslated', ...seen);
  if (driver === 'virtio-pci')
    return unknown(
      'a virtio device goes past the vIOMMU unless it is made with iommu_platform=on, which is not read here',
      ...seen,
    );
  return {
    is: 'fail',
    because: `its group is ${type}, and ${unit.name} is a vIOMMU: each mapping of ${driver} traps to whoever runs this guest`,
    seen,
    fix: ['boot this guest with iommu=pt: what it hands to VFIO is translated all the same'],
  };
}
