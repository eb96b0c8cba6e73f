import type { Picture } from '../../host/picture.ts';
import type { Verdict } from '../check.ts';
import { defaultDomainOption, iommuOffOption } from '../cmdline.ts';
import { logLines, notApplicable, pass, unknown } from '../facts.ts';
import { iommuState } from '../iommu-state.ts';
import type { Problem } from '../problem.ts';

export const snpNeedsTranslation: Problem = {
  id: 'snp-needs-translation',
  title: 'SEV-SNP is refused because the host IOMMU is off or in pass-through',
  category: 'confidential',
  severity: 'blocker',
  at: 'L0',
  says: [
    {
      in: 'kernel',
      re: /SNP: IOMMU is (either )?disabled or configured in passthrough mode/,
      example: 'AMD-Vi: SNP: IOMMU is disabled or configured in passthrough mode, SNP cannot be supported',
      proof: 'src',
    },
    {
      in: 'kernel',
      re: /SEV-SNP: IOMMU is either disabled or configured in passthrough mode/,
      example: 'AMD-Vi: SEV-SNP: IOMMU is either disabled or configured in passthrough mode.',
      proof: 'rep',
    },
    {
      in: 'kernel',
      re: /Memory encryption detected - Disabling default IOMMU Passthrough/,
      example: 'iommu: Memory encryption detected - Disabling default IOMMU Passthrough',
      proof: 'src',
    },
  ],
  why: 'The RMP check of DMA needs translated domains.',
  see: [{ read: '/proc/cmdline', when: 'iommu=pt or amd_iommu=off while SNP is wanted', sure: 'certain' }],
  fix: ['iommu=nopt or no option'],
  beware: 'Contradicts the advice "always iommu=pt".',
  sources: ['gh:AMDESE/AMDSEV#88', 'linux:drivers/iommu/amd/init.c'],
  rules: [{ about: 'host', asks: 'Does the IOMMU translate, as SEV-SNP demands?', run: translates }],
};

function translates(picture: Picture): Verdict {
  const { texts, system, parameters, groups } = picture;
  const said = logLines(picture, /SNP: IOMMU is (either )?disabled or configured in passthrough mode/);
  if (said !== undefined && said.count > 0)
    return { is: 'fail', because: 'the kernel left SEV-SNP off: the IOMMU is off or passes through', seen: said.lines };
  const cpuinfo = texts['/proc/cpuinfo'];
  if (cpuinfo === undefined) return unknown('what the processor can was not read');
  const flag = /^flags\s*:.*\bsev_snp\b/m.test(cpuinfo);
  const wanted = parameters.kvm_amd?.sev_snp === 'Y';
  if (!flag && !wanted) return notApplicable('the processor shows no SEV-SNP');
  const seen = [
    { where: '/proc/cpuinfo', text: flag ? 'sev_snp' : 'no sev_snp' },
    ...(wanted ? [{ where: '/sys/module/kvm_amd/parameters/sev_snp', text: 'Y' }] : []),
    { where: '/proc/cmdline', text: system.cmdline },
  ];
  const state = iommuState(picture);
  const domain = defaultDomainOption(system.cmdline);
  const identity = groups.filter(({ type }) => type === 'identity').length;
  if (state.is === 'unread') return unknown(`the IOMMU groups could not be read: ${state.because}`, ...seen);
  if (state.is === 'on' && domain?.identity !== true) return pass('the IOMMU is on, and translates by default', ...seen);
  const off = iommuOffOption(system.cmdline);
  return {
    is: 'fail',
    because:
      state.is === 'on'
        ? `${domain?.option} makes pass-through the default (${identity} of ${groups.length} groups): guests with SEV-SNP are refused, others are not`
        : `no unit translates${off === undefined ? '' : ` (${off})`}: guests with SEV-SNP are refused`,
    seen,
    fix:
      state.is === 'on' ? [`remove ${domain?.option}, or iommu=nopt`] : [off === undefined ? 'turn AMD-Vi on' : `remove ${off}`],
  };
}
