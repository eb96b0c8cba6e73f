import type { Problem } from '../problem.ts';

export const vfioPermissions: Problem = {
  id: 'vfio-permissions',
  title: 'The VM process may not open the VFIO nodes (user, cgroup, SELinux/AppArmor)',
  category: 'bind',
  severity: 'blocker',
  at: 'any',
  says: [
    {
      in: 'qemu',
      re: /(Could not|failed to) open '?\/dev\/vfio\/[^:]+: (Permission denied|Operation not permitted)/,
      example: "Could not open '/dev/vfio/12': Permission denied",
      proof: 'rep',
    },
    {
      in: 'qemu',
      re: /\bvfio(?=.{0,160}(Operation not permitted|Permission denied|EPERM|EACCES))/,
      example: 'vfio: the group could not be opened: Permission denied',
      proof: 'rep',
    },
    {
      in: 'dpdk',
      re: /[Cc]annot open (VFIO container|\/dev\/vfio\/\w+).{0,20}(error 13|Permission denied)/,
      example: 'EAL: Cannot open VFIO container, error 13 (Permission denied)',
      proof: 'rep',
    },
  ],
  why: 'Group nodes are root-only; a device cgroup or LSM denies; in containers the node exists with the wrong numbers.',
  see: [
    {
      read: 'stat of /dev/vfio/<group>, effective uid, cgroup v2 device program or v1 devices.list, LSM label',
      when: 'the launching identity has no read/write',
      sure: 'certain',
    },
  ],
  fix: ['udev rule SUBSYSTEM=="vfio" with a group', "add the device to the launcher's device policy"],
  beware: 'Do not chmod 666 /dev/vfio/<group>; the container node /dev/vfio/vfio alone is harmless.',
  sources: [
    'gh:VoltCyclone/PCILeechFWGenerator#160',
    'gh:kubevirt/kubevirt#6110',
    'gh:k8snetworkplumbingwg/sriov-network-device-plugin#491',
  ],
  rules: [],
};
