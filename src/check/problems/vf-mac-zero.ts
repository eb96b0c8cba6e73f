import { notApplicable, pass } from '../facts.ts';
import type { Problem } from '../problem.ts';
import { vfSettings } from '../sriov.ts';

export const vfMacZero: Problem = {
  id: 'vf-mac-zero',
  title: 'The VF has no fixed MAC, so the guest gets a random one at every boot',
  category: 'sriov',
  severity: 'broken',
  at: 'any',
  says: [
    {
      in: 'guest',
      re: /MAC address not assigned by administrator|Assigning random MAC address/,
      example: 'ixgbevf 0000:00:05.0: MAC address not assigned by administrator.',
      proof: 'src',
    },
    {
      in: 'guest',
      re: /vf \d+ +link\/ether 00:00:00:00:00:00/,
      example: '    vf 3     link/ether 00:00:00:00:00:00 brd ff:ff:ff:ff:ff:ff, spoof checking on',
      proof: 'rep',
    },
  ],
  why: 'Many PF drivers leave the administrative MAC at zero until "ip link set PF vf N mac" is used.',
  see: [{ read: 'rtnetlink IFLA_VFINFO_LIST of the PF', when: 'mac all zero', sure: 'certain' }],
  fix: ['assign a stable locally administered address per VF through the PF before assignment and restore it on boot'],
  beware:
    'Set before the guest driver probes; some VF drivers log a failure when the same address is set again from the guest without trust.',
  sources: [
    'gh:canonical/lxd#8162',
    'gh:harvester/harvester#6954',
    'gh:k8snetworkplumbingwg/sriov-network-operator#325',
    'gh:k8snetworkplumbingwg/sriov-cni#88',
    'gh:k8snetworkplumbingwg/sriov-cni#232',
  ],
  rules: [
    {
      about: 'function',
      asks: 'Has each of its VFs an address of its own?',
      run(picture, found) {
        const got = vfSettings(picture, found);
        if ('verdict' in got) return got.verdict;
        const { link } = got;
        const where = `rtnetlink, VFs of ${link.name}`;
        if (link.vfs.length === 0)
          return notApplicable(`the driver of ${link.name} says nothing about its VFs`, { where, text: 'none' });
        const without = link.vfs.flatMap(({ mac }, vf) => (mac === '00:00:00:00:00:00' ? [vf] : []));
        const seen = {
          where,
          text: link.vfs
            .map(({ mac }, vf) => `vf ${vf} ${mac}`)
            .slice(0, 8)
            .join(', '),
        };
        if (without.length === 0) return pass(`all ${link.vfs.length} VFs have an address`, seen);
        return {
          is: 'fail',
          because: `${without.length} of ${link.vfs.length} VFs of ${link.name} have no address: a guest gets another one at every boot`,
          seen: [seen],
          fix: [
            `ip link set ${link.name} vf ${without[0]} mac 52:54:00:..., before its driver in the guest starts, and again after each boot`,
          ],
        };
      },
    },
  ],
};
