import type { Picture } from '../../host/picture.ts';
import type { Verdict } from '../check.ts';
import { notApplicable } from '../facts.ts';
import { iommuState } from '../iommu-state.ts';
import type { Problem } from '../problem.ts';
import { iommuOn } from '../rules/iommu-on.ts';

export const l1KernelIommuOff: Problem = {
  id: 'l1-kernel-iommu-off',
  title: 'The vIOMMU is there but the guest kernel did not enable it',
  category: 'viommu',
  severity: 'blocker',
  at: 'L1',
  says: [
    {
      in: 'guest',
      re: /DMAR-IR: Enabled IRQ remapping in (x2apic|xapic) mode/,
      example: 'DMAR-IR: Enabled IRQ remapping in x2apic mode',
      proof: 'seen',
      marker: true,
    },
  ],
  why: 'Same as on bare metal - build default off, or intel_iommu=on missing in L1. Interrupt remapping alone may be on.',
  see: [{ read: 'guest ACPI DMAR present and /sys/kernel/iommu_groups', when: 'empty', sure: 'certain' }],
  fix: ['intel_iommu=on in the guest'],
  beware: 'A check on the host side cannot see it; verify must run in the guest (agent or serial).',
  sources: ['gh:bashtheshell/IOMMU-nested-pve', 'gh:os-autoinst/os-autoinst-distri-opensuse#21509'],
  rules: [{ about: 'host', asks: 'Does the kernel of this guest drive the vIOMMU that it was given?', run: judge }],
};

function judge(picture: Picture): Verdict {
  if (!picture.system.guest) return notApplicable('this machine is no guest');
  const state = iommuState(picture);
  if (state.is === 'no-table') return notApplicable('this guest was given no vIOMMU');
  if (state.is === 'no-driver') return notApplicable('its vIOMMU is a virtio-iommu');
  const verdict = iommuOn.run(picture, '');
  // Without the table nobody can tell a kernel that is off from a guest that was given nothing.
  return state.is === 'hidden' ? { ...verdict, is: 'unknown' } : verdict;
}
