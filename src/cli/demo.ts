import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { runInLab } from '../lab/index.ts';
import { stateOf } from '../plan/journal.ts';
import { consoleTail, guestFiles } from '../qemu/index.ts';
import type { Run } from './command.ts';
import type { Context } from './context.ts';
import { EXIT } from './exit.ts';
import { devicesOf, ending, haveLab, jobEnvironment } from './lab.ts';
import type { DemoReport, DemoStep } from './lab-reports.ts';
import { harmless, indent, type Page, table } from './output.ts';
import { packageFolder, program } from './package.ts';

/** Seconds that everything in the machine may take. */
const LIMIT = 600;
const NEWLINE = 10;
/** Of the guest's console, when something failed. */
const CONSOLE_LINES = 30;

/** Boots the lab machine and runs itself in there, where it runs the verbs one by one. */
export const run: Run<'lab demo'> = async ({ flavour }, cx) => {
  if (cx.world.env.SLUICE_LAB_SHARE !== undefined) return await inside(cx);
  const begin = Date.now();
  const lab = await haveLab(cx, flavour);
  const devices = devicesOf(lab);
  cx.note(
    `Booting a machine with VT-d and ${devices === 'nvme' ? 'an NVMe controller' : 'an igb network card and an NVMe controller'}: ${lab.abilities.version}, Linux ${lab.release}.`,
  );
  const pieces: Buffer[] = [];
  let waiting = cx.progress('booting the lab machine');
  const result = await runInLab(lab, {
    argv: [process.execPath, program(), 'lab', 'demo', ...(cx.json ? ['--json'] : [])],
    env: { ...jobEnvironment(cx), SLUICE_DEMO_SPEC: demoSpec(devices) },
    timeout: LIMIT,
    devices,
    onStdout(piece) {
      waiting.done();
      if (cx.json) pieces.push(piece);
      else cx.world.stdout.write(piece);
      // A live line may only begin where a line has ended; elsewhere than on a terminal it would repeat itself.
      if (cx.world.stderr.isTTY && piece.at(-1) === NEWLINE) waiting = cx.progress('working in the lab machine');
    },
    onStderr: (piece) => cx.world.stderr.write(piece),
  }).finally(() => waiting.done());
  const code = ending(result);
  if (code !== EXIT.ok)
    cx.note(`The last lines of the lab machine's console:\n${indent(harmless(result.consoleTail.join('\n')))}`);
  const seconds = (Date.now() - begin) / 1000;
  if (cx.json) {
    const report = JSON.parse(Buffer.concat(pieces).toString()) as DemoReport;
    cx.print<DemoReport>({ ...report, bootSeconds: result.bootSeconds, seconds }, () => '');
  } else
    cx.world.stdout.write(
      `The machine was ready after ${result.bootSeconds.toFixed(1)} s and is gone again. In all: ${seconds.toFixed(1)} s.\n`,
    );
  return code;
};

function demoSpec(devices: 'igb+nvme' | 'nvme'): string {
  return join(packageFolder(), 'examples', devices === 'nvme' ? 'demo-nvme.yaml' : 'demo.yaml');
}

/** In the machine: the same commands that one would type on a real host. What was begun is put back, whatever fails between. */
async function inside(cx: Context): Promise<number> {
  const spec = cx.world.env.SLUICE_DEMO_SPEC ?? demoSpec('igb+nvme');
  const begin = Date.now();
  const steps: DemoStep[] = [];
  const step = async (purpose: string, ...argv: string[]): Promise<boolean> => {
    if (!cx.json) cx.print<{ schema: string }>({ schema: '' }, (_, { style }) => style.bold(`\n$ sluice ${argv.join(' ')}`));
    const started = Date.now();
    const { code, last } = await runVerb(cx, argv);
    steps.push({ command: `sluice ${argv.join(' ')}`, purpose, outcome: last, code, seconds: (Date.now() - started) / 1000 });
    return code === EXIT.ok;
  };
  const planned = (await step('what is here', 'inspect')) && (await step('what would change', 'plan', spec));
  if (planned) {
    if (await step('do it', 'apply', spec)) await step('prove it', 'verify', 'demo');
    await step('put it back', 'revert', 'demo');
  }
  if (steps.some(({ code }) => code !== EXIT.ok)) {
    const { console } = guestFiles(stateOf(cx.state, 'demo').folder);
    const lines = await consoleTail(await cx.machine(), console, CONSOLE_LINES);
    if (lines.length > 0) cx.note(`The last lines of the guest's console:\n${indent(harmless(lines.join('\n')))}`);
  }
  const report: DemoReport = { schema: 'sluice/lab-demo/1', steps, seconds: (Date.now() - begin) / 1000 };
  cx.print(report, showReport);
  return steps.find(({ code }) => code !== EXIT.ok)?.code ?? EXIT.ok;
}

function showReport({ steps, seconds }: DemoReport, page: Page): string {
  const { bold, green, red } = page.style;
  const rows = steps.map(({ purpose, outcome, code, seconds }) => [
    code === EXIT.ok ? green('ok') : red(`exit ${code}`),
    purpose,
    `${seconds.toFixed(1)} s`,
    outcome,
  ]);
  const well = steps.every(({ code }) => code === EXIT.ok);
  return `\n${bold('The whole way')}\n${table(page, [], rows)}\n${well ? green('All of it worked') : red('Not all of it worked')}, in ${seconds.toFixed(1)} s inside the machine.`;
}

/**
 * Runs one verb as a program of its own and shows what it prints; with --json only the last line of that is kept. What it says on
 * standard error is shown when it fails: before that it is only about what it is doing.
 */
function runVerb(cx: Context, argv: readonly string[]): Promise<{ code: number; last: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program(), ...argv], { stdio: ['ignore', 'pipe', 'pipe'] });
    let tail = '';
    let said = '';
    child.stdout.on('data', (piece: Buffer) => {
      tail = (tail + piece.toString()).slice(-4000);
      if (!cx.json) cx.world.stdout.write(piece);
    });
    child.stderr.on('data', (piece: Buffer) => {
      said = (said + piece.toString()).slice(-20_000);
    });
    child.on('error', reject);
    child.on('close', (code) => {
      if (code !== EXIT.ok) cx.note(said.trimEnd());
      resolve({ code: code ?? EXIT.bug, last: lastLine(tail) || lastLine(said) });
    });
  });
}

function lastLine(text: string): string {
  return stripVTControlCharacters(text).trimEnd().split('\n').at(-1)!.trim();
}
