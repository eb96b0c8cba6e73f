import { type Host, HostError } from './host.ts';

/** NUMA nodes, `node0` ... among other files. Source: Linux Documentation/ABI/stable/sysfs-devices-node. */
export const NODES = '/sys/devices/system/node';

/** Where the numbers of free huge pages are below a folder; `resv_hugepages` is there for the whole machine only. */
function hugepages(folder: string): string[] {
  const sizes = ['hugepages-2048kB', 'hugepages-1048576kB'];
  return sizes.flatMap((size) => [`${folder}/${size}/free_hugepages`, `${folder}/${size}/resv_hugepages`]);
}

/** Files whose text some question needs, beside those that a reader of its own takes apart. RELEASE stands for the kernel's. */
const TEXTS: readonly string[] = [
  '/proc/iomem',
  '/proc/interrupts',
  '/proc/meminfo',
  '/proc/cpuinfo',
  '/proc/self/limits',
  '/proc/self/status',
  '/proc/sys/kernel/tainted',
  '/sys/kernel/security/lockdown',
  '/boot/config-RELEASE',
  ...hugepages('/sys/kernel/mm/hugepages'),
];

/** Folders whose names some question needs. */
const FOLDERS = ['/dev/vfio', '/dev/vfio/devices', '/sys/class/iommu', '/etc/modprobe.d', NODES] as const;

/** Modules whose parameters decide about passthrough. */
const MODULES = ['vfio', 'vfio_pci', 'vfio_pci_core', 'vfio_iommu_type1', 'iommufd', 'kvm', 'kvm_intel', 'kvm_amd'] as const;

/** Plain facts by where they were read. What is absent on the host is absent here, and what may not be read is in `unread`. */
export interface Texts {
  /** Content by path. */
  texts: Readonly<Record<string, string>>;
  /** Sorted names by folder. */
  folders: Readonly<Record<string, readonly string[]>>;
  /** Values by module and parameter, without the newline. */
  parameters: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/** Reads {@link Texts}. Source: proc(5), Linux Documentation/ABI. */
export async function readTexts(host: Host, release: string, unread: (what: string, because: string) => void): Promise<Texts> {
  const attempt = async <T>(path: string, read: () => Promise<T | undefined>): Promise<T | undefined> => {
    try {
      return await read();
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      unread(path, error.message);
      return undefined;
    }
  };
  const texts: Record<string, string> = {};
  for (const name of TEXTS) {
    const path = name.replace('RELEASE', release);
    const text = await attempt(path, () => host.files.readText(path));
    if (text !== undefined) texts[path] = text;
  }
  const folders: Record<string, string[]> = {};
  for (const path of FOLDERS) {
    const names = await attempt(path, () => host.files.list(path));
    if (names !== undefined) folders[path] = names;
  }
  for (const node of folders[NODES] ?? [])
    for (const path of /^node\d+$/.test(node) ? hugepages(`${NODES}/${node}/hugepages`) : []) {
      const text = await attempt(path, () => host.files.readText(path));
      if (text !== undefined) texts[path] = text;
    }
  // Which module takes which device, and in which order they load.
  for (const name of folders['/etc/modprobe.d'] ?? []) {
    if (!name.endsWith('.conf')) continue;
    const path = `/etc/modprobe.d/${name}`;
    const text = await attempt(path, () => host.files.readText(path));
    if (text !== undefined) texts[path] = text;
  }
  const parameters: Record<string, Record<string, string>> = {};
  for (const module of MODULES) {
    const at = `/sys/module/${module}/parameters`;
    const names = await attempt(at, () => host.files.list(at));
    if (names === undefined) continue;
    const values: Record<string, string> = {};
    for (const name of names) {
      const text = await attempt(`${at}/${name}`, () => host.files.readText(`${at}/${name}`));
      if (text !== undefined) values[name] = text.trim();
    }
    parameters[module] = values;
  }
  return { texts, folders, parameters };
}
