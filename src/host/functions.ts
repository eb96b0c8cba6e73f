import { parseResources, type Resource } from '../pci/index.ts';
import { type Host, HostError } from './host.ts';
import { baseName, parseCount, parseHex } from './parse.ts';
import { inTime, readSriov, type Sriov } from './sriov.ts';

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
  /** Absent when nothing was written there: the kernel shows `(null)`. Absent as well when it is one of `unanswered`. */
  driverOverride?: string;
  /** Number of its IOMMU group. */
  group?: number;
  /** Name of the remapping unit in front of it, such as `dmar0`. */
  unit?: string;
  /** Configuration space as far as it may be read: 64 bytes without privilege, else 256 or 4096. All ones when it does not answer. */
  config?: Uint8Array;
  /** Header type without the multi-function bit: 0 endpoint, 1 bridge. */
  headerType?: number;
  /** BARs 0 to 5, expansion ROM, then the VF BARs of a PF or the windows of a bridge, as the kernel assigned them. */
  resources: Resource[];
  /** Link of a PCIe function, as `8.0 GT/s PCIe` and lanes. */
  link?: { speed: string; width: number; maxSpeed: string; maxWidth: number };
  /** `D0` ... `D3hot`, `D3cold`, `unknown`. */
  powerState?: string;
  d3coldAllowed?: boolean;
  /** Whether a user can unplug it, as firmware says: the kernel does not trust what is `removable`. */
  removable?: 'fixed' | 'removable' | 'unknown';
  /** Processors of its NUMA node, as `0-7,16-23`. */
  localCpus?: string;
  /** VFIO character devices, such as `vfio0`; empty when the kernel makes none or no VFIO driver has the function. */
  vfioDevices: string[];
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
  /** NUMA node; absent when the kernel knows none, which it prints as -1. */
  numaNode?: number;
  /** Attributes that the kernel did not answer in time: their reader waits for whoever holds the lock of the device. */
  unanswered?: string[];
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
  const unanswered: string[] = [];
  const [driver, group, unit, physfn, override, methods, vga, numa, config, sriov, resource] = await Promise.all([
    link('driver'),
    link('iommu_group'),
    link('iommu'),
    link('physfn'),
    inTime(text('driver_override'), () => unanswered.push('driver_override')),
    text('reset_method'),
    text('boot_vga'),
    text('numa_node'),
    host.files.readAt(`${at}/config`, 0, 4096),
    readSriov(host, bdf),
    text('resource'),
  ]);
  const [speed, width, maxSpeed, maxWidth, powerState, d3cold, removable, localCpus] = await Promise.all(
    [
      'current_link_speed',
      'current_link_width',
      'max_link_speed',
      'max_link_width',
      'power_state',
      'd3cold_allowed',
      'removable',
      'local_cpulist',
    ].map(async (name) => (await text(name))?.trim()),
  );
  if (sriov !== undefined && sriov.numVFs === undefined) unanswered.push('sriov_numvfs');
  const [interfaces, nvme, vfio] = await Promise.all(
    ['net', 'nvme', 'vfio-dev'].map(async (name) => await host.files.list(`${at}/${name}`)),
  );
  const found: PciFunction = {
    bdf,
    vendor,
    device,
    class: classCode,
    path: resolveDevices(target),
    virtfns: sriov === undefined || sriov.numVFs === 0 ? [] : await readVirtfns(host, at),
    interfaces: interfaces ?? [],
    nvme: (nvme ?? []).filter((name) => /^nvme\d+$/.test(name)),
    resources: resourcesOf(resource, `${at}/resource`),
    vfioDevices: (vfio ?? []).filter((name) => /^vfio\d+$/.test(name)),
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
  if (numa !== undefined && numa.trim() !== '-1') found.numaNode = parseCount(numa, `${at}/numa_node`) ?? 0;
  // A function that does not answer, in D3cold or gone, reads as ones.
  if (config !== undefined) found.config = config;
  const headerType = config?.[14];
  if (headerType !== undefined && headerType !== 0xff) found.headerType = headerType & 0x7f;
  const lanes = Number(width);
  const maxLanes = Number(maxWidth);
  // 255 lanes are what ones read as.
  if (speed !== undefined && maxSpeed !== undefined && lanes > 0 && lanes < 255 && maxLanes > 0)
    found.link = { speed, width: lanes, maxSpeed, maxWidth: maxLanes };
  if (powerState !== undefined) found.powerState = powerState;
  if (d3cold !== undefined) found.d3coldAllowed = d3cold === '1';
  if (removable === 'fixed' || removable === 'removable' || removable === 'unknown') found.removable = removable;
  if (localCpus !== undefined && localCpus !== '') found.localCpus = localCpus;
  if (unanswered.length > 0) found.unanswered = unanswered.sort();
  return found;
}

/** @throws HostError when the text is no list of resources, naming `path` */
function resourcesOf(text: string | undefined, path: string): Resource[] {
  if (text === undefined || text === '') return [];
  const resources = parseResources(text);
  if (resources === undefined) throw new HostError(path, 'expected three hexadecimal numbers in each line');
  return resources;
}

/** `virtfn0`, `virtfn1` ... in order. The names are those that are there, for their number may be what has no answer. */
async function readVirtfns(host: Host, at: string): Promise<string[]> {
  const numbers = ((await host.files.list(at)) ?? []).flatMap((name) => /^virtfn(\d+)$/.exec(name)?.[1] ?? []).map(Number);
  const targets = numbers.sort((a, b) => a - b).map((n) => host.files.link(`${at}/virtfn${n}`));
  return (await Promise.all(targets)).flatMap((to) => (to === undefined ? [] : baseName(to)));
}

/** Links in /sys/bus/pci/devices are relative (`../../../devices/pci0000:00/...`); the place in the tree is below /sys. */
function resolveDevices(target: string): string {
  const below = target.indexOf('devices/');
  return below < 0 ? target : `/sys/${target.slice(below)}`;
}
