import type { PciFunction } from '../../host/functions.ts';
import type { Picture } from '../../host/picture.ts';
import type { Verdict } from '../check.ts';
import { at, notApplicable, ofEndpoints, pass } from '../facts.ts';
import { modprobeLines, takenById } from '../modprobe.ts';
import type { Problem } from '../problem.ts';
import { isVfioDriver } from '../rules/group-viable.ts';

export const hostDriverFirst: Problem = {
  id: 'host-driver-first',
  title: 'The host driver takes the device during boot before vfio-pci does',
  category: 'bind',
  severity: 'broken',
  at: 'L0',
  says: [
    {
      in: 'kernel',
      re: /Unbinding .* failed|Attempting to remove device .* with non-zero usage count/,
      example: 'NVRM: Attempting to remove device 0000:01:00.0 with non-zero usage count!',
      proof: 'mem',
    },
    {
      in: 'libvirt',
      re: /[Uu]nmanaged PCI device [0-9a-f:.]+ must be manually detached from the host/,
      example: 'unsupported configuration: Unmanaged PCI device 0000:01:00.0 must be manually detached from the host',
      proof: 'rep',
    },
    {
      in: 'dpdk',
      re: /not managed by VFIO driver, skipping/,
      example: 'EAL: 0000:01:00.0 not managed by VFIO driver, skipping',
      proof: 'rep',
    },
    {
      in: 'dpdk',
      re: /Requested device [0-9a-f:.]+ cannot be used/,
      example: 'EAL: Requested device 0000:01:00.0 cannot be used',
      proof: 'rep',
    },
  ],
  why: 'Early userspace loads the GPU/NVMe driver; vfio-pci is a module loaded later. Unbinding a live GPU or NVMe can hang.',
  see: [
    {
      read: '{d}/driver and the initramfs content list',
      when: 'driver is not vfio-pci and vfio-pci is absent from the initramfs',
      sure: 'likely',
    },
    { read: '/etc/modprobe.d for softdep', when: 'no softdep of the host driver on vfio-pci', sure: 'hint' },
  ],
  fix: [
    'softdep <driver> pre: vfio-pci plus vfio-pci.ids, rebuild the initramfs',
    'driver_override from initramfs for one of two equal cards',
    'unbind at run time only when the device is idle',
  ],
  beware:
    'Never unbind the driver of the disk with the root file system or of the NIC that carries the session; see host-critical-device.',
  sources: [
    'gh:bryansteiner/gpu-passthrough-tutorial#39',
    'gh:NVIDIA/kubevirt-gpu-device-plugin#45',
    'proxmox/pve-docs:qm-pci-passthrough.adoc',
  ],
  rules: [{ about: 'function', asks: 'Did vfio-pci get the function that it is meant for?', run: ofEndpoints(taken) }],
};

function taken(picture: Picture, found: PciFunction): Verdict {
  const { driver, driverOverride } = found;
  const meant =
    driverOverride !== undefined && isVfioDriver(driverOverride)
      ? { where: at(found, 'driver_override'), text: driverOverride }
      : takenById(picture, found);
  if (meant === undefined) return notApplicable('nothing says that it is meant for vfio-pci');
  const has = { where: at(found, 'driver'), text: driver ?? 'absent' };
  if (driver !== undefined && isVfioDriver(driver)) return pass(`${driver} has it`, meant, has);
  if (driver === undefined)
    return {
      is: 'fail',
      because: 'it is meant for vfio-pci, and no driver has it: the module was not there, or refused',
      seen: [meant, has],
      fix: [
        `modprobe vfio-pci; echo ${found.bdf} > /sys/bus/pci/drivers_probe, and look at its driver: the write succeeds either way`,
      ],
    };
  const softdep = modprobeLines(picture).find(
    ({ command, module, rest }) =>
      command === 'softdep' &&
      module === driver.replaceAll('-', '_') &&
      rest.some((word) => word.replaceAll('-', '_') === 'vfio_pci'),
  );
  return {
    is: 'fail',
    because: `it is meant for vfio-pci, and ${driver} has it${softdep === undefined ? `: no softdep makes ${driver} wait` : ', although a softdep makes it wait: it may be built in, or the initramfs is older'}`,
    seen: [meant, has, ...(softdep === undefined ? [] : [softdep.seen])],
    fix: [
      ...(softdep === undefined
        ? [`softdep ${driver} pre: vfio-pci in /etc/modprobe.d, and rebuild the initramfs`]
        : ['rebuild the initramfs']),
      'driver_override from the initramfs, for one of two equal cards',
      'unbind it at run time, when it is idle and the host does not need it',
    ],
  };
}
