import type { Problem } from '../problem.ts';

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
  rules: [],
};
