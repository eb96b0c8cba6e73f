import { type Host, HostError } from './host.ts';

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

/**
 * Reads {@link System}. Source: proc(5), Linux Documentation/filesystems/proc.rst.
 * @param unread is told what the host keeps from us, which then counts as empty; without it that is thrown
 * @throws HostError
 */
export async function readSystem(host: Host, unread?: (what: string, because: string) => void): Promise<System> {
  const attempt = async <T>(what: string, reading: Promise<T>, otherwise: T): Promise<T> => {
    try {
      return await reading;
    } catch (error) {
      if (!(error instanceof HostError) || unread === undefined) throw error;
      unread(what, error.message);
      return otherwise;
    }
  };
  const text = async (path: string) => (await attempt(path, host.files.readText(path), undefined))?.trim() ?? '';
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
    modules: await attempt('kernel modules', host.modules.loaded(), []),
  };
}
