import type { Problem } from '../problem.ts';

export const sriovVfsInUse: Problem = {
  id: 'sriov-vfs-in-use',
  title: 'VFs cannot be removed, or are removed although a VM uses them',
  category: 'sriov',
  severity: 'broken',
  at: 'any',
  says: [
    {
      in: 'kernel',
      re: /Cannot modify SR-IOV while VFs are assigned/,
      example: 'igb 0000:01:00.0: Cannot modify SR-IOV while VFs are assigned',
      proof: 'src',
    },
    {
      in: 'kernel',
      re: /driver left SR-IOV enabled after remove/,
      example: 'pci 0000:01:00.0: driver left SR-IOV enabled after remove',
      proof: 'src',
    },
    {
      in: 'kernel',
      re: /No device request channel registered, blocked until released by user/,
      example: 'vfio-pci 0000:01:10.0: No device request channel registered, blocked until released by user',
      proof: 'src',
    },
  ],
  why: 'Reloading the PF driver or writing 0 takes the VFs away; vfio asks the VMM to let go and otherwise blocks.',
  see: [
    {
      read: '{d}/virtfn*/ -> each VF driver and opener (/proc/*/fd)',
      when: 'a VF is open by a VMM or in another netns',
      sure: 'certain',
    },
  ],
  fix: ['stop or hot-unplug first', 'plan the change with the list of affected VMs'],
  beware: 'Some PF drivers destroy the VFs on PF reset or firmware update too.',
  sources: [
    'gh:lxc/incus#2845',
    'gh:strongtz/i915-sriov-dkms#342',
    'linux:drivers/pci/iov.c',
    'linux:drivers/vfio/pci/vfio_pci_core.c',
  ],
  rules: [],
};
