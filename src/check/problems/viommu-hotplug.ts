import type { Verdict } from '../check.ts';
import { notApplicable, pass } from '../facts.ts';
import type { Problem } from '../problem.ts';
import { quote, type Vm } from '../vm.ts';

export const viommuHotplug: Problem = {
  id: 'viommu-hotplug',
  title: "A device cannot be hot-plugged - no free root port, or the vIOMMU's topology is fixed",
  category: 'viommu',
  severity: 'blocker',
  at: 'L0',
  says: [
    { in: 'libvirt', re: /No more available PCI slots/, example: 'internal error: No more available PCI slots', proof: 'rep' },
    {
      in: 'qemu',
      re: /Bus 'pcie\.0' does not support hotplugging/,
      example: "Bus 'pcie.0' does not support hotplugging",
      proof: 'src',
    },
  ],
  why: 'pcie.0 takes no hot-plug; each root port takes one device; VIOT/IORT describe fixed endpoints, so a device added later may lie outside virtio-iommu.',
  see: [{ read: 'VM topology: empty pcie-root-ports with large enough windows', when: 'none', sure: 'certain' }],
  fix: ['add spare root ports at start (with pref64-reserve for GPUs)', 'cold-plug for confidential guests'],
  beware: 'Devices hot-plugged behind pcie-pci-bridge all share one guest group.',
  sources: [
    'gh:cloud-hypervisor/cloud-hypervisor#911',
    'gh:cloud-hypervisor/cloud-hypervisor#3205',
    'gh:autotest/tp-libvirt#3231',
    'gh:kata-containers/runtime#2890',
    'gh:kata-containers/kata-containers#2899',
    'gh:kata-containers/kata-containers#6699',
  ],
  rules: [{ about: 'vm', asks: 'Could a device be added while it runs?', run: judge }],
};

function judge(vm: Vm): Verdict {
  const machine = { where: vm.from, text: `-machine ${vm.machine}` };
  if (!/^(pc-)?q35\b/.test(vm.machine)) return notApplicable('only on q35 does it depend on spare ports', machine);
  const used = new Set(vm.devices.flatMap(({ bus }) => bus ?? []));
  const ports = vm.devices.filter(
    ({ driver, id }) => /^(pcie-root-port|ioh3420|xio3130-downstream)$/.test(driver) && id !== undefined,
  );
  const spare = ports.filter(({ id }) => id !== undefined && !used.has(id));
  if (spare.length > 0)
    return pass(`${spare.length} of ${ports.length} root ports are empty`, machine, ...spare.map((port) => quote(vm, port)));
  return {
    is: 'unknown',
    because: `${ports.length === 0 ? 'it has no root port' : `none of its ${ports.length} root ports is empty`}, and pcie.0 takes no device while it runs: nobody said whether one is to be added`,
    seen: [machine],
  };
}
