import type { Verdict } from '../check.ts';
import { notApplicable, pass, unknown } from '../facts.ts';
import type { Problem } from '../problem.ts';
import type { Vm, VmDevice } from '../vm.ts';

export const viommuOptionRenamed: Problem = {
  id: 'viommu-option-renamed',
  title: 'The vIOMMU option of a guide does not exist in this QEMU',
  category: 'viommu',
  severity: 'blocker',
  at: 'L0',
  says: [
    {
      in: 'qemu',
      re: /Property '(intel|amd|virtio)-iommu[a-z-]*\.[a-z0-9-]+' not found/,
      example: "Property 'intel-iommu.x-flts' not found",
      proof: 'seen',
    },
  ],
  why: '7.2 and 10.0: x-scalable-mode (10.0 also x-flts, x-pasid-mode, pt, dma-drain). 11.1: scalable-mode, fsts, pasid-bits, svm; x-flts, x-scalable-mode, pt, dma-drain are gone.',
  see: [
    {
      read: 'output of "qemu-system-x86_64 -device intel-iommu,help" or QMP device-list-properties',
      when: 'a property of the plan is absent',
      sure: 'certain',
    },
  ],
  fix: ['generate options from the property list of the installed binary', 'keep a rename table'],
  beware: 'Never derive it from the version number alone; distributions backport.',
  sources: ['qemu-7.2, 10.0.13, 11.1.2 runs', 'qemu:docs/devel/vfio-iommufd.rst (says flts and scalable-mode)'],
  rules: [{ about: 'vm', asks: 'Has the installed QEMU every option that it uses?', run: judge }],
};

/** Names of one property in different versions, and properties that went away. */
const RENAMED: readonly (readonly string[])[] = [
  ['x-scalable-mode', 'scalable-mode'],
  ['x-flts', 'flts', 'fsts'],
  ['x-pasid-mode', 'pasid-bits'],
];

function judge({ devices, iommus, qemu, from }: Vm): Verdict {
  if (qemu === undefined)
    return iommus.length === 0 ? notApplicable('it has no vIOMMU') : unknown('the installed QEMU was not asked for its options');
  const asked = devices.filter(({ driver }) => driver in qemu.devices || driver in qemu.absent);
  const missing = asked.flatMap((device) => lacking(device, qemu.devices[device.driver]));
  const version = { where: 'qemu-system-x86_64 -device help', text: qemu.version };
  if (missing.length > 0)
    return {
      is: 'fail',
      because: missing.map(({ says }) => says).join('; '),
      seen: [version, ...new Set(missing.map(({ device }) => device))].map((one) =>
        'where' in one ? one : { where: from, text: one.text },
      ),
      fix: missing.map(({ fix }) => fix),
    };
  const unasked = iommus.filter(({ at, device }) => at >= 0 && !asked.includes(device));
  if (unasked.length > 0)
    return unknown(
      `the installed QEMU was not asked what ${unasked.map(({ device }) => device.driver).join(', ')} takes`,
      version,
    );
  return pass(`${asked.length} devices and their properties are in the help of this QEMU`, version);
}

function lacking(
  device: VmDevice,
  known: Readonly<Record<string, unknown>> | undefined,
): { device: VmDevice; says: string; fix: string }[] {
  const { driver, props } = device;
  if (known === undefined) return [{ device, says: `this QEMU has no ${driver}`, fix: `use a QEMU that has ${driver}` }];
  return Object.keys(props)
    .filter((name) => !(name.split('.')[0]! in known) && !(name in known))
    .map((name) => {
      const other = RENAMED.find((names) => names.includes(name))?.find((one) => one in known);
      return {
        device,
        says: `${driver} of this QEMU has no ${name}`,
        fix: other === undefined ? `leave ${name} out` : `${other}= in place of ${name}=`,
      };
    });
}
