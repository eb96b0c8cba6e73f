import type { Picture } from '../../host/picture.ts';
import type { Verdict } from '../check.ts';
import { configPath, kernelConfig, pass, unknown, withheld } from '../facts.ts';
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
  rules: [{ about: 'host', asks: 'May root write to configuration space and map BARs?', run: open }],
};

const LOCKDOWN = '/sys/kernel/security/lockdown';

function open(picture: Picture): Verdict {
  const text = picture.texts[LOCKDOWN]?.trim();
  if (text === undefined) {
    if (kernelConfig(picture, 'CONFIG_SECURITY_LOCKDOWN_LSM') === 'n')
      return pass('the kernel was built without lockdown', {
        where: configPath(picture.system.kernel),
        text: 'CONFIG_SECURITY_LOCKDOWN_LSM is not set',
      });
    const why = withheld(picture, LOCKDOWN);
    return unknown(
      why === undefined
        ? `${LOCKDOWN} is not there: mount securityfs, or look outside of this container`
        : `${LOCKDOWN} could not be read: ${why}`,
    );
  }
  const level = /\[(\w+)\]/.exec(text)?.[1];
  const seen = { where: LOCKDOWN, text };
  if (level === undefined) return unknown('the level of lockdown could not be told', seen);
  if (level === 'none') return pass('the kernel is not locked down', seen);
  return {
    is: 'fail',
    because: `lockdown is at ${level}: tools that write configuration space or map BARs past the drivers are refused, as are modules without a signature${level === 'confidentiality' ? ', and debugfs cannot be read' : ''}; vfio-pci works all the same`,
    seen: [seen],
  };
}
