import type { Problem } from '../problem.ts';

export const numaRemote: Problem = {
  id: 'numa-remote',
  title: 'Device, guest memory and vCPUs are on different NUMA nodes',
  category: 'memory',
  severity: 'slow',
  at: 'any',
  says: [],
  why: 'Every DMA and doorbell crosses the socket link; the IOMMU of the remote socket walks tables in remote memory.',
  see: [
    { read: '{d}/numa_node, {d}/local_cpulist', when: 'not the node of the planned vCPU pinning and memory', sure: 'certain' },
  ],
  fix: ["pin vCPUs and memory to the device's node", 'give the guest a matching virtual NUMA node with pxb-pcie'],
  beware: 'numa_node -1 means unknown, not node 0.',
  sources: ['gh:kubevirt/enhancements#116', 'gh:kubevirt/enhancements#38'],
  rules: [],
};
