import {
  acsWords,
  type Config,
  EXTENDED,
  findCapability,
  formatBdf,
  parseBdf,
  pcieCapability,
  portType,
  readConfig,
  sriovOf,
  vfAddresses,
} from '../../pci/index.ts';
import type { AcsRegisters, Topology, TopologyFunction, VfFacts } from './topology.ts';
import { behindVmd, vmdOnWay } from './vmd.ts';

/** A function as a host shows it. */
export interface ConfiguredFunction {
  bdf: string;
  /** As much of configuration space as could be read: nothing, 64, 256 or 4096 bytes. */
  config?: Uint8Array;
  /** The same, where it has been taken apart already. */
  parsed?: Config;
  /** Its place in the tree: `/sys/devices/pci0000:00/0000:00:02.0/0000:01:00.0`. Without it, places follow from bus numbers. */
  path?: string;
  /** As sysfs says them; they stand above configuration space, which has none in a VF. */
  vendor?: number;
  device?: number;
  class?: number;
  physfn?: string;
  covered?: boolean;
  coveredBecause?: string;
  aliases?: readonly number[];
}

/** From 256 bytes on the capabilities of conventional PCI are there; extended ones need all. */
const LEGACY = 256;
const ALL = 4096;
/** Of the ACS capability, where some ports of Intel have their control register. */
const ACS_CONTROL_AT_8 = 8;

/** What configuration space tells about the groups of a machine. */
export function topologyOf(functions: readonly ConfiguredFunction[], more: { ivrs?: boolean } = {}): Topology {
  const ways: Ways = new Map();
  const found = functions.map((given) => functionOf(given, ways));
  return { functions: behindVmd(withVfs(found)), ...more };
}

/** One function, without regard for the others. */
export function functionOf(given: ConfiguredFunction, ways: Ways = new Map()): TopologyFunction {
  const { bdf, config: bytes, path, vendor, device, physfn } = given;
  const config = given.parsed ?? (bytes === undefined ? undefined : readConfig(bytes));
  const answers = config !== undefined && !config.findings.some(({ is }) => is === 'absent');
  const f: TopologyFunction = { bdf, ...(answers && factsOf(config)) };
  const known = answers && config.vendor !== 0xffff ? config : undefined;
  assign(f, 'vendor', vendor ?? known?.vendor);
  assign(f, 'device', device ?? known?.device);
  assign(f, 'class', given.class ?? known?.classCode);
  assign(f, 'subsystem', known?.subsystem);
  assign(f, 'physfn', physfn);
  assign(f, 'covered', given.covered);
  assign(f, 'coveredBecause', given.coveredBecause);
  assign(f, 'aliases', given.aliases);
  if (path !== undefined) placeIn(f, path, ways);
  return f;
}

/** What configuration space alone decides. */
type Facts = Pick<TopologyFunction, 'multifunction' | 'buses' | 'port' | 'acs' | 'sriov' | 'ariForwarding'>;
/** Functions that are alike share their bytes, and then this. */
const knownFacts = new WeakMap<Config, Facts>();

function factsOf(config: Config): Facts {
  let facts = knownFacts.get(config);
  if (facts === undefined) {
    facts = findFacts(config);
    knownFacts.set(config, facts);
  }
  return facts;
}

function findFacts(config: Config): Facts {
  const facts: Facts = { multifunction: config.multiFunction };
  if (config.bridge) facts.buses = { secondary: config.bridge.secondary, subordinate: config.bridge.subordinate };
  const port = portOf(config);
  if (port === undefined) return facts;
  facts.port = port;
  const acs = port === 'conventional' ? 'none' : acsRegisters(config);
  if (acs !== undefined) facts.acs = acs;
  const sriov = port === 'conventional' ? 'none' : vfFacts(config);
  if (sriov !== undefined) facts.sriov = sriov;
  const express = pcieCapability(config);
  if (express && express.version >= 2) facts.ariForwarding = express.ariForwarding.enabled;
  return facts;
}

function assign<K extends keyof TopologyFunction>(f: TopologyFunction, key: K, value: TopologyFunction[K] | undefined): void {
  if (value !== undefined) f[key] = value;
}

/** The functions that are named in the path of a folder, from the root on. Thousands of functions share a folder. */
type Ways = Map<string, readonly { bdf: string; domain: number }[]>;

function wayTo(folder: string, ways: Ways): NonNullable<ReturnType<Ways['get']>> {
  let way = ways.get(folder);
  if (way === undefined) {
    way = folder.split('/').flatMap((part) => {
      const address = parseBdf(part);
      return address === undefined ? [] : [{ bdf: part, domain: address.domain }];
    });
    ways.set(folder, way);
  }
  return way;
}

/** Bridges above are in the path; a VF stands there beside its PF. */
function placeIn(f: TopologyFunction, path: string, ways: Ways): void {
  const cut = path.lastIndexOf('/');
  let above = wayTo(path.slice(0, cut), ways);
  let domain = parseBdf(path.slice(cut + 1))?.domain;
  if (domain === undefined) {
    domain = above.at(-1)?.domain;
    above = above.slice(0, -1);
  }
  if (domain === undefined) return;
  const bridge = above.at(-1);
  // Where the domain changes stands VMD: what is behind it is on a root bus of its own.
  if (bridge !== undefined && bridge.domain !== domain) f.above = null;
  else f.above = bridge?.bdf ?? null;
  assign(f, 'realDma', vmdOnWay(above, domain));
}

function portOf(config: Config): TopologyFunction['port'] {
  if (pcieCapability(config)) return portType(config) ?? 'other';
  // No capabilities at all can be told from the header alone.
  if (config.header.CapabilitiesList === 0) return 'conventional';
  const cut = config.length < LEGACY || config.findings.some(({ is, offset }) => is === 'short' && offset < LEGACY);
  return cut ? undefined : 'conventional';
}

function acsRegisters(config: Config): AcsRegisters | 'none' | undefined {
  const words = acsWords(config);
  if (!words) return extendedMissing(config) ? undefined : 'none';
  const at = findCapability(config, EXTENDED.ACS, true)!.offset;
  const { view } = config;
  return {
    ...words,
    unread: 0,
    ...(at + ACS_CONTROL_AT_8 + 4 <= view.byteLength && { controlAt8: view.getUint32(at + ACS_CONTROL_AT_8, true) }),
  };
}

function vfFacts(config: Config): VfFacts | 'none' | undefined {
  const sriov = sriovOf(config);
  if (!sriov) return extendedMissing(config) ? undefined : 'none';
  return {
    numVFs: sriov.VFEnable ? sriov.NumVFs : 0,
    totalVFs: sriov.TotalVFs,
    firstVFOffset: sriov.FirstVFOffset,
    vfStride: sriov.VFStride,
    vfDevice: sriov.VFDeviceID,
  };
}

function extendedMissing(config: Config): boolean {
  return config.length < ALL || config.findings.some(({ is, offset }) => is === 'short' && offset >= LEGACY);
}

/**
 * VFs that exist are known by their PF where nobody said whose they are: where functions have no place in a tree.
 * A domain has room for 65536 functions, so whoever claims more is not believed.
 */
export function withVfs(functions: readonly TopologyFunction[]): TopologyFunction[] {
  const pfOf = new Map<string, TopologyFunction>();
  const room = new Map<number, number>();
  for (const pf of functions) {
    if (pf.sriov === undefined || pf.sriov === 'none' || pf.above !== undefined) continue;
    const { numVFs, firstVFOffset: FirstVFOffset, vfStride: VFStride } = pf.sriov;
    if (FirstVFOffset === undefined || VFStride === undefined) continue;
    const address = parseBdf(pf.bdf)!;
    const left = (room.get(address.domain) ?? 65_536) - numVFs;
    if (left < 0) continue;
    room.set(address.domain, left);
    for (const vf of vfAddresses(address, { FirstVFOffset, VFStride }, numVFs)) pfOf.set(formatBdf(vf), pf);
  }
  return functions.map((f) => {
    const pf = f.physfn === undefined && f.above === undefined ? pfOf.get(f.bdf) : undefined;
    return !pf || pf === f ? f : { ...f, physfn: pf.bdf, ...lent(pf) };
  });
}

/** What a VF does not say itself: it has the vendor of its PF. PCIe 6.0 §9.3.4.1. */
function lent(pf: TopologyFunction): Partial<TopologyFunction> {
  const device = pf.sriov === undefined || pf.sriov === 'none' ? undefined : pf.sriov.vfDevice;
  return { ...(pf.vendor !== undefined && { vendor: pf.vendor }), ...(device !== undefined && { device }) };
}
