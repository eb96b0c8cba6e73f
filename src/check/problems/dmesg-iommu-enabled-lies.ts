import type { Picture } from '../../host/picture.ts';
import type { Verdict } from '../check.ts';
import { counted, logLines, notApplicable, pass, unknown } from '../facts.ts';
import { iommuState } from '../iommu-state.ts';
import type { Problem } from '../problem.ts';

export const dmesgIommuEnabledLies: Problem = {
  id: 'dmesg-iommu-enabled-lies',
  title: 'The line "DMAR: IOMMU enabled" is taken as proof that the IOMMU works',
  category: 'platform',
  severity: 'misread',
  at: 'any',
  says: [
    { in: 'kernel', re: /DMAR: IOMMU enabled$/, example: '[    0.065453] DMAR: IOMMU enabled', proof: 'seen', marker: true },
  ],
  why: 'It is printed while the option intel_iommu=on is parsed, before any hardware is looked at. It appears on AMD machines and on machines with no DMAR table when the option is given.',
  see: [{ read: 'dmesg', when: 'the line is present but /sys/class/iommu is empty', sure: 'certain' }],
  fix: [
    'accept only: /sys/class/iommu/*/devices not empty AND {d}/iommu_group present for the device',
    'the later line "Intel(R) Virtualization Technology for Directed I/O" is the end of a successful initialisation',
  ],
  beware: 'Likewise "DMAR-IR: Enabled IRQ remapping" proves interrupt remapping only.',
  sources: [
    'gh:NVIDIA/kubevirt-gpu-device-plugin#45 (AMD machine printing it)',
    'linux:drivers/iommu/intel/iommu.c intel_iommu_setup()',
  ],
  rules: [{ about: 'host', asks: 'Does the boot log speak of an IOMMU that does not work?', run: believable }],
};

function believable(picture: Picture): Verdict {
  const { units, groups, system } = picture;
  const state = iommuState(picture);
  if (state.is === 'unread') return unknown(`the IOMMU groups could not be read: ${state.because}`);
  if (state.is === 'on')
    return pass(`the IOMMU works, whatever the log says: functions are in ${counted(groups.length, 'group')}`, {
      where: '/sys/kernel/iommu_groups',
      text: `${groups.length} groups`,
    });
  const said = logLines(picture, /DMAR: IOMMU enabled$/);
  if (said === undefined) return unknown('the kernel log could not be read: look as root');
  if (said.count === 0) return notApplicable('the line "DMAR: IOMMU enabled" is not in the log');
  return {
    is: 'fail',
    because: `the log says "DMAR: IOMMU enabled", which the kernel prints when it meets intel_iommu=on on the command line; there are no groups, and ${counted(units.length, 'unit')}`,
    seen: [
      ...said.lines,
      { where: '/proc/cmdline', text: system.cmdline },
      { where: '/sys/class/iommu', text: units.map(({ name }) => name).join(', ') || 'empty' },
    ],
  };
}
