import type { Problem } from '../problem.ts';

export const sriovMsixExhausted: Problem = {
  id: 'sriov-msix-exhausted',
  title: 'The adapter has no interrupt vectors or queues left for the VFs',
  category: 'sriov',
  severity: 'blocker',
  at: 'any',
  says: [
    {
      in: 'kernel',
      re: /Only -?\d+ MSI-?X interrupts available for SR-?IOV|[Nn]ot enough to support minimum of \d+ MSI-?X interrupts per VF/,
      example:
        'ice 0000:3b:00.0: Only 0 MSI-X interrupts available for SR-IOV. Not enough to support minimum of 2 MSI-X interrupts per VF for 8 VFs',
      proof: 'src',
    },
    {
      in: 'write',
      re: /sriov_numvfs: [Nn]o space left on device|write error: No space left on device/,
      example: 'write /sys/bus/pci/devices/0000:3b:00.0/sriov_numvfs: no space left on device',
      proof: 'rep',
    },
  ],
  why: 'The PF driver divides the vectors of the adapter: one for each processor and for RDMA comes first, and on a machine with hundreds of processors nothing is left. The write to sriov_numvfs then gives ENOSPC.',
  see: [
    { read: '/proc/interrupts lines of the PF', when: 'about as many as the adapter has', sure: 'likely' },
    { read: '/proc/modules', when: 'irdma is loaded and takes vectors of the same adapter', sure: 'hint' },
  ],
  fix: [
    'ask for fewer VFs',
    'fewer queues for the PF: ethtool -L IFACE combined 8',
    'leave the RDMA driver out, or the parameter of the driver that bounds the vectors of the PF (devlink msix_vec_per_pf_max of ice)',
  ],
  beware: 'ENOSPC here is about vectors of the adapter, neither about disk nor about address space.',
  sources: ['linux:drivers/net/ethernet/intel/ice/ice_sriov.c'],
  rules: [],
};
