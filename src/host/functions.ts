import { parseResources, type Resource } from '../pci/index.ts';
import {
  askEach,
  type FolderAsk,
  type FolderContent,
  type FolderReading,
  readFolder,
  startFolders,
  takeFolders,
} from './folder.ts';
import { type Host, HostError } from './host.ts';
import { baseName, parseCount, parseHex } from './parse.ts';
import { linkIn, type PciLink } from './pci-link.ts';
import { SRIOV, type Sriov, sriovOf } from './sriov.ts';

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

/** What is asked of every function; `understand` takes the answers in this order. */
const ASK: FolderAsk = {
  isLink: true,
  listed: true,
  texts: [
    ...['modalias', 'driver_override', 'reset_method', 'boot_vga', 'numa_node', 'resource', 'power_state', 'd3cold_allowed'],
    ...['removable', ...SRIOV],
  ],
  mayWait: ['driver_override', 'sriov_numvfs'],
  bytes: { name: 'config', length: 4096 },
  links: ['driver'],
  numbered: 'virtfn',
  lists: ['net', 'nvme', 'vfio-dev'],
  noted: ['iommu_group', 'iommu', 'physfn'],
};

/** What one function after another needs again, and what was read about all of them at once. */
export interface Shared {
  /** Number of the IOMMU group, and name of the remapping unit, by address: a function that is not here is asked for its links. */
  groups: Map<string, number>;
  units: Map<string, string>;
  /** The PF of each VF that a PF has named so far. */
  physfns: Map<string, string>;
}

/**
 * Reads one function, or undefined when there is none of that address.
 * Source: Linux Documentation/ABI/testing/sysfs-bus-pci.
 * @throws HostError when an attribute is there but unreadable or makes no sense
 */
export async function readFunction(
  host: Host,
  bdf: string,
  shared: Shared = { groups: new Map(), units: new Map(), physfns: new Map() },
): Promise<PciFunction | undefined> {
  const content = await readFolder(host, `${PCI_DEVICES}/${bdf}`, ASK);
  if (content === undefined) return undefined;
  const found = understand(bdf, content, shared);
  await complete(host, found, openQuestions(found, content));
  await setCpus(host, [found]);
  return found;
}

/** Begins to read many functions: where that can be done beside, it is, until `readFunctions` takes part in it. */
export function startFunctions(host: Host, bdfs: readonly string[]): FolderReading {
  const paths = bdfs.map((bdf) => `${PCI_DEVICES}/${bdf}`);
  return startFolders(host, paths, ASK);
}

/**
 * Reads many functions. One that is not there is left out.
 * @param reading what `startFunctions` gave for them
 * @param attempt runs the reading of one, whose errors it may take; then that one is left out as well
 */
export async function readFunctions(
  host: Host,
  bdfs: readonly string[],
  reading: FolderReading,
  shared: Shared,
  attempt: (bdf: string, read: () => Promise<PciFunction | undefined>) => Promise<PciFunction | undefined>,
): Promise<PciFunction[]> {
  const functions: (PciFunction | undefined)[] = new Array(bdfs.length).fill(undefined);
  const odd: number[] = [];
  const incomplete: { index: number; found: PciFunction; open: Question[] }[] = [];
  const rest = await takeFolders(reading, (index, content) => {
    try {
      const found = understand(bdfs[index]!, content, shared);
      functions[index] = found;
      const open = openQuestions(found, content);
      if (open.length > 0) incomplete.push({ index, found, open });
    } catch {
      odd.push(index);
    }
  });
  // The few questions that are left wait for nobody.
  await askEach(incomplete, async ({ index, found, open }) => {
    functions[index] = await attempt(found.bdf, async () => {
      await complete(host, found, open);
      return found;
    });
  });
  // The error of one that makes no sense comes again, where it is told.
  await askEach([...rest, ...odd], async (index) => {
    const bdf = bdfs[index]!;
    functions[index] = await attempt(bdf, () => readFunction(host, bdf, shared));
  });
  const all = functions.filter((found) => found !== undefined);
  await setCpus(host, all);
  return all;
}

/** Takes apart what was read of a function. @throws HostError when an attribute makes no sense */
function understand(bdf: string, content: FolderContent, shared: Shared): PciFunction {
  const at = `${PCI_DEVICES}/${bdf}`;
  // By number, for this is done for thousands: an iterator takes longer than all that follows.
  const { 0: modalias, 1: override, 2: methods, 3: vga, 4: numa } = content.texts;
  const { 5: resource, 6: powerState, 7: d3cold, 8: removable } = content.texts;
  const { 0: interfaces = NONE, 1: controllers = NONE, 2: vfioDevices = NONE } = content.lists;
  const sriov = sriovIn(at, content);
  const { vendor, device, class: classCode } = idsOf(modalias);
  const found: PciFunction = {
    bdf,
    vendor,
    device,
    class: classCode,
    path: resolveDevices(content.target),
    virtfns: sriov === undefined || sriov.numVFs === 0 ? [] : content.numbered.map(baseName),
    interfaces: [...interfaces],
    nvme: controllers.filter((name) => /^nvme\d+$/.test(name)),
    resources: resourcesOf(resource, `${at}/resource`),
    vfioDevices: vfioDevices.filter((name) => /^vfio\d+$/.test(name)),
  };
  if (sriov !== undefined) found.sriov = sriov;
  for (const vf of found.virtfns) shared.physfns.set(vf, bdf);
  setLinks(found, content, shared);
  setConfig(found, content.bytes);
  setTexts(found, { override, methods, vga, powerState, d3cold, removable });
  const node = numa?.trim();
  if (node !== undefined && node !== '-1') found.numaNode = parseCount(node, `${at}/numa_node`) ?? 0;
  setUnknown(found, content);
  return found;
}

const NONE: readonly string[] = [];

/** Absent as well when a record does not have all of it. */
function sriovIn(at: string, { texts, unrecorded }: FolderContent): Sriov | undefined {
  return unrecorded.some(isOfSriov) ? undefined : sriovOf(at, texts.slice(-SRIOV.length));
}

function isOfSriov(name: string): boolean {
  return name.startsWith('sriov_');
}

function setLinks(found: PciFunction, { links, noted }: FolderContent, { groups, units, physfns }: Shared): void {
  const driver = links[0] && baseName(links[0]);
  if (driver) found.driver = driver;
  for (const name of noted)
    if (name === 'iommu_group') assign(found, 'group', groups.get(found.bdf));
    else if (name === 'iommu') assign(found, 'unit', units.get(found.bdf));
    else assign(found, 'physfn', physfns.get(found.bdf));
}

function assign<K extends 'group' | 'unit' | 'physfn'>(found: PciFunction, name: K, value: PciFunction[K]): void {
  if (value !== undefined) found[name] = value;
}

/** @param to the last name of where the link leads */
function setLink(found: PciFunction, name: Link, to: string | undefined): void {
  if (!to) return;
  if (name === 'iommu_group') found.group = parseCount(to, `${PCI_DEVICES}/${found.bdf}/iommu_group`) ?? 0;
  else if (name === 'iommu') found.unit = to;
  else found.physfn = to;
}

function setConfig(found: PciFunction, config: Uint8Array | undefined): void {
  if (config === undefined) return;
  found.config = config;
  // A function that does not answer, in D3cold or gone, reads as ones.
  const headerType = config[14];
  if (headerType !== undefined && headerType !== 0xff) found.headerType = headerType & 0x7f;
  const link = linkIn(config);
  if (link !== undefined && link !== 'none') found.link = link;
}

type Attributes = Record<'override' | 'methods' | 'vga' | 'powerState' | 'd3cold' | 'removable', string | undefined>;

function setTexts(found: PciFunction, { override, methods, vga, powerState, d3cold, removable }: Attributes): void {
  const driver = override?.trim();
  if (driver && driver !== '(null)') found.driverOverride = driver;
  const ways = methods?.trim();
  if (ways) found.resetMethods = ways.split(/\s+/);
  if (vga !== undefined) found.bootVga = vga.trim() === '1';
  if (powerState !== undefined) found.powerState = powerState.trim();
  if (d3cold !== undefined) found.d3coldAllowed = d3cold.trim() === '1';
  const told = removable?.trim();
  if (told === 'fixed' || told === 'removable' || told === 'unknown') found.removable = told;
}

function setUnknown(found: PciFunction, { unanswered, unrecorded }: FolderContent): void {
  if (unanswered.length > 0) found.unanswered = unanswered.toSorted();
  if (unrecorded.length === 0) return;
  const others = unrecorded.filter((name) => !isOfSriov(name));
  found.unrecorded = (others.length < unrecorded.length ? [...others, 'sriov_totalvfs'] : others).sort();
}

type Link = 'iommu_group' | 'iommu' | 'physfn';
/** What the folder leaves open: the three numbers that `modalias` has, the link that `config` has, or where a link leads. */
type Question = 'ids' | 'lanes' | Link;

function openQuestions(found: PciFunction, { noted, bytes }: FolderContent): Question[] {
  const open: Question[] = [];
  if (found.vendor === UNKNOWN.vendor) open.push('ids');
  if (found.link === undefined && (bytes === undefined || linkIn(bytes) === undefined)) open.push('lanes');
  if (found.group === undefined && noted.includes('iommu_group')) open.push('iommu_group');
  if (found.unit === undefined && noted.includes('iommu')) open.push('iommu');
  if (found.physfn === undefined && noted.includes('physfn')) open.push('physfn');
  return open;
}

/** Asks for what the folder left open. @throws HostError as `readFunction` */
async function complete(host: Host, found: PciFunction, open: readonly Question[]): Promise<void> {
  const text = (name: string) => askText(host, found, name);
  for (const question of open)
    if (question === 'ids') Object.assign(found, await readIds(`${PCI_DEVICES}/${found.bdf}`, text));
    else if (question === 'lanes') {
      const link = await readLink(text);
      if (link !== undefined) found.link = link;
    } else setLink(found, question, baseName((await ask(found, question, (path) => host.files.link(path))) ?? ''));
}

/** One more question about a function. What a record does not have is undefined, and noted. */
async function ask<T>(found: PciFunction, name: string, question: (path: string) => Promise<T>): Promise<T | undefined> {
  try {
    return await question(`${PCI_DEVICES}/${found.bdf}/${name}`);
  } catch (error) {
    if (!(error instanceof HostError && error.errno === 'ENODATA')) throw error;
    found.unrecorded = [...(found.unrecorded ?? []), name].sort();
    return undefined;
  }
}

async function askText(host: Host, found: PciFunction, name: string): Promise<string | undefined> {
  return (await ask(found, name, (path) => host.files.readText(path)))?.trim();
}

/** Asks one function of each NUMA node for its processors: the kernel prints the same for all of them. */
async function setCpus(host: Host, functions: readonly PciFunction[]): Promise<void> {
  const known = new Map<number | undefined, string>();
  for (const found of functions) {
    const cpus = known.get(found.numaNode) ?? (await askText(host, found, 'local_cpulist')) ?? '';
    known.set(found.numaNode, cpus);
    if (cpus !== '') found.localCpus = cpus;
  }
}

type Ids = Pick<PciFunction, 'vendor' | 'device' | 'class'>;
const UNKNOWN: Ids = { vendor: -1, device: -1, class: -1 };

/** What attributes said so far: a host has many functions of few kinds. */
const knownIds = new Map<string, Ids>();
const MOST_KNOWN = 10_000;

/** One attribute tells all three. Source: Linux drivers/pci/pci-sysfs.c, modalias_show. */
function idsOf(modalias = ''): Ids {
  let ids = knownIds.get(modalias);
  if (ids === undefined) {
    ids = parseModalias(modalias.trim());
    if (knownIds.size < MOST_KNOWN) knownIds.set(modalias, ids);
  }
  return ids;
}

function parseModalias(modalias: string): Ids {
  const [, v = '', d = '', bc = '', sc = '', i = ''] =
    /^pci:v([0-9A-F]{8})d([0-9A-F]{8})sv[0-9A-F]{8}sd[0-9A-F]{8}bc([0-9A-F]{2})sc([0-9A-F]{2})i([0-9A-F]{2})$/i.exec(modalias) ??
    [];
  if (v === '') return UNKNOWN;
  return { vendor: Number.parseInt(v, 16), device: Number.parseInt(d, 16), class: Number.parseInt(bc + sc + i, 16) };
}

/** The three by themselves, where a host does not show the one. */
async function readIds(at: string, text: (name: string) => Promise<string | undefined>): Promise<Ids> {
  const hex = async (name: string) => parseHex(await text(name), `${at}/${name}`);
  const [vendor, device, classCode] = await Promise.all([hex('vendor'), hex('device'), hex('class')]);
  if (vendor === undefined || device === undefined || classCode === undefined)
    throw new HostError(at, 'has no vendor, device or class attribute');
  return { vendor, device, class: classCode };
}

/** The link as the kernel prints it, where configuration space does not tell. */
async function readLink(text: (name: string) => Promise<string | undefined>): Promise<PciLink | undefined> {
  const [speed, width, maxSpeed, maxWidth] = await Promise.all(
    ['current_link_speed', 'current_link_width', 'max_link_speed', 'max_link_width'].map(text),
  );
  const lanes = Number(width);
  const maxLanes = Number(maxWidth);
  // 255 lanes are what ones read as.
  if (speed === undefined || maxSpeed === undefined || !(lanes > 0 && lanes < 255 && maxLanes > 0)) return undefined;
  return { speed, width: lanes, maxSpeed, maxWidth: maxLanes };
}

/** @throws HostError when the text is no list of resources, naming `path` */
function resourcesOf(text: string | undefined, path: string): Resource[] {
  if (text === undefined || text.trim() === '') return [];
  const resources = parseResources(text);
  if (resources === undefined) throw new HostError(path, 'expected three hexadecimal numbers in each line');
  return resources;
}

/** Links in /sys/bus/pci/devices are relative (`../../../devices/pci0000:00/...`); the place in the tree is below /sys. */
function resolveDevices(target: string): string {
  const below = target.indexOf('devices/');
  return below < 0 ? target : `/sys/${target.slice(below)}`;
}
