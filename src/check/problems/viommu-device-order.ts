import type { Verdict } from '../check.ts';
import { notApplicable, pass } from '../facts.ts';
import type { Problem } from '../problem.ts';
import { iommuOf, quote, type Vm } from '../vm.ts';

export const viommuDeviceOrder: Problem = {
  id: 'viommu-device-order',
  title: 'A vfio-pci device created before the vIOMMU stays outside it',
  category: 'viommu',
  severity: 'broken',
  at: 'L0',
  says: [],
  why: 'vfio-pci resolves its DMA address space when it is realised (emulated PCI devices do so only when the machine is complete). If the vIOMMU comes later on the command line, the assigned device keeps plain guest-physical memory while the guest believes it is translated: IOVAs are then used as guest-physical addresses.',
  see: [
    {
      read: 'plan / process arguments: position of intel-iommu, amd-iommu, virtio-iommu',
      when: 'any vfio-pci (or vhost-vdpa) before it',
      sure: 'certain',
    },
  ],
  fix: [
    'emit the vIOMMU as the first -device',
    'tools that append options (qm set --args) cannot do it - generate the line whole',
  ],
  beware: 'Proxmox users wrote their own launchers for this reason before viommu= existed.',
  sources: [
    'gh:bashtheshell/IOMMU-nested-pve',
    'gh:branpurn/separate-kvm-feasibility',
    'qemu:hw/vfio/pci.c (address space at realize), hw/pci/pci.c (machine_done)',
    'QEMU wiki Features/VT-d (as cited there)',
  ],
  rules: [{ about: 'vm', asks: 'Does the vIOMMU come before the devices that it is to translate?', run: judge }],
};

function judge(vm: Vm): Verdict {
  const iommu = iommuOf(vm);
  if (iommu === undefined) return notApplicable('it has no vIOMMU');
  const outside = vm.hostDevices.filter(({ at, bypasses }) => at < iommu.at && !bypasses).map(({ device }) => device);
  const vdpa = vm.devices.slice(0, Math.max(0, iommu.at)).filter(({ driver }) => driver.startsWith('vhost-vdpa-device'));
  const early = [...outside, ...vdpa];
  if (vm.hostDevices.length === 0 && early.length === 0) return notApplicable('it has no host devices', quote(vm, iommu.device));
  if (early.length === 0) return pass(`${iommu.device.driver} comes first`, quote(vm, iommu.device));
  return {
    is: 'fail',
    because: `${early.length === 1 ? 'a device of the host is' : `${early.length} devices of the host are`} made before ${iommu.device.driver}, and stay outside it: the guest believes ${early.length === 1 ? 'it' : 'them'} translated`,
    seen: [...early, iommu.device].map((device) => quote(vm, device)),
    fix: [`put -device ${iommu.device.driver} before every host device`],
  };
}
