import type { PciFunction } from '../../host/functions.ts';
import { groupNumbered, type Picture } from '../../host/picture.ts';
import type { Verdict } from '../check.ts';
import { isUntrusted } from '../domain.ts';
import { at, notApplicable, ofEndpoints, pass } from '../facts.ts';
import { indexOf } from '../index-of.ts';
import type { Problem } from '../problem.ts';

export const untrustedDevice: Problem = {
  id: 'untrusted-device',
  title: 'The device is marked untrusted (external port), so the kernel bounces its DMA and refuses ATS',
  category: 'platform',
  severity: 'slow',
  at: 'L0',
  says: [
    {
      in: 'kernel',
      re: /Intel-IOMMU force enabled due to platform opt in/,
      example: 'DMAR: Intel-IOMMU force enabled due to platform opt in',
      proof: 'src',
      marker: true,
    },
    {
      in: 'kernel',
      re: /on untrusted PCI link/,
      example: 'pci 0000:00:02.0: Skipping IOMMU quirk for dev [8086:9A49] on untrusted PCI link',
      proof: 'src',
    },
  ],
  why: 'DMAR flag DMA_CTRL_PLATFORM_OPT_IN plus an external-facing port (ACPI ExternalFacingPort) turns the IOMMU on and translated even without intel_iommu=on and even with iommu=pt.',
  see: [
    { read: 'DMAR header flags bit 2', when: '1', sure: 'certain' },
    { read: '{g}/type of an external device', when: 'DMA or DMA-FQ although pt is the default', sure: 'certain' },
  ],
  fix: ['nothing for VFIO use', 'host drivers that pin user memory need care'],
  beware: 'This explains "my IOMMU is on though I never set it".',
  sources: [
    'gh:tenstorrent/tt-kmd#195',
    'gh:fwupd/fwupd#5314',
    'gh:thesofproject/sof-test#744',
    'linux:drivers/iommu/intel/iommu.c platform_optin_force_iommu',
  ],
  rules: [
    { about: 'function', asks: 'Does the kernel take it for a device that a stranger plugged in?', run: ofEndpoints(trusted) },
  ],
};

function trusted(picture: Picture, found: PciFunction): Verdict {
  const seen = [{ where: at(found, 'removable'), text: found.removable ?? 'absent' }];
  if (!isUntrusted(found)) return pass('it is not behind a port that leads out of the machine', ...seen);
  const group = found.group === undefined ? undefined : groupNumbered(picture, found.group);
  if (group === undefined) return notApplicable('it is behind a port that leads outside, and no unit translates for it', ...seen);
  if (group.type !== undefined) seen.push({ where: `/sys/kernel/iommu_groups/${group.number}/type`, text: group.type });
  if (indexOf(picture).dmar?.DMA_CTRL_PLATFORM_OPT_IN_FLAG)
    seen.push({ where: '/sys/firmware/acpi/tables/DMAR Flags', text: 'DMA_CTRL_PLATFORM_OPT_IN_FLAG=1' });
  return {
    is: 'fail',
    because: `it is behind a port that leads out of the machine: host drivers get it translated${group.type === undefined ? '' : ` (${group.type})`} whatever iommu=pt says, with bounce buffers and without ATS`,
    seen,
  };
}
