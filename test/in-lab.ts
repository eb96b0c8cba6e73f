import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Flavour, type Lab, openLab, runInLab, setupLab } from '../src/lab/index.ts';
import { ROOT } from './data.ts';

/** The program under test, as it is shipped. */
export const SLUICE: string = join(ROOT, 'dist/bin/sluice.js');

/** Whether this file runs in the lab machine. A lab test boots the machine and runs its own file in it, so that both halves of a case stand together. */
export const inside: boolean = process.env.SLUICE_LAB_SHARE !== undefined;

const ci = ['1', 'true'].includes(process.env.CI ?? '');

/** The lab of a flavour. Without one its tests are skipped, and fail in CI. */
export async function labOf(flavour: Flavour): Promise<{ lab: Lab; skip: false } | { lab: undefined; skip: string }> {
  const lab = (await openLab({ flavour })) ?? (ci ? await setupLab({ flavour, progress: console.log }) : undefined);
  if (lab !== undefined) return { lab, skip: false };
  const skip = `no ${flavour} lab is set up: sluice lab setup --flavour ${flavour}`;
  console.log(`!!! LAB TESTS SKIPPED: ${skip} !!!`);
  return { lab, skip };
}

/** What one program did. */
export interface Ran {
  /** 128 + the number of the signal when one ended it, as a shell has it. */
  code: number;
  stdout: string;
  stderr: string;
  seconds: number;
}

/**
 * Boots the machine and runs a test's own file in it.
 * @param file `import.meta.url` of the caller
 * @param limit seconds that the program may take there
 * @param onTold gets each value that the program tells, as it comes
 */
export async function runInMachine<T>(
  lab: Lab,
  file: string,
  limit: number,
  onTold: (value: T) => void,
  token?: string,
): Promise<void> {
  let held = '';
  let stderr = '';
  const began = Date.now();
  const result = await runInLab(lab, {
    argv: [process.execPath, fileURLToPath(file)],
    timeout: limit,
    devices: 'igb' in lab.abilities.devices && lab.flavour !== 'stock' ? 'igb+nvme' : 'nvme',
    env: { NO_COLOR: '1' },
    onStdout: (piece) => {
      const lines = (held + piece.toString()).split('\n');
      held = lines.pop() ?? '';
      for (const line of lines) onTold(JSON.parse(line) as T);
    },
    onStderr: (piece) => (stderr += piece.toString()),
    ...(token === undefined ? {} : { token }),
  });
  const said = `${result.reason} ${result.code}\n${held}${stderr}\nits console:\n${result.consoleTail.join('\n')}`;
  assert.ok(result.reason === 'exit' && result.code === 0, said);
  console.log(
    `  the machine was ready after ${result.bootSeconds.toFixed(1)} s and gone after ${((Date.now() - began) / 1000).toFixed(1)} s`,
  );
}

/** In the machine: tells one value to the test outside. */
export function tell(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

export interface Started {
  /** Sends a signal to the program and all that it started in its own session, as a terminal's Ctrl-C does. */
  signal(name: NodeJS.Signals): void;
  ended: Promise<Ran>;
}

/** In the machine: starts a program in a session of its own. */
export function start(argv: readonly string[], env: Readonly<Record<string, string>> = {}): Started {
  const began = Date.now();
  const child = spawn(argv[0] ?? '', argv.slice(1), {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const ended = new Promise<Ran>((resolve, reject) => {
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (piece: Buffer) => (stdout += piece.toString()));
    child.stderr.on('data', (piece: Buffer) => (stderr += piece.toString()));
    child.on('error', reject);
    child.on('close', (code, signal) =>
      resolve({ code: code ?? (signal === 'SIGINT' ? 130 : 128), stdout, stderr, seconds: (Date.now() - began) / 1000 }),
    );
  });
  return { signal: (name) => void process.kill(-(child.pid as number), name), ended };
}

/** In the machine: `sluice` with these arguments, to its end. */
export async function sluice(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ran> {
  return await start([process.execPath, SLUICE, ...args], env).ended;
}
