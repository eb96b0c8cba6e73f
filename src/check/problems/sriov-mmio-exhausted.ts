import type { Problem } from '../problem.ts';

export const sriovMmioExhausted: Problem = {
  id: 'sriov-mmio-exhausted',
  title: 'Firmware left no MMIO space for the VF BARs',
  category: 'sriov',
  severity: 'blocker',
  at: 'any',
  says: [
    {
      in: 'kernel',
      re: /not enough MMIO resources for SR-IOV/,
      example: 'i915 0000:00:02.0: not enough MMIO resources for SR-IOV',
      proof: 'src',
    },
    {
      in: 'kernel',
      re: /SR-IOV: IOV BARS not allocated/,
      example: 'igb 0000:01:00.0: SR-IOV: IOV BARS not allocated',
      proof: 'src',
    },
    {
      in: 'write',
      re: /sriov_numvfs: cannot allocate memory|write error: Cannot allocate memory/,
      example: 'write /sys/bus/pci/devices/0000:3b:00.1/sriov_numvfs: cannot allocate memory',
      proof: 'rep',
    },
  ],
  why: "Space of VF-BAR-size x TotalVFs must be assigned to each VF BAR in the PF's SR-IOV capability when the bus is enumerated - for TotalVFs, not for the number you want.",
  see: [
    { read: '{d}/resource lines 7-12 (IOV resources)', when: 'a VF BAR with non-zero flags has start 0', sure: 'certain' },
    { read: '/proc/iomem window of the port above', when: 'smaller than the sum', sure: 'likely' },
  ],
  fix: [
    'SR-IOV and Above-4G in firmware',
    'pci=realloc (and on some boards pci=realloc,assign-busses)',
    'fewer TotalVFs in device firmware',
    'another slot',
  ],
  beware:
    'ENOMEM here has nothing to do with RAM. For an SR-IOV PF emulated in a guest, the guest firmware/bridge window must hold it as well.',
  sources: [
    'gh:strongtz/i915-sriov-dkms#129',
    'gh:strongtz/i915-sriov-dkms#246',
    'gh:openshift/openshift-docs#32619',
    'gh:microsoft/openvmm#3608',
    'linux:drivers/pci/iov.c',
  ],
  rules: [],
};
