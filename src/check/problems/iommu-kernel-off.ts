import type { Picture } from '../../host/picture.ts';
import type { Evidence, Verdict } from '../check.ts';
import { optionValues } from '../cmdline.ts';
import { configPath, counted, kernelConfig, logLines, notApplicable, pass, remappedChips, unknown } from '../facts.ts';
import { GROUPS, type IommuState, iommuState, TABLES } from '../iommu-state.ts';
import type { Problem } from '../problem.ts';

export const iommuKernelOff: Problem = {
  id: 'iommu-kernel-off',
  title: 'The DMAR table is there but Linux did not turn DMA remapping on',
  category: 'platform',
  severity: 'blocker',
  at: 'any',
  says: [
    { in: 'kernel', re: /DMAR: IOMMU disabled/, example: 'DMAR: IOMMU disabled', proof: 'src' },
    {
      in: 'kernel',
      re: /vfio-pci: probe of [0-9a-f:.]+ failed with error -22|vfio-pci [0-9a-f:.]+: probe with driver vfio-pci failed with error -22/,
      example: 'vfio-pci: probe of 0000:01:00.0 failed with error -22',
      proof: 'rep',
    },
    {
      in: 'dpdk',
      re: /Cannot bind to driver vfio-pci|Cannot use IOVA as 'VA' mode/,
      example: 'Error: bind failed for 0000:01:00.0 - Cannot bind to driver vfio-pci: [Errno 22] Invalid argument',
      proof: 'rep',
    },
  ],
  why: 'CONFIG_INTEL_IOMMU_DEFAULT_ON is a build choice. Where it is off, intel_iommu=on is needed. Interrupt remapping is enabled independently, so DMAR and DMAR-IR lines appear while no group exists.',
  see: [
    { read: '/sys/firmware/acpi/tables/DMAR exists; /sys/kernel/iommu_groups', when: 'no subdirectory', sure: 'certain' },
    {
      read: '/proc/cmdline',
      when: 'has intel_iommu=off, amd_iommu=off, iommu=off, or lacks intel_iommu=on while the kernel config has CONFIG_INTEL_IOMMU_DEFAULT_OFF=y',
      sure: 'certain',
    },
    {
      read: '/boot/config-$(uname -r) or /proc/config.gz',
      when: 'CONFIG_INTEL_IOMMU / CONFIG_AMD_IOMMU not set',
      sure: 'certain',
    },
  ],
  fix: [
    'add intel_iommu=on (AMD needs nothing) through the boot loader in use, reboot',
    'confirm with /sys/class/iommu/*/devices, never with grep of dmesg alone',
  ],
  beware:
    'Distributions differ (Debian 6.1 builds DEFAULT_ON_INTGPU_OFF, i.e. on, but integrated graphics excluded). Editing one boot loader while another one boots is the usual reason that the option "does not work"; compare with /proc/cmdline.',
  sources: [
    'gh:strongtz/i915-sriov-dkms#339',
    'gh:ipaqmaster/vfio#2',
    'gh:clearcontainers/runtime#810',
    'gh:containers/virtcontainers#413',
    'linux:drivers/iommu/intel/iommu.c',
    'debian:/boot/config-6.1.0-56-amd64',
  ],
  rules: [{ about: 'host', asks: 'Does the kernel drive the units that firmware gives?', run: driven }],
};

function driven(picture: Picture): Verdict {
  const { units, groups } = picture;
  const state = iommuState(picture);
  const read = [
    { where: '/sys/class/iommu', text: units.map(({ name }) => name).join(', ') || 'empty' },
    { where: GROUPS, text: `${groups.length} groups` },
  ];
  switch (state.is) {
    case 'on':
      return pass(
        `the kernel drives ${counted(units.length, 'unit')}, and functions are in ${counted(groups.length, 'group')}`,
        ...read,
      );
    case 'unread':
      return unknown(`the IOMMU groups could not be read: ${state.because}`);
    case 'hidden':
      return {
        ...unknown('no unit is driven, and whether firmware gives one could not be read: look as root'),
        seen: [...read, ...state.tables.map(({ what, because }) => ({ where: what, text: because }))],
      };
    case 'no-group':
    case 'no-driver':
    case 'no-table':
      return notApplicable('no unit of a DMAR or IVRS table is there to be turned on', ...read);
    case 'kernel-off':
      return off(picture, state, read);
    default:
      return state satisfies never;
  }
}

function off(picture: Picture, state: Extract<IommuState, { is: 'kernel-off' }>, read: Evidence[]): Verdict {
  const { because, fix, seen } = cause(picture, state.table, state.option);
  // Interrupts are remapped whatever becomes of DMA: the boot log then speaks of DMAR though no group exists.
  const chips = remappedChips(picture);
  const remapped = chips?.is ? '; that interrupts are remapped is a matter of its own' : '';
  return {
    is: 'fail',
    because: `firmware gives the table ${state.table}, and the kernel drives no unit: ${because}${remapped}`,
    seen: [
      ...read,
      { where: `${TABLES}/${state.table}`, text: state.unreadable ?? 'there' },
      { where: '/proc/cmdline', text: picture.system.cmdline },
      ...seen,
      ...(chips?.is ? [chips.seen] : []),
    ],
    fix,
  };
}

function cause(
  picture: Picture,
  table: 'DMAR' | 'IVRS',
  option: string | undefined,
): { because: string; fix: string[]; seen: Evidence[] } {
  if (option !== undefined) return { because: `${option} is on the command line`, fix: [`boot without ${option}`], seen: [] };
  const [driver, wanted] = table === 'DMAR' ? ['CONFIG_INTEL_IOMMU', 'intel_iommu'] : ['CONFIG_AMD_IOMMU', 'amd_iommu'];
  const config = (name: string): Evidence => ({
    where: configPath(picture.system.kernel),
    text: `${name}=${kernelConfig(picture, name)}`,
  });
  if (kernelConfig(picture, driver) === 'n')
    return { because: `it was built without ${driver}`, fix: [`boot a kernel with ${driver}`], seen: [config(driver)] };
  const on = table === 'IVRS' || optionValues(picture.system.cmdline, wanted).some((value) => value.startsWith('on'));
  if (on) {
    const said = logLines(picture, table === 'DMAR' ? /^DMAR: / : /^AMD-Vi: /, 8);
    return {
      because: 'no option keeps it from that, so it gave up while booting',
      fix: [`look for ${table === 'DMAR' ? 'DMAR' : 'AMD-Vi'} in the boot log`, 'firmware update'],
      seen: said?.lines ?? [],
    };
  }
  const byDefault = kernelConfig(picture, 'CONFIG_INTEL_IOMMU_DEFAULT_ON');
  const confirm = 'confirm with /sys/class/iommu/*/devices, not with the boot log';
  return {
    because:
      byDefault === 'n'
        ? 'it was built to leave VT-d off, and intel_iommu=on is not on the command line'
        : 'intel_iommu=on is not on the command line, and not every kernel turns VT-d on without it',
    fix: ['boot with intel_iommu=on', confirm],
    seen: byDefault === undefined ? [] : [config('CONFIG_INTEL_IOMMU_DEFAULT_ON')],
  };
}
