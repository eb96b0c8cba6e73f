import type { Problem } from '../problem.ts';

export const nestedKvmOff: Problem = {
  id: 'nested-kvm-off',
  title: 'L1 has no /dev/kvm, so L2 runs without acceleration or not at all',
  category: 'viommu',
  severity: 'blocker',
  at: 'L1',
  says: [
    {
      in: 'qemu',
      re: /Could not access KVM kernel module: No such file or directory/,
      example: 'Could not access KVM kernel module: No such file or directory',
      proof: 'src',
    },
  ],
  why: 'nested=0 on L0, or the L1 CPU model lacks vmx/svm.',
  see: [
    { read: 'L0 /sys/module/kvm_{intel,amd}/parameters/nested', when: 'N or 0', sure: 'certain' },
    { read: 'L1 /proc/cpuinfo', when: 'no vmx or svm', sure: 'certain' },
  ],
  fix: ['nested=1 and cpu host-passthrough'],
  beware: 'Independent of the vIOMMU; both are needed.',
  sources: ['gh:bashtheshell/IOMMU-nested-pve', 'gh:srl-labs/vrnetlab#484'],
  rules: [],
};
