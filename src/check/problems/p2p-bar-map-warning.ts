import type { Verdict } from '../check.ts';
import { notApplicable, pass } from '../facts.ts';
import type { Problem } from '../problem.ts';
import { quote, type Vm } from '../vm.ts';

export const p2pBarMapWarning: Problem = {
  id: 'p2p-bar-map-warning',
  title: 'QEMU warns that a BAR could not be mapped for DMA (peer to peer), the device works all the same',
  category: 'memory',
  severity: 'misread',
  at: 'L0',
  says: [
    {
      in: 'qemu',
      re: /IOMMU_IOAS_MAP failed: Bad address, PCI BAR\?/,
      example: 'warning: IOMMU_IOAS_MAP failed: Bad address, PCI BAR?',
      proof: 'src',
    },
    {
      in: 'qemu',
      re: /PCI peer-to-peer transactions on BARs are not supported/,
      example: '0000:01:00.0: PCI peer-to-peer transactions on BARs are not supported.',
      proof: 'src',
    },
    {
      in: 'qemu',
      re: /VFIO dma-buf not supported in kernel, using mmap fallback, P2P DMA will not work/,
      example: 'VFIO dma-buf not supported in kernel, using mmap fallback, P2P DMA will not work',
      proof: 'src',
    },
    {
      in: 'qemu',
      re: /vfio(_container)?_dma_map\([^)]{0,200}\) = -14 \(Bad address\)/,
      example: 'vfio_container_dma_map(0x55, 0x380000000000, 0x1000000, 0x7f) = -14 (Bad address)',
      proof: 'src',
    },
  ],
  why: "Mapping a peer's MMIO needs kernel support; without P2P nothing is lost.",
  see: [{ read: 'backend of the plan', when: 'iommufd and two or more assigned devices', sure: 'likely' }],
  fix: ['ignore unless GPUDirect-like P2P is wanted; then the legacy backend or a kernel with dma-buf for VFIO'],
  beware: 'The same errno on a RAM region is a real failure; look at the region name.',
  sources: [
    'qemu:docs/devel/vfio-iommufd.rst',
    'gh:cloud-hypervisor/cloud-hypervisor#7981',
    'gh:cloud-hypervisor/cloud-hypervisor#7030',
    'qemu-11.1.2',
  ],
  rules: [{ about: 'vm', asks: 'Will QEMU be silent about BARs that one device cannot reach of another?', run: judge }],
};

function judge(vm: Vm): Verdict {
  if (vm.hostDevices.length < 2) return notApplicable('it has fewer than two host devices');
  const seen = vm.hostDevices.map(({ device }) => quote(vm, device));
  const through = vm.hostDevices.filter(({ backend }) => backend === 'iommufd');
  if (through.length === 0) return pass('the container backend maps BARs for DMA as well', ...seen);
  return {
    is: 'fail',
    because: `${through.length} of ${vm.hostDevices.length} host devices are given through iommufd, which many kernels do not let map BARs: QEMU warns for each, and nothing but DMA from device to device is lost`,
    seen,
  };
}
