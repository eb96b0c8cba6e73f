import { notApplicable, pass, unknown } from '../facts.ts';
import type { Problem } from '../problem.ts';
import { vfSettings } from '../sriov.ts';

export const vfTrustSpoof: Problem = {
  id: 'vf-trust-spoof',
  title: 'Traffic of a bridge, VRRP, containers or promiscuous mode in the guest is dropped by the NIC',
  category: 'sriov',
  severity: 'broken',
  at: 'L0',
  says: [
    {
      in: 'kernel',
      re: /VF attempting to override administratively set MAC address/,
      example:
        'i40e 0000:3b:00.0: VF attempting to override administratively set MAC address, bring down and up the VF interface to resume normal operation',
      proof: 'src',
    },
    {
      in: 'kernel',
      re: /Cannot add more MAC addresses, VF is not trusted/,
      example:
        'i40e 0000:c2:00.0: Cannot add more MAC addresses, VF is not trusted, switch the VF to trusted to add more functionality',
      proof: 'src',
    },
    {
      in: 'kernel',
      re: /VF \d+ failed opcode \d+, retval: -?\d+/,
      example: 'i40e 0000:3b:00.0: VF 0 failed opcode 10, retval: -1',
      proof: 'rep',
    },
  ],
  why: 'Spoof checking drops frames with other source MACs; an untrusted VF may not add MACs, go promiscuous or change its address.',
  see: [
    {
      read: 'IFLA_VF_TRUST, IFLA_VF_SPOOFCHK of the PF',
      when: 'trust off or spoofchk on, and the guest role needs several MACs',
      sure: 'likely',
    },
  ],
  fix: ['ip link set PF vf N trust on spoofchk off (only for a trusted tenant)', 'vlan and rate limits as needed'],
  beware: 'Not every driver implements every knob; read back after writing.',
  sources: [
    'gh:nvandamme/systemd-networkd-i40e#1',
    'gh:harvester/harvester#6954',
    'gh:Netronome/nic-firmware#3',
    'gh:k8snetworkplumbingwg/sriov-cni#232',
  ],
  rules: [
    {
      about: 'function',
      asks: 'May guests with its VFs use more addresses than their own?',
      run(picture, found) {
        const got = vfSettings(picture, found);
        if ('verdict' in got) return got.verdict;
        const { link } = got;
        const where = `rtnetlink, VFs of ${link.name}`;
        if (link.vfs.length === 0)
          return notApplicable(`the driver of ${link.name} says nothing about its VFs`, { where, text: 'none' });
        const bound = link.vfs.filter(({ trust, spoofchk }) => !trust || spoofchk);
        const text = link.vfs.map(({ trust, spoofchk }, vf) => `vf ${vf} trust ${word(trust)} spoofchk ${word(spoofchk)}`);
        const seen = { where, text: text.slice(0, 8).join(', ') };
        if (bound.length === 0)
          return pass(`all ${link.vfs.length} VFs are trusted, and their source addresses are not checked`, seen);
        return unknown(
          `${bound.length} of ${link.vfs.length} VFs of ${link.name} are not trusted or are checked: right for a guest with one address, wrong for a bridge, VRRP or containers in it; which it is nobody can see here`,
          seen,
        );
      },
    },
  ],
};

function word(on: boolean): string {
  return on ? 'on' : 'off';
}
