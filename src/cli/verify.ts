import type { Proof, Verification } from '../plan/proof.ts';
import { verify } from '../plan/verify.ts';
import type { Run } from './command.ts';
import { EXIT, UsageError } from './exit.ts';
import { harmless, type Page, wrap } from './output.ts';
import { checkName } from './status.ts';

export const run: Run<'verify'> = async ({ name }, cx) => {
  checkName(name);
  const host = await cx.machine();
  const progress = cx.progress(`verifying ${name}`);
  const report = await verify(host, cx.state, name, { tell: (line) => progress.update(line) }).finally(() => progress.done());
  if (report === undefined) throw new UsageError(`${name} is not applied`, "'sluice status' lists those that are.");
  cx.print(report, render);
  return report.is === 'proved' ? EXIT.ok : EXIT.findings;
};

const TITLES: Record<Proof['level'], string> = {
  host: 'On the host',
  vfio: 'By VFIO calls of our own, before the guest had it',
  guest: 'In the guest',
};

function render(report: Verification, page: Page): string {
  const { style } = page;
  const marks = { proved: style.green('proved'), disproved: style.red('DISPROVED'), unknown: style.yellow('unknown') };
  const lines: string[] = [];
  for (const level of ['vfio', 'host', 'guest'] as const) {
    const proofs = report.proofs.filter((proof) => proof.level === level);
    if (proofs.length === 0) continue;
    lines.push(style.bold(TITLES[level]));
    for (const proof of proofs) {
      lines.push(`  ${marks[proof.is]}  ${proof.bdf === undefined ? '' : `${proof.bdf}: `}${proof.claim}`);
      lines.push(...wrap(harmless(proof.because), page.width - 10).map((line) => `          ${line}`));
      for (const { where, text } of proof.seen)
        lines.push(...wrap(harmless(`${where}: ${text}`), page.width - 12).map((line) => `            ${style.dim(line)}`));
    }
  }
  const tally = (is: Proof['is']) => report.proofs.filter((proof) => proof.is === is).length;
  const rest = [
    tally('disproved') > 0 ? `${tally('disproved')} disproved` : '',
    tally('unknown') > 0 ? `${tally('unknown')} unknown` : '',
  ].filter((word) => word !== '');
  lines.push(
    '',
    `${report.name}: ${tally('proved')} of ${report.proofs.length} claims proved${rest.length === 0 ? '' : `, ${rest.join(', ')}`}.`,
  );
  return lines.join('\n');
}
