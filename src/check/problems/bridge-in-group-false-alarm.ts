import type { Problem } from '../problem.ts';

export const bridgeInGroupFalseAlarm: Problem = {
  id: 'bridge-in-group-false-alarm',
  title: 'A PCI bridge in the group is reported as wrong driver although it is allowed',
  category: 'group',
  severity: 'misread',
  at: 'any',
  says: [
    {
      in: 'guest',
      re: /Wrong driver devices: \[\('[0-9a-f:.]+', 'pcieport'\)\]/,
      example: "Wrong driver devices: [('0000:04:00.0', 'pcieport')]",
      proof: 'rep',
    },
  ],
  why: 'Tools test "all members bound to vfio-pci" literally. The kernel exempts drivers with driver_managed_dma, pcieport among them.',
  see: [{ read: '{d}/class', when: 'member class starts 0x0604 or 0x0600 and its driver is pcieport or none', sure: 'certain' }],
  fix: ['ignore bridges in the viability test'],
  beware:
    'A bridge of class 0x0680 or a driver that does DMA itself (for example a PCIe switch management driver) is not exempt.',
  sources: [
    'gh:VoltCyclone/PCILeechFWGenerator#77',
    'gh:VoltCyclone/PCILeechFWGenerator#124',
    'gh:kata-containers/kata-containers#6663',
    'linux:drivers/pci/pcie/portdrv_pci.c driver_managed_dma',
  ],
  rules: [],
};
