import type { Host } from './host.ts';

/** What the kernel and processor are, as far as passthrough depends on it. */
export interface System {
  kernel: string;
  /** /proc/cmdline. */
  cmdline: string;
  /** Changes with each boot: nothing that was set in an earlier boot is still set. */
  bootId: string;
  /** Effective user id of the process that reads; 0 is root. */
  uid: number;
  /** `vmx` or `svm`; absent when the processor shows neither. */
  virtualization?: 'vmx' | 'svm';
  /** Whether this is itself a guest: the `hypervisor` flag of the processor. */
  guest: boolean;
  /** Bytes of memory. */
  memory: number;
  /** Names of loaded modules, with `_`. */
  modules: string[];
}

/** Reads {@link System}. Source: proc(5), Linux Documentation/filesystems/proc.rst. */
export async function readSystem(host: Host): Promise<System> {
  const text = async (path: string) => (await host.files.readText(path))?.trim() ?? '';
  const [kernel, cmdline, bootId, status, cpuinfo, meminfo] = await Promise.all(
    [
      '/proc/sys/kernel/osrelease',
      '/proc/cmdline',
      '/proc/sys/kernel/random/boot_id',
      '/proc/self/status',
      '/proc/cpuinfo',
      '/proc/meminfo',
    ].map(text),
  );
  const flags = new Set(/^flags\s*:\s*(.*)$/m.exec(cpuinfo ?? '')?.[1]?.split(' '));
  const virtualization = flags.has('vmx') ? 'vmx' : flags.has('svm') ? 'svm' : undefined;
  return {
    kernel: kernel ?? '',
    cmdline: cmdline ?? '',
    bootId: bootId ?? '',
    uid: Number(/^Uid:\s+\d+\s+(\d+)/m.exec(status ?? '')?.[1] ?? -1),
    ...(virtualization === undefined ? {} : { virtualization }),
    guest: flags.has('hypervisor'),
    memory: Number(/^MemTotal:\s+(\d+) kB/m.exec(meminfo ?? '')?.[1] ?? 0) * 1024,
    modules: await host.modules.loaded(),
  };
}
