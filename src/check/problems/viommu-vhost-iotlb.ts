import type { Verdict } from '../check.ts';
import { notApplicable, pass } from '../facts.ts';
import type { Problem } from '../problem.ts';
import { iommuOf, quote, translated, type Vm, type VmDevice } from '../vm.ts';
import { readSettings } from '../vm-words.ts';

export const viommuVhostIotlb: Problem = {
  id: 'viommu-vhost-iotlb',
  title: 'vhost or snoop-control options do not go with the vIOMMU',
  category: 'viommu',
  severity: 'blocker',
  at: 'L0',
  says: [
    {
      in: 'qemu',
      re: /device [0-9a-f.]+ requires device IOTLB mode/,
      example: 'device 00.03.0 requires device IOTLB mode',
      proof: 'src',
    },
    {
      in: 'qemu',
      re: /Snoop Control with vhost or VFIO is not supported/,
      example: 'Snoop Control with vhost or VFIO is not supported',
      proof: 'src',
    },
    {
      in: 'qemu',
      re: /iommu_platform=true is not supported by the device/,
      example: 'iommu_platform=true is not supported by the device',
      proof: 'src',
    },
  ],
  why: 'A virtio device behind the vIOMMU needs iommu_platform=on (and ats=on with device-iotlb=on for vhost); without iommu_platform it bypasses translation.',
  see: [
    {
      read: 'plan',
      when: 'vIOMMU and virtio-*-pci without iommu_platform=on,disable-legacy=on; vhost without device-iotlb=on,ats=on',
      sure: 'likely',
    },
  ],
  fix: ['iommu_platform=on,disable-legacy=on,ats=on and device-iotlb=on', 'or bypass_iommu=on on its bus'],
  beware: 'Leaving it out is not an error message but a silent bypass; report the device as unprotected.',
  sources: ['qemu:hw/i386/intel_iommu.c', 'gh:autotest/tp-qemu#2850', 'qemu-11.1.2'],
  rules: [{ about: 'vm', asks: 'Do its virtio devices and the vIOMMU go together?', run: judge }],
};

function judge(vm: Vm): Verdict {
  const iommu = iommuOf(vm);
  if (iommu === undefined) return notApplicable('it has no vIOMMU');
  const { props } = iommu.device;
  const own = quote(vm, iommu.device);
  if (props['snoop-control'] === 'on' && translated(vm).length > 0)
    return {
      is: 'fail',
      because: 'snoop-control=on does not go with devices of the host: QEMU does not start',
      seen: [own],
      fix: ['leave snoop-control out'],
    };
  const virtio = vm.devices.filter(({ driver }) => /^virtio-(?!iommu).*-pci/.test(driver));
  const behind = virtio.filter(({ props: { iommu_platform: platform } }) => platform === 'on');
  const vhost = behind.filter((device) => usesVhost(vm, device));
  const without = vhost.filter(
    ({ props: { ats } }) => ats !== 'on' || (iommu.kind === 'intel' && props['device-iotlb'] !== 'on'),
  );
  if (without.length > 0)
    return {
      is: 'fail',
      because: `${without.map(({ id, driver }) => id ?? driver).join(', ')} with vhost is behind the vIOMMU, and that needs ats=on of the device and device-iotlb=on of the vIOMMU`,
      seen: [own, ...without.map((device) => quote(vm, device))],
    };
  const outside = virtio.length - behind.length;
  return pass(
    outside === 0
      ? 'no virtio device goes past it'
      : `${outside} of ${virtio.length} virtio devices go past the vIOMMU, for iommu_platform=on is not given: nothing protects the guest from them, which are QEMU itself`,
    own,
    ...behind.map((device) => quote(vm, device)),
  );
}

/** Whether the kernel, or another process, does the work of a virtio device. */
function usesVhost({ options }: Vm, { driver, props }: VmDevice): boolean {
  if (driver.startsWith('vhost-')) return true;
  return (options.netdev ?? [])
    .map((text) => readSettings(text, 'type'))
    .some(({ id, type, vhost }) => id !== undefined && id === props.netdev && (vhost === 'on' || type === 'vhost-user'));
}
