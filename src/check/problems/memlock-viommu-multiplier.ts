import type { Verdict } from '../check.ts';
import { chargedAgain, lockedMemory } from '../limits/vm-limits.ts';
import type { Problem } from '../problem.ts';

const SINGLE: Verdict = { is: 'not-applicable', because: 'memory is charged once', seen: [] };

export const memlockViommuMultiplier: Problem = {
  id: 'memlock-viommu-multiplier',
  title: 'With a vIOMMU every assigned device pins guest RAM again, the limit must be N times RAM',
  category: 'memory',
  severity: 'blocker',
  at: 'L0',
  says: [
    {
      in: 'libvirt',
      re: /cannot limit locked memory of process to \d+: Operation not permitted/,
      example: 'cannot limit locked memory of process to 18253611008: Operation not permitted',
      proof: 'rep',
    },
    {
      in: 'qemu',
      re: /Region [^:]+: vfio_container_dma_map\([^)]*\) = -12/,
      example: 'Region ram-node0: vfio_container_dma_map(0x7f, 0x0, 0x80000000, 0x7f) = -12 (Cannot allocate memory)',
      proof: 'rep',
    },
  ],
  why: 'Each device behind the vIOMMU has its own address space and container; until the guest enables translation (and always for pass-through guests) each container maps all RAM and charges it separately.',
  see: [{ read: 'plan: vIOMMU and N vfio devices', when: 'limit < N x RAM + 1 GiB', sure: 'certain' }],
  fix: [
    'raise to N x RAM + 1 GiB',
    'use the iommufd backend (one IOAS can be shared; accounting per user or process)',
    'put only the devices that L2 needs behind the vIOMMU',
  ],
  beware: 'Real memory is not used N times; only the accounting is. One device works, two fail - the tell-tale sign.',
  sources: [
    'gh:kubevirt/kubevirt#18915',
    'gh:kubevirt/kubevirt#17805 (libvirt since 8.7.0 multiplies)',
    'linux:drivers/vfio/vfio_iommu_type1.c',
  ],
  rules: [
    {
      about: 'vm',
      asks: 'May QEMU lock guest memory once for each of its containers?',
      run: (vm, picture) => (chargedAgain(vm) ? lockedMemory(vm, picture) : SINGLE),
    },
  ],
};
