import { inspectFunction } from '../check/inspect-function.ts';
import { anyHarm, type Subject, survey, wholeHost } from '../check/survey.ts';
import { findFunction } from '../host/devices.ts';
import { type Host, HostError } from '../host/host.ts';
import { type Picture, readPicture } from '../host/picture.ts';
import { className, formatBdf, parseBdf } from '../pci/index.ts';
import type { VmSpec } from '../plan/spec.ts';
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
  const spec = await (await import('./spec-file.ts')).readSpecFile(file);
  const host = await cx.host();
  const progress = cx.progress('reading the host');
  return await checkVm(host, spec, file, cx.state).finally(() => progress.done());
}

/**
 * What stands in the way of a VM on a host: why planning refuses it, and the known problems of the host, of the functions it
 * is given, and of the VM as its command line makes it.
 * @throws HostError when the host cannot be read or QEMU is missing
 */
export async function checkVm(host: Host, spec: VmSpec, file: string, state: string): Promise<CheckReport> {
  const [{ readPlanInput }, { vmOfSpec }] = await Promise.all([import('../plan/read-plan.ts'), import('../plan/vm.ts')]);
  const input = await readPlanInput(host, spec, file, state);
  const { picture } = input;
  const { vm, refusals } = vmOfSpec(input);
  const find = (named: string) => findFunction(picture, named) ?? [];
  // A VF is asked about as soon as it is there; until then its PF is.
  const named = spec.devices.flatMap((device) =>
    device.kind === 'vf' ? [] : find(device.kind === 'address' ? device.address : device.interface),
  );
  const given = (vm?.hostDevices ?? []).flatMap(({ bdf }) => find(bdf ?? ''));
  const pfs = spec.devices.flatMap((device) => (device.kind === 'vf' ? find(device.pf) : []));
  const subject: Subject = {
    host: true,
    functions: [...new Set([...named, ...given])],
    pfs: [...new Set(pfs)],
    ...(vm === undefined ? {} : { vm }),
  };
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
