import type { Problem } from '../problem.ts';

export const igdHostBridge: Problem = {
  id: 'igd-host-bridge',
  title: 'Integrated graphics needs the host bridge, OpRegion and stolen memory to be what its driver expects',
  category: 'guest',
  severity: 'broken',
  at: 'L0',
  says: [
    {
      in: 'qemu',
      re: /failed to read IGD OpRegion|IGD legacy mode|IGD .*device ROM required/,
      example: 'failed to read IGD OpRegion',
      proof: 'src',
    },
    {
      in: 'kernel',
      re: /vfio-pci [0-9a-f:.]+: Failed to setup Intel IGD regions/,
      example: 'vfio-pci 0000:00:02.0: Failed to setup Intel IGD regions',
      proof: 'src',
    },
  ],
  why: "vfio-pci's IGD support wants a class 0x0600 host bridge at 00:00.0 and an OpRegion in ASLS; VMD or odd firmware changes 00:00.0.",
  see: [
    { read: 'class of 0000:00:00.0', when: 'not 0x060000', sure: 'certain' },
    { read: 'config 0xFC (ASLS) of 00:02.0', when: '0', sure: 'likely' },
  ],
  fix: ['VMD off', 'x-igd-opregion=on with a ROM/OVMF package', 'an SR-IOV VF of the iGPU on 12th gen or newer'],
  beware: 'Not the first choice for a first passthrough.',
  sources: [
    'gh:intel/gvt-linux#203',
    'gh:vivekmiyani/OSX_GVT-D#7',
    'linux:drivers/vfio/pci/vfio_pci_igd.c',
    'qemu:hw/vfio/igd.c',
  ],
  rules: [],
};
