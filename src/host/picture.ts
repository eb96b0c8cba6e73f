import { listFunctions, type PciFunction, readFunctions, type Shared, startFunctions } from './functions.ts';
import { type Host, HostError, type KernelLine, type Link } from './host.ts';
import { type IommuGroup, type IommuUnit, readGroups, readUnits } from './iommu.ts';
import { readLent } from './lent.ts';
import { type NvmeVirtualization, readNvmeVirtualization } from './nvme.ts';
import { readSystem, type System } from './system.ts';
import { readTexts, type Texts } from './texts.ts';
import { readUsage, USAGE, type Usage, type Uses } from './usage.ts';

/** Base class of the class code. */
const MASS_STORAGE = 1;

/** Bytes of configuration space that a kernel shows to everybody. Source: Linux drivers/pci/pci-sysfs.c, pci_read_config. */
const SHORT = 64;

/** ACPI tables that describe remapping units. */
const UNIT_TABLES = ['DMAR', 'IVRS', 'VIOT'] as const;
/** Others that say what a unit's table should agree with: where configuration space is, and the I/O APICs. */
const PLATFORM_TABLES = ['MCFG', 'APIC'] as const;

/** What `unread` of a picture calls files that others have open. */
export const OPEN_FILES = 'open files of other users';

/** What was read of a host: plain data, so that judging and planning are functions of it. */
export interface Picture extends Texts {
  host: string;
  system: System;
  /** Those of DMAR, IVRS and VIOT that firmware gives and that may be read. */
  firmwareTables: { signature: (typeof UNIT_TABLES)[number]; bytes: Uint8Array }[];
  /** Where configuration space is, and the I/O APICs. */
  platformTables: { signature: (typeof PLATFORM_TABLES)[number]; bytes: Uint8Array }[];
  units: IommuUnit[];
  groups: IommuGroup[];
  functions: PciFunction[];
  links: Link[];
  /** By controller name, such as `nvme0`; only controllers that can be asked and have secondary controllers. */
  nvme: Record<string, NvmeVirtualization>;
  usage: Usage[];
  kvm: { usable: boolean; because: string };
  /** Lines of the kernel log; absent when it may not be read. */
  log?: KernelLine[];
  /** What could not be read, and what that means. `about` names the functions that may be in use unseen because of it. */
  unread: { what: string; because: string; about?: string[] }[];
}

/**
 * Looks at a whole host. Nothing is changed. A part that may not be read goes to `unread`.
 * @throws HostError when the host has no readable PCI bus
 */
export async function readPicture(host: Host): Promise<Picture> {
  const unread: Picture['unread'] = [];
  const denied: Picture['unread'] = [];
  const tell = (what: string, because: string): void => {
    if (!unread.some((told) => told.what === what)) unread.push({ what, because: withoutSubject(because, what) });
  };
  /** A part that a host may keep from us: its absence is told, not guessed. */
  const part = async <T>(what: string, read: () => Promise<T>, otherwise: T): Promise<T> => {
    try {
      return await read();
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      const told = { what, because: withoutSubject(error.message, what) };
      unread.push(told);
      if (error.errno === 'EACCES' || error.errno === 'EPERM') denied.push(told);
      return otherwise;
    }
  };
  const bdfs = await listFunctions(host);
  const reading = startFunctions(host, bdfs);
  const units = await part('/sys/class/iommu', () => readUnits(host), []);
  const groups = await part('/sys/kernel/iommu_groups', () => readGroups(host), []);
  // What does not depend on functions is read while they are, where they can be read beside.
  const [system, links, { usage, unasked }, kvm] = await Promise.all([
    readSystem(host, tell),
    part('network interfaces', () => host.links.list(), []),
    part<Uses>(USAGE, () => readUsage(host), { usage: [], unasked: undefined }),
    part('KVM', () => host.hypervisor.kvm(), { usable: false, because: 'whether it runs a guest could not be asked' }),
  ]);
  const shared: Shared = { groups: new Map(), units: new Map(), physfns: new Map() };
  for (const { number, devices } of groups) for (const bdf of devices) shared.groups.set(bdf, number);
  for (const { name, devices } of units) for (const bdf of devices) shared.units.set(bdf, name);
  const functions = await readFunctions(host, bdfs, reading, shared, (bdf, read) => part(bdf, read, undefined));
  for (const found of functions) {
    for (const name of found.unrecorded ?? [])
      unread.push({ what: `${found.bdf} ${name}`, because: 'what was recorded does not say' });
    for (const name of found.unanswered ?? [])
      unread.push({
        what: `${found.bdf} ${name}`,
        because: 'the kernel did not answer in time: a change of the VF count or driver is under way and waits for a VF in use',
      });
  }
  // A listing has no reader, and its uid is -1.
  if (system.uid > 0)
    unread.push({
      what: OPEN_FILES,
      because: 'not root: VFIO groups and disks that other users have open are not seen',
    });
  const short = functions.filter(({ config }) => config?.length === SHORT && isWithCapabilities(config));
  if (short.length > 0)
    unread.push({
      what: short.length === 1 ? 'capabilities of 1 function' : `capabilities of ${short.length} functions`,
      because:
        'configuration space is shown to its 64th byte only: as root ACS, ATS, ARI, SR-IOV and the ways of reset are read there',
    });
  // A disk that was asked for exclusive users has answered for its pools too.
  const storage = functions.filter((found) => found.class >> 16 === MASS_STORAGE).map(({ bdf }) => bdf);
  if (system.modules.includes('zfs') && unasked?.length !== 0)
    unread.push({
      what: 'members of ZFS pools',
      because: 'sysfs does not show them, and the disks could not be asked: name the disks of pools yourself',
      about: unasked ?? storage,
    });
  const { lent, uncertain } = await part('network interfaces of functions', () => readLent(host, functions), {
    lent: [],
    uncertain: [],
  });
  usage.push(...lent);
  unread.push(...uncertain);
  const tables = async <S extends string>(signatures: readonly S[]) => {
    const found: { signature: S; bytes: Uint8Array }[] = [];
    for (const signature of signatures) {
      const path = `/sys/firmware/acpi/tables/${signature}`;
      const bytes = await part(path, () => host.files.read(path), undefined);
      if (bytes !== undefined) found.push({ signature, bytes });
    }
    return found;
  };
  const firmwareTables = await tables(UNIT_TABLES);
  const platformTables = await tables(PLATFORM_TABLES);
  const nvme: Picture['nvme'] = {};
  for (const found of functions)
    for (const controller of found.sriov === undefined ? [] : found.nvme) {
      const state = await part(`/dev/${controller}`, () => readNvmeVirtualization(host, controller), undefined);
      if (state !== undefined) nvme[controller] = state;
    }
  const log = await part('the kernel log', () => host.files.kernelLog(), undefined);
  const texts = await readTexts(host, system.kernel, tell);
  // A group that is open would not be seen open in a record without processes.
  const nodes = (texts.folders['/dev/vfio'] ?? []).filter((name) => name !== 'vfio');
  if (nodes.length > 0 && system.uid === 0) {
    const processes = await part('/proc', () => host.files.list('/proc'), undefined);
    if (!processes?.some((name) => /^\d+$/.test(name)))
      unread.push({
        what: OPEN_FILES,
        because: 'no process is shown in /proc: VFIO groups and disks that are open are not seen',
      });
  }
  if (system.uid > 0) for (const told of denied) told.because += ': root may';
  return {
    ...texts,
    host: host.name,
    system,
    firmwareTables,
    platformTables,
    units,
    groups,
    functions,
    links,
    nvme,
    usage,
    kvm,
    ...(log === undefined ? {} : { log }),
    unread,
  };
}

/** The message of an error, without what it is about where that is said already. */
function withoutSubject(message: string, what: string): string {
  return message.startsWith(`${what}: `) ? message.slice(what.length + 2) : message;
}

/** Capabilities List of the Status register. Source: PCI Local Bus 3.0 §6.2.3. */
function isWithCapabilities(config: Uint8Array): boolean {
  return ((config[0x06] ?? 0) & 0x10) !== 0;
}

/** Places of what is asked for by name again and again. A picture does not change once it is read. */
interface Index {
  functions: Map<string, PciFunction>;
  groups: Map<number, IommuGroup>;
  units: Map<string, IommuUnit>;
  links: Map<string, Link>;
}
const indexes = new WeakMap<Picture, Index>();

function indexOf(picture: Picture): Index {
  let index = indexes.get(picture);
  if (index === undefined) {
    index = {
      functions: new Map(picture.functions.map((found) => [found.bdf, found])),
      groups: new Map(picture.groups.map((group) => [group.number, group])),
      units: new Map(picture.units.map((unit) => [unit.name, unit])),
      links: new Map(picture.links.map((link) => [link.name, link])),
    };
    indexes.set(picture, index);
  }
  return index;
}

/** The function of an address, or undefined. */
export function functionOf(picture: Picture, bdf: string): PciFunction | undefined {
  return indexOf(picture).functions.get(bdf);
}

/** The group of a number, or undefined. */
export function groupNumbered(picture: Picture, number: number): IommuGroup | undefined {
  return indexOf(picture).groups.get(number);
}

/** The remapping unit of a name, or undefined. */
export function unitNamed(picture: Picture, name: string): IommuUnit | undefined {
  return indexOf(picture).units.get(name);
}

/** The network interface of a name, or undefined. */
export function linkNamed(picture: Picture, name: string): Link | undefined {
  return indexOf(picture).links.get(name);
}
