import {
  type Devices,
  type Flavour,
  type Lab,
  LabError,
  labStatus,
  openLab,
  type RunResult,
  runInLab,
  setupLab,
  shellInLab,
} from '../lab/index.ts';
import { readDuration } from '../plan/spec-units.ts';
import type { Run } from './command.ts';
import type { Context } from './context.ts';
import { EXIT, UsageError } from './exit.ts';
import type { LabRunReport, LabSetupReport, LabStatusReport, LabSummary } from './lab-reports.ts';
import { harmless, indent, showBytes, table, wantsColour } from './output.ts';
import { program } from './package.ts';

export const setup: Run<'lab setup'> = async ({ flavour, refresh }, cx) => {
  const begin = Date.now();
  const lab = await setupLab({ flavour, refresh, progress: (line) => cx.note(line) });
  const report: LabSetupReport = { schema: 'sluice/lab-setup/1', lab: summary(lab), seconds: (Date.now() - begin) / 1000 };
  cx.print(report, ({ lab }) => `The lab is ready: QEMU ${lab.qemu}, Linux ${lab.kernel}, with ${lab.devices.join(', ')}.`);
  return EXIT.ok;
};

export const status: Run<'lab status'> = async (_, cx) => {
  const { store, labs } = await labStatus();
  const report: LabStatusReport = { schema: 'sluice/lab-status/1', store, labs: labs.map(summary) };
  cx.print(report, ({ labs }, page) => {
    if (labs.length === 0) return `There is no lab in ${store} yet. 'sluice lab setup' makes one.`;
    const rows = labs.map(({ flavour, kernel, bytes, devices, qemu }) => [
      flavour,
      kernel,
      showBytes(bytes),
      devices.join(' '),
      qemu,
    ]);
    return `${table(page, ['flavour', 'kernel', 'on disk', 'devices', 'QEMU'], rows)}\nin ${store}`;
  });
  return labs.length === 0 ? EXIT.findings : EXIT.ok;
};

export const runCommand: Run<'lab run'> = async (args, cx) => {
  const time = readDuration(args.timeout);
  if ('advice' in time) throw new UsageError(`--timeout takes a time such as 90s or 10min, not ${args.timeout}`, time.advice);
  const lab = await haveLab(cx, args.flavour);
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  const booting = cx.progress('booting the lab machine');
  const take = (kept: Buffer[], sink: Context['world']['stdout']) => (piece: Buffer) => {
    booting.done();
    if (cx.json) kept.push(piece);
    else sink.write(piece);
  };
  const result = await runInLab(lab, {
    argv: ourselves(args.command),
    env: jobEnvironment(cx),
    timeout: time.value,
    devices: args.devices ?? devicesOf(lab),
    onStdout: take(stdout, cx.world.stdout),
    onStderr: take(stderr, cx.world.stderr),
    ...(args.console && { onConsole: (line: string) => cx.note(harmless(line)) }),
  }).finally(() => booting.done());
  if (cx.json) {
    const report: LabRunReport = {
      schema: 'sluice/lab-run/1',
      command: args.command,
      code: result.code ?? null,
      reason: result.reason,
      seconds: result.seconds,
      bootSeconds: result.bootSeconds,
      stdout: Buffer.concat(stdout).toString(),
      stderr: Buffer.concat(stderr).toString(),
      console: result.consoleTail,
    };
    cx.print(report, () => '');
  }
  return ending(result);
};

export const shell: Run<'lab shell'> = async ({ flavour, devices }, cx) => {
  const lab = await haveLab(cx, flavour);
  cx.note('Booting the lab machine; leave its shell with exit, or with Ctrl-] when it hangs.');
  return ending(await shellInLab(lab, { devices: devices ?? devicesOf(lab) }));
};

/** The lab of a flavour, set up when it is not there yet. */
export async function haveLab(cx: Context, flavour: Flavour): Promise<Lab> {
  const lab = await openLab({ flavour });
  if (lab !== undefined) return lab;
  cx.note('There is no lab yet: setting it up. This is done once.');
  return await setupLab({ flavour, progress: (line) => cx.note(line) });
}

/** All that the lab's QEMU can give to the machine. */
export function devicesOf(lab: Lab): Devices {
  return 'igb' in lab.abilities.devices ? 'igb+nvme' : 'nvme';
}

/** `sluice` in the machine is this very program, and `node` the one that runs it, wherever they lie. */
export function ourselves(command: readonly string[]): string[] {
  if (command[0] === 'sluice') return [process.execPath, program(), ...command.slice(1)];
  return command[0] === 'node' ? [process.execPath, ...command.slice(1)] : [...command];
}

/** Colour in the machine as it is wanted here, although its output is a pipe. */
export function jobEnvironment(cx: Context): Record<string, string> {
  return wantsColour(cx.world.env, cx.world.stdout.isTTY === true) && !cx.json ? { FORCE_COLOR: '1' } : { NO_COLOR: '1' };
}

/** The exit code of a run, after saying why it ended when the command did not end by itself. */
export function ending(result: RunResult): number {
  if (result.reason === 'exit') return result.code ?? EXIT.host;
  if (result.reason === 'interrupted') return EXIT.interrupted;
  const why = {
    timeout:
      result.bootSeconds === 0
        ? 'the lab machine did not come up in time (is this machine very busy?)'
        : 'the command took longer than it may',
    panic: 'the kernel of the lab machine panicked',
    qemu: 'the QEMU of the lab machine ended by itself',
  }[result.reason];
  throw new LabError(`${why}. The last lines of its console:\n${indent(harmless(result.consoleTail.join('\n')))}`);
}

function summary(lab: Lab): LabSummary {
  const { flavour, release, folder, bytes, abilities } = lab;
  return {
    flavour,
    qemu: abilities.version.replace(/^QEMU emulator version /, ''),
    kernel: release,
    devices: devicesOf(lab).split('+'),
    bytes,
    folder,
  };
}
