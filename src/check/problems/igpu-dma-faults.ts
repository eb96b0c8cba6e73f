import type { PciFunction } from '../../host/functions.ts';
import type { Picture } from '../../host/picture.ts';
import type { Verdict } from '../check.ts';
import { at, logFromBoot, logLines, notApplicable, pass, unknown } from '../facts.ts';
import type { Problem } from '../problem.ts';

export const igpuDmaFaults: Problem = {
  id: 'igpu-dma-faults',
  title: 'Turning the IOMMU on floods the log with DMA faults of the integrated GPU (or freezes the screen)',
  category: 'platform',
  severity: 'broken',
  at: 'L0',
  says: [
    {
      in: 'kernel',
      re: /DMAR: \[DMA (Read|Write)[^\]]*\] Request device \[(0x)?00:(0x)?02\.0\].*(PTE (Read|Write) access is not set|Next page table ptr is invalid|Present bit in (root|context) entry is clear)/,
      example:
        'DMAR: [DMA Read NO_PASID] Request device [0x00:0x02.0] fault addr 0x7c346000 [fault reason 0x06] PTE Read access is not set',
      proof: 'rep',
    },
  ],
  why: "The GPU still scans out firmware's framebuffer or stolen memory which is not mapped in its domain; old chips have errata.",
  see: [
    {
      read: '/proc/iomem reserved/stolen range near top of low RAM plus RMRR list',
      when: 'graphics stolen memory not covered by an RMRR of 00:02.0',
      sure: 'likely',
    },
    { read: 'dmesg', when: 'fault lines with source 00:02.0 before the graphics driver loads', sure: 'certain' },
  ],
  fix: [
    'intel_iommu=igfx_off or intel_iommu=on,igfx_off (host keeps the iGPU untranslated, then it cannot be assigned)',
    'iommu=pt',
    'firmware update',
  ],
  beware: 'With CONFIG_INTEL_IOMMU_DEFAULT_ON_INTGPU_OFF this is already the default, and then the iGPU has no group.',
  sources: [
    'gh:thesofproject/sof-test#744',
    'gh:Dasharo/dasharo-issues#641',
    'gh:strongtz/i915-sriov-dkms#286',
    'gh:patmagauran/i915ovmfPkg#16',
  ],
  rules: [{ about: 'function', asks: 'Is the integrated GPU free of DMA faults?', run: faultless }],
};

/** VT-d has it at this place in every processor. */
const INTEGRATED = '0000:00:02.0';
const FAULT = /DMAR: .*Request device \[(0x)?00:(0x)?02\.0\].*fault addr/;

function faultless(picture: Picture, found: PciFunction): Verdict {
  if (found.bdf !== INTEGRATED || found.vendor !== 0x8086 || found.class >>> 16 !== 0x03)
    return notApplicable('it is no integrated GPU of Intel');
  if (found.group === undefined)
    return pass('no unit translates for it, so no DMA of it is refused; it cannot be given away', {
      where: at(found, 'iommu_group'),
      text: 'absent',
    });
  const faults = logLines(picture, FAULT);
  if (faults === undefined) return unknown('DMA faults are in the kernel log, which could not be read: look as root');
  if (faults.count > 0)
    return {
      is: 'fail',
      because: `the log has ${faults.count} DMA faults of it; faults are rate limited, so there were more`,
      seen: faults.lines,
    };
  if (!logFromBoot(picture))
    return unknown('the log has no DMA fault of it, but begins after the boot: see journalctl -k -b', {
      where: 'kernel log',
      text: `${picture.log?.length} lines`,
    });
  return pass('no DMA of it was refused since this boot', {
    where: 'kernel log',
    text: `${picture.log?.length} lines, no fault`,
  });
}
