import { type Host, HostError } from './host.ts';
import { baseName, parseCount, parseHex } from './parse.ts';
import { readSriov, type Sriov } from './sriov.ts';

/** One PCI function as sysfs shows it. What is absent there is absent here. */
export interface PciFunction {
  /** `0000:3b:00.0` */
  bdf: string;
  vendor: number;
  device: number;
  /** Class code, 24 bits: base class, sub-class, programming interface. */
  class: number;
  /** Its place in the tree: `/sys/devices/pci0000:00/0000:00:02.0/0000:01:00.0`. */
  path: string;
  driver?: string;
  /** Absent when nothing was written there: the kernel shows `(null)`. */
  driverOverride?: string;
  /** Number of its IOMMU group. */
  group?: number;
  /** Name of the remapping unit in front of it, such as `dmar0`. */
  unit?: string;
  /** Header type without the multi-function bit: 0 endpoint, 1 bridge. */
  headerType?: number;
  sriov?: Sriov;
  /** The PF, for a VF. */
  physfn?: string;
  /** VF functions in the order of their numbers, for a PF. */
  virtfns: string[];
  /** Network interfaces on it. */
  interfaces: string[];
  /** NVMe controllers on it, such as `nvme0`. */
  nvme: string[];
  /** Ways of reset the kernel has for it; absent when it has none. */
  resetMethods?: string[];
  /** The firmware's boot display. */
  bootVga?: boolean;
}

export const PCI_DEVICES = '/sys/bus/pci/devices';

/** BDFs of all functions, sorted. @throws HostError when the host shows no PCI bus at all */
export async function listFunctions(host: Host): Promise<string[]> {
  const names = await host.files.list(PCI_DEVICES);
  if (names === undefined) throw new HostError(PCI_DEVICES, 'is not there: no PCI bus, or /sys is not mounted');
  return names;
}

/**
 * Reads one function, or undefined when there is none of that address.
 * Source: Linux Documentation/ABI/testing/sysfs-bus-pci.
 * @throws HostError when an attribute is there but unreadable or makes no sense
 */
export async function readFunction(host: Host, bdf: string): Promise<PciFunction | undefined> {
  const at = `${PCI_DEVICES}/${bdf}`;
  const target = await host.files.link(at);
  if (target === undefined) return undefined;
  const text = (name: string) => host.files.readText(`${at}/${name}`);
  const link = async (name: string) => {
    const to = await host.files.link(`${at}/${name}`);
    return to === undefined ? undefined : baseName(to);
  };
  const hex = async (name: string) => parseHex(await text(name), `${at}/${name}`);
  const [vendor, device, classCode] = await Promise.all([hex('vendor'), hex('device'), hex('class')]);
  if (vendor === undefined || device === undefined || classCode === undefined)
    throw new HostError(at, 'has no vendor, device or class attribute');
  const [driver, group, unit, physfn, override, methods, vga, config, sriov] = await Promise.all([
    link('driver'),
    link('iommu_group'),
    link('iommu'),
    link('physfn'),
    text('driver_override'),
    text('reset_method'),
    text('boot_vga'),
    host.files.readAt(`${at}/config`, 0, 64),
    readSriov(host, bdf),
  ]);
  const [interfaces, nvme] = await Promise.all([host.files.list(`${at}/net`), host.files.list(`${at}/nvme`)]);
  const found: PciFunction = {
    bdf,
    vendor,
    device,
    class: classCode,
    path: resolveDevices(target),
    virtfns: sriov === undefined ? [] : await readVirtfns(host, at, sriov.numVFs ?? 0),
    interfaces: interfaces ?? [],
    nvme: (nvme ?? []).filter((name) => /^nvme\d+$/.test(name)),
  };
  if (driver !== undefined) found.driver = driver;
  if (group !== undefined) found.group = parseCount(group, `${at}/iommu_group`) ?? 0;
  if (unit !== undefined) found.unit = unit;
  if (physfn !== undefined) found.physfn = physfn;
  if (sriov !== undefined) found.sriov = sriov;
  const written = override?.trim();
  if (written !== undefined && written !== '' && written !== '(null)') found.driverOverride = written;
  const ways = methods?.trim();
  if (ways !== undefined && ways !== '') found.resetMethods = ways.split(/\s+/);
  if (vga !== undefined) found.bootVga = vga.trim() === '1';
  const headerType = config?.[14];
  if (headerType !== undefined) found.headerType = headerType & 0x7f;
  return found;
}

/** `virtfn0`, `virtfn1` ... in order. */
async function readVirtfns(host: Host, at: string, count: number): Promise<string[]> {
  const found: string[] = [];
  for (let n = 0; n < count; n++) {
    const to = await host.files.link(`${at}/virtfn${n}`);
    if (to !== undefined) found.push(baseName(to));
  }
  return found;
}

/** Links in /sys/bus/pci/devices are relative (`../../../devices/pci0000:00/...`); the place in the tree is below /sys. */
function resolveDevices(target: string): string {
  const below = target.indexOf('devices/');
  return below < 0 ? target : `/sys/${target.slice(below)}`;
}
