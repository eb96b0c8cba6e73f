import type { Problem } from '../problem.ts';

export const viommuAmd: Problem = {
  id: 'viommu-amd',
  title: 'The emulated AMD IOMMU does not support assigned devices (or only with dma-remap=on in new QEMU)',
  category: 'viommu',
  severity: 'blocker',
  at: 'L0',
  says: [
    {
      in: 'qemu',
      re: /device [0-9a-f.]+ requires iommu notifier which is not currently supported/,
      example: 'device 01.00.0 requires iommu notifier which is not currently supported',
      proof: 'src',
    },
  ],
  why: 'amd-iommu registered no map notifier for years. 11.1 has dma-remap= and xtsup=, but users report that hand-on to L2 still fails.',
  see: [{ read: 'plan: amd-iommu with a vfio device; property list', when: 'no dma-remap property', sure: 'certain' }],
  fix: [
    'use intel-iommu also on an AMD host (it is emulated, the host vendor does not matter)',
    'virtio-iommu when the guest kernel has the driver',
  ],
  beware: 'The guest kernel on an AMD vCPU needs CONFIG_INTEL_IOMMU; guides for "AMD" wrongly add amd_iommu=on to such a guest.',
  sources: [
    'gh:bashtheshell/IOMMU-nested-pve#3',
    'gh:branpurn/separate-kvm-feasibility (PR 2-4)',
    'qemu:hw/i386/amd_iommu.c',
    'qemu-11.1.2 -device amd-iommu,help',
    'gh:ROCm/amdgpu#25',
  ],
  rules: [],
};
