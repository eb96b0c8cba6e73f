import type { Problem } from '../problem.ts';
import { noVfs } from '../rules/no-vfs.ts';

export const pfHasVfs: Problem = {
  id: 'pf-has-vfs',
  title: 'vfio-pci will not bind a PF whose VFs exist',
  category: 'sriov',
  severity: 'blocker',
  at: 'any',
  says: [
    {
      in: 'kernel',
      re: /Cannot bind to PF with SR-IOV enabled/,
      example: 'vfio-pci 0000:01:00.0: Cannot bind to PF with SR-IOV enabled',
      proof: 'src',
    },
    {
      in: 'kernel',
      re: /VF [0-9a-f:.]+ bound to driver \S+ while PF bound to driver \S+/,
      example: 'vfio-pci 0000:01:00.0: VF 0000:01:10.0 bound to driver igbvf while PF bound to driver vfio-pci',
      proof: 'src',
    },
  ],
  why: 'The VFs would lose the driver that manages them.',
  see: [{ read: '{d}/sriov_numvfs', when: 'greater than 0 for a PF which the plan binds to vfio-pci', sure: 'certain' }],
  fix: ['remove the VFs first', 'or assign VFs instead of the PF'],
  beware: 'An assigned PF in a guest shows the SR-IOV capability hidden by vfio-pci; VFs of it cannot be made inside the guest.',
  sources: ['linux:drivers/vfio/pci/vfio_pci_core.c', 'gh:amd/MxGPU-Virtualization#25'],
  rules: [
    {
      about: 'function',
      asks: 'Could vfio-pci have it, as far as its VFs go?',
      run: (picture, found) => noVfs.run(picture, found.bdf),
    },
  ],
};
