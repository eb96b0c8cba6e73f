import type { Problem } from '../problem.ts';

export const acsMissingUpstream: Problem = {
  id: 'acs-missing-upstream',
  title: 'Many unrelated devices share one group because a port above them has no ACS',
  category: 'group',
  severity: 'blocker',
  at: 'L0',
  says: [
    {
      in: 'kernel',
      re: /pci [0-9a-f:.]+: Adding to iommu group (\d+)/,
      example: 'pci 0000:05:00.0: Adding to iommu group 22',
      proof: 'seen',
      marker: true,
    },
  ],
  why: 'The group walk climbs until pci_acs_path_enabled() holds for source validation, P2P request redirect, completion redirect and upstream forwarding; a root or downstream port without them merges all below.',
  see: [
    {
      read: 'every port from {d} to the root bus: PCIe type and ACS capability/control (config ext cap 0x000D +4/+6)',
      when: 'a root port or downstream port lacks SV, RR, CR or UF',
      sure: 'certain',
    },
    { read: '{d}/../*/iommu_group', when: 'same number for devices of several ports', sure: 'certain' },
  ],
  fix: [
    "another slot (predict which from the ports' ACS)",
    'firmware option ACS',
    'kernel with a quirk for the port',
    'newer kernels: pci=config_acs= only for bits the port implements',
  ],
  beware:
    'A port may lack the capability and yet have a Linux quirk (many Intel PCH ports), so prediction needs the quirk list of the running kernel. NEVER list pcie_acs_override first.',
  sources: [
    'gh:j4cbo/tiny5-m2-riser#19',
    'gh:tiiuae/ghaf#1711',
    'gh:NVIDIA/NV-Kernels#20',
    'gh:Quansight/open-gpu-server#44',
    'gh:lf-edge/eve#790',
    'linux:drivers/iommu/iommu.c pci_device_group',
    'linux:drivers/pci/quirks.c',
  ],
  rules: [],
};
