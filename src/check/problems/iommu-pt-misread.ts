import type { Picture } from '../../host/picture.ts';
import type { Evidence, Verdict } from '../check.ts';
import { bootWords, defaultDomainOption } from '../cmdline.ts';
import { notApplicable, pass, unknown } from '../facts.ts';
import { iommuState } from '../iommu-state.ts';
import type { Problem } from '../problem.ts';
import { registersOf } from '../units.ts';

export const iommuPtMisread: Problem = {
  id: 'iommu-pt-misread',
  title: 'iommu=pt is believed to turn the IOMMU off, to be needed for passthrough, or to speed the VM up',
  category: 'platform',
  severity: 'misread',
  at: 'any',
  says: [
    {
      in: 'kernel',
      re: /iommu: Default domain type: (Passthrough|Translated)/,
      example: 'iommu: Default domain type: Passthrough (set via kernel command line)',
      proof: 'seen',
      marker: true,
    },
  ],
  why: 'It only selects the DEFAULT domain type for devices that a host driver uses (identity). The unit stays on, interrupt remapping stays on, and a device opened through VFIO is moved to its own translated domain either way.',
  see: [
    {
      read: '{g}/type',
      when: 'identity for host devices = pt in effect; a group owned by VFIO keeps reporting its DEFAULT type, not what VFIO attached',
      sure: 'certain',
    },
    {
      read: '/sys/class/iommu/dmar*/intel-iommu/ecap bit 6',
      when: '0: no hardware pass-through, Linux builds an identity map in page tables instead',
      sure: 'certain',
    },
  ],
  fix: [
    'host throughput matters and host devices are trusted: iommu=pt',
    'want host-side DMA protection too: leave it out; iommu.strict=1 for the strongest',
    'do not present it as a requirement',
  ],
  beware:
    'amd_iommu=on and intel_iommu=pt are not options (the kernel prints: Unknown option). iommu=pt forbids AMD SEV-SNP (see snp-needs-translation). In a guest it decides whether the vIOMMU has to shadow at all (see viommu-map-cost).',
  sources: [
    'gh:snabbco/snabb#455',
    'gh:kata-containers/kata-containers#4333',
    'proxmox/pve-docs:qm-pci-passthrough.adoc (describes it wrongly as a VM matter)',
    'linux:drivers/iommu/iommu.c',
    'spec:VT-d ECAP.PT, context entry TT=10b, PASID entry PGTT=100b',
  ],
  rules: [{ about: 'host', asks: 'Do the boot options that ask for pass-through do what is believed of them?', run: inEffect }],
};

/** Words that guides give and that the kernel answers with "Unknown option". */
const NO_OPTIONS: Readonly<Record<string, readonly string[]>> = { intel_iommu: ['pt'], amd_iommu: ['pt', 'on'] };

function inEffect(picture: Picture): Verdict {
  const { system, groups, units } = picture;
  const cmdline = { where: '/proc/cmdline', text: system.cmdline };
  const said = defaultDomainOption(system.cmdline);
  const useless = bootWords(system.cmdline).flatMap(({ name, value }) =>
    value.split(',').flatMap((part) => (NO_OPTIONS[name]?.includes(part) ? `${name}=${part}` : [])),
  );
  if (useless.length > 0)
    return {
      is: 'fail',
      because: `${useless.join(' and ')} ${useless.length === 1 ? 'is no option' : 'are no options'} of the kernel and ${useless.length === 1 ? 'does' : 'do'} nothing`,
      seen: [cmdline],
      fix: [`remove ${useless.join(' and ')}`, 'where host devices are trusted and their throughput matters: iommu=pt'],
    };
  if (!said?.identity)
    return notApplicable(
      'no boot option asks for pass-through; VFIO needs none: it gives each guest a domain of its own',
      cmdline,
    );
  const state = iommuState(picture);
  if (state.is === 'unread') return unknown(`the IOMMU groups could not be read: ${state.because}`, cmdline);
  if (state.is !== 'on')
    return {
      is: 'fail',
      because: `${said.option} turns no unit on, and the kernel drives none: there is nothing for it to act on`,
      seen: [cmdline, { where: '/sys/class/iommu', text: units.map(({ name }) => name).join(', ') || 'empty' }],
      fix: [`turn the IOMMU on; ${said.option} is not needed for passthrough`],
    };
  const types = groups.flatMap(({ type }) => type ?? []);
  if (types.length === 0) return unknown('the types of the groups could not be read', cmdline);
  const identity = types.filter((type) => type === 'identity').length;
  const read: Evidence = { where: '/sys/kernel/iommu_groups/*/type', text: countOf(types) };
  if (identity > 0)
    return pass(
      `host devices of ${identity} of ${types.length} groups reach memory untranslated; a function that VFIO opens is translated all the same, while its group goes on to show this default`,
      cmdline,
      read,
    );
  const unable = units.filter((unit) => registersOf(unit)?.ecap.PT === 0);
  return {
    is: 'fail',
    because: `${said.option} has no effect: none of ${types.length} groups has an identity domain${unable.length === 0 ? '' : `, because ECAP_REG.PT of ${unable.map(({ name }) => name).join(', ')} is 0`}`,
    seen: [
      cmdline,
      read,
      ...unable.map(({ name, ecap = '' }) => ({ where: `/sys/class/iommu/${name}/intel-iommu/ecap`, text: ecap })),
    ],
    fix: [`remove ${said.option}: nothing here depends on it`],
  };
}

/** `DMA 8, identity 2` */
function countOf(types: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const type of types) counts.set(type, (counts.get(type) ?? 0) + 1);
  return [...counts].map(([type, count]) => `${type} ${count}`).join(', ');
}
