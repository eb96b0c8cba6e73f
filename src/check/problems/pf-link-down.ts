import { pass } from '../facts.ts';
import type { Problem } from '../problem.ts';
import { vfSettings } from '../sriov.ts';

export const pfLinkDown: Problem = {
  id: 'pf-link-down',
  title: 'The VF has no carrier because the PF interface is administratively down',
  category: 'sriov',
  severity: 'broken',
  at: 'L0',
  says: [
    {
      in: 'guest',
      re: /PF still in reset state\.\s+Is the PF interface up\?/,
      example: 'ixgbevf 0000:00:05.0: PF still in reset state.  Is the PF interface up?',
      proof: 'src',
    },
    {
      in: 'guest',
      re: /Failed to communicate with PF; waiting before retry/,
      example: 'iavf 0000:00:05.0: Failed to communicate with PF; waiting before retry',
      proof: 'src',
    },
    {
      in: 'guest',
      re: /Unable to start - perhaps the PF Driver isn't up yet/,
      example: "ixgbevf 0000:00:05.0: Unable to start - perhaps the PF Driver isn't up yet",
      proof: 'src',
    },
  ],
  why: 'The PF driver must run and, for most NICs, be up for VF mailbox and link; link-state auto follows the PF.',
  see: [
    {
      read: '/sys/class/net/<PF>/operstate, flags IFF_UP, carrier; IFLA_VF_LINK_STATE',
      when: 'PF down, or link-state disable',
      sure: 'certain',
    },
  ],
  fix: ['ip link set PF up', 'link-state enable for VF-to-VF traffic without cable'],
  beware: 'NetworkManager may take an unused PF down again.',
  sources: ['gh:k8snetworkplumbingwg/sriov-network-operator doc/troubleshooting.md', 'gh:canonical/lxd#8162'],
  rules: [
    {
      about: 'function',
      asks: 'Is the interface of the PF up, so that its VFs have a link?',
      run(picture, found) {
        const got = vfSettings(picture, found);
        if ('verdict' in got) return got.verdict;
        const { link } = got;
        const seen = { where: `/sys/class/net/${link.name}/flags`, text: link.up ? 'up' : 'down' };
        if (link.up) return pass(`${link.name} is up`, seen);
        return {
          is: 'fail',
          because: `${link.name} is down: its VFs have no carrier, and with many drivers no mailbox to the PF`,
          seen: [seen],
          fix: [`ip link set ${link.name} up`],
        };
      },
    },
  ],
};
