import type { Problem } from '../problem.ts';

export const hostCriticalDevice: Problem = {
  id: 'host-critical-device',
  title: 'The group contains something the host cannot live without',
  category: 'bind',
  severity: 'broken',
  at: 'any',
  says: [
    {
      in: 'kernel',
      re: /nvme nvme\d+: .*(I\/O|controller is down|Removing after probe failure)/,
      example: 'nvme nvme0: Removing after probe failure status: -19',
      proof: 'mem',
    },
  ],
  why: 'Root disk, the NIC with the default route or bridge membership, the boot console, the USB controller with the only keyboard, or the LPC/SMBus of the chipset is a member.',
  see: [
    {
      read: '/proc/self/mountinfo, /sys/dev/block/*/device chain, md/lvm/zfs parents, swap',
      when: 'leads to a group member',
      sure: 'certain',
    },
    {
      read: 'rtnetlink routes and masters; /sys/class/net/*/device',
      when: 'default route, bridge, bond or ovs member maps to a group member',
      sure: 'certain',
    },
    { read: '{d}/boot_vga', when: '1', sure: 'likely' },
  ],
  fix: ['refuse by default and name the dependency', 'offer a VF or another card'],
  beware:
    'Check through layers (LUKS on LVM on md) and namespaces. dra-driver-sriov excludes default-route and bridged interfaces from pools, best effort only.',
  sources: ['k8snetworkplumbingwg/dra-driver-sriov:README.md', 'gh:lf-edge/eve#2082'],
  rules: [],
};
