import type { Problem } from '../problem.ts';

export const hostDriverFirst: Problem = {
  id: 'host-driver-first',
  title: 'The host driver takes the device during boot before vfio-pci does',
  category: 'bind',
  severity: 'broken',
  at: 'L0',
  says: [
    {
      in: 'kernel',
      re: /Unbinding .* failed|Attempting to remove device .* with non-zero usage count/,
      example: 'NVRM: Attempting to remove device 0000:01:00.0 with non-zero usage count!',
      proof: 'mem',
    },
  ],
  why: 'Early userspace loads the GPU/NVMe driver; vfio-pci is a module loaded later. Unbinding a live GPU or NVMe can hang.',
  see: [
    {
      read: '{d}/driver and the initramfs content list',
      when: 'driver is not vfio-pci and vfio-pci is absent from the initramfs',
      sure: 'likely',
    },
    { read: '/etc/modprobe.d for softdep', when: 'no softdep of the host driver on vfio-pci', sure: 'hint' },
  ],
  fix: [
    'softdep <driver> pre: vfio-pci plus vfio-pci.ids, rebuild the initramfs',
    'driver_override from initramfs for one of two equal cards',
    'unbind at run time only when the device is idle',
  ],
  beware:
    'Never unbind the driver of the disk with the root file system or of the NIC that carries the session; see host-critical-device.',
  sources: [
    'gh:bryansteiner/gpu-passthrough-tutorial#39',
    'gh:NVIDIA/kubevirt-gpu-device-plugin#45',
    'proxmox/pve-docs:qm-pci-passthrough.adoc',
  ],
  rules: [],
};
