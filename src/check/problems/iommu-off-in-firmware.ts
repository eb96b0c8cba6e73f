import type { Picture } from '../../host/picture.ts';
import type { Verdict } from '../check.ts';
import { notApplicable, pass, unknown } from '../facts.ts';
import { iommuState, TABLES } from '../iommu-state.ts';
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
  rules: [{ about: 'host', asks: 'Does firmware give a table of remapping units?', run: given }],
};

function given(picture: Picture): Verdict {
  const { firmwareTables, platformTables, units, system } = picture;
  const state = iommuState(picture);
  const tables = { where: TABLES, text: firmwareTables.map(({ signature }) => signature).join(', ') || 'no DMAR, IVRS or VIOT' };
  const driven = { where: '/sys/class/iommu', text: units.map(({ name }) => name).join(', ') || 'empty' };
  switch (state.is) {
    case 'on':
    case 'no-group':
      return pass('the kernel drives a remapping unit', driven);
    case 'unread':
      return unknown(`the IOMMU groups could not be read: ${state.because}`);
    case 'kernel-off':
    case 'no-driver':
      return pass(`firmware gives the table ${state.is === 'no-driver' ? 'VIOT' : state.table}`, tables);
    case 'hidden':
      return {
        ...unknown('whether firmware gives a table could not be read: look as root', driven),
        seen: [driven, ...state.tables.map(({ what, because }) => ({ where: what, text: because }))],
      };
    case 'no-table': {
      if (system.guest)
        return notApplicable('this machine is a guest: its table would come from a vIOMMU of the machine below', tables, driven);
      // Every machine with ACPI has the table APIC, which also root alone may open.
      const others = picture.unread.some(({ what }) => what.startsWith(`${TABLES}/`));
      if (platformTables.length === 0 && !others)
        return unknown('no ACPI table at all is to be seen, as in a container: look outside of it', tables, driven);
      return {
        is: 'fail',
        because:
          'there is neither a DMAR nor an IVRS table, and no remapping unit: VT-d or AMD-Vi is off in the firmware set-up, or the machine has none',
        seen: [tables, driven],
      };
    }
    default:
      return state satisfies never;
  }
}
