import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { readDmar, readIvrs, readViot } from '../../src/acpi/index.ts';
import { fromHex } from '../../src/bits/index.ts';
import {
  applyChanges,
  type Comparison,
  compareGroups,
  computeGroups,
  coverageBy,
  type Topology,
  topologyOf,
} from '../../src/iommu/index.ts';
import { type Capture, type CapturedDevice, type CapturedState, configOf, isState, readCapture } from '../captures.ts';
import { type ConformanceSet, type Outcome, partOf, Tally } from './set.ts';

/** What decides the groups of a captured moment. The kernel's own groups are no part of it. */
export function topologyOfState(state: CapturedState): Topology {
  const table = <T>(name: string, read: (bytes: Uint8Array) => T | undefined): T | undefined => {
    const digits = state.acpi[name];
    return digits === undefined ? undefined : read(fromHex(digits));
  };
  const [dmar, ivrs, viot] = [table('DMAR', readDmar), table('IVRS', readIvrs), table('VIOT', readViot)];
  const coverageOf = coverageBy({
    names: Object.keys(state.iommus),
    ...(dmar && { dmar }),
    ...(ivrs && { ivrs }),
    ...(viot && { viot }),
  });
  return topologyOf(
    Object.entries(state.devices).map(([bdf, device]) => {
      const { physfn, driver } = device.links;
      const path = (physfn === undefined ? device : (state.devices[physfn] ?? device)).path;
      const code = Number(device.attrs.class);
      const { covered, because, aliases } = coverageOf({ bdf, path, class: code, ...(driver !== undefined && { driver }) });
      return {
        bdf,
        config: configOf(device),
        path: device.path,
        vendor: Number(device.attrs.vendor),
        device: Number(device.attrs.device),
        class: code,
        ...(physfn !== undefined && { physfn }),
        // Whether a driver has asked for it since boot is not in the state: the kernel is asked for that alone.
        covered: covered ?? device.links.iommu_group !== undefined,
        ...(because !== undefined && { coveredBecause: because }),
        ...(aliases && { aliases }),
      };
    }),
    { ivrs: state.acpi.IVRS !== undefined },
  );
}

export function compareState(state: CapturedState): Comparison {
  const topology = topologyOfState(state);
  const kernel = Object.entries(state.groups).map(([number, { devices }]) => ({ number: Number(number), devices }));
  return compareGroups(topology, computeGroups(topology), kernel, state.proc.cmdline);
}

/** Undefined when the groups are the kernel's, or when the difference is told as what the order of events made. */
export function complaintAbout(capture: Capture, state: CapturedState): string | undefined {
  const { differences, presence } = compareState(state);
  // Before anything was done there is no order to blame.
  const first = capture.events.find(isState) === state;
  const bad = differences.filter(({ reason }) => first || reason !== 'order');
  const says = [
    ...bad.map(({ kernel, functions, reason }) => `the kernel is ${kernel} for ${functions.join(' ')} (${reason})`),
    ...presence.map((one) => `${one.bdf}: ${one.says}`),
  ];
  return says.length > 0 ? says.join('; ') : undefined;
}

/** VFs that are in a state and were not in the one before it. */
export interface Appeared {
  before: CapturedState;
  after: CapturedState;
  pf: string;
  vfs: string[];
}

export function appearedIn({ states }: Capture): Appeared[] {
  const found: Appeared[] = [];
  for (const [i, after] of states.entries()) {
    const before = states[i - 1];
    for (const [pf, device] of Object.entries(after.devices)) {
      const vfs = virtfns(device);
      const was = before?.devices[pf];
      if (before && was && vfs.length > 0 && virtfns(was).join() !== vfs.join()) found.push({ before, after, pf, vfs });
    }
  }
  return found;
}

function virtfns({ links }: CapturedDevice): string[] {
  const numbers = Object.keys(links).flatMap((name) => /^virtfn(\d+)$/.exec(name)?.[1] ?? []);
  return numbers.sort((a, b) => Number(a) - Number(b)).map((n) => links[`virtfn${n}`]!);
}

/** One entry for each VF, in the order of their numbers: what was wrong with its prediction. */
export function judgeVfs({ before, after, pf, vfs }: Appeared): (string | undefined)[] {
  const { topology } = applyChanges(topologyOfState(before), [{ is: 'vfs', bdf: pf, count: vfs.length }]);
  const predicted = topology.functions.filter(({ physfn }) => physfn === pf);
  const { groups } = computeGroups(topology);
  const ours = new Map(groups.flatMap(({ members }) => members.map((bdf) => [bdf, [...members].sort().join(' ')])));
  return vfs.map((bdf, n) => {
    if (predicted[n]?.bdf !== bdf) return `predicted at ${predicted[n]?.bdf}`;
    const { physfn, iommu_group: number } = after.devices[bdf]?.links ?? {};
    if (physfn !== pf) return `its PF is ${physfn}, predicted ${pf}`;
    const theirs = number === undefined ? undefined : [...after.groups[number]!.devices].sort().join(' ');
    return ours.get(bdf) === theirs ? undefined : `in a group with ${theirs ?? 'nobody'}, predicted ${ours.get(bdf) ?? 'none'}`;
  });
}

function judge(folder: string, add: (tally: Tally, capture: Capture) => void): Outcome | undefined {
  const at = partOf(folder, 'captures');
  const files = at === undefined ? [] : readdirSync(at).filter((name) => name.endsWith('.json.gz'));
  if (at === undefined || files.length === 0) return undefined;
  const tally = new Tally();
  for (const file of files) add(tally, readCapture(join(at, file)));
  return tally;
}

/** Each state of each capture counts one. */
export const captureGroups: ConformanceSet = {
  name: 'captures/groups',
  run: (folder) =>
    judge(folder, (tally, capture) => {
      for (const state of capture.states) tally.add(`${capture.name} ${state.label}`, complaintAbout(capture, state));
    }),
};

/** Each VF counts one: its address, PF and group are predicted from the state before it was there. */
export const captureVfs: ConformanceSet = {
  name: 'captures/vfs',
  run: (folder) =>
    judge(folder, (tally, capture) => {
      for (const appeared of appearedIn(capture))
        for (const [n, why] of judgeVfs(appeared).entries())
          tally.add(`${capture.name} ${appeared.after.label} ${appeared.vfs[n]}`, why);
    }),
};
