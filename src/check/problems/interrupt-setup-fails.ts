import type { Problem } from '../problem.ts';

export const interruptSetupFails: Problem = {
  id: 'interrupt-setup-fails',
  title: 'VFIO cannot set up the interrupts of the device: its INTx line is shared, or vectors ran out',
  category: 'bind',
  severity: 'blocker',
  at: 'any',
  says: [
    {
      in: 'qemu',
      re: /Failed to (setup|set up) INTx fd: Device or resource busy/,
      example: 'vfio 0000:01:00.0: Failed to setup INTx fd: Device or resource busy',
      proof: 'src',
    },
    {
      in: 'qemu',
      re: /vfio: (Error: )?Failed to (setup|set up|enable) MSI(-?X)?\b/,
      example: 'vfio: Error: Failed to setup MSI fds: No space left on device',
      proof: 'seen',
    },
    {
      in: 'kernel',
      re: /Flags mismatch irq \d+\. [0-9a-f]+ \(vfio-intx|Flags mismatch irq \d+\. [0-9a-f]+ \([^)]*\) vs\. [0-9a-f]+ \(vfio-intx/,
      example: 'genirq: Flags mismatch irq 16. 00000000 (vfio-intx(0000:01:00.0)) vs. 00000080 (ehci_hcd:usb1)',
      proof: 'src',
    },
  ],
  why: 'Without a working Interrupt Disable bit VFIO must have the INTx line for itself, and another driver of the host may have it already. MSI fails when the host has no vectors left, or the unit in front no entries to remap them.',
  see: [
    { read: '/proc/interrupts, the line of {d}/irq', when: 'another driver is on it', sure: 'certain' },
    { read: '/sys/module/vfio_pci/parameters/nointxmask', when: 'Y', sure: 'likely' },
  ],
  fix: [
    'unbind the other device of that line from its driver',
    'another slot, whose interrupt line is another',
    'nointxmask=N, when somebody set it',
  ],
  beware:
    'A device that uses MSI in the guest needs INTx all the same while the guest boots. QEMU goes on without MSI, so the line may be harmless.',
  sources: ['linux:drivers/vfio/pci/vfio_pci_intrs.c', 'qemu:hw/vfio/pci.c vfio_intx_enable_kvm()'],
  rules: [],
};
