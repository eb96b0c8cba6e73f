import type { Problem } from '../problem.ts';

export const viommuMachineType: Problem = {
  id: 'viommu-machine-type',
  title: 'intel-iommu on a machine that has no place for it (i440fx/pc, microvm)',
  category: 'viommu',
  severity: 'blocker',
  at: 'L0',
  says: [
    {
      in: 'qemu',
      re: /Parameter 'driver' expects a dynamic sysbus device type for the machine/,
      example: "-device intel-iommu: Parameter 'driver' expects a dynamic sysbus device type for the machine",
      proof: 'seen',
    },
    {
      in: 'qemu',
      re: /Machine-type '[^']+' not supported by IOMMU/,
      example: "Machine-type 'isapc' not supported by IOMMU",
      proof: 'src',
    },
    {
      in: 'qemu',
      re: /QEMU does not support multiple vIOMMUs for x86 yet/,
      example: 'QEMU does not support multiple vIOMMUs for x86 yet.',
      proof: 'seen',
    },
    {
      in: 'qemu',
      re: /virtio-iommu-pci must be plugged on the root bus/,
      example: 'virtio-iommu-pci must be plugged on the root bus',
      proof: 'seen',
    },
  ],
  why: 'The emulated VT-d belongs to q35; one vIOMMU per x86 machine; virtio-iommu-pci only on pcie.0.',
  see: [{ read: 'plan', when: 'machine is not q35, or two IOMMU devices, or virtio-iommu not on the root bus', sure: 'certain' }],
  fix: ['q35', 'one vIOMMU on pcie.0'],
  beware: 'Converting an installed guest from pc to q35 renames disks and NICs and may need driver changes.',
  sources: ['qemu-7.2, 10.0.13, 11.1.2 runs', 'openstack/nova:nova/virt/libvirt/driver.py'],
  rules: [],
};
