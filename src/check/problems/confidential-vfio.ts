import type { Problem } from '../problem.ts';

export const confidentialVfio: Problem = {
  id: 'confidential-vfio',
  title: 'An assigned device does not work in a TDX or SEV-SNP guest',
  category: 'confidential',
  severity: 'broken',
  at: 'L0',
  says: [],
  why: 'Device DMA reaches only shared pages, so drivers bounce through swiotlb; user-space drivers that map their own memory (DPDK in the guest) see ciphertext; old stacks lack support altogether (groups cannot express it, iommufd is needed).',
  see: [
    {
      read: 'plan: confidential-guest-support and a vfio device',
      when: 'legacy container, or QEMU < 9.2, or the guest runs a user-space DMA driver',
      sure: 'likely',
    },
  ],
  fix: [
    'iommufd backend',
    'cold-plug',
    'larger swiotlb in the guest',
    'raise dma_entry_limit',
    'TDISP-capable hardware when it exists',
  ],
  beware: 'Nested vIOMMU inside a confidential guest is not available.',
  sources: [
    'gh:AMDESE/AMDSEV#185',
    'gh:kata-containers/kata-containers#12393',
    'gh:kata-containers/kata-containers#11721',
    'gh:canonical/tdx#137',
    'gh:kubevirt/kubevirt#16407',
  ],
  rules: [],
};
