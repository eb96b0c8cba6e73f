import type { Problem } from '../problem.ts';

export const lockdownBlocksPci: Problem = {
  id: 'lockdown-blocks-pci',
  title: 'Secure Boot lockdown forbids raw PCI access (setpci, sysfs resource mmap, config writes)',
  category: 'bind',
  severity: 'blocker',
  at: 'any',
  says: [
    {
      in: 'kernel',
      re: /Lockdown: [^:]+: (direct PCI access|raw io port access|\/dev\/mem,kmem,port|unsafe module parameters|debugfs access|unsigned module loading) is restricted/,
      example: 'Lockdown: python3: direct PCI access is restricted; see man kernel_lockdown.7',
      proof: 'src',
    },
  ],
  why: 'In integrity mode writes to config space and mmap of resourceN from user space fail with EPERM; out-of-tree modules need a signature.',
  see: [
    { read: '/sys/kernel/security/lockdown', when: '[integrity] or [confidentiality]', sure: 'certain' },
    { read: '/proc/sys/kernel/tainted and module signature of any out-of-tree PF driver', when: 'unsigned', sure: 'likely' },
  ],
  fix: [
    'do the same through VFIO (allowed)',
    'read debugfs from nothing: use other evidence in confidentiality mode',
    'sign the module',
  ],
  beware:
    'vfio-pci itself works under lockdown. Our own tool must not need setpci, /dev/mem or debugfs for a check to pass; mark such probes as unavailable, not as failed.',
  sources: [
    'gh:intel/pf-bb-config#1',
    'gh:Mellanox/rshim-user-space#72',
    'gh:NVIDIA/nvtrust#48',
    'gh:NVIDIA/gpu-admin-tools#12',
    'gh:linux-nvme/nvme-cli#2444',
    'linux:security/security.c lockdown_reasons',
  ],
  rules: [],
};
