import { kindOfDevice } from '../host/devices.ts';
import type { PciFunction } from '../host/functions.ts';
import { functionOf, groupNumbered, type Picture } from '../host/picture.ts';
import type { Usage } from '../host/usage.ts';
import { type Config, className, EXTENDED, findCapability, hasFlr } from '../pci/index.ts';
import { obstaclesTo } from './assignable.ts';
import { ask, type Finding } from './check.ts';
import { type DefaultDomain, defaultDomain, isUntrusted } from './domain.ts';
import { configOf, idsOf, pathAbove, usesOf } from './index-of.ts';
import { endpoint } from './rules/endpoint.ts';
import { blockingMembers } from './rules/group-viable.ts';
import { notInUse } from './rules/not-in-use.ts';
import { sriovCapable } from './rules/sriov-capable.ts';

/** One function, what it is, and what it could be used for. */
export interface InspectedFunction {
  bdf: string;
  /** `8086:10c9` */
  ids: string;
  class: string;
  kind: 'net' | 'nvme' | 'other';
  /** The bridge above it, or its root bus as `pci0000:00`. */
  parent: string;
  driver?: string;
  group?: number;
  unit?: string;
  /** What the host's own drivers get; absent without a group. */
  domain?: DefaultDomain;
  interfaces: string[];
  nvme: string[];
  numaNode?: number;
  link?: { speed: string; width: number; maxSpeed: string; maxWidth: number };
  /** `flr` is undefined when configuration space could not be read far enough. */
  reset: { methods: string[]; flr?: boolean };
  bars: Bar[];
  powerState?: string;
  d3coldAllowed?: boolean;
  /** The firmware's boot display. */
  bootDisplay?: true;
  /** The kernel takes it for one that a stranger could have plugged in. */
  untrusted?: true;
  /** Names of its capabilities that matter for passthrough; absent when only the header could be read. */
  has?: string[];
  sriov?: { totalVFs: number; numVFs?: number; firstVFOffset: number; vfStride: number };
  physfn?: string;
  uses: { kind: Usage['kind']; what: string; where: string }[];
  /** Whether the function itself can be given to a guest. */
  verdict: FunctionVerdict;
  /** How many VFs it can give, and why not, for a PF. */
  vfs?: { possible: number; because: string };
}

/** A BAR (0 to 5), the expansion ROM (6) or a VF BAR for all VFs (7 to 12) that the kernel knows of. */
export interface Bar {
  index: number;
  /** First address, `0x...`; absent when the kernel found no place for it. */
  start?: string;
  /** Bytes. */
  size: number;
  space: 'memory' | 'io';
  width: 32 | 64;
  prefetchable: boolean;
}

export interface FunctionVerdict {
  /** `possible`: after `steps`, none of which takes from the host what it uses. `bridge`: stays with the host, and hinders nobody. */
  is: 'ready' | 'possible' | 'blocked' | 'unknown' | 'bridge';
  because: string;
  /** What has to be done first, in order; empty unless possible. */
  steps: string[];
  /** The questions that decided; `check` with the address of the function has them all. */
  findings: Finding[];
}

export function inspectFunction(picture: Picture, found: PciFunction): InspectedFunction {
  const { sriov } = found;
  const domain = defaultDomain(picture, found);
  const { flr, has } = abilitiesOf(found);
  const above = pathAbove(found.path);
  // Thousands of these are made: each member is set in its place, without a copy for each that may be absent.
  const told = {
    bdf: found.bdf,
    ids: idsOf(found),
    class: className(found.class),
    kind: kindOfDevice(found),
    parent: above.slice(above.lastIndexOf('/') + 1),
  } as InspectedFunction;
  if (found.driver !== undefined) told.driver = found.driver;
  if (found.group !== undefined) told.group = found.group;
  if (found.unit !== undefined) told.unit = found.unit;
  if (domain !== undefined) told.domain = domain;
  told.interfaces = found.interfaces;
  told.nvme = found.nvme;
  if (found.numaNode !== undefined) told.numaNode = found.numaNode;
  if (found.link !== undefined) told.link = found.link;
  told.reset = { methods: found.resetMethods ?? [] };
  if (flr !== undefined) told.reset.flr = flr;
  told.bars = barsOf(found);
  if (found.powerState !== undefined) told.powerState = found.powerState;
  if (found.d3coldAllowed !== undefined) told.d3coldAllowed = found.d3coldAllowed;
  if (found.bootVga === true) told.bootDisplay = true;
  if (isUntrusted(found)) told.untrusted = true;
  if (has !== undefined) told.has = has;
  if (sriov !== undefined) {
    const { totalVFs, numVFs, firstVFOffset, vfStride } = sriov;
    told.sriov = { totalVFs, firstVFOffset, vfStride };
    if (numVFs !== undefined) told.sriov.numVFs = numVFs;
  }
  if (found.physfn !== undefined) told.physfn = found.physfn;
  told.uses = usesOf(picture, found.bdf, found.group).map(({ kind, what, where }) => ({ kind, what, where }));
  told.verdict = judge(picture, found);
  if (sriov !== undefined) told.vfs = judgeVfs(picture, found);
  return told;
}

/** Resources of an endpoint. Those of a bridge behind its first two are windows, which are no BARs. */
function barsOf(found: PciFunction): Bar[] {
  const most = found.headerType === 1 ? 2 : 13;
  const bars: Bar[] = [];
  for (const { index, start, size, space, width, prefetchable, unset } of found.resources) {
    if (index >= most || size === 0 || space === 'none') continue;
    const place = unset || start === 0 ? {} : { start: `0x${start.toString(16)}` };
    bars.push({ index, ...place, size, space, width, prefetchable });
  }
  return bars;
}

const TOLD: readonly [number, string][] = [
  [EXTENDED.ACS, 'ACS'],
  [EXTENDED.ARI, 'ARI'],
  [EXTENDED.ATS, 'ATS'],
  [EXTENDED.PRI, 'PRI'],
  [EXTENDED.PASID, 'PASID'],
  [EXTENDED.SRIOV, 'SR-IOV'],
];

/** What configuration space alone says of a function. */
interface Abilities {
  flr?: boolean | undefined;
  has?: string[];
}
const NOT_READ: Abilities = {};
/** Functions that are alike share their bytes, and then this. */
const knownAbilities = new WeakMap<Config, Abilities>();

function abilitiesOf(found: PciFunction): Abilities {
  const config = configOf(found);
  if (config === undefined) return NOT_READ;
  let abilities = knownAbilities.get(config);
  if (abilities === undefined) {
    abilities = { flr: hasFlr(config) };
    if (config.length > 64)
      abilities.has = TOLD.flatMap(([id, name]) => (findCapability(config, id, true) === undefined ? [] : [name]));
    knownAbilities.set(config, abilities);
  }
  return abilities;
}

function judge(picture: Picture, found: PciFunction): FunctionVerdict {
  const all = obstaclesTo(picture, found.bdf);
  const verdict = (is: FunctionVerdict['is'], because: string, findings: Finding[], steps: string[] = []) => ({
    is,
    because,
    steps,
    findings,
  });
  const bridge = all.find((finding) => finding.id === 'device/endpoint' && finding.is === 'fail');
  if (bridge !== undefined) return verdict('bridge', bridge.because, [bridge]);
  const failed = all.filter((finding) => finding.is === 'fail');
  const removable = failed.map((finding) => removedBy(picture, found, finding));
  if (removable.includes(undefined)) return verdict('blocked', reasons(failed), failed);
  const open = all.filter((finding) => finding.is === 'unknown');
  if (open.length > 0) return verdict('unknown', reasons(open), [...failed, ...open]);
  const steps = removable.flatMap((more) => more ?? []);
  if (found.driver !== 'vfio-pci')
    steps.push(found.driver === undefined ? 'bind it to vfio-pci' : `unbind it from ${found.driver}, and bind it to vfio-pci`);
  if (steps.length === 0) return verdict('ready', 'vfio-pci drives it', []);
  if (failed.length > 0) return verdict('possible', reasons(failed), failed, steps);
  const others = companions(picture, found);
  if (others.length > 0) steps.push(`give ${others.join(', ')} of the same group to the same guest, or to nobody`);
  return verdict('possible', found.driver === undefined ? 'no driver has it' : `${found.driver} has to let it go`, [], steps);
}

/** Other functions of its group that a guest could drive: they can be with nobody else while it is given away. */
function companions(picture: Picture, found: PciFunction): string[] {
  const members = found.group === undefined ? [] : (groupNumbered(picture, found.group)?.devices ?? []);
  if (members.length > MOST_NAMED) return [`the ${members.length - 1} other functions`];
  return members.filter((bdf) => bdf !== found.bdf && ask(endpoint, picture, bdf).is === 'pass');
}

/** More names than this in a step help nobody. */
const MOST_NAMED = 16;

function reasons(findings: readonly Finding[]): string {
  return findings.map((finding) => finding.because).join('; ');
}

/** What removes an obstacle while the host runs and without taking from it what it uses; undefined when nothing does. */
function removedBy(picture: Picture, found: PciFunction, finding: Finding): string[] | undefined {
  if (finding.id === 'group/viable') {
    const members = found.group === undefined ? [] : (groupNumbered(picture, found.group)?.devices ?? []);
    const blocking = blockingMembers(
      members.map((bdf) => ({ bdf, driver: functionOf(picture, bdf)?.driver })),
      [found.bdf],
    );
    if (!blocking.every(({ bdf }) => isFree(picture, bdf))) return undefined;
    return blocking.map(
      ({ bdf, driver }) => `unbind ${bdf} of the same group from ${driver}: it goes to the same guest, or to nobody`,
    );
  }
  if (finding.id === 'sriov/no-vfs')
    return found.virtfns.every((vf) => isFree(picture, vf))
      ? [`echo 0 > /sys/bus/pci/devices/${found.bdf}/sriov_numvfs`]
      : undefined;
  return undefined;
}

/** Whether nothing that was looked for needs a function: other than by its own driver nobody would notice. */
function isFree(picture: Picture, bdf: string): boolean {
  return ask(notInUse, picture, bdf).is === 'pass' && (functionOf(picture, bdf)?.virtfns.length ?? 0) === 0;
}

function judgeVfs(picture: Picture, found: PciFunction): { possible: number; because: string } {
  const capable = ask(sriovCapable, picture, found.bdf);
  if (capable.is !== 'pass') return { possible: 0, because: capable.because };
  const numVFs = found.sriov?.numVFs;
  if (numVFs !== undefined && numVFs > 0) return { possible: numVFs, because: `${numVFs} exist; another number only through 0` };
  return { possible: found.sriov?.totalVFs ?? 0, because: capable.because };
}
