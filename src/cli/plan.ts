import type { Host } from '../host/host.ts';
import type { Plan, Planned, Refusal } from '../plan/plan.ts';
import { readAndPlan } from '../plan/read-plan.ts';
import type { VmSpec } from '../plan/spec.ts';
import { kindOf } from '../plan/steps/index.ts';
import type { Run } from './command.ts';
import type { Context } from './context.ts';
import { EXIT } from './exit.ts';
import { harmless, indent, type Page, table, wrap } from './output.ts';
import type { PlanReport } from './reports.ts';
import { readSpecFile } from './spec-file.ts';

export const run: Run<'plan'> = async ({ spec: file }, cx) => {
  const host = await cx.host();
  const spec = await readSpecFile(file);
  const planned = await planSpec(host, spec, file, cx);
  cx.print(planReport(spec.name, planned), renderPlan);
  return 'plan' in planned ? EXIT.ok : EXIT.findings;
};

export async function planSpec(host: Host, spec: VmSpec, file: string, cx: Context): Promise<Planned> {
  const progress = cx.progress('reading the host');
  return await readAndPlan(host, spec, file, cx.state).finally(() => progress.done());
}

export function planReport(name: string, planned: Planned): PlanReport {
  if ('refusals' in planned) return { schema: 'sluice/plan/1', name, refusals: planned.refusals };
  const { plan } = planned;
  return {
    schema: 'sluice/plan/1',
    name,
    plan: {
      devices: plan.devices.map(({ bdf, kind, pf, vf, guest }) => ({ bdf, kind, pf, vf, guest })),
      steps: plan.steps.map((step) => {
        const kind = kindOf(step);
        return { do: step.do, title: kind.title(step), why: step.why, changes: kind.changes(step) };
      }),
      argv: argvOf(plan),
      memlock: { bytes: plan.memlock.bytes, text: plan.memlock.text },
      accel: plan.accel,
      rights: plan.rights,
      warnings: plan.warnings,
    },
    refusals: [],
  };
}

function argvOf(plan: Plan): string[] {
  const start = plan.steps.find((step) => step.do === 'start-guest');
  return start?.do === 'start-guest' ? start.guest.argv : [];
}

export function renderPlan(report: PlanReport, page: Page): string {
  const { style } = page;
  if (report.plan === undefined) return renderRefusals(report.refusals, page);
  const { steps, argv, memlock, rights, warnings, devices } = report.plan;
  const lines: string[] = [];
  for (const [index, step] of steps.entries()) {
    lines.push(
      `${style.bold(`${String(index + 1).padStart(2)}. ${step.title}`)}`,
      ...wrap(step.why, page.width - 4).map((line) => `    ${style.dim(line)}`),
    );
    // The command line has a part of its own below.
    const rows = step.changes.filter(({ to }) => to !== argv.join(' ')).map(({ where, from, to }) => [where, `${from} -> ${to}`]);
    for (const [where = '', values = ''] of rows) lines.push(indent(fit(where, values, page.width - 4), 4));
  }
  lines.push('', style.bold('QEMU'), indent(commandLine(argv)), '', style.bold('Locked memory'), indent(memlock.text));
  lines.push('', style.bold('Rights'), indent(rights.join('\n')));
  if (warnings.length > 0)
    lines.push(
      '',
      style.yellow('Warnings'),
      ...warnings.flatMap((text) => wrap(text, page.width - 2)).map((line) => `  ${line}`),
    );
  const changes = steps.reduce((sum, step) => sum + step.changes.length, 0);
  lines.push(
    '',
    `${steps.length} steps with ${changes} changes give ${devices.map((device) => device.bdf).join(' and ') || 'no device'} to ${report.name}.`,
  );
  return lines.join('\n');
}

/** Path and values on one line where they fit, else below each other. */
function fit(where: string, values: string, width: number): string {
  return where.length + values.length + 2 <= width ? `${where}  ${values}` : `${where}\n    ${values}`;
}

/** One option a line, as it can be pasted into a shell. */
function commandLine(argv: readonly string[]): string {
  const words = argv.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`));
  return words.reduce((text, word) => `${text}${text === '' ? '' : word.startsWith('-') ? ' \\\n  ' : ' '}${word}`, '');
}

/** Why there is no plan. */
export function renderRefusals(refusals: readonly Refusal[], page: Page): string {
  const { style } = page;
  const parts = refusals.map((refusal) => {
    const { at, because, seen, fix = [], bdf } = refusal;
    const about = bdf === '' ? '' : `${bdf}: `;
    return [
      `${at.file}:${at.line}:${at.column}: ${style.red(harmless(`${about}${because}`))}`,
      ...(seen.length === 0
        ? []
        : [
            indent(
              table(
                page,
                [],
                seen.map(({ where, text }) => [where, harmless(text)]),
              ),
              4,
            ),
          ]),
      ...fix.map((text) => `    -> ${text}`),
    ].join('\n');
  });
  return `${parts.join('\n')}\n\nThere is no plan: ${refusals.length} ${refusals.length === 1 ? 'thing stands' : 'things stand'} in the way.`;
}
