import type { Picture } from '../../host/picture.ts';
import type { Verdict } from '../check.ts';
import { counted, listed, pass, unknown, withheld } from '../facts.ts';
import type { Problem } from '../problem.ts';

export const noiommuMode: Problem = {
  id: 'noiommu-mode',
  title: 'VFIO runs in no-IOMMU mode - it works for DPDK, gives no isolation and cannot back a VM',
  category: 'bind',
  severity: 'risk',
  at: 'any',
  says: [
    {
      in: 'kernel',
      re: /vfio-noiommu device opened by user/,
      example: 'vfio-pci 0000:00:05.0: vfio-noiommu device opened by user (vpp:2211)',
      proof: 'src',
    },
    {
      in: 'kernel',
      re: /Adding kernel taint for vfio-noiommu group/,
      example: 'vfio-pci 0000:00:05.0: Adding kernel taint for vfio-noiommu group on device',
      proof: 'src',
    },
  ],
  why: 'enable_unsafe_noiommu_mode=1 hands out bus-master devices without translation; the usual crutch in VMs that got no vIOMMU.',
  see: [
    { read: '/sys/module/vfio/parameters/enable_unsafe_noiommu_mode', when: 'Y', sure: 'certain' },
    { read: '/dev/vfio/noiommu-*', when: 'exists', sure: 'certain' },
    { read: '/proc/sys/kernel/tainted bit 6 (U)', when: 'set after use', sure: 'hint' },
  ],
  fix: ['give the guest a vIOMMU (see nested-no-viommu)', 'if it must stay: one trusted tenant, documented'],
  beware:
    'QEMU cannot use it (no MAP_DMA) and iommufd does not offer it. Kernels may be built without CONFIG_VFIO_NOIOMMU (Debian amd64 6.1 is).',
  sources: [
    'gh:k8snetworkplumbingwg/sriov-network-device-plugin#272',
    'gh:kata-containers/kata-containers#12684',
    'k8snetworkplumbingwg/sriov-network-operator:doc/testing-virtual-machine.md',
    'ios-xr/xrd-tools:scripts/host-check check_iommu',
    'linux:drivers/vfio/vfio_main.c',
  ],
  rules: [{ about: 'host', asks: 'Does VFIO insist on an IOMMU?', run: insists }],
};

const PARAMETER = '/sys/module/vfio/parameters/enable_unsafe_noiommu_mode';

function insists(picture: Picture): Verdict {
  const nodes = (picture.folders['/dev/vfio'] ?? []).filter((name) => name.startsWith('noiommu-'));
  const value = picture.parameters.vfio?.enable_unsafe_noiommu_mode;
  const seen = [
    { where: PARAMETER, text: value ?? 'absent' },
    { where: '/dev/vfio', text: nodes.join(' ') || 'no noiommu node' },
  ];
  if (nodes.length > 0)
    return {
      is: 'fail',
      because: `${counted(nodes.length, 'group')} of VFIO without an IOMMU (${listed(nodes)}): whoever opens one reaches all memory, and QEMU cannot use it`,
      seen,
    };
  if (value === 'Y')
    return { is: 'fail', because: 'enable_unsafe_noiommu_mode is Y: devices without a group are handed out untranslated', seen };
  const why = withheld(picture, PARAMETER) ?? withheld(picture, '/dev/vfio');
  if (why !== undefined) return unknown(`the mode could not be read: ${why}`, ...seen);
  return pass(
    value === undefined
      ? 'vfio is not loaded, or was built without that mode'
      : 'enable_unsafe_noiommu_mode is N, and there is no such group',
    ...seen,
  );
}
