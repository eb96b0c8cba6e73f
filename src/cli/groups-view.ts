import type { GroupsReport } from './groups-report.ts';
import { harmless, indent, type Page, table, wrap } from './output.ts';

type Group = GroupsReport['groups'][number];

export function renderGroups(report: GroupsReport, page: Page): string {
  const parts = report.why ? [renderWhy(report.why, page)] : [renderList(report, page)];
  parts.push(renderDifferences(report, page));
  if (!report.why) parts.push(renderUnknown(report, page), renderUngrouped(report, page));
  parts.push(...report.notes.map((note) => paragraph(`Note: ${note}`, page)));
  return parts.filter((part) => part !== '').join('\n\n');
}

function renderList(report: GroupsReport, page: Page): string {
  const { groups, are, supposing } = report;
  const several = groups.filter(({ members }) => members.length > 1).length;
  const whose =
    are === 'kernel' ? "the kernel's own" : supposing.length > 0 ? `computed, supposing ${supposing.join(', ')}` : 'computed';
  const head = wrap(
    `${page.style.bold(`IOMMU groups of ${harmless(report.host)}`)}: ${count(groups.length, 'group')}, ${several} with several functions (${whose})`,
    page.width,
  ).join('\n');
  const parts = [head];
  if (report.changed) parts.push(renderChanged(report.changed, page));
  const doubtful = new Set(report.unknown.map(({ bdf }) => bdf));
  if (groups.length > 0) parts.push(groups.map((group, i) => renderGroup(group, groups[i - 1], doubtful, page)).join('\n'));
  return parts.join('\n\n');
}

/** One line for one function; several have a heading and a reason, with a blank line around. */
function renderGroup(
  { number, members, because }: Group,
  before: Group | undefined,
  doubtful: ReadonlySet<string>,
  page: Page,
): string {
  const row = ({ bdf, what, driver }: Group['members'][number]) => [
    bdf,
    harmless([what, driver].filter(Boolean).join(', ')) + (doubtful.has(bdf) ? page.style.yellow(' (not known)') : ''),
  ];
  const label = page.style.cyan(String(number).padStart(4));
  if (members.length === 1) {
    const gap = before && before.members.length > 1 ? '\n' : '';
    return gap + table(page, [], [[label, ...row(members[0]!)]]);
  }
  const lines = [
    table(
      page,
      [],
      members.map((one, i) => [i === 0 ? label : '    ', ...row(one)]),
    ),
  ];
  if (because !== undefined) lines.push(indent(wrap(`Why: ${sentence(because)}`, page.width - 6).join('\n'), 6));
  return (before ? '\n' : '') + lines.join('\n');
}

function renderChanged(changed: NonNullable<GroupsReport['changed']>, page: Page): string {
  if (changed.length === 0) return 'No group would change.';
  const who = (names: string[]) =>
    names.length === 0 ? 'alone' : names.length > 4 ? `with ${names.length} others` : `with ${names.join(', ')}`;
  return `${page.style.bold('Different then')}\n${table(
    page,
    [],
    changed.map(({ bdf, was, becomes }) => [`  ${bdf}`, `${who(was)} -> ${who(becomes)}`]),
  )}`;
}

function renderWhy({ a, b, is, at, missing, because }: NonNullable<GroupsReport['why']>, page: Page): string {
  const head = {
    together: `${a} and ${b} share a group.`,
    apart: `${a} and ${b} are in different groups.`,
    unknown: `Whether ${a} and ${b} share a group is not known.`,
    none: `${a} and ${b} share no group.`,
  }[is];
  const lines = [page.style.bold(head)];
  if (at !== undefined) {
    const bits = missing.length > 0 ? `; missing there: ACS ${missing.join(', ')}` : '; ACS could not part them';
    lines.push(...wrap(`What joins them: ${at}${bits}.`, page.width));
  }
  for (const text of because) lines.push(indent(wrap(`- ${text}`, page.width - 4).join('\n  ')));
  return lines.join('\n');
}

function renderDifferences({ differences, presence }: GroupsReport, page: Page): string {
  if (differences.length === 0 && presence.length === 0) return '';
  const lines = [page.style.yellow('Where the kernel and the hardware do not say the same')];
  for (const { reason, says, groups } of differences)
    lines.push(
      indent(
        wrap(`${groups.length > 1 ? 'Groups' : 'Group'} ${groups.join(', ')} (${reason}): ${says}`, page.width - 2).join('\n'),
      ),
    );
  for (const { bdf, says } of presence) lines.push(indent(wrap(`${bdf}: ${says}.`, page.width - 2).join('\n')));
  return lines.join('\n');
}

/** Functions whose group is not known: each cause once. Empty when there is none. */
export function renderUnknown(
  { unknown, are }: { unknown: readonly { bdf: string; because: readonly string[] }[]; are: GroupsReport['are'] },
  page: Page,
): string {
  if (unknown.length === 0) return '';
  // Many functions have one cause: each cause is told once.
  const causes = new Map<string, string[]>();
  for (const { bdf, because } of unknown) {
    const [cause = ''] = because;
    causes.set(cause, [...(causes.get(cause) ?? []), bdf]);
  }
  const means =
    are === 'kernel'
      ? 'could not be computed, so there is nothing to hold against the kernel'
      : 'is not known; shown above is what holds if all that was not read isolates';
  const lines = [
    page.style.yellow(wrap(`Unknown: the group of ${count(unknown.length, 'function')} ${means}`, page.width).join('\n')),
  ];
  for (const [cause, bdfs] of causes)
    lines.push(indent(wrap(`${bdfs.join(' ')}: because of ${harmless(cause)}`, page.width - 2).join('\n')));
  return lines.join('\n');
}

function renderUngrouped({ ungrouped }: GroupsReport, page: Page): string {
  if (ungrouped.length === 0) return '';
  const causes = new Map<string, string[]>();
  for (const { bdf, because } of ungrouped) causes.set(because, [...(causes.get(because) ?? []), bdf]);
  const lines = [page.style.bold('Without a group')];
  for (const [cause, bdfs] of causes)
    lines.push(indent(wrap(`${bdfs.join(' ')}: ${harmless(cause)}`, page.width - 2).join('\n')));
  return lines.join('\n');
}

function paragraph(text: string, page: Page): string {
  return wrap(harmless(text), page.width).join('\n');
}

function sentence(text: string): string {
  return `${text}.`;
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}
