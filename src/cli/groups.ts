import { groupsOfPicture } from '../check/groups.ts';
import { type Picture, readPicture } from '../host/picture.ts';
import {
  applyChanges,
  type Computed,
  compareGroups,
  computeGroups,
  ImpossibleChange,
  type KernelGroup,
  reasonOf,
  type Topology,
  topologyOfListing,
  whyTogether,
} from '../iommu/index.ts';
import { className, formatBdf, parseBdf, readHexDump, readLspciText } from '../pci/index.ts';
import type { Run } from './command.ts';
import type { Context } from './context.ts';
import { EXIT, UsageError } from './exit.ts';
import { parseChanges } from './groups-changes.ts';
import type { GroupsReport } from './groups-report.ts';
import { renderGroups } from './groups-view.ts';

export const run: Run<'groups'> = async ({ device, why, if: supposed }, cx) => {
  const changes = supposed === undefined ? [] : parseChanges(supposed);
  if (why && device.length !== 2) throw new UsageError('--why needs two functions', 'As in: sluice groups --why 01:00.0 02:00.0');
  const bdfs = device.map(addressOf);
  const source = await sourceOf(cx);
  const report = groupsReportOf(source, changes, bdfs, why);
  cx.print(report, renderGroups);
  return report.differences.some(({ kernel }) => kernel === 'finer') ? EXIT.findings : EXIT.ok;
};

/** Where groups are told from: a host, or a listing that somebody posted. */
export interface GroupsSource {
  host: string;
  topology: Topology;
  kernel: readonly KernelGroup[];
  cmdline: string;
  drivers: ReadonlyMap<string, string>;
  names: ReadonlyMap<string, string>;
  notes: string[];
}

async function sourceOf(cx: Context): Promise<GroupsSource> {
  const listing = await cx.listing();
  return listing === undefined ? await sourceOfHost(cx) : sourceOfListing(listing.name, listing.text);
}

async function sourceOfHost(cx: Context): Promise<GroupsSource> {
  const progress = cx.progress('reading the host');
  return sourceOfPicture(await readPicture(await cx.host()).finally(() => progress.done()));
}

export function sourceOfPicture(picture: Picture): GroupsSource {
  const { topology, on } = groupsOfPicture(picture);
  const notes: string[] = [];
  if (!on)
    notes.push(
      'The kernel drives no remapping unit, so it has made no groups. These are the groups that it would make with one, after it has turned on the ACS that the ports offer.',
    );
  if (picture.functions.some(({ config }) => config === undefined || config.length === 64))
    notes.push('Capabilities can be read by root only: as root more is known.');
  return {
    host: picture.host,
    topology,
    kernel: picture.groups,
    cmdline: picture.system.cmdline,
    drivers: new Map(picture.functions.flatMap(({ bdf, driver }) => (driver === undefined ? [] : [[bdf, driver] as const]))),
    names: new Map(),
    notes,
  };
}

export function sourceOfListing(name: string, text: string): GroupsSource {
  const listing = readLspciText(text);
  if (listing.functions.length === 0)
    throw new UsageError(`${name} lists no function`, 'It should be what lspci prints; best is: sudo lspci -nnvvv');
  const groups = new Map<number, string[]>();
  for (const { bdf, group } of listing.functions) if (group !== undefined) groups.set(group, [...(groups.get(group) ?? []), bdf]);
  const notes = listing.findings.map(({ line, says }) => `${name}, line ${line}: ${says}.`);
  if (groups.size === 0)
    notes.unshift(
      'The listing has no groups of the kernel. These are computed from what it shows, as if one unit was in front of all.',
    );
  if (listing.functions.some(({ told }) => told === 'denied' || told === 'none'))
    notes.push('The listing does not show all capabilities: sudo lspci -nnvvv does.');
  return {
    host: name,
    topology: topologyOfListing(listing, readHexDump(text)),
    kernel: [...groups].map(([number, devices]) => ({ number, devices })),
    cmdline: '',
    drivers: new Map(listing.functions.flatMap(({ bdf, driver }) => (driver === undefined ? [] : [[bdf, driver] as const]))),
    names: new Map(
      listing.functions.flatMap(({ bdf, className: words }) => (words === undefined ? [] : [[bdf, words] as const])),
    ),
    notes,
  };
}

/** Everything that the verb tells. Pure. @throws UsageError when a function is not there or a change is impossible */
export function groupsReportOf(
  source: GroupsSource,
  changes: ReturnType<typeof parseChanges>,
  bdfs: readonly string[],
  asksWhy: boolean,
): GroupsReport {
  const before = computeGroups(source.topology);
  const { topology, notes } = changed(source.topology, changes);
  const computed = changes.length === 0 ? before : computeGroups(topology);
  const kernelKnows = changes.length === 0 && source.kernel.length > 0;
  for (const bdf of bdfs)
    if (!topology.functions.some((f) => f.bdf === bdf))
      throw new UsageError(`there is no function ${bdf} on ${source.host}`, "'sluice groups' lists them.");
  const { differences, presence } = kernelKnows
    ? compareGroups(topology, computed, source.kernel, source.cmdline)
    : { differences: [], presence: [] };
  const about = (bdf: string) => bdfs.length === 0 || bdfs.includes(bdf);
  const classes = new Map(topology.functions.map((f) => [f.bdf, f.class]));
  const member = (bdf: string) => {
    const driver = source.drivers.get(bdf);
    const code = classes.get(bdf);
    const what = source.names.get(bdf) ?? (code === undefined ? '' : className(code));
    return { bdf, what, ...(driver !== undefined && { driver }) };
  };
  const groups = kernelKnows
    ? kernelGroups(source.kernel, computed)
    : computed.groups.map((group) => ({ ...group, because: reasonOf(group) }));
  return {
    schema: 'sluice/groups/1',
    host: source.host,
    are: kernelKnows ? 'kernel' : 'computed',
    supposing: changes.map(({ words }) => words),
    notes: [...source.notes, ...notes],
    groups: groups
      .filter(({ members }) => members.some(about))
      .map(({ number, members, because, joins }) => ({
        number,
        members: members.map(member),
        ...(because !== undefined && { because }),
        joins,
      })),
    ungrouped: computed.ungrouped.filter(({ bdf }) => about(bdf)),
    unknown: computed.unknown.filter(({ bdf }) => about(bdf)),
    differences: differences.filter(({ functions }) => functions.some(about)),
    presence: presence.filter(({ bdf }) => about(bdf)),
    ...(changes.length > 0 && { changed: companyChanged(before, computed).filter(({ bdf }) => about(bdf)) }),
    ...(asksWhy && { why: whyTogether(topology, bdfs[0]!, bdfs[1]!) }),
  };
}

function changed(topology: Topology, changes: ReturnType<typeof parseChanges>): { topology: Topology; notes: string[] } {
  try {
    return applyChanges(
      topology,
      changes.map(({ change }) => change),
    );
  } catch (error) {
    if (error instanceof ImpossibleChange) throw new UsageError(`--if: ${error.message}`);
    throw error;
  }
}

/** The kernel's groups with the reason that was computed, where all of a group is in one computed group. */
function kernelGroups(kernel: readonly KernelGroup[], computed: Computed) {
  const ours = new Map(computed.groups.flatMap((group) => group.members.map((bdf) => [bdf, group] as const)));
  return kernel
    .toSorted((a, b) => a.number - b.number)
    .map(({ number, devices }) => {
      const group = ours.get(devices[0] ?? '');
      const whole = group !== undefined && devices.every((bdf) => ours.get(bdf) === group);
      const joins = whole && devices.length > 1 ? group.joins.filter(({ bdf }) => devices.includes(bdf)) : [];
      return { number, members: [...devices], joins, because: joins.length > 0 ? reasonOf({ ...group!, joins }) : undefined };
    });
}

function companyChanged(before: Computed, after: Computed): NonNullable<GroupsReport['changed']> {
  const companyOf = ({ groups }: Computed) =>
    new Map(
      groups.flatMap(({ members }) => members.map((bdf) => [bdf, members.filter((other) => other !== bdf).sort()] as const)),
    );
  const was = companyOf(before);
  const becomes = companyOf(after);
  return [...new Set([...was.keys(), ...becomes.keys()])].sort().flatMap((bdf) => {
    const [old, now] = [was.get(bdf), becomes.get(bdf)];
    if (old !== undefined && now !== undefined && old.join() === now.join()) return [];
    return [{ bdf, was: old ?? [], becomes: now ?? [] }];
  });
}

function addressOf(text: string): string {
  const address = parseBdf(text);
  if (!address) throw new UsageError(`${text} is no address of a function`, 'Write it as 0000:3b:00.0 or 3b:00.0.');
  return formatBdf(address);
}
