import type { Problem } from '../problem.ts';

export const vfioModulesMissing: Problem = {
  id: 'vfio-modules-missing',
  title: 'vfio or vfio_iommu_type1 is not loaded, or the cdev/iommufd interface is not built',
  category: 'bind',
  severity: 'blocker',
  at: 'any',
  says: [
    {
      in: 'qemu',
      re: /failed to open \/dev\/vfio\/(vfio|\d+): No such file or directory/,
      example: 'vfio 0000:00:02.0: failed to open /dev/vfio/1: No such file or directory',
      proof: 'rep',
    },
    { in: 'qemu', re: /No available IOMMU models/, example: 'No available IOMMU models', proof: 'src' },
    {
      in: 'qemu',
      re: /\/dev\/iommu does not exist \(is your kernel config missing CONFIG_IOMMUFD\?\)/,
      example: '/dev/iommu does not exist (is your kernel config missing CONFIG_IOMMUFD?)',
      proof: 'seen',
    },
    {
      in: 'qemu',
      re: /CONFIG_VFIO_DEVICE_CDEV/,
      example:
        'failed to load "/sys/bus/pci/devices/0000:02:00.0/vfio-dev/vfio0/dev" (is your kernel config missing CONFIG_VFIO_DEVICE_CDEV?)',
      proof: 'src',
    },
  ],
  why: 'Module not loaded, container without the device nodes, or kernel too old (iommufd from 6.2, vfio cdev from 6.6).',
  see: [
    {
      read: '/dev/vfio/vfio, /dev/vfio/<group>, /dev/iommu, {d}/vfio-dev',
      when: 'the one the plan uses is missing',
      sure: 'certain',
    },
    { read: 'kernel config CONFIG_VFIO_IOMMU_TYPE1, CONFIG_VFIO_DEVICE_CDEV, CONFIG_IOMMUFD', when: 'not set', sure: 'certain' },
  ],
  fix: [
    'load vfio-pci and vfio_iommu_type1',
    'choose the legacy backend when iommufd is absent',
    'pass the nodes into the container',
  ],
  beware:
    'On kernels with CONFIG_IOMMUFD_VFIO_CONTAINER /dev/vfio/vfio may be iommufd underneath with different memory accounting.',
  sources: [
    'gh:DualCoder/vgpu_unlock#47',
    'gh:spdk/spdk#1689',
    'gh:nutanix/libvfio-user#53',
    'gh:foxlet/macOS-Simple-KVM#159',
    'qemu-11.1.2',
  ],
  rules: [],
};
