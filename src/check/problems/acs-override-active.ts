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
  rules: [],
};
