import type { Problem } from '../problem.ts';

export const l1NoIntremap: Problem = {
  id: 'l1-no-intremap',
  title: 'Groups exist in L1 but its vIOMMU does not remap interrupts, so VFIO in L1 refuses',
  category: 'viommu',
  severity: 'blocker',
  at: 'L1',
  says: [
    {
      in: 'guest',
      re: /vfio_iommu_type1_attach_group: No interrupt remapping support/,
      example:
        'vfio_iommu_type1_attach_group: No interrupt remapping support.  Use the module param "allow_unsafe_interrupts" to enable VFIO IOMMU support on this platform',
      proof: 'src',
    },
  ],
  why: 'intremap=off, or auto which is off unless the irqchip is split/off, or a guest kernel without CONFIG_IRQ_REMAP. Having a group is necessary, not sufficient.',
  see: [
    { read: 'guest ecap bit 3 and DMAR flags bit 0', when: '0', sure: 'certain' },
    { read: 'guest dmesg', when: 'no "DMAR-IR: Enabled IRQ remapping" line', sure: 'certain' },
  ],
  fix: ['intremap=on and kernel-irqchip=split'],
  beware:
    'ECAP_REG.IR alone is no proof: logs exist with IR=1 and no DMAR-IR line, where nobody noticed. virtio-iommu does no interrupt remapping at all on x86.',
  sources: ['linux:drivers/vfio/vfio_iommu_type1.c', 'qemu:hw/i386/x86-iommu.c'],
  rules: [],
};
