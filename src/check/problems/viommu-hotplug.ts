import type { Problem } from '../problem.ts';

export const viommuHotplug: Problem = {
  id: 'viommu-hotplug',
  title: "A device cannot be hot-plugged - no free root port, or the vIOMMU's topology is fixed",
  category: 'viommu',
  severity: 'blocker',
  at: 'L0',
  says: [
    { in: 'libvirt', re: /No more available PCI slots/, example: 'internal error: No more available PCI slots', proof: 'rep' },
    {
      in: 'qemu',
      re: /Bus 'pcie\.0' does not support hotplugging/,
      example: "Bus 'pcie.0' does not support hotplugging",
      proof: 'src',
    },
  ],
  why: 'pcie.0 takes no hot-plug; each root port takes one device; VIOT/IORT describe fixed endpoints, so a device added later may lie outside virtio-iommu.',
  see: [{ read: 'VM topology: empty pcie-root-ports with large enough windows', when: 'none', sure: 'certain' }],
  fix: ['add spare root ports at start (with pref64-reserve for GPUs)', 'cold-plug for confidential guests'],
  beware: 'Devices hot-plugged behind pcie-pci-bridge all share one guest group.',
  sources: [
    'gh:cloud-hypervisor/cloud-hypervisor#911',
    'gh:cloud-hypervisor/cloud-hypervisor#3205',
    'gh:autotest/tp-libvirt#3231',
    'gh:kata-containers/runtime#2890',
    'gh:kata-containers/kata-containers#2899',
    'gh:kata-containers/kata-containers#6699',
  ],
  rules: [],
};
