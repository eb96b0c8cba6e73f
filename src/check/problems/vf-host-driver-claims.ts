import type { Problem } from '../problem.ts';

export const vfHostDriverClaims: Problem = {
  id: 'vf-host-driver-claims',
  title: "The host's VF driver takes every new VF and renames interfaces before vfio-pci can",
  category: 'sriov',
  severity: 'slow',
  at: 'any',
  says: [
    {
      in: 'kernel',
      re: /(iavf|ixgbevf|igbvf|mlx5_core) [^:]+:[^:]+:[^:]+: renamed from eth\d+/,
      example: 'iavf 0000:3b:02.0 ens1f0v0: renamed from eth0',
      proof: 'rep',
      marker: true,
    },
  ],
  why: 'sriov_drivers_autoprobe is 1 by default; dozens of VF netdevs appear, NetworkManager and udev run over them, then each is unbound again.',
  see: [{ read: '{d}/sriov_drivers_autoprobe', when: '1 and the VFs are meant for vfio-pci', sure: 'certain' }],
  fix: [
    '0 before sriov_numvfs, then driver_override=vfio-pci per VF and drivers_probe, then restore 1',
    'tell NetworkManager and networkd to ignore the VFs',
  ],
  beware: 'Some drivers need the VF to have been probed once to get a MAC; set the MAC through the PF instead.',
  sources: [
    'gh:k8snetworkplumbingwg/sriov-network-operator#214',
    'gh:lxc/incus#2465',
    'gh:Mellanox/docker-sriov-plugin#8',
    'gh:k8snetworkplumbingwg/sriov-network-operator#802',
  ],
  rules: [],
};
