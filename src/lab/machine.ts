import { join } from 'node:path';
import { LabError } from './errors.ts';
import { SHARE } from './init-scripts.ts';
import type { RunFolder } from './run-folder.ts';
import type { Lab } from './store.ts';

/** Which SR-IOV devices L1 has. */
export type Devices = 'igb+nvme' | 'nvme';

/** Descriptors that QEMU inherits: one socket pair each. */
export const FD = { console: 3, control: 4, stdout: 5, stderr: 6, terminal: 7 } as const;

/** SR-IOV of the emulated NVMe controller: four VFs that share eight queue pairs and four interrupts. Each is a property of `-device nvme`. */
const NVME: Record<string, number> = {
  sriov_max_vfs: 4,
  sriov_vq_flexible: 8,
  sriov_vi_flexible: 4,
  max_ioqpairs: 10,
  msix_qsize: 10,
};

/**
 * Arguments of the QEMU that is L1: q35 under software emulation with emulated SVM, VT-d with interrupt remapping and caching mode,
 * an igb at 01:00.0, an NVMe controller at 02:00.0, this machine's file system read-only and a run folder.
 * 2 GiB: with 3 the mailbox of an igb VF failed. `no_timer_check`: under load the timer test of the kernel gave up.
 * `mitigations=off`: a tenth faster, and nothing here is about speculation.
 * @throws LabError naming a device or property that this QEMU lacks
 */
export function machineArguments(lab: Lab, run: RunFolder, devices: Devices, terminal: boolean): string[] {
  const { abilities } = lab;
  const has = (device: string, properties: readonly string[]) => {
    const known = abilities.devices[device];
    if (known === undefined)
      throw new LabError(
        `${abilities.version} has no device ${device}${device === 'igb' ? ': this flavour boots with the NVMe device alone' : ''}`,
      );
    const missing = properties.filter((name) => !known.includes(name));
    if (missing.length > 0) throw new LabError(`device ${device} of ${abilities.version} has no ${missing.join(', ')}`);
  };
  has('intel-iommu', ['intremap', 'caching-mode', 'device-iotlb']);
  has('nvme', Object.keys(NVME));
  if (devices === 'igb+nvme') has('igb', []);

  const port = (id: string, fd: number, name: string) => [
    '-chardev',
    `socket,id=${id},fd=${fd}`,
    '-device',
    `virtserialport,bus=ports.0,chardev=${id},name=${name}`,
  ];
  return [
    ...['-accel', 'tcg', '-M', 'q35,kernel-irqchip=split', '-cpu', 'EPYC,+svm,+npt', '-smp', '1', '-m', '2048'],
    ...['-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none', '-monitor', 'none'],
    ...['-kernel', join(lab.folder, lab.kernel), '-initrd', join(lab.folder, lab.initrd)],
    ...['-append', 'console=ttyS0 panic=-1 no_timer_check mitigations=off intel_iommu=on'],
    ...['-device', 'intel-iommu,intremap=on,caching-mode=on,device-iotlb=on'],
    ...['-chardev', `socket,id=console,fd=${FD.console},logfile=${run.console}`, '-serial', 'chardev:console'],
    ...['-device', 'pcie-root-port,id=rp1,chassis=1,slot=1,addr=1'],
    ...(devices === 'igb+nvme'
      ? ['-netdev', 'hubport,id=net,hubid=0', '-device', 'igb,netdev=net,mac=52:54:00:aa:00:01,bus=rp1']
      : []),
    ...['-device', 'pcie-root-port,id=rp2,chassis=2,slot=2,addr=2', '-device', 'nvme-subsys,id=subsys'],
    ...[
      '-device',
      `nvme,id=nvme,serial=SLUICE-LAB,subsys=subsys,bus=rp2,${Object.entries(NVME)
        .map(([name, value]) => `${name}=${value}`)
        .join(',')}`,
    ],
    ...['-drive', `file=${run.disk},if=none,id=disk,format=raw`, '-device', 'nvme-ns,drive=disk,bus=nvme,shared=on'],
    ...[
      '-fsdev',
      'local,id=root,path=/,security_model=none,readonly=on,multidevs=remap',
      '-device',
      'virtio-9p-pci,fsdev=root,mount_tag=root,addr=10',
    ],
    ...[
      '-fsdev',
      `local,id=run,path=${run.share},security_model=none`,
      '-device',
      'virtio-9p-pci,fsdev=run,mount_tag=run,addr=11',
    ],
    ...['-device', 'virtio-serial-pci,id=ports,addr=12'],
    ...port('control', FD.control, 'sluice.control'),
    ...port('stdout', FD.stdout, 'sluice.stdout'),
    ...port('stderr', FD.stderr, 'sluice.stderr'),
    ...(terminal
      ? ['-chardev', `socket,id=terminal,fd=${FD.terminal}`, '-device', 'virtconsole,bus=ports.0,chardev=terminal']
      : []),
  ];
}

const SYSTEM_PATH = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/**
 * The environment of a command in L1: a root shell's, and where the guest's kernel and initramfs are.
 * @param path PATH of this process: what the user runs here is found there, behind the lab's own programs
 */
export function jobEnvironment(
  lab: Lab,
  more: Readonly<Record<string, string>>,
  path: string = process.env.PATH ?? '',
): Record<string, string> {
  const at = (relative: string) => join(lab.folder, relative);
  return {
    HOME: '/run/home',
    USER: 'root',
    LOGNAME: 'root',
    SHELL: '/bin/sh',
    LANG: 'C.UTF-8',
    PATH: [...new Set([at(lab.bin), ...path.split(':').filter((folder) => folder.startsWith('/')), ...SYSTEM_PATH])].join(':'),
    SLUICE_LAB_BIN: at(lab.bin),
    SLUICE_LAB_MODULES: at(lab.modules),
    SLUICE_LAB_KERNEL: at(lab.guestKernel),
    SLUICE_LAB_INITRD: at(lab.guestInitrd),
    SLUICE_LAB_SHARE: SHARE,
    ...more,
  };
}
