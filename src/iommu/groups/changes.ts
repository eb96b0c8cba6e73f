import { formatBdf, lastVfBus, parseBdf, vfAddresses } from '../../pci/index.ts';
import { REQ_ACS_FLAGS, type Topology, type TopologyFunction } from './topology.ts';

/** Something that is supposed to be otherwise. */
export type Change =
  | { is: 'vfs'; bdf: string; count: number }
  | { is: 'acs'; bdf: string; on: boolean }
  | { is: 'ari'; on: false }
  | { is: 'move'; bdf: string; to: string };

export interface Changed {
  topology: Topology;
  /** What the change brings with it, or leaves open; a sentence each. */
  notes: string[];
}

/** A change that no machine of this kind could have: a message for the user. */
export class ImpossibleChange extends Error {}

/**
 * The machine as it would be. Changes are made one after the other.
 * @throws ImpossibleChange
 */
export function applyChanges(topology: Topology, changes: readonly Change[]): Changed {
  const notes: string[] = [];
  let now = topology;
  for (const change of changes) {
    const made = applyOne(now, change);
    now = made.topology;
    notes.push(...made.notes);
  }
  return { topology: now, notes };
}

function applyOne(topology: Topology, change: Change): Changed {
  switch (change.is) {
    case 'vfs':
      return enableVfs(topology, change.bdf, change.count);
    case 'acs':
      return setAcs(topology, change.bdf, change.on);
    case 'ari':
      return ariOff(topology);
    case 'move':
      return move(topology, change.bdf, change.to);
  }
}

function find(topology: Topology, bdf: string): TopologyFunction {
  const found = topology.functions.find((f) => f.bdf === bdf);
  if (!found) throw new ImpossibleChange(`there is no function ${bdf}`);
  return found;
}

/** Finds the bridge above a function: named, or the one whose secondary bus it is on. */
function bridgesOf({ functions }: Topology): (f: TopologyFunction) => TopologyFunction | undefined {
  const named = new Map(functions.map((f) => [f.bdf, f]));
  const leading = new Map<string, TopologyFunction>();
  for (const f of functions) if (f.buses) leading.set(`${parseBdf(f.bdf)!.domain}:${f.buses.secondary}`, f);
  return (f) => {
    if (f.above !== undefined) return named.get(f.above ?? '');
    const { domain, bus } = parseBdf(f.bdf)!;
    return leading.get(`${domain}:${bus}`);
  };
}

/**
 * The VFs that a PF would have: addresses from First VF Offset and VF Stride as they stand now.
 * @throws ImpossibleChange when the PF has no such VFs, or their addresses are not known
 */
export function vfsOf(topology: Topology, bdf: string, count: number): TopologyFunction[] {
  const pf = find(topology, bdf);
  if (pf.sriov === 'none') throw new ImpossibleChange(`${bdf} has no SR-IOV capability: it cannot have VFs`);
  const { totalVFs, firstVFOffset: FirstVFOffset, vfStride: VFStride, vfDevice } = pf.sriov ?? {};
  if (FirstVFOffset === undefined || VFStride === undefined)
    throw new ImpossibleChange(`where the VFs of ${bdf} would be is not known: its SR-IOV capability could not be read`);
  if (totalVFs !== undefined && count > totalVFs) throw new ImpossibleChange(`${bdf} can have ${totalVFs} VFs, not ${count}`);
  const address = parseBdf(bdf)!;
  const layout = { FirstVFOffset, VFStride };
  const above = bridgesOf(topology)(pf);
  const last = count === 0 ? address.bus : lastVfBus(address, layout, count);
  if (above?.buses && last > above.buses.subordinate)
    throw new ImpossibleChange(
      `${count} VFs of ${bdf} need bus numbers up to ${hex(last)}, and the bridge above, ${above.bdf}, has them up to ${hex(above.buses.subordinate)}: the kernel refuses with ENOMEM`,
    );
  return vfAddresses(address, layout, count).map((vf) => ({
    bdf: formatBdf(vf),
    ...(pf.vendor !== undefined && { vendor: pf.vendor }),
    ...(vfDevice !== undefined && { device: vfDevice }),
    ...(pf.class !== undefined && { class: pf.class }),
    ...(pf.port !== undefined && { port: pf.port }),
    ...(pf.above !== undefined && { above: pf.above }),
    ...(pf.realDma !== undefined && { realDma: pf.realDma }),
    ...(pf.covered !== undefined && { covered: pf.covered }),
    ...(pf.coveredBecause !== undefined && { coveredBecause: pf.coveredBecause }),
    multifunction: false,
    acs: 'none',
    sriov: 'none',
    physfn: bdf,
  }));
}

function enableVfs(topology: Topology, bdf: string, count: number): Changed {
  const vfs = vfsOf(topology, bdf, count);
  const pf = find(topology, bdf);
  const others = topology.functions.filter((f) => f.physfn !== bdf);
  const taken = new Set(others.map((f) => f.bdf));
  const clash = vfs.find((vf) => taken.has(vf.bdf));
  if (clash) throw new ImpossibleChange(`a VF of ${bdf} would be at ${clash.bdf}, where another function is`);
  const functions = others.map((f) =>
    f === pf && f.sriov !== undefined && f.sriov !== 'none' ? { ...f, sriov: { ...f.sriov, numVFs: count } } : f,
  );
  const notes =
    pf.sriov !== undefined && pf.sriov !== 'none' && pf.sriov.numVFs !== count
      ? [`First VF Offset and VF Stride of ${bdf} are those that it shows now; they may change with the number of VFs.`]
      : [];
  return { topology: { ...topology, functions: [...functions, ...vfs] }, notes };
}

function setAcs(topology: Topology, bdf: string, on: boolean): Changed {
  const found = find(topology, bdf);
  const notes: string[] = [];
  const registers = found.acs === undefined || found.acs === 'none' ? undefined : found.acs;
  if (on && !registers)
    notes.push(
      `${bdf} ${found.acs === 'none' ? 'has no ACS capability' : 'may have no ACS capability'}: this supposes hardware that has one.`,
    );
  if (!on && found.acs === 'none') notes.push(`${bdf} has no ACS capability to turn off.`);
  const capability = registers?.capability ?? (on ? REQ_ACS_FLAGS : 0);
  const control = on ? capability & REQ_ACS_FLAGS : 0;
  // The second place of the control register is where the kernel looks for it on some ports of Intel.
  const acs = !on && !registers ? found.acs : { capability, control, unread: 0, controlAt8: control };
  const changed: TopologyFunction = { ...found, ...(acs !== undefined && { acs }) };
  return { topology: replace(topology, found, changed), notes };
}

function replace(topology: Topology, old: TopologyFunction, by: TopologyFunction): Topology {
  return { ...topology, functions: topology.functions.map((f) => (f === old ? by : f)) };
}

/** Without ARI forwarding a port reaches device 0 only, functions 0 to 7. */
function ariOff(topology: Topology): Changed {
  const bridgeAbove = bridgesOf(topology);
  const notes: string[] = [];
  const functions = topology.functions
    .filter((f) => {
      const above = f.physfn === undefined ? bridgeAbove(f) : undefined;
      const gone = above?.ariForwarding === true && parseBdf(f.bdf)!.device > 0;
      if (gone) notes.push(`${f.bdf} is reached by ARI only: it would not be there.`);
      return !gone;
    })
    .map((f) => {
      if (f.ariForwarding !== true) return f;
      notes.push(`Below ${f.bdf} functions may appear that the chain of ARI leaves out now.`);
      return { ...f, ariForwarding: false };
    });
  for (const f of functions)
    if (f.sriov !== undefined && f.sriov !== 'none' && bridgeAbove(f)?.ariForwarding)
      notes.push(`First VF Offset and VF Stride of ${f.bdf} may be others without ARI; those that it shows now are taken.`);
  if (notes.length === 0) notes.push('ARI is not in use here: nothing changes.');
  return { topology: { ...topology, functions }, notes };
}

/** A whole device moves, with its VFs and what is behind it; a port has room for one device. */
function move(topology: Topology, bdf: string, to: string): Changed {
  const bridgeAbove = bridgesOf(topology);
  const found = find(topology, bdf);
  const bridge = find(topology, to);
  if (!bridge.buses || bridge.buses.secondary === 0)
    throw new ImpossibleChange(`${to} is no bridge that something could be behind`);
  if (found.physfn !== undefined) throw new ImpossibleChange(`${bdf} is a VF: it goes where its PF ${found.physfn} goes`);
  const from = parseBdf(bdf)!;
  const slotOf = (f: TopologyFunction) => {
    const at = parseBdf(f.bdf)!;
    return at.domain === from.domain && at.bus === from.bus && at.device === from.device && f.physfn === undefined;
  };
  const device = topology.functions.filter(slotOf);
  for (let above: TopologyFunction | undefined = bridge, steps = 0; above && steps < 256; above = bridgeAbove(above), steps++)
    if (device.includes(above))
      throw new ImpossibleChange(`${to} is behind ${above.bdf}, or is part of it: it cannot be moved there`);
  const target = parseBdf(to)!;
  const moved = new Set(device);
  const occupied = new Set(
    topology.functions
      .filter(
        (f) => !moved.has(f) && parseBdf(f.bdf)!.domain === target.domain && parseBdf(f.bdf)!.bus === bridge.buses!.secondary,
      )
      .map((f) => parseBdf(f.bdf)!.device),
  );
  const conventional = bridge.port === 'conventional' || bridge.port === 'bridgeToPci';
  let slot = 0;
  while (conventional && occupied.has(slot)) slot++;
  if (slot > 31 || occupied.has(slot))
    throw new ImpossibleChange(`behind ${to} there is no room: ${bridge.buses.secondary.toString(16)}:00 is taken`);
  const names = new Map(
    device.map((f) => [
      f.bdf,
      formatBdf({ domain: target.domain, bus: bridge.buses!.secondary, device: slot, function: parseBdf(f.bdf)!.function }),
    ]),
  );
  const notes = [...names].map(([was, is]) => `${was} would be ${is}.`);
  const functions = topology.functions
    .filter((f) => {
      const withPf = f.physfn !== undefined && names.has(f.physfn);
      if (withPf) notes.push(`The VF ${f.bdf} is left out: its place depends on where its PF is.`);
      return !withPf;
    })
    .map((f) => {
      const renamed = names.get(f.bdf);
      if (renamed !== undefined)
        return {
          ...f,
          bdf: renamed,
          above: to,
          ...(f.sriov !== undefined && f.sriov !== 'none' && { sriov: { ...f.sriov, numVFs: 0 } }),
        };
      const above = bridgeAbove(f);
      return above !== undefined && names.has(above.bdf) ? { ...f, above: names.get(above.bdf)! } : f;
    });
  return { topology: { ...topology, functions }, notes };
}

function hex(bus: number): string {
  return bus.toString(16).padStart(2, '0');
}
