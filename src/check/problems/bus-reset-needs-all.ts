import type { Problem } from '../problem.ts';

export const busResetNeedsAll: Problem = {
  id: 'bus-reset-needs-all',
  title: 'A hot reset needs every device on the bus or slot to be owned by this VM',
  category: 'reset',
  severity: 'broken',
  at: 'L0',
  says: [
    {
      in: 'qemu',
      re: /vfio: Cannot reset device [0-9a-f:.]+, depends on (group \d+|device [0-9a-f:.]+) which is not owned/,
      example: 'vfio: Cannot reset device 0000:01:00.0, depends on group 12 which is not owned.',
      proof: 'src',
    },
  ],
  why: 'VFIO_DEVICE_PCI_HOT_RESET is allowed only when the caller owns all affected devices; siblings in other groups or with the host block it.',
  see: [
    { read: 'VFIO_DEVICE_GET_PCI_HOT_RESET_INFO', when: 'lists devices outside the plan', sure: 'certain' },
    { read: 'all functions under the same secondary bus', when: 'some are not assigned and {d} lacks FLR', sure: 'certain' },
  ],
  fix: ['assign or park (vfio-pci) all listed devices', 'prefer a device with FLR'],
  beware: "A VF's bus reset domain includes the PF; a PF is never reset through a VF.",
  sources: ['gh:cloud-hypervisor/cloud-hypervisor#8533', 'gh:rust-vmm/vfio#170', 'qemu:hw/vfio/container.c'],
  rules: [],
};
