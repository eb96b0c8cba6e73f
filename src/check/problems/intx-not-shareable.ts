import type { Problem } from '../problem.ts';

export const intxNotShareable: Problem = {
  id: 'intx-not-shareable',
  title: 'The INTx line of the device is shared, and the device cannot mask it',
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
      in: 'kernel',
      re: /Flags mismatch irq \d+\. [0-9a-f]+ \(vfio-intx|Flags mismatch irq \d+\. [0-9a-f]+ \([^)]*\) vs\. [0-9a-f]+ \(vfio-intx/,
      example: 'genirq: Flags mismatch irq 16. 00000000 (vfio-intx(0000:01:00.0)) vs. 00000080 (ehci_hcd:usb1)',
      proof: 'src',
    },
  ],
  why: 'Without a working Interrupt Disable bit VFIO must have the line for itself, and another driver of the host has it already.',
  see: [
    { read: '/proc/interrupts, the line of {d}/irq', when: 'another driver is on it', sure: 'certain' },
    { read: '/sys/module/vfio_pci/parameters/nointxmask', when: 'Y', sure: 'likely' },
  ],
  fix: [
    'unbind the other device of that line from its driver',
    'another slot, whose interrupt line is another',
    'nointxmask=N, when somebody set it',
  ],
  beware: 'A device that uses MSI in the guest needs INTx all the same while the guest boots.',
  sources: ['linux:drivers/vfio/pci/vfio_pci_intrs.c', 'qemu:hw/vfio/pci.c vfio_intx_enable_kvm()'],
  rules: [],
};
