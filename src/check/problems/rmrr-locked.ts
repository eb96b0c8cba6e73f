import { reservedRegionsOf } from '../../acpi/index.ts';
import type { PciFunction } from '../../host/functions.ts';
import { groupNumbered, type Picture } from '../../host/picture.ts';
import { classKind } from '../../pci/index.ts';
import type { Verdict } from '../check.ts';
import { listed, notApplicable, ofEndpoints, pass, unknown } from '../facts.ts';
import { indexOf, placeOf } from '../index-of.ts';
import type { Problem } from '../problem.ts';

export const rmrrLocked: Problem = {
  id: 'rmrr-locked',
  title: 'The device has a firmware-reserved memory region (RMRR) and may not leave its identity domain',
  category: 'group',
  severity: 'blocker',
  at: 'L0',
  says: [
    {
      in: 'kernel',
      re: /Device is ineligible for IOMMU domain attach due to platform RMRR requirement/,
      example:
        'vfio-pci 0000:04:00.1: DMAR: Device is ineligible for IOMMU domain attach due to platform RMRR requirement.  Contact your platform vendor.',
      proof: 'src',
    },
    {
      in: 'qemu',
      re: /Failed to set iommu for container: (Operation not permitted|Invalid argument)/,
      example: 'failed to setup container for group 31: Failed to set iommu for container: Operation not permitted',
      proof: 'src',
    },
    {
      in: 'kernel',
      re: /Firmware has requested this device have a 1:1 IOMMU mapping/,
      example:
        'vfio-pci 0000:01:00.0: Firmware has requested this device have a 1:1 IOMMU mapping, rejecting configuring the device without a 1:1 mapping. Contact your platform vendor.',
      proof: 'src',
    },
    {
      in: 'dpdk',
      re: /cannot set IOMMU type(?=, error (1|22)\b)/,
      example: 'EAL: 0000:03:00.0 cannot set IOMMU type, error 1 (Operation not permitted)',
      proof: 'rep',
    },
  ],
  why: 'Firmware (management controllers on HP/HPE Gen8-9 above all) keeps doing DMA through the card; Linux refuses an assignment that would break or expose it. USB and graphics RMRRs count as relaxable.',
  see: [
    { read: '{g}/reserved_regions', when: 'a line of type "direct" (not "direct-relaxable")', sure: 'certain' },
    {
      read: 'DMAR RMRR device scopes resolved to BDFs',
      when: '{d} or an alias of it is named and its class is neither USB (0x0c03) nor display (0x03)',
      sure: 'certain',
    },
  ],
  fix: [
    'vendor utility to take the slot out of RMRR (HPE conrep / RBSU shared-memory options), firmware update',
    'another slot or NIC',
    'assign a VF instead of the PF: VFs are not in RMRR scopes (check the group)',
    'patched kernel with relaxed RMRR: state the danger',
  ],
  beware:
    'The message appears at attach time only, so a bind to vfio-pci looks fine. Same errno as missing interrupt remapping; tell them apart by reserved_regions.',
  sources: [
    'gh:harvester/harvester#7340',
    'gh:Aterfax/relax-intel-rmrr',
    'linux:drivers/iommu/intel/iommu.c device_is_rmrr_locked',
    'linux:Documentation/ABI/testing/sysfs-kernel-iommu_groups',
  ],
  rules: [
    { about: 'function', asks: 'Is it free of memory that firmware wants it to reach at any time?', run: ofEndpoints(released) },
  ],
};

function released(picture: Picture, found: PciFunction): Verdict {
  if (found.group === undefined) return notApplicable('it is in no group');
  const group = groupNumbered(picture, found.group);
  const named = namedRegions(picture, found);
  if (group === undefined) {
    if (named === undefined) return unknown(`the reserved regions of group ${found.group} could not be read`);
    const relaxable = classKind(found.class) === 'usb' || classKind(found.class) === 'display';
    if (named.length === 0 || relaxable) return pass('the DMAR table names no reserved region for it that lasts', ...named);
    return locked(
      found,
      named.map(({ text }) => text),
      named,
    );
  }
  const where = `/sys/kernel/iommu_groups/${group.number}/reserved_regions`;
  const regions = group.reserved.map(({ start, end, type }) => ({ type, text: `${start} ${end} ${type}` }));
  const direct = regions.filter(({ type }) => type === 'direct').map(({ text }) => text);
  if (direct.length > 0) return locked(found, direct, [...direct.map((text) => ({ where, text })), ...(named ?? [])]);
  const relaxable = regions.filter(({ type }) => type === 'direct-relaxable').map(({ text }) => ({ where, text }));
  if (relaxable.length > 0)
    return pass('reserved memory of its group may be taken from it when it is given away (direct-relaxable)', ...relaxable);
  return pass(`group ${group.number} has no reserved region of type direct`, {
    where,
    text: regions.map(({ text }) => text).join('; ') || 'empty',
  });
}

function locked(found: PciFunction, regions: readonly string[], seen: Verdict['seen']): Verdict {
  return {
    is: 'fail',
    because: `firmware wants its group to reach ${listed(regions.map((text) => text.split(' ').slice(0, 2).join(' to ')))} at any time, so the kernel gives it to nobody; binding it to vfio-pci works all the same`,
    seen,
    ...(found.sriov === undefined
      ? {}
      : {
          fix: [
            `pass one of its ${found.sriov.totalVFs} VFs instead: RMRRs name no VFs`,
            'the vendor utility that takes the slot out of RMRR, or a firmware update',
            'another slot or card',
          ],
        }),
  };
}

/** RMRRs that name the function itself; a VF is in none. Undefined when the DMAR table could not be read. */
function namedRegions(picture: Picture, found: PciFunction): { where: string; text: string }[] | undefined {
  const { dmar } = indexOf(picture);
  const place = placeOf(found);
  if (dmar === undefined || place === undefined) return undefined;
  if (found.physfn !== undefined) return [];
  return reservedRegionsOf(dmar, place).map(({ base, limit, offset }) => ({
    where: `/sys/firmware/acpi/tables/DMAR offset ${offset}`,
    text: `0x${base.toString(16)} 0x${limit.toString(16)} RMRR`,
  }));
}
