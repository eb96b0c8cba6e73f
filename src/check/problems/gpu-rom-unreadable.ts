import type { Problem } from '../problem.ts';

export const gpuRomUnreadable: Problem = {
  id: 'gpu-rom-unreadable',
  title: 'The option ROM cannot be read (shadowed or modified boot ROM)',
  category: 'guest',
  severity: 'broken',
  at: 'L0',
  says: [
    {
      in: 'kernel',
      re: /Invalid PCI ROM header signature: expecting 0xaa55, got 0x[0-9a-f]+/,
      example: 'vfio-pci 0000:01:00.0: Invalid PCI ROM header signature: expecting 0xaa55, got 0xffff',
      proof: 'rep',
    },
    {
      in: 'qemu',
      re: /Rom loading for device at \S+ has been disabled due to system instability issues/,
      example: 'Rom loading for device at 0000:01:00.0 has been disabled due to system instability issues',
      proof: 'src',
    },
  ],
  why: "The boot GPU's ROM is shadowed at 0xC0000 and the BAR reads garbage after initialisation.",
  see: [{ read: '{d}/rom (write 1, read, write 0) first two bytes', when: 'not 55 AA', sure: 'certain' }],
  fix: ['dump the ROM with the card as secondary', 'romfile=', 'rombar=0 when no ROM is needed'],
  beware: 'Never read {d}/rom of a device in use by a VM.',
  sources: ['gh:patmagauran/i915ovmfPkg#16', 'gh:joeknock90/Single-GPU-Passthrough#5', 'qemu:hw/vfio/pci.c'],
  rules: [],
};
