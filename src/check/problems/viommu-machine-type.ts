import type { Verdict } from '../check.ts';
import { notApplicable, pass } from '../facts.ts';
import type { Problem } from '../problem.ts';
import { iommuOf, quote, type Vm } from '../vm.ts';

export const viommuMachineType: Problem = {
  id: 'viommu-machine-type',
  title: 'intel-iommu on a machine that has no place for it (i440fx/pc, microvm)',
  category: 'viommu',
  severity: 'blocker',
  at: 'L0',
  says: [
    {
      in: 'qemu',
      re: /Parameter 'driver' expects a dynamic sysbus device type for the machine/,
      example: "-device intel-iommu: Parameter 'driver' expects a dynamic sysbus device type for the machine",
      proof: 'seen',
    },
    {
      in: 'qemu',
      re: /Machine-type '[^']+' not supported by IOMMU/,
      example: "Machine-type 'isapc' not supported by IOMMU",
      proof: 'src',
    },
    {
      in: 'qemu',
      re: /QEMU does not support multiple vIOMMUs for x86 yet/,
      example: 'QEMU does not support multiple vIOMMUs for x86 yet.',
      proof: 'seen',
    },
    {
      in: 'qemu',
      re: /virtio-iommu-pci must be plugged on the root bus/,
      example: 'virtio-iommu-pci must be plugged on the root bus',
      proof: 'seen',
    },
  ],
  why: 'The emulated VT-d belongs to q35; one vIOMMU per x86 machine; virtio-iommu-pci only on pcie.0.',
  see: [{ read: 'plan', when: 'machine is not q35, or two IOMMU devices, or virtio-iommu not on the root bus', sure: 'certain' }],
  fix: ['q35', 'one vIOMMU on pcie.0'],
  beware: 'Converting an installed guest from pc to q35 renames disks and NICs and may need driver changes.',
  sources: ['qemu-7.2, 10.0.13, 11.1.2 runs', 'openstack/nova:nova/virt/libvirt/driver.py'],
  rules: [{ about: 'vm', asks: 'Has its machine a place for its vIOMMU?', run: judge }],
};

/** Bridges with a bus below them: what is there is not on a root bus. */
const BRIDGES = /^(pcie-root-port|ioh3420|x3130-upstream|xio3130-downstream|pcie-pci-bridge|pci-bridge|i82801b11-bridge)$/;

function judge(vm: Vm): Verdict {
  const iommu = iommuOf(vm);
  if (iommu === undefined) return notApplicable('it has no vIOMMU');
  const machine = { where: vm.from, text: `-machine ${vm.machine}` };
  const seen = [machine, ...vm.iommus.map(({ device }) => quote(vm, device))];
  if (vm.arch === 'x86' && vm.iommus.length > 1)
    return { is: 'fail', because: `it has ${vm.iommus.length} vIOMMUs, and QEMU takes one`, seen };
  const { driver, bus } = iommu.device;
  if (iommu.kind === 'intel' || iommu.kind === 'amd') {
    if (/^(pc-)?q35\b/.test(vm.machine)) return pass(`${driver} belongs to ${vm.machine}`, ...seen);
    return {
      is: 'fail',
      because: `${driver} is a device of q35, and the machine is ${vm.machine || 'not named'}: QEMU does not start`,
      seen,
      fix: ['-machine q35'],
    };
  }
  if (iommu.kind === 'virtio') {
    const below = vm.devices.find(({ id, driver: above }) => id !== undefined && id === bus && BRIDGES.test(above));
    if (below !== undefined)
      return {
        is: 'fail',
        because: `${driver} is behind ${below.driver}, and must be on the root bus`,
        seen: [...seen, quote(vm, below)],
      };
    if (vm.machine.startsWith('microvm'))
      return { is: 'fail', because: 'microvm has no place for a vIOMMU', seen, fix: ['-machine q35'] };
  }
  return pass(`${driver} has its place on ${vm.machine || 'the machine'}`, ...seen);
}
