import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { computeGroups, topologyOfListing } from '../../src/iommu/index.ts';
import { readLspciText } from '../../src/pci/index.ts';
import { type ConformanceSet, partOf, Tally } from './set.ts';

/** A machine of `groups/index.json`: the kernel's groups, which were taken out of its listing. */
export interface ListedMachine {
  id: string;
  input: string;
  groups: { readonly [group: string]: readonly string[] };
}

/** What became of one function of a machine. */
export interface Verdict {
  bdf: string;
  is: 'same' | 'unknown' | 'other';
  /** Whether the answer that was given with `unknown` was right nevertheless. */
  right: boolean;
  says: string;
}

export function machinesIn(folder: string): ListedMachine[] {
  return JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8')) as ListedMachine[];
}

/**
 * Every function that the kernel has in a group, and that the listing shows. Others of its group are compared as far as
 * they are in the listing. Where bytes are missing the answer must be unknown, with the reason.
 */
export function judgeMachine(machine: ListedMachine, text: string): Verdict[] {
  const topology = topologyOfListing(readLspciText(text));
  const computed = computeGroups(topology);
  const listed = new Set(topology.functions.map(({ bdf }) => bdf));
  const theirs = new Map<string, string>();
  for (const members of Object.values(machine.groups)) {
    const shown = members.filter((bdf) => listed.has(bdf)).sort();
    for (const bdf of shown) theirs.set(bdf, shown.join(' '));
  }
  const ours = new Map<string, string>();
  for (const { members } of computed.groups) {
    const judged = members.filter((bdf) => theirs.has(bdf)).sort();
    for (const bdf of judged) ours.set(bdf, judged.join(' '));
  }
  const unknown = new Map(computed.unknown.map(({ bdf, because }) => [bdf, because]));
  return [...theirs].map(([bdf, group]) => {
    const right = ours.get(bdf) === group;
    const because = unknown.get(bdf);
    if (because !== undefined && because.length > 0) return { bdf, is: 'unknown', right, says: because.join('; ') };
    return { bdf, is: right ? 'same' : 'other', right, says: `with ${ours.get(bdf) ?? 'nobody'}; the kernel has ${group}` };
  });
}

/** The total is functions with a group. One whose group is unknown counts as agreed: the listing lacks what decides. */
export const groupsSet: ConformanceSet = {
  name: 'groups',
  run(folder) {
    const at = partOf(folder, 'groups');
    if (at === undefined || !readdirSync(at).includes('index.json')) return undefined;
    const tally = new Tally();
    for (const machine of machinesIn(at))
      for (const { bdf, is, says } of judgeMachine(machine, readFileSync(join(at, machine.input), 'utf8')))
        tally.add(`${machine.id} ${bdf}`, is === 'other' ? says : undefined);
    return tally;
  },
};
