import type { Problem } from '../problem.ts';

export const iommuOffInFirmware: Problem = {
  id: 'iommu-off-in-firmware',
  title: 'VT-d / AMD-Vi is switched off in firmware, so there is no DMAR or IVRS table at all',
  category: 'platform',
  severity: 'blocker',
  at: 'any',
  says: [
    {
      in: 'qemu',
      re: /vfio [0-9a-f:.]+: no iommu_group found: No such file or directory/,
      example: 'vfio 0000:01:00.0: no iommu_group found: No such file or directory',
      proof: 'seen',
    },
    { in: 'kernel', re: /DMAR: No DMAR devices found/, example: 'DMAR: No DMAR devices found', proof: 'src' },
    {
      in: 'libvirt',
      re: /No ACPI DMAR table found, IOMMU either disabled in BIOS or not supported/,
      example: 'WARN (No ACPI DMAR table found, IOMMU either disabled in BIOS or not supported by this hardware platform)',
      proof: 'rep',
    },
    {
      in: 'libvirt',
      re: /host doesn't support passthrough of host PCI devices/,
      example: "unsupported configuration: host doesn't support passthrough of host PCI devices",
      proof: 'rep',
    },
  ],
  why: 'Firmware builds DMAR (Intel) or IVRS (AMD) only when the option is on; without the table the kernel registers no remapping unit and no device gets a group.',
  see: [
    { read: '/sys/firmware/acpi/tables/DMAR and IVRS', when: 'neither exists and the machine is bare metal', sure: 'certain' },
    { read: '/sys/class/iommu', when: 'empty', sure: 'certain' },
    { read: '/proc/cpuinfo flags hypervisor', when: 'present', sure: 'hint' },
  ],
  fix: [
    'turn on VT-d / IOMMU / AMD-Vi in firmware setup',
    'update firmware',
    'inside a VM: see nested-no-viommu, the table must be supplied by the vIOMMU of the level below',
  ],
  beware:
    'A container without /sys/firmware sees no DMAR although the host has it; test /sys/class/iommu too. CPU virtualisation (vmx/svm) on says nothing about the IOMMU.',
  sources: [
    'gh:foxlet/macOS-Simple-KVM#143',
    'gh:foxlet/macOS-Simple-KVM#579',
    'gh:ra1nstorm/ra1nstorm-helper#109',
    'gh:openshift/sriov-network-operator#498',
    'gh:cloud-hypervisor/cloud-hypervisor#856',
    'linux:drivers/iommu/intel/dmar.c',
    'qemu:hw/vfio/container.c',
  ],
  rules: [],
};
