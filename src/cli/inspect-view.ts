import type { Inspection } from '../check/inspect.ts';
import type { InspectedFunction } from '../check/inspect-function.ts';
import type { Ability, UnitSummary } from '../check/units.ts';
import { renderUnknown } from './groups-view.ts';
import { harmless, indent, type Page, showBytes, table, wrap } from './output.ts';

/**
 * An inspection for people.
 * @param bdf the function to tell everything about; the tree is left out then
 */
export function renderInspection(report: Inspection, page: Page, bdf: string | undefined): string {
  const { style } = page;
  const inner: Page = { ...page, width: page.width - 2 };
  const part = (title: string, body: string): string => `${style.bold(title)}\n${indent(body)}`;
  const parts = [part('Host', renderHost(report, inner))];
  if (report.units.length > 0)
    parts.push(part('Remapping units', report.units.map((unit) => renderUnit(unit, report, inner)).join('\n')));
  if (report.options.length > 0)
    parts.push(
      part(
        'Boot options',
        table(
          inner,
          [],
          report.options.map(({ text, here, effective }) => [
            harmless(text),
            effective ? harmless(here) : style.yellow(harmless(here)),
          ]),
        ),
      ),
    );
  if (report.reserved.length > 0) parts.push(part('Reserved addresses', renderReserved(report, inner)));
  const chosen = report.functions.find((found) => found.bdf === bdf);
  if (chosen !== undefined) {
    parts.push(part(chosen.bdf, renderDetail(chosen, report, inner)));
    const others = report.functions.filter((found) => found !== chosen);
    if (others.length > 0)
      parts.push(
        part(`Also in group ${chosen.group}`, others.flatMap((found) => renderFunction(found, report, inner)).join('\n')),
      );
  } else parts.push(part('Devices', renderTree(report, inner)));
  const shared = report.groups.filter((group) => group.devices.length > 1);
  const computed = report.groupsAre === 'computed';
  if (shared.length > 0)
    parts.push(
      part(
        `Groups of more than one${computed ? ' (computed: the listing has none of the kernel)' : ''}`,
        shared.map((group) => renderGroup(group, inner)).join('\n'),
      ),
    );
  const unknown = renderUnknown({ unknown: report.unknownGroups ?? [], are: computed ? 'computed' : 'kernel' }, page);
  if (unknown !== '') parts.push(unknown);
  if (report.doubts.length > 0)
    parts.push(part('Doubtful isolation', report.doubts.flatMap((doubt) => wrap(harmless(doubt), inner.width)).join('\n')));
  if (report.unread.length > 0) parts.push(part('Not read', renderUnread(report.unread, inner)));
  if (chosen === undefined) parts.push(renderSum(report));
  return parts.join('\n\n');
}

/** More than a screen of these helps nobody. */
const MOST_UNREAD = 12;

function renderUnread(unread: Inspection['unread'], page: Page): string {
  // The same attribute of many functions is one line.
  const functions = new Map<string, number>();
  const lines = new Map<string, string>();
  for (const { what, because } of unread) {
    const attribute = /^[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7] (.+)$/.exec(what)?.[1];
    const key = `${attribute ?? what}\n${because}`;
    const number = (functions.get(key) ?? 0) + 1;
    functions.set(key, number);
    lines.set(key, `${attribute !== undefined && number > 1 ? `${attribute} of ${number} functions` : what}: ${because}`);
  }
  const shown = [...lines.values()].slice(0, MOST_UNREAD).flatMap((line) => wrap(harmless(line), page.width));
  const left = lines.size - MOST_UNREAD;
  return [...shown, ...(left > 0 ? [page.style.dim(`and ${left} more, which --json tells`)] : [])].join('\n');
}

function renderHost(report: Inspection, page: Page): string {
  const { style } = page;
  const { kvm, iommu, dmar } = report;
  return table(
    page,
    [],
    [
      ['kernel', harmless(report.system.kernel)],
      ['KVM', kvm.usable ? `usable: ${kvm.because}` : style.yellow(`not usable: ${kvm.because}`)],
      ['IOMMU', iommu.is === 'pass' ? iommu.because : style.red(iommu.because)],
      ...(iommu.fix ?? []).map((fix) => ['', `-> ${fix}`]),
      ...(dmar === undefined
        ? []
        : [
            [
              'DMAR',
              `host addresses of ${dmar.hostAddressWidth} bits, ${count(dmar.units.length, 'unit')}, ${count(dmar.reserved.length, 'reserved region')} (RMRR)` +
                `${dmar.flags.INTR_REMAP ? '' : ', no interrupt remapping (INTR_REMAP is 0)'}${dmar.flags.X2APIC_OPT_OUT ? ', asks to leave x2APIC off' : ''}`,
            ],
            ...dmar.findings.map((finding) => ['', style.yellow(`table: ${finding}`)]),
          ]),
    ],
  );
}

function renderUnit(unit: UnitSummary, report: Inspection, page: Page): string {
  const { style } = page;
  const version = unit.version === undefined ? '' : ` ${unit.version.replace(':', '.')}`;
  const at = unit.registerBase === undefined ? '' : ` at 0x${unit.registerBase}`;
  const lines = [`${unit.name}  ${unit.kind}${version}${at}, ${count(unit.devices, 'function')}`];
  const more = (text: string): void => void lines.push(...wrap(text, page.width - 2).map((line) => `  ${line}`));
  if (unit.scope !== undefined) more(`in front of ${unit.scope.join(', ')}`);
  const abilities = (all: readonly Ability[]): void => {
    const names = (has: boolean) => all.filter((one) => one.has === has).map(({ what }) => what);
    more(`can: ${names(true).join(', ')}`);
    const missing = names(false);
    if (missing.length > 0)
      more(`cannot: ${missing.map((what) => (what === 'interrupt remapping' ? style.red(what) : what)).join(', ')}`);
  };
  const { can } = unit;
  if (can !== undefined) {
    more(`addresses of ${can.widths.join(', ')} bits (MGAW ${can.maximumGuestAddressWidth}), ${count(can.domains, 'domain')}`);
    abilities(can.abilities);
    if (can.cachingMode) more('caching-mode: this is a vIOMMU, and every map traps to the VMM');
    more(style.dim(`CAP_REG ${unit.cap}  ECAP_REG ${unit.ecap}`));
  }
  if (unit.amd?.can !== undefined) {
    const { hostLevels, pasidBits } = unit.amd.can;
    more(`tables of ${hostLevels ?? '?'} levels${pasidBits > 0 ? `, PASIDs of ${pasidBits} bits` : ''}`);
    abilities(unit.amd.can.abilities);
  }
  if (unit.amd !== undefined) more(style.dim(`capability ${unit.amd.cap}  features ${unit.amd.features}`));
  const types = new Map<string, number>();
  for (const found of report.functions)
    if (found.unit === unit.name && found.domain !== undefined)
      types.set(found.domain.type, (types.get(found.domain.type) ?? 0) + 1);
  if (types.size > 0)
    more(`default domains: ${[...types].map(([type, functions]) => `${type} for ${count(functions, 'function')}`).join(', ')}`);
  return lines.join('\n');
}

function renderReserved(report: Inspection, page: Page): string {
  // Of one function or group only what concerns it is told.
  const shown = new Set(report.groups.map(({ number }) => number));
  return table(
    page,
    [],
    report.reserved.map(({ start, end, kind, groups, owners }) => {
      const own = groups.filter((number) => shown.has(number));
      const whose = own.length === shown.size && shown.size > 1 ? 'every group' : `group ${own.join(', ')}`;
      return [`${start}-${end}`, kind, owners.length > 0 ? `of ${owners.join(', ')}` : whose];
    }),
  );
}

function renderGroup({ number, devices, because }: Inspection['groups'][number], page: Page): string {
  return table(
    page,
    [],
    [
      [String(number), devices.map(short).join(' ')],
      ['', page.style.dim(`because ${because ?? 'of what could not be read: root may know more'}`)],
    ],
  );
}

/** Functions below their bridges, the bridges below their root bus. */
function renderTree(report: Inspection, page: Page): string {
  const known = new Set(report.functions.map((found) => found.bdf));
  const below = new Map<string, InspectedFunction[]>();
  for (const found of report.functions) {
    // What is above may be outside of what is shown: then it hangs at the root bus.
    const parent = known.has(found.parent) || found.parent.startsWith('pci') ? found.parent : '';
    below.set(parent, [...(below.get(parent) ?? []), found]);
  }
  const lines: string[] = [];
  const draw = (parent: string, stem: string): void => {
    const children = below.get(parent) ?? [];
    for (const [index, found] of children.entries()) {
      const last = index === children.length - 1;
      const further = `${stem}${last ? '   ' : '│  '}`;
      const [first = '', ...more] = renderFunction(found, report, { ...page, width: page.width - stem.length - 3 });
      lines.push(`${stem}${last ? '└─ ' : '├─ '}${first}`);
      const bar = below.has(found.bdf) ? '│' : ' ';
      for (const line of more) lines.push(`${further}${bar}${line.slice(1)}`);
      draw(found.bdf, further);
    }
  };
  for (const root of [...below.keys()].filter((name) => !known.has(name)).sort()) {
    if (root !== '') lines.push(page.style.dim(root));
    draw(root, '');
  }
  return lines.join('\n');
}

/** What it is on one line, and what it could be used for below. */
function renderFunction(found: InspectedFunction, report: Inspection, page: Page): string[] {
  const { style } = page;
  const { verdict, vfs } = found;
  const names = [...found.interfaces, ...found.nvme].join(' ');
  const facts = [
    names,
    found.driver ?? '',
    found.group === undefined ? '' : `group ${found.group}${report.groupsAre === undefined ? '' : ' (computed)'}`,
    found.physfn === undefined ? '' : `VF of ${short(found.physfn)}`,
    found.bootDisplay ? 'boot display' : '',
    found.untrusted ? 'not trusted' : '',
  ].filter((fact) => fact !== '');
  const title = harmless(`${short(found.bdf)}  ${[found.class, ...facts].join(', ')}`);
  if (verdict.is === 'bridge') return wrap(title, page.width).map((line) => style.dim(line));
  // Without an IOMMU it is the same for all, and stands above.
  const off = report.iommu.is === 'fail' && verdict.is === 'blocked';
  const says = {
    ready: ['ready'],
    possible: [verdict.steps.length > 1 ? `possible (${verdict.because}):` : 'possible:', ...verdict.steps],
    blocked: [`blocked: ${verdict.because}`],
    unknown: [`unknown: ${verdict.because}`],
  }[verdict.is];
  const paint = { ready: style.green, possible: style.cyan, blocked: style.red, unknown: style.yellow }[verdict.is];
  const mark = { ready: '+', possible: '+', blocked: '-', unknown: '?' }[verdict.is];
  const text = says.length === 2 ? [says.join(' ')] : says.map((line, index) => (index === 0 ? line : `${index}. ${line}`));
  const lines = off ? [] : text.flatMap((line) => wrap(harmless(line), page.width - 6));
  const uses =
    vfs === undefined
      ? []
      : [vfs.possible === 0 ? `no VFs: ${vfs.because}` : `up to ${count(vfs.possible, 'VF')} (${vfs.because})`];
  return [
    ...wrap(title, page.width).map((line, index) => (index === 0 ? line : `    ${line}`)),
    ...lines.map((line, index) => `  ${paint(index === 0 ? `${mark} ${line}` : `  ${line}`)}`),
    ...uses.flatMap((line) => wrap(harmless(line), page.width - 6)).map((line) => `    ${line}`),
  ];
}

/** Everything about one function. */
function renderDetail(found: InspectedFunction, report: Inspection, page: Page): string {
  const { verdict, domain, link, sriov } = found;
  const degraded = link !== undefined && (link.speed !== link.maxSpeed || link.width !== link.maxWidth);
  const rows: (readonly [string, string | undefined])[] = [
    ['class', `${found.class} (${found.ids})`],
    ['below', found.parent],
    ['driver', found.driver ?? 'none'],
    ['used for', [...found.interfaces, ...found.nvme].join(' ') || undefined],
    ['unit', found.unit],
    ['group', found.group === undefined ? 'none' : `${found.group} (${count(groupSize(report, found), 'function')})`],
    ['domain', domain === undefined ? undefined : `${domain.type}: ${domain.means}. ${domain.because}`],
    ['NUMA node', found.numaNode === undefined ? 'not known' : String(found.numaNode)],
    [
      'link',
      link === undefined
        ? undefined
        : `${link.speed} x${link.width}${degraded ? ` (could do ${link.maxSpeed} x${link.maxWidth})` : ''}`,
    ],
    [
      'reset',
      `${found.reset.methods.join(', ') || 'no way: what a guest leaves in it stays there'}${found.reset.flr === false ? ' (no FLR)' : ''}`,
    ],
    ['power', found.powerState === undefined ? undefined : `${found.powerState}${found.d3coldAllowed ? ', D3cold allowed' : ''}`],
    ['display', found.bootDisplay ? "the firmware's boot display" : undefined],
    ['trust', found.untrusted ? 'none: it can be plugged from outside' : undefined],
    ['capabilities', found.has === undefined ? 'need root to be read' : found.has.join(', ') || undefined],
    ...found.bars.map(
      (bar) =>
        [
          bar.index === 6 ? 'ROM' : bar.index > 6 ? `VF BAR ${bar.index - 7}` : `BAR ${bar.index}`,
          `${showBytes(bar.size)} ${bar.space}${bar.space === 'memory' ? `, ${bar.width}-bit${bar.prefetchable ? ', prefetchable' : ''}` : ''} ${bar.start === undefined ? 'without a place' : `at ${bar.start}`}`,
        ] as const,
    ),
    [
      'SR-IOV',
      sriov === undefined
        ? undefined
        : `${sriov.numVFs ?? '?'} of ${sriov.totalVFs} VFs, first at +${sriov.firstVFOffset}, then every ${sriov.vfStride}: ${found.vfs?.because ?? ''}`,
    ],
    ['VF of', found.physfn],
    ...found.uses.map((use) => ['in use', `${use.kind} ${use.what} (${use.where})`] as const),
    ['verdict', `${verdict.is}: ${verdict.because}`],
    ...verdict.steps.map((step, index) => ['', `${index + 1}. ${step}`] as const),
    ...verdict.findings.flatMap((finding) => [
      ...finding.seen.map(({ where, text }) => ['', page.style.dim(`${where}: ${text}`)] as const),
      ...(finding.fix ?? []).map((fix) => ['', `-> ${fix}`] as const),
    ]),
  ];
  return table(
    page,
    [],
    rows.flatMap(([name, text]) => (text === undefined ? [] : [[name, harmless(text)]])),
  );
}

/** One line, short enough for every terminal. */
function renderSum(report: Inspection): string {
  const endpoints = report.functions.filter((found) => found.verdict.is !== 'bridge');
  const usable = endpoints.filter((found) => found.verdict.is === 'ready' || found.verdict.is === 'possible').length;
  const vfs = endpoints.reduce((sum, found) => sum + (found.vfs?.possible ?? 0), 0);
  const are = report.groupsAre === undefined ? '' : ' (computed)';
  return `${count(report.groups.length, 'group')}${are}, ${count(endpoints.length, 'device')}: ${usable} can be passed through whole, ${count(vfs, 'VF')} can be had.`;
}

function groupSize(report: Inspection, found: InspectedFunction): number {
  return report.groups.find((group) => group.number === found.group)?.devices.length ?? 0;
}

/** Domain 0 is left out, as lspci does. */
function short(bdf: string): string {
  return bdf.replace(/^0000:/, '');
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}
