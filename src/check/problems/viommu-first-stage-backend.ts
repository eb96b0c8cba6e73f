import type { Picture } from '../../host/picture.ts';
import type { Verdict } from '../check.ts';
import { optionValues } from '../cmdline.ts';
import { notApplicable, pass, unknown } from '../facts.ts';
import type { Problem } from '../problem.ts';
import { unitsBefore } from '../viommu.ts';
import { FIRST_STAGE, firstStageAsked, iommuOf, quote, translated, type Vm } from '../vm.ts';

export const viommuFirstStageBackend: Problem = {
  id: 'viommu-first-stage-backend',
  title: 'Nested (two-stage) translation asked for, but the device or host cannot do it',
  category: 'viommu',
  severity: 'blocker',
  at: 'L0',
  says: [
    {
      in: 'qemu',
      re: /Need IOMMUFD backend when (x-flts|flts|fsts)=on/,
      example: 'Failed to set vIOMMU: Need IOMMUFD backend when fsts=on',
      proof: 'src',
    },
    {
      in: 'qemu',
      re: /host device is uncompatible with stage-1 translation|host IOMMU is incompatible with guest first stage translation/,
      example: 'host device is uncompatible with stage-1 translation',
      proof: 'src',
    },
    {
      in: 'qemu',
      re: /(x-flts|flts|fsts) is only available in scalable mode/,
      example: 'fsts is only available in scalable mode',
      proof: 'seen',
    },
    {
      in: 'qemu',
      re: /First stage 1GB large page is unsupported by host IOMMU/,
      example: 'First stage 1GB large page is unsupported by host IOMMU',
      proof: 'src',
    },
    {
      in: 'qemu',
      re: /Incompatible host platform IOMMU type \d+/,
      example: 'Incompatible host platform IOMMU type 2',
      proof: 'src',
    },
    {
      in: 'qemu',
      re: /Need to set (scalable mode for PASID|dma_drain for scalable mode|fsts for svm)/,
      example: 'Need to set scalable mode for PASID',
      proof: 'seen',
    },
  ],
  why: 'Requires all of: host ECAP.SMTS, NEST, FSTS; CAP.FS1GP unless fs1gp=off; scalable mode on in the host kernel; iommufd backend; device not behind a conventional bridge; QEMU new enough (10.0 always refuses, 11.x does it); guest kernel with sm_on.',
  see: [
    { read: 'host ecap bits 26 NEST, 43 SMTS, 47 FSTS; cap bit 56 FS1GP', when: 'any needed one is 0', sure: 'certain' },
    {
      read: 'IOMMU_GET_HW_INFO (type INTEL_VTD, errata flag 772415)',
      when: 'type differs, or errata set (Sapphire Rapids: sm_off guests unsupported)',
      sure: 'certain',
    },
    { read: '/dev/iommu and QEMU property list', when: 'missing', sure: 'certain' },
  ],
  fix: ['fall back to caching-mode shadowing and say what it costs', 'newer QEMU/kernel', 'iommufd backend'],
  beware:
    'caching-mode (shadow) works for nested assignment without any of this; two-stage hardware is an optimisation, not a requirement - many answers state the contrary.',
  sources: [
    'qemu:hw/i386/intel_iommu_accel.c (upstream)',
    'qemu:docs/devel/vfio-iommufd.rst',
    'qemu-10.0.13 and 11.1.2 runs',
    'gh:deepin-community/kernel#1933',
  ],
  rules: [{ about: 'vm', asks: 'Can host and QEMU do the two stages that are asked for?', run: judge }],
};

function judge(vm: Vm, picture: Picture): Verdict {
  const iommu = iommuOf(vm);
  const asked = iommu === undefined ? undefined : firstStageAsked(iommu);
  if (iommu === undefined || asked === undefined) return notApplicable('nobody asks for a first stage of the guest');
  const devices = translated(vm);
  const seen = [quote(vm, iommu.device)];
  if (devices.length === 0) return notApplicable('no host device is behind its vIOMMU', ...seen);
  const against: string[] = [];
  const known = vm.qemu?.devices[iommu.device.driver];
  const newest = known === undefined ? undefined : FIRST_STAGE.findLast((name) => name in known);
  if (newest === 'x-flts') against.push('this QEMU has x-flts, which refuses every host device');
  else if (known !== undefined && newest === undefined) against.push('this QEMU knows no first stage');
  for (const { bdf, backend, bridge, device } of devices) {
    const name = bdf ?? device.id ?? device.driver;
    if (backend !== 'iommufd') against.push(`${name} is not given through iommufd`);
    if (bridge !== undefined) against.push(`${name} is behind a conventional bridge`);
  }
  for (const { name, lacks, cap, ecap } of unitsBefore(picture, devices)) {
    seen.push({ where: `/sys/class/iommu/${name}`, text: `cap ${cap}, ecap ${ecap}` });
    const needed = lacks.filter((bit) => bit !== 'CAP_REG.FS1GP' || iommu.device.props.fs1gp !== 'off');
    if (needed.length > 0) against.push(`${needed.join(' and ')} of ${name} ${needed.length === 1 ? 'is' : 'are'} 0`);
  }
  const scalable = optionValues(picture.system.cmdline, 'intel_iommu').findLast((value) => /^sm_(on|off)$/.test(value));
  if (scalable === 'sm_off') against.push('intel_iommu=sm_off is on the command line of this host');
  seen.push({ where: '/proc/cmdline', text: picture.system.cmdline });
  if (against.length > 0) return { is: 'fail', because: against.join('; '), seen };
  if (known === undefined) return unknown('the installed QEMU was not asked for its options', ...seen);
  if (seen.length === 2) return unknown('no VT-d unit that could be read is before its devices', ...seen);
  return pass(
    'nothing that can be read stands against it; what only IOMMU_GET_HW_INFO tells, such as erratum 772415, was not asked',
    ...seen,
  );
}
