import { DOMParser, type Element, type Node, ParseError } from '@xmldom/xmldom';
import { type LockingGuest, type MemlockNeed, memlockLimit, memlockNeed, pseriesMemlockNeed } from '../vfio/index.ts';

/** What a libvirt domain says about memory and VFIO devices. Sizes are bytes. */
export interface Domain {
  name: string;
  /** `kvm`, `qemu` ... */
  type: string;
  arch: string;
  machine: string;
  memory: number;
  /** To which it can be grown; `memory` when it cannot. */
  maxMemory: number;
  hardLimit?: number;
  locked: boolean;
  /** Host addresses of assigned PCI functions; mediated devices are those without. */
  devices: { host?: string }[];
  nvmeDisks: number;
  vdpaDevices: number;
  viommu: boolean;
  /** PCI host bridges of a pseries guest; 1 for others. */
  hostBridges: number;
}

/** The text is no domain. The message names the line where the parser knows it. */
export class DomainError extends Error {
  override readonly name = 'DomainError';
}

const KIB = 1024;
/** A limit of that many KiB or more is none. Source: libvirt VIR_DOMAIN_MEMORY_PARAM_UNLIMITED. */
const NO_LIMIT = Number.MAX_SAFE_INTEGER * KIB;
const UNITS: Readonly<Record<string, number>> = {
  b: 1,
  bytes: 1,
  kb: 1e3,
  k: 2 ** 10,
  kib: 2 ** 10,
  mb: 1e6,
  m: 2 ** 20,
  mib: 2 ** 20,
  gb: 1e9,
  g: 2 ** 30,
  gib: 2 ** 30,
  tb: 1e12,
  t: 2 ** 40,
  tib: 2 ** 40,
};

/**
 * Reads the domain XML of libvirt, as `virsh dumpxml` prints it. Source: libvirt docs/formatdomain.rst.
 * @throws DomainError when it is no XML, no domain, or a size makes no sense
 */
export function readDomain(xml: string): Domain {
  const root = parse(xml);
  const type = child(child(root, 'os'), 'type');
  const devices = child(root, 'devices');
  const cells = children(child(child(root, 'cpu'), 'numa'), 'cell').map((cell) => sizeIn(cell.getAttribute('memory'), cell));
  const modules = children(devices, 'memory').map((module) => sizeOf(child(child(module, 'target'), 'size')) ?? 0);
  const given = sizeOf(child(root, 'memory')) ?? 0;
  // Without a total libvirt adds up the NUMA cells and the modules.
  const memory = given > 0 ? given : [...cells, ...modules].reduce((sum, bytes) => sum + bytes, 0);
  const hardLimit = sizeOf(child(child(root, 'memtune'), 'hard_limit'));
  const disks = children(devices, 'disk');
  const interfaces = children(devices, 'interface');
  const assigned = [
    ...children(devices, 'hostdev').filter((device) => device.getAttribute('mode') !== 'capabilities'),
    ...interfaces.filter((one) => one.getAttribute('type') === 'hostdev'),
  ];
  const vfio = assigned.flatMap((device): { element: Element; host?: string }[] => {
    const kind = device.tagName === 'interface' ? 'pci' : device.getAttribute('type');
    if (kind === 'mdev') return [{ element: device }];
    const host = kind === 'pci' ? hostAddress(device) : undefined;
    return host === undefined ? [] : [{ element: device, host }];
  });
  const domain: Domain = {
    name: child(root, 'name')?.textContent?.trim() ?? '',
    type: root.getAttribute('type') ?? '',
    arch: type?.getAttribute('arch') ?? '',
    machine: type?.getAttribute('machine') ?? '',
    memory,
    maxMemory: Math.max(memory, sizeOf(child(root, 'maxMemory')) ?? 0),
    locked: child(child(root, 'memoryBacking'), 'locked') !== undefined,
    devices: vfio.map(({ host }) => (host === undefined ? {} : { host })),
    nvmeDisks: disks.filter((disk) => chainOf(disk).includes('nvme')).length,
    vdpaDevices:
      interfaces.filter((one) => one.getAttribute('type') === 'vdpa').length +
      disks.flatMap(chainOf).filter((kind) => kind === 'vhostvdpa').length,
    viommu: child(devices, 'iommu') !== undefined,
    hostBridges: hostBridges(
      children(devices, 'controller'),
      vfio.map(({ element, host }) => ({ placed: child(element, 'address') !== undefined, host: host ?? '' })),
    ),
  };
  if (hardLimit !== undefined && hardLimit < NO_LIMIT) domain.hardLimit = hardLimit;
  return domain;
}

/** The limit for locked memory that libvirt gives a domain's QEMU. */
export function domainMemlock(domain: Domain): MemlockNeed<number | 'unlimited'> {
  const { memory, devices, viommu, nvmeDisks, vdpaDevices, hostBridges, maxMemory } = domain;
  const guest: LockingGuest = { memory, devices: devices.length, viommu, nvmeDisks, vdpaDevices };
  const pseries = /^ppc64/.test(domain.arch) && domain.type === 'kvm';
  return memlockLimit(domain, () => (pseries ? pseriesMemlockNeed({ ...guest, hostBridges, maxMemory }) : memlockNeed(guest)));
}

function parse(xml: string): Element {
  try {
    // What is not well-formed is refused, not repaired.
    const document = new DOMParser({
      onError: (level, message) => {
        if (level !== 'warning') throw new ParseError(message);
      },
    }).parseFromString(xml, 'text/xml');
    const root = document.documentElement;
    if (root?.tagName === 'domain') return root;
    throw new DomainError(`this is no libvirt domain: its root is <${root?.tagName ?? ''}>, and <domain> was expected`);
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    throw new DomainError(`this is no XML: ${error.message.split('\n')[0]}`);
  }
}

function children(parent: Element | undefined, name: string): Element[] {
  const found: Element[] = [];
  for (let node: Node | null = parent?.firstChild ?? null; node !== null; node = node.nextSibling)
    if (node.nodeType === node.ELEMENT_NODE && (node as Element).tagName === name) found.push(node as Element);
  return found;
}

function child(parent: Element | undefined, name: string): Element | undefined {
  return children(parent, name)[0];
}

/** Bytes of an element such as `<memory unit='KiB'>1048576</memory>`; undefined when it is absent. */
function sizeOf(element: Element | undefined): number | undefined {
  return element === undefined ? undefined : sizeIn(element.textContent, element);
}

/** KiB when no unit is given; libvirt keeps whole KiB, rounded up. */
function sizeIn(text: string | null, element: Element): number {
  const unit = UNITS[(element.getAttribute('unit') ?? 'KiB').toLowerCase()];
  const digits = text?.trim() ?? '';
  if (unit === undefined || !/^\d{1,20}$/.test(digits))
    throw new DomainError(
      `<${element.tagName}> of line ${element.lineNumber ?? '?'} should hold a number and a unit such as KiB or GiB: ${digits.slice(0, 40)} ${element.getAttribute('unit') ?? ''}`,
    );
  return Math.ceil((Number(digits) * unit) / KIB) * KIB;
}

/** Kinds of a disk's source and of all that it is based on. */
function chainOf(disk: Element): string[] {
  const kinds: string[] = [];
  for (let at: Element | undefined = disk; at !== undefined; at = child(at, 'backingStore'))
    kinds.push(at.getAttribute('type') ?? '');
  return kinds;
}

/** `0000:3b:00.0` of a PCI host device. */
function hostAddress(device: Element): string | undefined {
  const address = child(child(device, 'source'), 'address');
  if (address === undefined) return undefined;
  const part = (name: string, digits: number) => {
    const value = Number(address.getAttribute(name) ?? 0);
    return (Number.isSafeInteger(value) && value >= 0 ? value : 0).toString(16).padStart(digits, '0');
  };
  return `${part('domain', 4)}:${part('bus', 2)}:${part('slot', 2)}.${part('function', 1)}`;
}

/**
 * Host bridges of a pseries guest. Beside those in the text libvirt gives functions that it has to place itself a bridge for
 * each of their groups; those of one slot are taken to share one, for groups are not in the text.
 * Source: libvirt `src/qemu/qemu_domain_address.c`, isolation groups.
 */
function hostBridges(controllers: readonly Element[], devices: readonly { placed: boolean; host: string }[]): number {
  const roots = controllers.filter(
    (one) => one.getAttribute('type') === 'pci' && one.getAttribute('model') === 'pci-root',
  ).length;
  const slots = new Set(devices.filter(({ placed }) => !placed).map(({ host }) => host.split('.')[0]));
  return Math.max(roots, 1 + slots.size);
}
