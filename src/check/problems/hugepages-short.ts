import type { Problem } from '../problem.ts';

export const hugepagesShort: Problem = {
  id: 'hugepages-short',
  title: 'Not enough huge pages on the right node',
  category: 'memory',
  severity: 'blocker',
  at: 'any',
  says: [
    {
      in: 'qemu',
      re: /unable to map backing store for guest RAM: Cannot allocate memory/,
      example: 'unable to map backing store for guest RAM: Cannot allocate memory',
      proof: 'src',
    },
    {
      in: 'dpdk',
      re: /No available (1048576|2048) kB hugepages reported|No free \d+ kB hugepages reported/,
      example: 'EAL: No available 1048576 kB hugepages reported',
      proof: 'rep',
    },
  ],
  why: 'Pages are reserved per size and NUMA node; 1 GiB pages can practically be had at boot only.',
  see: [
    {
      read: '/sys/devices/system/node/node*/hugepages/hugepages-*kB/free_hugepages',
      when: 'free on the target node x size < guest RAM (plus what DPDK in the guest wants, inside the guest)',
      sure: 'certain',
    },
  ],
  fix: ['hugepagesz= and hugepages= at boot, per node', 'write nr_hugepages before memory fragments'],
  beware: 'Counts shared with other VMs and databases; reserve = free minus resv_hugepages.',
  sources: [
    'gh:spdk/spdk#984',
    'ios-xr/xrd-tools:scripts/host-check check_hugepages',
    'gh:cloud-hypervisor/cloud-hypervisor#165',
  ],
  rules: [],
};
