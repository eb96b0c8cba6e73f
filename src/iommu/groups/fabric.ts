import { parseBdf } from '../../pci/index.ts';
import { ALIAS_QUIRKS, type AliasQuirk, byVendor, rowMatches } from './quirks.ts';
import type { Topology, TopologyFunction } from './topology.ts';

/** A function in its place. */
export interface Node {
  readonly f: TopologyFunction;
  readonly bdf: string;
  /** Place in the order of discovery. */
  index: number;
  readonly domain: number;
  readonly bus: number;
  /** Device in bits 7:3, function in 2:0. */
  readonly devfn: number;
  /** The bridge above; undefined on a root bus. */
  parent: Node | undefined;
  /** A VF on a bus that has no bridge of its own. */
  readonly virtualBus: boolean;
  /** Part of a multi-function device, as the kernel takes it once all functions are found. */
  multifunction: boolean;
  /** Others of the same device, in the order of functions. */
  mates: readonly Node[];
  /** Others of the bus that it shares a requester ID with, either way. */
  aliases: Node[];
  /** Whether its number is not known and a quirk might alias it. */
  aliasUnknown: boolean;
  /** The VMD function that its DMA is known by, or for that the first function behind the same one. */
  requester: Node | undefined;
  /** It is behind a VMD that is not there, or is not known among several. */
  vmdUnknown: boolean;
}

/** Functions in the order in which the kernel finds them: a bus, then what is behind its bridges; VFs last. */
export interface Fabric {
  readonly nodes: readonly Node[];
  readonly byBdf: ReadonlyMap<string, Node>;
  readonly ivrs: boolean;
}

/** @throws RangeError when an address cannot be one, or stands there twice */
export function fabricOf(topology: Topology): Fabric {
  const nodes = topology.functions.map(nodeOf);
  const byBdf = new Map(nodes.map((node) => [node.bdf, node]));
  if (byBdf.size !== nodes.length) throw new RangeError('an address stands in the topology twice');
  const bridges = new Map<number, Node>();
  for (const node of nodes.toSorted(byAddress))
    if (node.f.buses && behind(node, node.f.buses.secondary)) bridges.set(busKey(node.domain, node.f.buses.secondary), node);
  for (const node of nodes) node.parent = parentOf(node, byBdf, bridges);
  cutLoops(nodes);
  const ordered = inOrderOfDiscovery(nodes);
  setRequesters(ordered, byBdf);
  const buses = new Map<number, Node[]>();
  for (const node of ordered) {
    const key = 2 * busKey(node.domain, node.bus) + (node.virtualBus ? 1 : 0);
    const others = buses.get(key);
    if (others) others.push(node);
    else buses.set(key, [node]);
  }
  for (const bus of buses.values()) {
    setMates(bus);
    setAliases(bus);
  }
  return { nodes: ordered, byBdf, ivrs: topology.ivrs ?? false };
}

function nodeOf(f: TopologyFunction): Node {
  const address = parseBdf(f.bdf);
  if (!address) throw new RangeError(`${f.bdf} is no address of a function`);
  const { domain, bus, device, function: fn } = address;
  const pf = f.physfn === undefined ? undefined : parseBdf(f.physfn);
  return {
    f,
    bdf: f.bdf,
    index: -1,
    domain,
    bus,
    devfn: (device << 3) | fn,
    parent: undefined,
    virtualBus: pf !== undefined && pf.bus !== bus,
    multifunction: false,
    mates: [],
    aliases: [],
    aliasUnknown: false,
    requester: undefined,
    vmdUnknown: false,
  };
}

function busKey(domain: number, bus: number): number {
  return domain * 256 + bus;
}

function byAddress(a: Node, b: Node): number {
  return a.domain - b.domain || a.bus - b.bus || a.devfn - b.devfn;
}

/** A bridge leads to a bus above its own number, as the kernel numbers them; anything else would be a loop. */
function behind(bridge: Node, secondary: number): boolean {
  return secondary > bridge.bus;
}

function parentOf(node: Node, byBdf: ReadonlyMap<string, Node>, bridges: ReadonlyMap<number, Node>): Node | undefined {
  const { above, physfn } = node.f;
  if (above === null) return undefined;
  if (above !== undefined) return byBdf.get(above);
  const pf = physfn === undefined ? undefined : byBdf.get(physfn);
  if (pf) return pf.f.above === undefined ? bridges.get(busKey(pf.domain, pf.bus)) : byBdf.get(pf.f.above ?? '');
  return bridges.get(busKey(node.domain, node.bus));
}

/** A path that was made up could lead in a circle; the walk upwards must end. */
function cutLoops(nodes: readonly Node[]): void {
  // Where every way up leads to lower bus numbers there is none.
  if (nodes.every(({ parent, domain, bus }) => !parent || (parent.domain === domain && parent.bus < bus))) return;
  const done = new Set<Node>();
  for (const node of nodes) {
    const way = new Set<Node>();
    for (let at: Node | undefined = node; at && !done.has(at); at = at.parent) {
      way.add(at);
      if (at.parent && way.has(at.parent)) at.parent = undefined;
    }
    for (const one of way) done.add(one);
  }
}

/** Linux drivers/pci/probe.c, pci_scan_child_bus_extend(): all of a bus, then each of its bridges in turn. */
function inOrderOfDiscovery(nodes: readonly Node[]): Node[] {
  const children = new Map<Node | undefined, Node[]>();
  for (const node of nodes) {
    if (node.f.physfn !== undefined) continue;
    const others = children.get(node.parent);
    if (others) others.push(node);
    else children.set(node.parent, [node]);
  }
  const ordered: Node[] = [];
  const rootBuses = new Map<number, Node[]>();
  for (const node of (children.get(undefined) ?? []).sort(byAddress)) {
    const key = busKey(node.domain, node.bus);
    const bus = rootBuses.get(key);
    if (bus) bus.push(node);
    else rootBuses.set(key, [node]);
  }
  // Buses that wait, the next one last: a stack, for a chain of bridges may be long.
  const waiting = [...rootBuses.values()].reverse();
  while (waiting.length > 0) {
    const bus = waiting.pop()!;
    for (const node of bus) ordered.push(node);
    for (const node of bus.toReversed()) {
      const below = children.get(node);
      if (below) waiting.push(below.sort(byAddress));
    }
  }
  for (const vf of nodes.filter((node) => node.f.physfn !== undefined).sort(byAddress)) ordered.push(vf);
  for (const [index, node] of ordered.entries()) node.index = index;
  return ordered;
}

/** A domain is behind one VMD, so its functions carry one requester ID also when it is not known which. */
function setRequesters(ordered: readonly Node[], byBdf: ReadonlyMap<string, Node>): void {
  const first = new Map<number, Node>();
  for (const node of ordered) {
    if (node.f.realDma === undefined) continue;
    const vmd = node.f.realDma === null ? undefined : byBdf.get(node.f.realDma);
    node.vmdUnknown = vmd === undefined;
    node.requester = vmd ?? first.get(node.domain);
    if (!first.has(node.domain)) first.set(node.domain, node);
  }
}

const NONE: readonly Node[] = [];

function setMates(bus: readonly Node[]): void {
  const slots = new Map<number, Node[]>();
  for (const node of bus) {
    const others = slots.get(node.devfn >> 3);
    if (others) others.push(node);
    else slots.set(node.devfn >> 3, [node]);
  }
  for (const slot of slots.values()) {
    const several = slot.some((node) => node.f.physfn === undefined && (node.devfn & 7) > 0);
    for (const node of slot) {
      node.mates = slot.length > 1 ? slot.filter((other) => other !== node) : NONE;
      // The kernel marks what it finds above function 0 itself, and never a VF: pci_scan_slot(), pci_iov_add_virtfn().
      // A listing without the bit of the header shows it by the functions that are there.
      node.multifunction = node.f.physfn === undefined && ((node.devfn & 7) > 0 || (node.f.multifunction ?? several));
    }
  }
}

function setAliases(bus: readonly Node[]): void {
  const masks = new Map<Node, ReadonlySet<number>>();
  for (const node of bus) {
    const quirks = quirkedAliases(node);
    node.aliasUnknown = quirks === undefined;
    const { aliases } = node.f;
    if (aliases !== undefined || (quirks !== undefined && quirks.length > 0))
      masks.set(node, new Set([...(quirks ?? []), ...(aliases ?? [])]));
  }
  if (masks.size === 0) return;
  for (const node of bus)
    node.aliases = bus.filter(
      (other) => other !== node && (masks.get(node)?.has(other.devfn) || masks.get(other)?.has(node.devfn)),
    );
}

const ALIASES_OF = byVendor(ALIAS_QUIRKS);
const NO_ALIASES: readonly number[] = [];

function quirkedAliases(node: Node): readonly number[] | undefined {
  const rows = node.f.vendor === undefined ? undefined : ALIASES_OF.get(node.f.vendor);
  if (rows === undefined) return NO_ALIASES;
  const found: number[] = [];
  for (const row of rows) {
    const matches = rowMatches(row, node.f) && subsystemMatches(row, node.f);
    if (matches === undefined) return undefined;
    if (matches) found.push(...row.aliases(node.devfn));
  }
  return found;
}

function subsystemMatches({ subsystem }: AliasQuirk, f: TopologyFunction): boolean | undefined {
  if (!subsystem) return true;
  if (!f.subsystem) return undefined;
  return f.subsystem.vendor === subsystem.vendor && subsystem.devices.includes(f.subsystem.device);
}
