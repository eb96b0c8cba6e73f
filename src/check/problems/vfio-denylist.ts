import type { Problem } from '../problem.ts';

export const vfioDenylist: Problem = {
  id: 'vfio-denylist',
  title: "vfio-pci refuses the device because it is on the kernel's deny list",
  category: 'bind',
  severity: 'blocker',
  at: 'L0',
  says: [
    {
      in: 'kernel',
      re: /[0-9a-f]{4}:[0-9a-f]{4} exists in vfio-pci device denylist, driver probing disallowed/,
      example: 'vfio-pci 0000:3d:00.0: 8086:37c8 exists in vfio-pci device denylist, driver probing disallowed.',
      proof: 'src',
    },
  ],
  why: 'Older QAT functions and some DSA/IAX steppings can be driven to harm the host from a guest.',
  see: [
    {
      read: '{d}/vendor,device',
      when: 'Intel QAT C3xxx / C62x / DH895xCC (PF or VF), DSA or IAX of Sapphire Rapids',
      sure: 'certain',
    },
  ],
  fix: ['use the in-kernel driver', 'disable_denylist=1 only for a trusted guest'],
  beware: 'The list grows with kernel versions.',
  sources: ['linux:drivers/vfio/pci/vfio_pci.c'],
  rules: [],
};
