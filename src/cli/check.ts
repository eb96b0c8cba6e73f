import { inspectFunction } from '../check/inspect-function.ts';
import { anyHarm, type Subject, survey, wholeHost } from '../check/survey.ts';
import { findFunction } from '../host/devices.ts';
import { HostError } from '../host/host.ts';
import { type Picture, readPicture } from '../host/picture.ts';
import { className, formatBdf, parseBdf } from '../pci/index.ts';
import { runFor } from './check-for.ts';
import { type CheckReport, showSurveyed } from './check-report.ts';
import { renderCheck } from './check-view.ts';
import type { Run } from './command.ts';
import type { Context } from './context.ts';
import { EXIT, UsageError } from './exit.ts';

export const run: Run<'check'> = async ({ target, log, for: appliance, all }, cx) => {
  if (log !== undefined) {
    if (target !== undefined || appliance !== undefined)
      throw new UsageError('--log looks in lines alone: leave out the target and --for');
    return await (await import('./check-log.ts')).runLog(cx, log);
  }
  if (appliance !== undefined) return await runFor(cx, appliance, target);
  const report = await checkTarget(cx, target);
  cx.print(report, (whole, page) => renderCheck(whole, page, all));
  const harm = report.refusals.length > 0 || anyHarm(report.problems);
  return harm ? EXIT.findings : EXIT.ok;
};

/** A function by its address or network interface, a file that describes a VM, or the whole host. */
async function checkTarget(cx: Context, target: string | undefined): Promise<CheckReport> {
  if (target !== undefined && /\.(ya?ml|json)$|\//.test(target)) return await checkSpec(cx, target);
  const picture = await read(cx);
  if (target === undefined) return reportOf(picture, { kind: 'host' }, wholeHost(picture));
  const bdf = parseBdf(target);
  const found = findFunction(picture, bdf === undefined ? target : formatBdf(bdf));
  if (found === undefined)
    throw bdf === undefined
      ? new UsageError(
          `${target} is neither a function nor an interface of this host, nor a file that describes a VM`,
          "Addresses are written 0000:3b:00.0 or 3b:00.0, and files end in .yaml; 'sluice inspect' lists the functions.",
        )
      : new HostError(target, 'this host has no such PCI function');
  const { verdict } = inspectFunction(picture, found);
  const { is, because, steps } = verdict;
  const about = { kind: 'function', bdf: found.bdf, name: className(found.class) } as const;
  return { ...reportOf(picture, about, { host: true, functions: [found] }), verdict: { is, because, steps } };
}

async function checkSpec(cx: Context, file: string): Promise<CheckReport> {
  const [{ readSpecFile }, { readPlanInput }, { vmOfSpec }] = await Promise.all([
    import('./spec-file.ts'),
    import('../plan/read-plan.ts'),
    import('../plan/vm.ts'),
  ]);
  const spec = await readSpecFile(file);
  const host = await cx.host();
  const progress = cx.progress('reading the host');
  const input = await readPlanInput(host, spec, file, cx.state).finally(() => progress.done());
  const { vm, refusals } = vmOfSpec(input);
  const { picture } = input;
  const given = spec.devices.flatMap((device) => {
    const found = findFunction(
      picture,
      device.kind === 'vf' ? device.pf : device.kind === 'address' ? device.address : device.interface,
    );
    // A VF is asked about when it is there; what its PF lacks, the refusals tell.
    return found === undefined || device.kind === 'vf' ? [] : [found];
  });
  const subject: Subject = { host: true, functions: given, ...(vm === undefined ? {} : { vm }) };
  return { ...reportOf(picture, { kind: 'vm', name: spec.name, file }, subject), refusals };
}

async function read(cx: Context): Promise<Picture> {
  const host = await cx.host();
  const progress = cx.progress('reading the host');
  return await readPicture(host).finally(() => progress.done());
}

function reportOf(picture: Picture, about: CheckReport['about'], subject: Subject): CheckReport {
  return {
    schema: 'sluice/check/1',
    host: picture.host,
    about,
    refusals: [],
    problems: showSurveyed(survey(picture, subject)),
    unread: picture.unread.map(({ what, because }) => ({ what, because })),
  };
}
