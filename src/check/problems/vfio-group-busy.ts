import type { Problem } from '../problem.ts';

export const vfioGroupBusy: Problem = {
  id: 'vfio-group-busy',
  title: 'The group or device is already opened by another process',
  category: 'bind',
  severity: 'blocker',
  at: 'any',
  says: [
    {
      in: 'qemu',
      re: /(Could not|failed to) open '?\/dev\/vfio\/\d+'?: Device or resource busy/,
      example: "Could not open '/dev/vfio/17': Device or resource busy",
      proof: 'rep',
    },
    {
      in: 'dpdk',
      re: /Cannot open \/dev\/vfio\/\d+: Device or resource busy/,
      example: 'EAL: Cannot open /dev/vfio/151: Device or resource busy',
      proof: 'rep',
    },
    {
      in: 'kernel',
      re: /Device is currently in use, task "[^"]*" \(\d+\) ?blocked until device is released/,
      example: 'vfio-pci 0000:01:00.0: Device is currently in use, task "bash" (4711) blocked until device is released',
      proof: 'src',
    },
  ],
  why: 'One opener per group (legacy) and per device; a stale QEMU, a second VM or another SR-IOV pool has it.',
  see: [{ read: '/proc/*/fd links to /dev/vfio/<group> and /dev/vfio/devices/vfioN', when: 'any', sure: 'certain' }],
  fix: ['name the process and the VM', 'stop it', 'never kill by name'],
  beware: 'An unbind of a device in use blocks uninterruptibly; refuse instead of trying.',
  sources: ['gh:VoltCyclone/PCILeechFWGenerator#79', 'gh:FDio/vpp#3448', 'linux:drivers/vfio/vfio_main.c'],
  rules: [],
};
