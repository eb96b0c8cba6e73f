import type { Problem } from '../problem.ts';

export const noResetMethod: Problem = {
  id: 'no-reset-method',
  title: 'The function cannot be reset on its own, so it stays dirty after the guest stops',
  category: 'reset',
  severity: 'broken',
  at: 'L0',
  says: [
    {
      in: 'qemu',
      re: /vfio: Cannot reset device [0-9a-f:.]+, no available reset mechanism/,
      example: 'vfio: Cannot reset device 0000:00:1f.3, no available reset mechanism.',
      proof: 'src',
    },
    {
      in: 'kernel',
      re: /Unsupported reset method '[a-z_]+'/,
      example: "vfio-pci 0000:0f:00.0: Unsupported reset method 'device_specific'",
      proof: 'rep',
    },
  ],
  why: 'No FLR, no AF-FLR, no PM D3hot reset, and a bus reset would hit siblings. Works once after a cold boot.',
  see: [
    { read: '{d}/reset_method', when: 'file missing or empty', sure: 'certain' },
    {
      read: 'PCIe DevCap bit 28 (FLR), AF capability bit FLR, PMCSR NoSoftRst',
      when: 'none usable and bus has siblings',
      sure: 'certain',
    },
  ],
  fix: [
    'assign the whole slot so a bus reset is possible',
    'vendor-specific reset module for listed GPUs',
    'plan a power cycle between uses',
  ],
  beware:
    'From 5.15 the order is a policy; write "device_specific" (or the module\'s own) into reset_method for such modules. The audio function without reset is usually harmless when the GPU\'s bus reset covers it.',
  sources: [
    'gh:ryanprescott/realtek-verb-tools#2',
    'gh:gnif/vendor-reset#29',
    'gh:gnif/vendor-reset#46',
    'qemu:hw/vfio/pci.c',
    'linux:drivers/pci/pci.c pci_reset_fn_methods',
  ],
  rules: [],
};
