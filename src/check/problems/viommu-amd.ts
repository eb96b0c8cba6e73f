import type { Verdict } from '../check.ts';
import { notApplicable, pass, unknown } from '../facts.ts';
import type { Problem } from '../problem.ts';
import { iommuOf, quote, translated, type Vm } from '../vm.ts';

export const viommuAmd: Problem = {
  id: 'viommu-amd',
  title: 'The emulated AMD IOMMU does not support assigned devices (or only with dma-remap=on in new QEMU)',
  category: 'viommu',
  severity: 'blocker',
  at: 'L0',
  says: [
    {
      in: 'qemu',
      re: /device [0-9a-f.]+ requires iommu notifier which is not currently supported/,
      example: 'device 01.00.0 requires iommu notifier which is not currently supported',
      proof: 'src',
    },
  ],
  why: 'amd-iommu registered no map notifier for years. 11.1 has dma-remap= and xtsup=, but users report that hand-on to L2 still fails.',
  see: [{ read: 'plan: amd-iommu with a vfio device; property list', when: 'no dma-remap property', sure: 'certain' }],
  fix: [
    'use intel-iommu also on an AMD host (it is emulated, the host vendor does not matter)',
    'virtio-iommu when the guest kernel has the driver',
  ],
  beware: 'The guest kernel on an AMD vCPU needs CONFIG_INTEL_IOMMU; guides for "AMD" wrongly add amd_iommu=on to such a guest.',
  sources: [
    'gh:bashtheshell/IOMMU-nested-pve#3',
    'gh:branpurn/separate-kvm-feasibility (PR 2-4)',
    'qemu:hw/i386/amd_iommu.c',
    'qemu-11.1.2 -device amd-iommu,help',
    'gh:ROCm/amdgpu#25',
  ],
  rules: [{ about: 'vm', asks: 'Can its vIOMMU translate for devices of the host?', run: judge }],
};

function judge(vm: Vm): Verdict {
  const iommu = iommuOf(vm);
  if (iommu?.kind !== 'amd') return notApplicable('it has no amd-iommu');
  const seen = quote(vm, iommu.device);
  if (translated(vm).length === 0) return notApplicable('no host device is behind its amd-iommu', seen);
  const known = vm.qemu?.devices[iommu.device.driver];
  if (known !== undefined && !('dma-remap' in known))
    return {
      is: 'fail',
      because: 'amd-iommu of this QEMU has no dma-remap: it cannot follow the mappings of a host device, and QEMU refuses it',
      seen: [seen],
    };
  if (iommu.device.props['dma-remap'] !== 'on')
    return { is: 'fail', because: 'amd-iommu without dma-remap=on does not follow the mappings of a host device', seen: [seen] };
  if (known === undefined)
    return unknown('whether amd-iommu of the QEMU in use has dma-remap is in its help, which was not asked', seen);
  return pass('dma-remap=on, and this QEMU has it', seen);
}
