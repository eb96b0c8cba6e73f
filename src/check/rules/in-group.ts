import { functionOf } from '../../host/picture.ts';
import { parseBdf } from '../../pci/index.ts';
import { type Check, check } from '../check.ts';

export const inGroup: Check = check({
  id: 'group/member',
  asks: 'Is the function in an IOMMU group?',
  source: 'Linux drivers/iommu/iommu.c; vfio-pci refuses a function without a group',
  run(picture, bdf) {
    const found = functionOf(picture, bdf);
    const where = `/sys/bus/pci/devices/${bdf}/iommu_group`;
    if (found === undefined) return { is: 'unknown', because: 'there is no such function', seen: [] };
    if (found.group !== undefined)
      return { is: 'pass', because: `it is in group ${found.group}`, seen: [{ where, text: `group ${found.group}` }] };
    if (found.unrecorded?.includes('iommu_group'))
      return { is: 'unknown', because: 'what was recorded does not say which group it is in', seen: [] };
    const unit = picture.units.find(({ name }) => parseBdf(name) !== undefined);
    if (unit !== undefined && found.driver === undefined)
      return {
        is: 'unknown',
        because: 'it is in no IOMMU group yet: behind a virtio-iommu a function gets its group when a driver binds',
        seen: [
          { where, text: 'absent' },
          { where: '/sys/class/iommu', text: unit.name },
        ],
      };
    return {
      is: 'fail',
      because: 'it is in no IOMMU group: no remapping unit translates for it',
      seen: [{ where, text: 'absent' }],
      fix: [
        'turn on the IOMMU',
        'is it behind a host bridge with bypass_iommu, or a unit that the kernel skipped (see the boot log)?',
      ],
    };
  },
});
