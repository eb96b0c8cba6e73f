import type { Problem } from '../problem.ts';

export const ramDiscardConflict: Problem = {
  id: 'ram-discard-conflict',
  title: 'Ballooning, postcopy or a confidential guest conflicts with pinned memory',
  category: 'memory',
  severity: 'blocker',
  at: 'L0',
  says: [
    {
      in: 'qemu',
      re: /Cannot set discarding of RAM broken: Device or resource busy/,
      example: 'failed to setup container for group 44: Cannot set discarding of RAM broken: Device or resource busy',
      proof: 'rep',
    },
    {
      in: 'qemu',
      re: /x-balloon-allowed only potentially compatible with mdev devices/,
      example: 'x-balloon-allowed only potentially compatible with mdev devices',
      proof: 'src',
    },
  ],
  why: 'Pinned pages must not be discarded; virtio-balloon, virtio-mem without coordination, or guest_memfd in some QEMU versions want to discard.',
  see: [
    {
      read: 'plan devices',
      when: 'virtio-balloon with free page reporting, or confidential-guest-support with QEMU 9.1',
      sure: 'likely',
    },
  ],
  fix: ['drop the balloon', 'QEMU 9.2 or newer for SEV-SNP + VFIO'],
  beware: 'With a plain balloon QEMU just stops ballooning silently; the guest then shows less memory than is in use.',
  sources: ['gh:kubevirt/kubevirt#16407', 'qemu:hw/vfio/container.c', 'qemu:hw/vfio/pci.c'],
  rules: [],
};
