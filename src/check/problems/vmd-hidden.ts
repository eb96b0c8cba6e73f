import type { Problem } from '../problem.ts';

export const vmdHidden: Problem = {
  id: 'vmd-hidden',
  title: 'NVMe drives sit behind Intel VMD (domain 10000 and up) and cannot be assigned one by one',
  category: 'group',
  severity: 'blocker',
  at: 'L0',
  says: [
    {
      in: 'dpdk',
      re: /failed to parse device "pci:1[0-9a-f]{4}:/,
      example: 'EAL: failed to parse device "pci:10000:01:00.0"',
      proof: 'rep',
    },
    {
      in: 'kernel',
      re: /Failed to setup Intel IGD regions/,
      example: 'vfio-pci 0000:00:02.0: Failed to setup Intel IGD regions',
      proof: 'src',
    },
  ],
  why: "VMD re-roots the drives under a synthetic domain; their DMA uses the VMD endpoint's requester id, so they have no group of their own.",
  see: [
    {
      read: '/sys/bus/pci/devices names',
      when: 'PCI domain part longer than 4 hex digits or >= 10000, or a 0000:xx:yy.5 / 00:0e.0 device bound to driver vmd',
      sure: 'certain',
    },
    { read: '{d}/iommu_group for such a drive', when: 'missing', sure: 'certain' },
  ],
  fix: ['turn VMD off for these ports in firmware (may need OS changes for boot drives)', 'assign the whole VMD endpoint'],
  beware:
    'Parsers that assume a four-digit domain break on these machines. Turning VMD off changes device names at the next boot.',
  sources: [
    'gh:spdk/spdk#480',
    'gh:spdk/spdk#1360',
    'gh:spdk/spdk#1940',
    'gh:intel/gvt-linux#203',
    'gh:QubesOS/qubes-issues#6932',
  ],
  rules: [],
};
