import type { Problem } from '../problem.ts';

export const iommuKernelOff: Problem = {
  id: 'iommu-kernel-off',
  title: 'The DMAR table is there but Linux did not turn DMA remapping on',
  category: 'platform',
  severity: 'blocker',
  at: 'any',
  says: [
    { in: 'kernel', re: /DMAR: IOMMU disabled/, example: 'DMAR: IOMMU disabled', proof: 'src' },
    {
      in: 'kernel',
      re: /vfio-pci: probe of [0-9a-f:.]+ failed with error -22|vfio-pci [0-9a-f:.]+: probe with driver vfio-pci failed with error -22/,
      example: 'vfio-pci: probe of 0000:01:00.0 failed with error -22',
      proof: 'rep',
    },
  ],
  why: 'CONFIG_INTEL_IOMMU_DEFAULT_ON is a build choice. Where it is off, intel_iommu=on is needed. Interrupt remapping is enabled independently, so DMAR and DMAR-IR lines appear while no group exists.',
  see: [
    { read: '/sys/firmware/acpi/tables/DMAR exists; /sys/kernel/iommu_groups', when: 'no subdirectory', sure: 'certain' },
    {
      read: '/proc/cmdline',
      when: 'has intel_iommu=off, amd_iommu=off, iommu=off, or lacks intel_iommu=on while the kernel config has CONFIG_INTEL_IOMMU_DEFAULT_OFF=y',
      sure: 'certain',
    },
    {
      read: '/boot/config-$(uname -r) or /proc/config.gz',
      when: 'CONFIG_INTEL_IOMMU / CONFIG_AMD_IOMMU not set',
      sure: 'certain',
    },
  ],
  fix: [
    'add intel_iommu=on (AMD needs nothing) through the boot loader in use, reboot',
    'confirm with /sys/class/iommu/*/devices, never with grep of dmesg alone',
  ],
  beware:
    'Distributions differ (Debian 6.1 builds DEFAULT_ON_INTGPU_OFF, i.e. on, but integrated graphics excluded). Editing one boot loader while another one boots is the usual reason that the option "does not work"; compare with /proc/cmdline.',
  sources: [
    'gh:strongtz/i915-sriov-dkms#339',
    'gh:ipaqmaster/vfio#2',
    'gh:clearcontainers/runtime#810',
    'gh:containers/virtcontainers#413',
    'linux:drivers/iommu/intel/iommu.c',
    'debian:/boot/config-6.1.0-56-amd64',
  ],
  rules: [],
};
