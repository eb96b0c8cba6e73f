import { type InspectedFunction, type Inspection, inspect } from '../check/inspect.ts';
import type { UnitSummary } from '../check/units.ts';
import { readPicture } from '../host/picture.ts';
import { formatBdf, parseBdf } from '../pci/index.ts';
import type { Run } from './command.ts';
import { EXIT, UsageError } from './exit.ts';
import { harmless, indent, type Page, table, wrap } from './output.ts';

export const run: Run<'inspect'> = async ({ device }, cx) => {
  const progress = cx.progress('reading the host');
  const report = inspect(await readPicture(await cx.host()).finally(() => progress.done()));
  const shown = device === undefined ? report : only(report, device);
  cx.print(shown, render);
  return shown.iommu.is === 'fail' ? EXIT.findings : EXIT.ok;
};

/** One function with the others of its group. */
function only(report: Inspection, device: string): Inspection {
  const address = parseBdf(device);
  if (address === undefined)
    throw new UsageError(`${device} is no address of a function`, 'Write it as 0000:3b:00.0 or 3b:00.0.');
  const bdf = formatBdf(address);
  const found = report.functions.find((candidate) => candidate.bdf === bdf);
  if (found === undefined) throw new UsageError(`there is no function ${bdf} on this host`, "'sluice inspect' lists them.");
  const groups = report.groups.filter((group) => group.number === found.group);
  const members = new Set([bdf, ...groups.flatMap((group) => group.devices)]);
  return {
    ...report,
    units: report.units.filter((unit) => unit.name === found.unit),
    groups,
    functions: report.functions.filter((candidate) => members.has(candidate.bdf)),
  };
}

function render(report: Inspection, page: Page): string {
  const { style } = page;
  const part = (title: string, body: string): string => `${style.bold(title)}\n${indent(body)}`;
  const parts = [
    part(
      'Host',
      table(
        page,
        [],
        [
          ['kernel', report.system.kernel],
          ['KVM', report.kvm.usable ? `usable: ${report.kvm.because}` : style.yellow(`not usable: ${report.kvm.because}`)],
          ['IOMMU', report.iommu.is === 'pass' ? report.iommu.because : style.red(report.iommu.because)],
          ...(report.iommu.fix ?? []).map((fix) => ['', `-> ${fix}`]),
        ],
      ),
    ),
  ];
  if (report.units.length > 0)
    parts.push(part('Remapping units', report.units.map((unit) => renderUnit(unit, report, page)).join('\n')));
  const endpoints = report.functions.filter((found) => found.assignable.is !== 'bridge');
  const bridges = report.functions.length - endpoints.length;
  const devices = endpoints.map((found) => renderDevice(found, page));
  if (bridges > 0)
    devices.push(style.dim(`and ${count(bridges, 'bridge')}, which stay${bridges === 1 ? 's' : ''} with the host`));
  parts.push(part('Devices', devices.join('\n')));
  const shared = report.groups.filter((group) => group.devices.length > 1);
  if (shared.length > 0)
    parts.push(
      part(
        'Groups of more than one',
        table(
          page,
          [],
          shared.map((group) => [String(group.number), group.devices.join(' ')]),
        ),
      ),
    );
  if (report.unread.length > 0)
    parts.push(
      part(
        'Not read',
        report.unread.flatMap(({ what, because }) => wrap(harmless(`${what}: ${because}`), page.width - 2)).join('\n'),
      ),
    );
  const ready = endpoints.filter((found) => found.assignable.is === 'ready' || found.assignable.is === 'after-binding').length;
  const vfs = endpoints.reduce((sum, found) => sum + (found.vfs?.possible ?? 0), 0);
  parts.push(
    `${count(report.units.length, 'remapping unit')}, ${count(report.groups.length, 'group')}, ${count(endpoints.length, 'device')}: ${ready} can be passed through whole, and ${count(vfs, 'virtual function')} can be had.`,
  );
  return parts.join('\n\n');
}

function renderUnit(unit: UnitSummary, report: Inspection, page: Page): string {
  const title = `${unit.name}${unit.version === undefined ? '' : ` VT-d ${unit.version.replace(':', '.')}`}${unit.registerBase === undefined ? '' : ` at 0x${unit.registerBase}`}, ${unit.devices} functions`;
  const { can } = unit;
  const lines: string[] = [title];
  if (can !== undefined) {
    const words = [
      `addresses of ${can.widths.join(', ')} bits`,
      can.interruptRemapping ? 'interrupt remapping' : page.style.red('no interrupt remapping'),
      can.passThrough ? 'pass-through' : 'no pass-through',
      can.scalableMode ? 'scalable mode' : 'legacy mode only',
      ...(can.nested ? ['nested translation'] : []),
      ...(can.deviceTlb ? ['device-TLBs'] : []),
      ...(can.cachingMode ? ['caching-mode: this is a vIOMMU'] : []),
    ];
    lines.push(...wrap(words.join(', '), page.width - 6).map((line) => `  ${line}`));
    lines.push(`  CAP_REG ${unit.cap}  ECAP_REG ${unit.ecap}`);
  }
  const table = report.dmar;
  if (table !== undefined)
    lines.push(
      `  DMAR: host addresses of ${table.hostAddressWidth} bits, ${count(table.units.length, 'DRHD')}, ${count(table.reserved.length, 'RMRR')}`,
    );
  return lines.join('\n');
}

/** What it is on one line, and what it could be used for below. */
function renderDevice(found: InspectedFunction, page: Page): string {
  const { assignable, vfs } = found;
  const names = [...found.interfaces, ...found.nvme];
  const what = [
    `${found.class}${names.length === 0 ? '' : ` ${names.join(', ')}`}`,
    found.group === undefined ? 'no group' : `group ${found.group}`,
    found.driver === undefined ? 'no driver' : `driver ${found.driver}`,
    ...(found.physfn === undefined ? [] : [`VF of ${found.physfn}`]),
  ];
  const whole = {
    ready: 'can be passed through now',
    'after-binding': `can be passed through whole: ${assignable.because}`,
    // Without an IOMMU it is the same for all, and stands above.
    blocked: assignable.findings.some((finding) => finding.id === 'platform/iommu-on' && finding.is === 'fail')
      ? 'blocked: no IOMMU'
      : `blocked: ${assignable.because}`,
    unknown: `unknown: ${assignable.because}`,
    bridge: assignable.because,
  }[assignable.is];
  const uses =
    vfs === undefined
      ? []
      : [vfs.possible === 0 ? `no VFs: ${vfs.because}` : `up to ${count(vfs.possible, 'VF')} (${vfs.because})`];
  const lines = [...uses, whole].flatMap((text) => wrap(harmless(text), page.width - 18));
  return [`${found.bdf}  ${what.join(', ')}`, ...lines.map((line) => `${' '.repeat(14)}${colour(found, page)(line)}`)].join('\n');
}

function colour(found: InspectedFunction, { style }: Page): (text: string) => string {
  if (found.assignable.is === 'blocked') return style.red;
  return found.assignable.is === 'unknown' ? style.yellow : style.green;
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}
