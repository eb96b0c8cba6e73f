import { askEach, type FolderAsk, type FolderContent, readFolder, startFolders, takeFolders } from './folder.ts';
import type { Host } from './host.ts';
import { baseName, parseCount, parseRegister } from './parse.ts';

/** One remapping unit that the kernel drives. */
export interface IommuUnit {
  /** `dmar0`, `ivhd0` ... */
  name: string;
  /** Functions behind it. */
  devices: string[];
  /** CAP_REG and ECAP_REG of a VT-d unit as 16 hexadecimal digits; absent for other kinds. */
  cap?: string;
  ecap?: string;
  /**
   * Capability header and extended features of an AMD-Vi unit, as the kernel prints them; absent for other kinds. `features`
   * is EFR and EFR2 with a colon between: Linux 6.1 prints EFR2:EFR, 6.12 EFR:EFR2.
   */
  amd?: { cap: string; features: string };
  /** `1:0` */
  version?: string;
  /** Register base, hexadecimal without `0x`. */
  address?: string;
}

export interface IommuGroup {
  number: number;
  /** Default domain type: `DMA`, `DMA-FQ`, `identity`. It stays so while VFIO owns the group. Absent when not readable. */
  type?: string;
  devices: string[];
  /** Not to be changed: groups that have the same share it. */
  reserved: readonly { start: string; end: string; type: string }[];
}

/**
 * Remapping units, sorted by name; empty when DMA remapping is off. Source: Linux Documentation/ABI/testing/sysfs-class-iommu*.
 * @throws HostError when a register makes no sense
 */
export async function readUnits(host: Host): Promise<IommuUnit[]> {
  const units: IommuUnit[] = [];
  for (const name of (await host.files.list('/sys/class/iommu')) ?? []) {
    const at = `/sys/class/iommu/${name}`;
    const devices = ((await host.files.list(`${at}/devices`)) ?? []).filter((device) => device.includes(':'));
    const unit: IommuUnit = { name, devices };
    const path = (file: string) => `${at}/intel-iommu/${file}`;
    const text = async (file: string) => (await host.files.readText(path(file)))?.trim();
    const [capText, ecapText, version, address] = await Promise.all(['cap', 'ecap', 'version', 'address'].map(text));
    const cap = parseRegister(capText, path('cap'));
    const ecap = parseRegister(ecapText, path('ecap'));
    if (cap !== undefined) unit.cap = cap;
    if (ecap !== undefined) unit.ecap = ecap;
    if (version !== undefined) unit.version = version;
    if (address !== undefined) unit.address = address;
    const [amdCap, features] = await Promise.all(
      ['cap', 'features'].map(async (file) => (await host.files.readText(`${at}/amd-iommu/${file}`))?.trim()),
    );
    if (amdCap !== undefined && features !== undefined) unit.amd = { cap: amdCap, features };
    units.push(unit);
  }
  return units;
}

const GROUPS = '/sys/kernel/iommu_groups';
/** What is asked of every group; `understand` takes the answers in this order. */
const ASK: FolderAsk = {
  isLink: false,
  listed: false,
  texts: ['type', 'reserved_regions'],
  mayWait: [],
  links: [],
  lists: ['devices'],
  noted: [],
};

/** IOMMU groups by number. Source: Linux Documentation/ABI/testing/sysfs-kernel-iommu_groups. */
export async function readGroups(host: Host): Promise<IommuGroup[]> {
  const numbers = ((await host.files.list(GROUPS)) ?? []).map((name) => parseCount(name, `${GROUPS}/${name}`) ?? 0);
  const paths = numbers.map((number) => `${GROUPS}/${number}`);
  const groups: (IommuGroup | undefined)[] = [];
  const rest = await takeFolders(
    startFolders(host, paths, ASK),
    (index, content) => void groups.push(understand(numbers[index]!, content)),
  );
  await askEach(rest, async (index) => void groups.push(await readGroup(host, numbers[index]!)));
  return groups.filter((group) => group !== undefined).sort((a, b) => a.number - b.number);
}

/** One group, or undefined when there is none of that number. */
export async function readGroup(host: Host, number: number): Promise<IommuGroup | undefined> {
  const content = await readFolder(host, `${GROUPS}/${number}`, ASK);
  return content && understand(number, content);
}

function understand(number: number, { texts: [type, regions = ''], lists: [devices] }: FolderContent): IommuGroup | undefined {
  if (devices === undefined) return undefined;
  let reserved = knownRegions.get(regions);
  if (reserved === undefined) {
    reserved = parseRegions(regions);
    if (knownRegions.size < MOST_KNOWN) knownRegions.set(regions, reserved);
  }
  const group: IommuGroup = { number, devices: [...devices], reserved };
  if (type !== undefined) group.type = type.trim();
  return group;
}

/** What attributes said so far: on most hosts nearly all groups have the same. */
const knownRegions = new Map<string, IommuGroup['reserved']>();
const MOST_KNOWN = 1000;

function parseRegions(text: string): IommuGroup['reserved'] {
  return text
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((words) => words.length === 3)
    .map(([start = '', end = '', type = '']) => ({ start, end, type }));
}

/** The group of a function, or undefined when it has none. */
export async function groupOf(host: Host, bdf: string): Promise<number | undefined> {
  const to = await host.files.link(`/sys/bus/pci/devices/${bdf}/iommu_group`);
  return to === undefined ? undefined : parseCount(baseName(to), `/sys/bus/pci/devices/${bdf}/iommu_group`);
}

/** The driver of a function, or undefined when none is bound. */
export async function driverOf(host: Host, bdf: string): Promise<string | undefined> {
  const to = await host.files.link(`/sys/bus/pci/devices/${bdf}/driver`);
  return to === undefined ? undefined : baseName(to);
}
