import { parseResources, type Resource } from '../pci/index.ts';
import { type Host, HostError } from './host.ts';
import { baseName, parseCount, parseHex } from './parse.ts';
import { linkIn, type PciLink } from './pci-link.ts';
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
  link?: PciLink;
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
  /** Attributes that a record of the host has not. */
  unrecorded?: string[];
}

export const PCI_DEVICES = '/sys/bus/pci/devices';

/** BDFs of all functions, sorted. @throws HostError when the host shows no PCI bus at all */
export async function listFunctions(host: Host): Promise<string[]> {
  const names = await host.files.list(PCI_DEVICES);
  if (names === undefined) throw new HostError(PCI_DEVICES, 'is not there: no PCI bus, or /sys is not mounted');
  return names;
}

/** What most functions have, and is always read. */
const ATTRIBUTES = [
  ...['modalias', 'driver_override', 'reset_method', 'boot_vga', 'numa_node', 'resource', 'power_state', 'd3cold_allowed'],
  'removable',
];

/** What one function after another needs again, and what was read about all of them at once. */
export interface Shared {
  /** Number of the IOMMU group, and name of the remapping unit, by address: a function that is not here is asked for its links. */
  groups: ReadonlyMap<string, string>;
  units: ReadonlyMap<string, string>;
  /** The PF of each VF that a PF has named so far. */
  physfns: Map<string, string>;
  /** `local_cpulist` by NUMA node: the kernel prints the same for all functions of a node. */
  localCpus: Map<string, string | undefined>;
}

/**
 * Reads one function, or undefined when there is none of that address.
 * Source: Linux Documentation/ABI/testing/sysfs-bus-pci.
 * @throws HostError when an attribute is there but unreadable or makes no sense
 */
export async function readFunction(
  host: Host,
  bdf: string,
  shared: Shared = { groups: new Map(), units: new Map(), physfns: new Map(), localCpus: new Map() },
): Promise<PciFunction | undefined> {
  const at = `${PCI_DEVICES}/${bdf}`;
  const target = await host.files.link(at);
  if (target === undefined) return undefined;
  const names = new Set(await host.files.list(at));
  const unrecorded: string[] = [];
  /** Only what is there is asked for: a look into the folder costs less than a question for each thing that is not. */
  const asked = async <T>(name: string, ask: (path: string) => Promise<T>): Promise<T | undefined> => {
    if (!names.has(name)) return undefined;
    try {
      return await ask(`${at}/${name}`);
    } catch (error) {
      if (!(error instanceof HostError && error.errno === 'ENODATA')) throw error;
      unrecorded.push(name);
      return undefined;
    }
  };
  const there = ATTRIBUTES.filter((name) => names.has(name));
  const texts = await host.files.readTexts?.(at, there);
  const unanswered: string[] = [];
  const text = async (name: string): Promise<string | undefined> => {
    const place = texts === undefined ? -1 : there.indexOf(name);
    if (place >= 0) return texts?.[place]?.trim();
    return await asked(name, async (path) => (await host.files.readText(path))?.trim());
  };
  const link = (name: string) => asked(name, async (path) => baseName((await host.files.link(path)) ?? ''));
  const known = (all: ReadonlyMap<string, string>, name: string) => (names.has(name) ? all.get(bdf) : undefined);
  const list = async (name: string) => (await asked(name, (path) => host.files.list(path))) ?? [];
  const [ids, driver, group, unit, physfn, override, methods, vga, numa, config, sriov, resource, powerState, d3cold, removable] =
    await Promise.all([
      readIds(at, text),
      link('driver'),
      known(shared.groups, 'iommu_group') ?? link('iommu_group'),
      known(shared.units, 'iommu') ?? link('iommu'),
      known(shared.physfns, 'physfn') ?? link('physfn'),
      inTime(text('driver_override'), () => unanswered.push('driver_override')),
      text('reset_method'),
      text('boot_vga'),
      text('numa_node'),
      asked('config', (path) => host.files.readAt(path, 0, 4096)),
      names.has('sriov_totalvfs') ? asked('sriov_totalvfs', () => readSriov(host, bdf)) : undefined,
      text('resource'),
      text('power_state'),
      text('d3cold_allowed'),
      text('removable'),
    ]);
  if (sriov !== undefined && sriov.numVFs === undefined) unanswered.push('sriov_numvfs');
  const found: PciFunction = {
    bdf,
    ...ids,
    path: resolveDevices(target),
    virtfns: sriov === undefined || sriov.numVFs === 0 ? [] : await readVirtfns(names, link),
    interfaces: await list('net'),
    nvme: (await list('nvme')).filter((name) => /^nvme\d+$/.test(name)),
    resources: resourcesOf(resource, `${at}/resource`),
    vfioDevices: (await list('vfio-dev')).filter((name) => /^vfio\d+$/.test(name)),
  };
  for (const vf of found.virtfns) shared.physfns.set(vf, bdf);
  if (driver) found.driver = driver;
  if (group) found.group = parseCount(group, `${at}/iommu_group`) ?? 0;
  if (unit) found.unit = unit;
  if (physfn) found.physfn = physfn;
  if (sriov !== undefined) found.sriov = sriov;
  if (override !== undefined && override !== '' && override !== '(null)') found.driverOverride = override;
  if (methods !== undefined && methods !== '') found.resetMethods = methods.split(/\s+/);
  if (vga !== undefined) found.bootVga = vga === '1';
  if (numa !== undefined && numa !== '-1') found.numaNode = parseCount(numa, `${at}/numa_node`) ?? 0;
  if (config !== undefined) found.config = config;
  // A function that does not answer, in D3cold or gone, reads as ones.
  const headerType = config?.[14];
  if (headerType !== undefined && headerType !== 0xff) found.headerType = headerType & 0x7f;
  const lanes = (config && linkIn(config)) ?? (await readLink(text));
  if (lanes !== 'none') found.link = lanes;
  if (powerState !== undefined) found.powerState = powerState;
  if (d3cold !== undefined) found.d3coldAllowed = d3cold === '1';
  if (removable === 'fixed' || removable === 'removable' || removable === 'unknown') found.removable = removable;
  const localCpus = shared.localCpus.get(numa ?? '') ?? (await text('local_cpulist'));
  shared.localCpus.set(numa ?? '', localCpus);
  if (localCpus) found.localCpus = localCpus;
  if (unanswered.length > 0) found.unanswered = unanswered.sort();
  if (unrecorded.length > 0) found.unrecorded = unrecorded.sort();
  return found;
}

/** One attribute tells all three, and the three by themselves where a host does not show it. */
async function readIds(
  at: string,
  text: (name: string) => Promise<string | undefined>,
): Promise<Pick<PciFunction, 'vendor' | 'device' | 'class'>> {
  const [, v = '', d = '', bc = '', sc = '', i = ''] =
    /^pci:v([0-9A-F]{8})d([0-9A-F]{8})sv[0-9A-F]{8}sd[0-9A-F]{8}bc([0-9A-F]{2})sc([0-9A-F]{2})i([0-9A-F]{2})$/i.exec(
      (await text('modalias')) ?? '',
    ) ?? [];
  if (v !== '')
    return { vendor: Number.parseInt(v, 16), device: Number.parseInt(d, 16), class: Number.parseInt(bc + sc + i, 16) };
  const hex = async (name: string) => parseHex(await text(name), `${at}/${name}`);
  const [vendor, device, classCode] = await Promise.all([hex('vendor'), hex('device'), hex('class')]);
  if (vendor === undefined || device === undefined || classCode === undefined)
    throw new HostError(at, 'has no vendor, device or class attribute');
  return { vendor, device, class: classCode };
}

/** The link as the kernel prints it, where configuration space does not tell. */
async function readLink(text: (name: string) => Promise<string | undefined>): Promise<PciLink | 'none'> {
  const [speed, width, maxSpeed, maxWidth] = await Promise.all(
    ['current_link_speed', 'current_link_width', 'max_link_speed', 'max_link_width'].map(text),
  );
  const lanes = Number(width);
  const maxLanes = Number(maxWidth);
  // 255 lanes are what ones read as.
  if (speed === undefined || maxSpeed === undefined || !(lanes > 0 && lanes < 255 && maxLanes > 0)) return 'none';
  return { speed, width: lanes, maxSpeed, maxWidth: maxLanes };
}

/** @throws HostError when the text is no list of resources, naming `path` */
function resourcesOf(text: string | undefined, path: string): Resource[] {
  if (text === undefined || text === '') return [];
  const resources = parseResources(text);
  if (resources === undefined) throw new HostError(path, 'expected three hexadecimal numbers in each line');
  return resources;
}

/** `virtfn0`, `virtfn1` ... in order. The names are those that are there, for their number may be what has no answer. */
async function readVirtfns(names: ReadonlySet<string>, link: (name: string) => Promise<string | undefined>): Promise<string[]> {
  const numbers = [...names].flatMap((name) => /^virtfn(\d+)$/.exec(name)?.[1] ?? []).map(Number);
  const targets = numbers.sort((a, b) => a - b).map((n) => link(`virtfn${n}`));
  return (await Promise.all(targets)).filter((to) => to !== undefined && to !== '') as string[];
}

/** Links in /sys/bus/pci/devices are relative (`../../../devices/pci0000:00/...`); the place in the tree is below /sys. */
function resolveDevices(target: string): string {
  const below = target.indexOf('devices/');
  return below < 0 ? target : `/sys/${target.slice(below)}`;
}
