import type { Problem } from '../problem.ts';

export const multifunctionSiblings: Problem = {
  id: 'multifunction-siblings',
  title: 'Functions of one card (GPU + audio + USB + UCSI, ports of a NIC) share a group and only one was prepared',
  category: 'group',
  severity: 'blocker',
  at: 'any',
  says: [
    {
      in: 'qemu',
      re: /error getting device from group \d+/,
      example: 'error getting device from group 15: No such device',
      proof: 'src',
    },
  ],
  why: 'Functions of a slot without ACS (or an isolation quirk) are grouped because they may talk to one another inside the chip.',
  see: [
    { read: '{d}/iommu_group/devices', when: 'other functions of the same bus:device are members', sure: 'certain' },
    {
      read: 'config space ACS capability (ext cap 0x000D) of each function',
      when: 'multifunction and control lacks SV|RR|CR|UF on one of them, no quirk known',
      sure: 'certain',
    },
  ],
  fix: [
    'assign all functions together keeping guest multifunction addresses',
    'leave the unwanted ones bound to vfio-pci but not assigned',
  ],
  beware: 'Identical function ids on host and guest matter for some drivers (function 0 first, multifunction=on).',
  sources: [
    'gh:uwzis/GPU-Passthrough-Manager#21',
    'gh:kata-containers/kata-containers#12905',
    'gh:cloud-hypervisor/cloud-hypervisor#3078',
    'gh:ryanprescott/realtek-verb-tools#9',
    'linux:drivers/iommu/iommu.c get_pci_function_alias_group',
  ],
  rules: [],
};
