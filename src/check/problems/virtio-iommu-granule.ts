import type { Picture } from '../../host/picture.ts';
import type { Verdict } from '../check.ts';
import { configPath, kernelConfig, notApplicable, pass, unknown } from '../facts.ts';
import type { Problem } from '../problem.ts';
import { iommuOf, quote, translated, type Vm } from '../vm.ts';

export const virtioIommuGranule: Problem = {
  id: 'virtio-iommu-granule',
  title: 'virtio-iommu page granule does not fit the host or was frozen too early',
  category: 'viommu',
  severity: 'blocker',
  at: 'L0',
  says: [
    {
      in: 'qemu',
      re: /virtio-iommu reports a page size mask 0x[0-9a-f]+ incompatible with currently supported mask/,
      example:
        'virtio-iommu reports a page size mask 0xfffffffffffff000 incompatible with currently supported mask 0xffffffffffff0000',
      proof: 'src',
    },
    {
      in: 'qemu',
      re: /virtio-iommu does not support frozen granule/,
      example: 'virtio-iommu does not support frozen granule 0x1000',
      proof: 'src',
    },
    {
      in: 'qemu',
      re: /Virtio-iommu does not support dev-iotlb yet/,
      example: 'Virtio-iommu does not support dev-iotlb yet',
      proof: 'src',
    },
  ],
  why: 'Host page size (64 KiB on some Arm) or a hot-plugged device with another page-size mask.',
  see: [{ read: 'host page size and VFIO pgsizes bitmap', when: 'smallest supported page > guest granule', sure: 'certain' }],
  fix: ['granule=host (default in new QEMU)', 'cold-plug the device'],
  beware: 'x86 is normally unaffected.',
  sources: ['qemu:hw/virtio/virtio-iommu.c', 'gh:cloud-hypervisor/cloud-hypervisor#5292'],
  rules: [{ about: 'vm', asks: 'Does the page size of its virtio-iommu fit the host?', run: judge }],
};

const BIG_PAGES = ['CONFIG_ARM64_64K_PAGES', 'CONFIG_ARM64_16K_PAGES'] as const;

function judge(vm: Vm, picture: Picture): Verdict {
  const iommu = iommuOf(vm);
  if (iommu?.kind !== 'virtio') return notApplicable('it has no virtio-iommu');
  const seen = quote(vm, iommu.device);
  if (translated(vm).length === 0) return notApplicable('no host device is behind it', seen);
  if (vm.arch === 'x86') return pass('pages of x86 have 4 KiB, which is the least it uses', seen);
  const granule = iommu.device.props.granule;
  if (granule === 'host') return pass('granule=host', seen);
  const big = BIG_PAGES.find((option) => kernelConfig(picture, option) === 'y');
  if (big === undefined) return unknown('the page size of this host is not known here', seen);
  const config = { where: configPath(picture.system.kernel), text: `${big}=y` };
  if (granule === undefined)
    return unknown('older QEMUs use 4 KiB unless told granule=host, and this host has larger pages', seen, config);
  const [size, least] = [Number.parseInt(granule, 10), big.includes('64K') ? 64 : 16];
  if (size >= least) return pass(`granule=${granule} is no smaller than a page of the host`, seen, config);
  return { is: 'fail', because: `granule=${granule} is smaller than a page of the host, ${least} KiB`, seen: [seen, config] };
}
