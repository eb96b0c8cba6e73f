import { type Computed, computeGroups } from './compute.ts';
import { acsAtBoot, type Topology, withAcsControl } from './topology.ts';

/** A group as the kernel shows it. */
export interface KernelGroup {
  number: number;
  devices: readonly string[];
}

/**
 * Why the kernel's groups are not the computed ones.
 *
 * `acs override active`: an out-of-tree option makes the kernel believe in ACS that is not there.
 * `order`: groups are decided when a function appears, and something has changed since, or it appeared alone.
 * `quirk unknown to us`: nothing that could be read explains it.
 */
export type Reason = 'acs override active' | 'order' | 'quirk unknown to us';

export interface Difference {
  /** `finer`: the kernel keeps apart what is computed as one group. `coarser`: the other way round. */
  kernel: 'finer' | 'coarser';
  functions: string[];
  /** The groups that they are in, by the kernel's numbers. */
  groups: number[];
  reason: Reason;
  /** What that means for isolation. A sentence or two. */
  says: string;
}

export interface Comparison {
  differences: Difference[];
  /** Functions with a group on one side only. */
  presence: { bdf: string; says: string }[];
}

type GroupOf = ReadonlyMap<string, number>;

/**
 * Holds computed groups against the kernel's, which are the ones in force. Functions whose computed group is unknown are passed over.
 *
 * @param cmdline of the kernel, for `pcie_acs_override`
 */
export function compareGroups(topology: Topology, computed: Computed, kernel: readonly KernelGroup[], cmdline = ''): Comparison {
  const unknown = new Set(computed.unknown.map(({ bdf }) => bdf));
  const ours = groupsOf(computed);
  const theirs = byMember(kernel, ({ devices }) => devices);
  const both = (bdf: string) => ours.has(bdf) && theirs.has(bdf) && !unknown.has(bdf);
  const differences: Difference[] = [];
  const override = /(^| )pcie_acs_override=/.test(cmdline);
  const assumed = new Assumptions(topology);

  for (const { members } of computed.groups) {
    // Most groups are of one function, about which nobody can differ.
    if (members.length < 2) continue;
    const shared = members.filter(both);
    const groups = distinct(shared, theirs);
    if (groups.length < 2) continue;
    differences.push({ kernel: 'finer', functions: shared, groups, ...whyFiner(shared, theirs, assumed, override) });
  }
  for (const { number, devices } of kernel) {
    if (devices.length < 2) continue;
    const shared = devices.filter(both);
    if (distinct(shared, ours).length < 2) continue;
    differences.push({ kernel: 'coarser', functions: [...shared], groups: [number], ...whyCoarser(shared, assumed) });
  }
  return { differences, presence: presenceOf(topology, ours, theirs) };
}

function whyFiner(
  shared: readonly string[],
  theirs: GroupOf,
  assumed: Assumptions,
  override: boolean,
): Pick<Difference, 'reason' | 'says'> {
  const names = some(shared);
  if (override)
    return {
      reason: 'acs override active',
      says: `pcie_acs_override makes the kernel show ${names} apart. Nothing in the hardware keeps them from reaching each other: this is no isolation.`,
    };
  /** The kernel lies between what is computed and what an assumption gives: what that puts together, the kernel has together. */
  const fits = (other: GroupOf) => {
    const kernelOf = new Map<number, number>();
    return shared.every((bdf) => {
      const group = other.get(bdf)!;
      const its = theirs.get(bdf)!;
      if (!kernelOf.has(group)) kernelOf.set(group, its);
      return kernelOf.get(group) === its;
    });
  };
  if (fits(assumed.hotAdded))
    return {
      reason: 'order',
      says: `${names} are functions of one device, and some were added to the running system, or removed and found again: the kernel decided before it knew that they belong together. They can reach each other: the isolation shown does not exist, and a reboot makes one group of them.`,
    };
  if (fits(assumed.turnedOn))
    return {
      reason: 'order',
      says: `ACS between ${names} was on when their groups were made and is off now. They can reach each other: the isolation shown does not exist any more, and a reboot would settle it.`,
    };
  return {
    reason: 'quirk unknown to us',
    says: `The kernel keeps ${names} apart, and nothing that was read says why. It may know more about this hardware, or be patched: look for an ACS quirk of these devices before relying on it.`,
  };
}

function whyCoarser(shared: readonly string[], assumed: Assumptions): Pick<Difference, 'reason' | 'says'> {
  const names = some(shared);
  if (distinct(shared, assumed.turnedOff).length === 1)
    return {
      reason: 'order',
      says: `ACS between ${names} is on now but was off when their groups were made. They stay one group until they are removed and found again, or the next boot.`,
    };
  return {
    reason: 'quirk unknown to us',
    says: `The kernel has ${names} in one group, and nothing that was read says why: it may know of a requester ID that they share.`,
  };
}

/** What the groups would be if something else were true; each is computed when it is first asked for. */
class Assumptions {
  private readonly topology: Topology;
  private readonly made = new Map<string, GroupOf>();
  constructor(topology: Topology) {
    this.topology = topology;
  }

  /** Every function was added to the running system. */
  get hotAdded(): GroupOf {
    return this.make('hotAdded', () => computeGroups(this.topology, { hotAdded: true }));
  }
  /** The ACS controls are as the kernel sets them at boot. */
  get turnedOn(): GroupOf {
    return this.make('turnedOn', () => computeGroups(acsAtBoot(this.topology)));
  }
  /** They are all off. */
  get turnedOff(): GroupOf {
    return this.make('turnedOff', () => computeGroups(withAcsControl(this.topology, () => 0)));
  }

  private make(name: string, compute: () => Computed): GroupOf {
    let found = this.made.get(name);
    if (found === undefined) {
      found = groupsOf(compute());
      this.made.set(name, found);
    }
    return found;
  }
}

function groupsOf({ groups }: Computed): GroupOf {
  return byMember(groups, ({ members }) => members);
}

function byMember<G extends { number: number }>(groups: readonly G[], membersOf: (group: G) => readonly string[]): GroupOf {
  const found = new Map<string, number>();
  for (const group of groups) for (const bdf of membersOf(group)) found.set(bdf, group.number);
  return found;
}

function distinct(bdfs: readonly string[], groupOf: GroupOf): number[] {
  return [...new Set(bdfs.map((bdf) => groupOf.get(bdf)!))].sort((a, b) => a - b);
}

function presenceOf(topology: Topology, ours: GroupOf, theirs: GroupOf): Comparison['presence'] {
  return topology.functions.flatMap(({ bdf, covered, coveredBecause }) => {
    if (ours.has(bdf) === theirs.has(bdf)) return [];
    if (theirs.has(bdf))
      return [{ bdf, says: `it has a group, and none was expected: ${coveredBecause ?? 'no unit is in front of it'}` }];
    // Not known to be covered: then having none is no surprise.
    if (covered === undefined && coveredBecause !== undefined) return [{ bdf, says: coveredBecause }];
    return [{ bdf, says: 'it has no group, and one was expected' }];
  });
}

/** The first few names of many. */
function some(names: readonly string[]): string {
  return names.length > 8 ? `${names.slice(0, 8).join(', ')} and ${names.length - 8} more` : names.join(', ');
}
