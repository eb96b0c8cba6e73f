import type { Problem } from '../problem.ts';

export const vfTokenNeeded: Problem = {
  id: 'vf-token-needed',
  title: 'The PF is driven by vfio-pci, so every VF (and the PF) needs the shared VF token',
  category: 'sriov',
  severity: 'blocker',
  at: 'any',
  says: [
    {
      in: 'kernel',
      re: /VF token required to access device/,
      example: 'vfio-pci 0000:4c:00.4: VF token required to access device',
      proof: 'src',
    },
    {
      in: 'kernel',
      re: /Incorrect VF token provided for device/,
      example: 'vfio-pci 0000:4c:00.4: Incorrect VF token provided for device',
      proof: 'src',
    },
    {
      in: 'kernel',
      re: /VF token incorrectly provided, (PF not bound to vfio-pci|not a PF or VF)/,
      example: 'vfio-pci 0000:4c:00.4: VF token incorrectly provided, PF not bound to vfio-pci',
      proof: 'src',
    },
  ],
  why: 'A user-space PF driver controls its VFs; the UUID is the mutual consent.',
  see: [
    {
      read: '{d}/physfn/driver',
      when: 'vfio-pci (then a token is required) ; any other driver (then a token must NOT be given)',
      sure: 'certain',
    },
    { read: '/sys/module/vfio_pci/parameters/enable_sriov', when: 'N while VFs of a vfio-bound PF are wanted', sure: 'certain' },
  ],
  fix: ['vf-token=<uuid> on each vfio-pci device, the same that the PF user set', 'use the normal PF driver'],
  beware: 'Over iommufd older QEMUs do not pass the token. Giving a token where none is needed fails as well.',
  sources: [
    'gh:intel/sriov-fec-operator#32',
    'gh:SamsungDS/libvfn#59',
    'gh:OFS/opae-sdk#1771',
    'gh:NVIDIA/QEMU#38',
    'linux:drivers/vfio/pci/vfio_pci_core.c',
  ],
  rules: [],
};
