import { functionOf } from '../../host/picture.ts';
import { at, notApplicable, pass, unknown } from '../facts.ts';
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
  rules: [
    {
      about: 'function',
      asks: 'Are its VFs left alone by drivers of the host?',
      run(picture, found) {
        if (found.sriov === undefined) return notApplicable('it is no PF');
        const { numVFs, driversAutoprobe } = found.sriov;
        const probe = { where: at(found, 'sriov_drivers_autoprobe'), text: driversAutoprobe ? '1' : '0' };
        if (numVFs === undefined) return unknown('how many VFs it has could not be read', probe);
        if (numVFs === 0)
          return notApplicable(
            driversAutoprobe
              ? 'it has no VFs now; drivers of the host will take those that are made by hand'
              : 'it has no VFs now',
            probe,
          );
        const taken = found.virtfns.flatMap((bdf) => {
          const driver = functionOf(picture, bdf)?.driver;
          return driver === undefined || driver === 'vfio-pci'
            ? []
            : [{ where: `/sys/bus/pci/devices/${bdf}/driver`, text: driver }];
        });
        if (taken.length === 0) return pass(`no driver of the host has one of its ${numVFs} VFs`, probe);
        return {
          is: 'fail',
          because: `${taken.length} of its ${numVFs} VFs have a driver of the host (${[...new Set(taken.map(({ text }) => text))].join(', ')}), and must leave it before a guest gets them`,
          seen: [probe, ...taken.slice(0, 4)],
        };
      },
    },
  ],
};
