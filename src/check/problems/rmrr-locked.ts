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
  rules: [],
};
