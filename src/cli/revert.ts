import { requireRoot } from '../plan/read-plan.ts';
import { type Restored, revert } from '../plan/revert.ts';
import { changing } from './changing.ts';
import type { Run } from './command.ts';
import { EXIT } from './exit.ts';
import { harmless, type Page, table } from './output.ts';
import type { RevertReport } from './reports.ts';
import { checkName } from './status.ts';

export const run: Run<'revert'> = async ({ name }, cx) => {
  checkName(name);
  const begin = Date.now();
  const host = await cx.machine();
  await requireRoot(host);
  const progress = cx.progress(`reverting ${name}`);
  const restored = await revert(host, cx.state, name, changing(cx, progress)).finally(() => progress.done());
  const report: RevertReport = { schema: 'sluice/revert/1', name, seconds: (Date.now() - begin) / 1000, restored };
  cx.print(report, render);
  return restored.outcome === 'incomplete' ? EXIT.change : EXIT.ok;
};

function render(report: RevertReport, page: Page): string {
  const { restored, name, seconds } = report;
  if (restored.outcome === 'nothing') return `Nothing of ${name} is applied, and nothing was changed.`;
  return `${renderRestored(restored, page)}\nin ${seconds.toFixed(1)} s`.replace(/\.\nin/, ', in');
}

/** What was put back, the last change first. */
export function renderRestored(restored: Restored, page: Page): string {
  const { style } = page;
  if (restored.restarted) return 'The host was started anew since: nothing that was set is still set. The journal is put aside.';
  const rows = restored.steps.map(({ title, what, failure }) => {
    if (failure !== undefined) return [style.red('failed'), harmless(`${title}: ${failure}`)];
    return what === undefined ? [style.dim('as before'), style.dim(title)] : [style.green('restored'), harmless(what)];
  });
  const changed = restored.steps.filter((step) => step.what !== undefined).length;
  const end =
    restored.outcome === 'incomplete'
      ? 'Not everything could be put back. The journal is kept: mend what is named above, then revert again.'
      : `Everything is as before: ${changed} of ${restored.steps.length} steps had to be undone.`;
  return rows.length === 0 ? end : `${table(page, [], rows)}\n${end}`;
}
