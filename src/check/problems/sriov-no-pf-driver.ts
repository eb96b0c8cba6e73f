import type { Problem } from '../problem.ts';

export const sriovNoPfDriver: Problem = {
  id: 'sriov-no-pf-driver',
  title: 'sriov_numvfs fails because the PF has no driver or its driver has no SR-IOV support',
  category: 'sriov',
  severity: 'blocker',
  at: 'any',
  says: [
    {
      in: 'kernel',
      re: /no driver bound to device; cannot configure SR-IOV/,
      example: 'pci 0000:01:00.0: no driver bound to device; cannot configure SR-IOV',
      proof: 'src',
    },
    {
      in: 'kernel',
      re: /driver does not support SR-IOV configuration via sysfs/,
      example: 'i915 0000:00:02.0: driver does not support SR-IOV configuration via sysfs',
      proof: 'src',
    },
    {
      in: 'write',
      re: /sriov_numvfs: (no such file or directory|No such file or directory)|write error: No such file or directory/,
      example: 'bash: echo: write error: No such file or directory',
      proof: 'rep',
    },
  ],
  why: 'The kernel returns ENOENT in both cases; it reads like a missing file, which it is not.',
  see: [
    { read: '{d}/driver', when: 'missing', sure: 'certain' },
    {
      read: 'driver name',
      when: 'not in the list of drivers with sriov_configure; vfio-pci needs enable_sriov=1',
      sure: 'likely',
    },
  ],
  fix: [
    'bind the PF driver',
    'driver-specific switch (i915 max_vfs, vfio-pci enable_sriov=1, pci-pf-stub for devices without PF driver)',
  ],
  beware: 'Old drivers take max_vfs= as a module parameter and ignore sysfs.',
  sources: ['gh:strongtz/i915-sriov-dkms#143', 'gh:NVIDIA/doca-platform#54', 'gh:SamsungDS/libvfn#21', 'linux:drivers/pci/iov.c'],
  rules: [],
};
