import { type Applied, apply } from '../plan/apply.ts';
import { readAndPlan, requireRoot } from '../plan/read-plan.ts';
import { changing } from './changing.ts';
import type { Run } from './command.ts';
import { EXIT } from './exit.ts';
import { harmless, indent, type Page, table } from './output.ts';
import { renderRefusals } from './plan.ts';
import type { ApplyReport } from './reports.ts';
import { renderRestored } from './revert.ts';
import { readSpecFile } from './spec-file.ts';

export const run: Run<'apply'> = async ({ spec: file }, cx) => {
  const begin = Date.now();
  const host = await cx.machine();
  const spec = await readSpecFile(file);
  await requireRoot(host);
  const progress = cx.progress(`applying ${spec.name}`);
  const make = async () => {
    const planned = await readAndPlan(host, spec, file, cx.state);
    if ('plan' in planned) for (const warning of planned.plan.warnings) cx.note(`warning: ${warning}`);
    return planned;
  };
  const applied = await apply(host, { stateFolder: cx.state, name: spec.name }, make, changing(cx, progress)).finally(() =>
    progress.done(),
  );
  cx.print(reportOf(spec.name, applied, (Date.now() - begin) / 1000), render);
  return exitOf(applied);
};

function exitOf(applied: Applied): number {
  if (applied.outcome === 'applied') return EXIT.ok;
  if (applied.outcome === 'refused') return EXIT.findings;
  return applied.failure.interrupted ? EXIT.interrupted : EXIT.change;
}

function reportOf(name: string, applied: Applied, seconds: number): ApplyReport {
  if (applied.outcome === 'refused')
    return {
      schema: 'sluice/apply/1',
      name,
      outcome: 'refused',
      steps: [],
      seconds,
      refusals: applied.refusals,
      failure: { step: '', because: applied.because, hints: applied.hints, interrupted: false },
    };
  const { outcome, steps } = applied;
  const report: ApplyReport = { schema: 'sluice/apply/1', name, outcome, steps, seconds, refusals: [] };
  return applied.outcome === 'restored' ? { ...report, failure: applied.failure, restored: applied.restored } : report;
}

function render(report: ApplyReport, page: Page): string {
  const { style } = page;
  if (report.refusals.length > 0) return renderRefusals(report.refusals, page);
  const lines: string[] = [];
  if (report.steps.length > 0)
    lines.push(
      table(
        page,
        [],
        report.steps.map(({ title, milliseconds }) => [
          `${(milliseconds / 1000).toFixed(1)} s`,
          `${style.green('done')} ${title}`,
        ]),
      ),
    );
  const { failure } = report;
  if (failure !== undefined) {
    lines.push(style.red(harmless(`${failure.step === '' ? '' : `${failure.step}: `}${failure.because}`)));
    for (const hint of failure.hints) lines.push(indent(harmless(hint)));
  }
  if (report.restored !== undefined) lines.push(renderRestored(report.restored, page));
  if (report.outcome === 'applied')
    lines.push(
      `${report.name} runs with its devices, after ${report.steps.length} steps in ${report.seconds.toFixed(1)} s. 'sluice verify ${report.name}' proves it.`,
    );
  else lines.push(report.outcome === 'refused' ? 'Nothing was changed.' : `${report.name} was not applied.`);
  return lines.join('\n');
}
