import type { Picture } from '../../host/picture.ts';
import type { Verdict } from '../check.ts';
import { bootWords } from '../cmdline.ts';
import { counted, listed, logFromBoot, logLines, notApplicable, pass, unknown } from '../facts.ts';
import { comparedGroups } from '../groups.ts';
import { configOf } from '../index-of.ts';
import type { Problem } from '../problem.ts';

export const acsOverrideActive: Problem = {
  id: 'acs-override-active',
  title: 'Groups look separate only because of the out-of-tree pcie_acs_override option',
  category: 'group',
  severity: 'risk',
  at: 'L0',
  says: [
    {
      in: 'kernel',
      re: /Warning: PCIe ACS overrides enabled/,
      example: 'Warning: PCIe ACS overrides enabled; This may allow non-IOMMU protected peer-to-peer DMA',
      proof: 'rep',
    },
  ],
  why: "The patch makes the kernel pretend isolation. Peer-to-peer writes still bypass the IOMMU and can hit another VM's or the host's device.",
  see: [
    { read: '/proc/cmdline', when: 'has pcie_acs_override=', sure: 'certain' },
    {
      read: 'computed groups (from ACS) vs {g}',
      when: "the kernel's groups are finer than the computed ones and no quirk explains it",
      sure: 'likely',
    },
  ],
  fix: ['show both group sets side by side and mark the difference as unprotected', 'move the card'],
  beware: 'On a mainline kernel the option is ignored; on such a machine users believe it works.',
  sources: ['gh:lf-edge/eve#5969', 'gh:lf-edge/eve#1685', 'gh:coreos/coreos-overlay#3393', 'gh:truenas/linux#173'],
  rules: [{ about: 'host', asks: 'Does the hardware isolate as finely as the groups say?', run: isolated }],
};

function isolated(picture: Picture): Verdict {
  const option = bootWords(picture.system.cmdline).find(({ name }) => name === 'pcie_acs_override');
  const said = logLines(picture, /PCIe ACS overrides enabled/);
  if (picture.groups.length === 0) return notApplicable('there are no groups');
  const { comparison, unknown: open } = comparedGroups(picture);
  const finer = comparison.differences.filter(({ kernel }) => kernel === 'finer');
  const seen = [
    ...(option === undefined ? [] : [{ where: '/proc/cmdline', text: option.text }]),
    ...(said?.lines ?? []),
    ...finer.slice(0, 8).map(({ functions, groups }) => ({
      where: '/sys/kernel/iommu_groups',
      text: `${listed(functions)}: groups ${listed(groups.map(String))}`,
    })),
  ];
  const told = finer.filter(({ reason }) => reason !== 'quirk unknown to us').map(({ says }) => says);
  if (told.length > 0) return { is: 'fail', because: listed(told, 3), seen };
  if ((said?.count ?? 0) > 0)
    return {
      is: 'fail',
      because: `the kernel believes in ACS that is not there (${option?.text ?? 'its log says so'}): groups may look separate and not be`,
      seen,
    };
  const [first] = finer;
  if (first !== undefined) return unknown(first.says, ...seen);
  // Bridges and functions of which only the header was read could have been computed otherwise.
  if (open.size > 0) {
    const short = picture.functions.filter((found) => (configOf(found)?.length ?? 0) < 4096).length;
    return unknown(
      `what isolates ${counted(open.size, 'function')} could not be computed: ${[...open.values()][0]?.[0] ?? ''}${short > 0 && picture.system.uid !== 0 ? ': look as root' : ''}`,
      ...seen,
    );
  }
  if (option !== undefined)
    return pass(
      logFromBoot(picture)
        ? `${option.text} is on the command line, and this kernel without the patch ignores it: the groups are those of the hardware`
        : `${option.text} is on the command line, and the groups are those of the hardware all the same`,
      ...seen,
    );
  return pass(
    `the ${counted(picture.groups.length, 'group')} ${picture.groups.length === 1 ? 'is' : 'are'} what the hardware leads to, or coarser`,
    {
      where: '/sys/kernel/iommu_groups',
      text: `${picture.groups.length} groups`,
    },
  );
}
