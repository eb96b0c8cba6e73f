import type { Verdict } from '../check.ts';
import { notApplicable, pass, unknown } from '../facts.ts';
import type { Problem } from '../problem.ts';
import { firstStageAsked, iommuOf, quote, translated, type Vm } from '../vm.ts';

export const viommuCachingMode: Problem = {
  id: 'viommu-caching-mode',
  title: 'intel-iommu without caching-mode=on cannot track mappings for an assigned device',
  category: 'viommu',
  severity: 'blocker',
  at: 'L0',
  says: [
    {
      in: 'qemu',
      re: /We need to set caching-mode=on for intel-iommu to enable device assignment with IOMMU protection/,
      example: 'We need to set caching-mode=on for intel-iommu to enable device assignment with IOMMU protection.',
      proof: 'src',
    },
    {
      in: 'qemu',
      re: /Device assignment is not allowed without enabling caching-mode=on for Intel IOMMU/,
      example: 'Device assignment is not allowed without enabling caching-mode=on for Intel IOMMU.',
      proof: 'src',
    },
    {
      in: 'qemu',
      re: /device [0-9a-f]{2}\.[0-9a-f]{2}\.[0-9a-f] requires caching mode/,
      example: 'device 01.00.0 requires caching mode',
      proof: 'src',
    },
    {
      in: 'libvirt',
      re: /(refuse|need|require|without|must|missing).{0,80}\bcaching[-_]mode\b/,
      example: 'hostdev requires caching_mode on the intel iommu device',
      proof: 'rep',
    },
  ],
  why: 'Hardware caches no not-present entries, so a guest need not invalidate when it adds a mapping. CM=1 obliges it to, which is the only moment at which QEMU can update the shadow.',
  see: [
    {
      read: 'plan: intel-iommu with a vfio/vhost-vdpa device',
      when: 'caching-mode not on and first-stage nested mode not used',
      sure: 'certain',
    },
    { read: 'guest cap bit 7', when: '0', sure: 'certain' },
  ],
  fix: ['caching-mode=on'],
  beware:
    'libvirt refuses the XML with its own message; hot-plug into a VM started without it fails at plug time. With fsts=on + iommufd (QEMU 11) stage 1 is walked by hardware; QEMU 11.1 still demands caching-mode for the stage-2 fallback - verify on the version in use.',
  sources: [
    'gh:karmab/kcli#458',
    'gh:lf-edge/eve#1204',
    'gh:autotest/tp-libvirt#5412',
    'gh:autotest/tp-qemu#2850',
    'qemu:hw/i386/intel_iommu.c',
    'qemu-11.1.2 strings',
  ],
  rules: [{ about: 'vm', asks: 'Can the vIOMMU follow what the guest maps for host devices?', run: judge }],
};

function judge(vm: Vm): Verdict {
  const iommu = iommuOf(vm);
  if (iommu?.kind !== 'intel') return notApplicable('it has no intel-iommu');
  const devices = translated(vm);
  const seen = [quote(vm, iommu.device), ...devices.map(({ device }) => quote(vm, device))];
  if (devices.length === 0) return notApplicable('no host device is behind its intel-iommu', ...seen);
  if (iommu.device.props['caching-mode'] === 'on')
    return pass('caching-mode=on: the guest tells each mapping that it adds', ...seen);
  const nested = firstStageAsked(iommu);
  if (nested !== undefined)
    return unknown(
      `${nested}=on lets hardware walk the tables of the guest; QEMU 11.1 demands caching-mode=on all the same, for when it cannot`,
      ...seen,
    );
  return {
    is: 'fail',
    because: `caching-mode is off: the guest does not tell mappings that it adds, and QEMU refuses ${devices.length === 1 ? 'the host device' : `the ${devices.length} host devices`}`,
    seen,
  };
}
