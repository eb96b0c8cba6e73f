import type { Picture } from '../../host/picture.ts';
import type { Verdict } from '../check.ts';
import { notApplicable, pass } from '../facts.ts';
import { iommuState } from '../iommu-state.ts';
import type { Problem } from '../problem.ts';
import { iommuOn } from '../rules/iommu-on.ts';
import { iommuOf, quote, type Vm } from '../vm.ts';

export const nestedNoViommu: Problem = {
  id: 'nested-no-viommu',
  title: 'No IOMMU groups inside the guest, so nothing can be assigned on (or given to DPDK through vfio-pci)',
  category: 'viommu',
  severity: 'blocker',
  at: 'L1',
  says: [
    {
      in: 'qemu',
      re: /vfio [0-9a-f:.]+: no iommu_group found/,
      example: 'vfio 0000:00:04.0: no iommu_group found: No such file or directory',
      proof: 'seen',
    },
    {
      in: 'libvirt',
      re: /No IOMMU detected/,
      example: 'No IOMMU detected, please activate it.See Documentation for further information.',
      proof: 'rep',
    },
    {
      in: 'guest',
      re: /The kernel module vfio-pci cannot be used, as IOMMU is not enabled/,
      example: 'The kernel module vfio-pci cannot be used, as IOMMU is not enabled.',
      proof: 'src',
    },
  ],
  why: "The host's IOMMU protects the host from the guest and is invisible to it. A guest needs its own (virtual) IOMMU to isolate a device from ITSELF, i.e. to hand it to a user-space driver (XRd vRouter's DPDK) or to an L2 guest.",
  see: [
    { read: 'in the guest: /sys/class/iommu, ACPI DMAR/IVRS/VIOT', when: 'none', sure: 'certain' },
    {
      read: 'on the host: QEMU arguments / QMP query of the VM',
      when: 'no intel-iommu, amd-iommu, virtio-iommu or smmuv3 device',
      sure: 'certain',
    },
  ],
  fix: [
    'add -M q35,kernel-irqchip=split -device intel-iommu,intremap=on,caching-mode=on before all vfio devices',
    'libvirt <iommu model="intel"><driver intremap="on" caching_mode="on"/></iommu> with <ioapic driver="qemu"/>',
    'Proxmox machine: q35,viommu=intel; Incus security.iommu=true; Nova hw:viommu_model',
    'otherwise the guest must use igb_uio, a kernel PMD or no-IOMMU mode',
  ],
  beware:
    'Adding intel_iommu=on in the guest without the device changes nothing except the misleading line "IOMMU enabled". Hyper-V DDA and most clouds offer no vIOMMU. KubeVirt has no API for it on x86 (sidecar hooks are used), OpenNebula has it as an open request.',
  sources: [
    'gh:bashtheshell/IOMMU-nested-pve',
    'gh:Justsenger/ExHyperV#62',
    'gh:k8snetworkplumbingwg/sriov-network-device-plugin#272',
    'gh:OpenNebula/one#7611',
    'gh:lxc/incus#1643',
    'gh:srl-labs/vrnetlab#484',
    'ios-xr/xrd-tools:scripts/host-check',
  ],
  rules: [
    { about: 'vm', asks: 'Does it see an IOMMU, as a guest must that assigns devices on?', run: judge },
    { about: 'host', asks: 'Was this guest given an IOMMU?', run: inGuest },
  ],
};

function judge(vm: Vm): Verdict {
  const iommu = iommuOf(vm);
  if (iommu !== undefined) return pass('it has a vIOMMU', quote(vm, iommu.device));
  const seen = { where: vm.from, text: 'no intel-iommu, amd-iommu, virtio-iommu or smmuv3' };
  if (vm.assignsOn !== true)
    return notApplicable(
      vm.assignsOn === false ? 'it assigns no devices on' : 'it has no vIOMMU, and nobody said that it assigns devices on',
      seen,
    );
  return { is: 'fail', because: 'it is to assign devices on and has no vIOMMU: it will have no IOMMU groups', seen: [seen] };
}

function inGuest(picture: Picture): Verdict {
  if (!picture.system.guest) return notApplicable('this machine is no guest');
  const verdict = iommuOn.run(picture, '');
  const { is } = iommuState(picture);
  return is === 'kernel-off' || is === 'no-driver' || is === 'no-group'
    ? { is: 'pass', because: 'this guest was given a vIOMMU, which its kernel does not drive', seen: verdict.seen }
    : is === 'hidden'
      ? { ...verdict, is: 'unknown' }
      : verdict;
}
