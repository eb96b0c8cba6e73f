import type { Problem } from '../problem.ts';

export const bridgeWindowShort: Problem = {
  id: 'bridge-window-short',
  title: 'A bridge window or an expansion ROM got no room: harmless when nothing needs it',
  category: 'bar',
  severity: 'misread',
  at: 'any',
  says: [
    {
      in: 'kernel',
      re: /BAR ?(6|1[3-6]): (no space for|failed to assign)/,
      example: 'pcieport 0000:02:01.0: BAR 13: no space for [io  size 0x1000]',
      proof: 'seen',
    },
    {
      in: 'kernel',
      re: /(bridge window|ROM) \[(io|mem) +size[^\]]*\]: (can't assign; no space|failed to assign)/,
      example: "pcieport 0000:02:01.0: bridge window [io size 0x1000]: can't assign; no space",
      proof: 'src',
    },
  ],
  why: 'Lines 13 to 16 are not BARs of a device but the windows of a bridge: I/O ports, memory, prefetchable memory. Ports that devices may be plugged into ask for windows in reserve, and there are only 64 KiB of I/O ports for a whole machine. PCI Express devices work without I/O ports. Line 6 is the expansion ROM, which only firmware and some guests read.',
  see: [
    { read: '{d}/resource of the functions below the bridge', when: 'a memory BAR with a size and no address', sure: 'certain' },
  ],
  fix: ['nothing, when every function below the bridge has its BARs', 'pci=hpiosize=0 stops the asking for I/O ports'],
  beware:
    'When a memory BAR below the bridge has no address either, see host-bar-unassigned. Kernels before 6.9 call the windows BAR 13 to 15, newer ones "bridge window".',
  sources: ['linux:drivers/pci/setup-bus.c', 'linux:include/linux/pci.h PCI_BRIDGE_RESOURCES'],
  rules: [],
};
