import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { constants as os } from 'node:os';
import { delimiter, join } from 'node:path';
import { HostError } from '../host.ts';
import { hostError } from './errors.ts';

const MAX_OUTPUT = 4 * 1024 * 1024;
/** Where programs for administrators are; a user's PATH often leaves them out. */
const ADMIN_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin'];

/**
 * The file of a program: the name itself when it has a slash, else found in PATH and then in the administrators' folders.
 * @throws HostError `ENOENT`
 */
export async function findProgram(name: string): Promise<string> {
  const path = (process.env.PATH ?? '/usr/bin:/bin').split(delimiter).filter((folder) => folder !== '');
  const candidates = name.includes('/') ? [name] : [...path, ...ADMIN_FOLDERS].map((folder) => join(folder, name));
  for (const candidate of candidates)
    if (
      await access(candidate, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return candidate;
  throw new HostError(name, 'there is no such program on this machine', 'ENOENT');
}

export interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}

/**
 * Runs a program to its end, without a shell, in the C locale so that its messages can be read by programs.
 *
 * @param options.timeout milliseconds; the program is killed after them
 * @returns its exit code, 128 + the signal's number when a signal ended it, and its output, each cut at 4 MiB
 * @throws HostError `ENOENT`, `ETIMEDOUT`
 */
export async function runProgram(argv: readonly string[], options: { timeout?: number } = {}): Promise<Ran> {
  const [name = '', ...rest] = argv;
  const file = await findProgram(name);
  const { spawn } = await import('node:child_process');
  return await new Promise((resolve, reject) => {
    const child = spawn(file, rest, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, LC_ALL: 'C' } });
    const stdout = collect(child.stdout);
    const stderr = collect(child.stderr);
    const timer =
      options.timeout === undefined
        ? undefined
        : setTimeout(() => {
            child.kill('SIGKILL');
            // Its own children may hold the pipes: they are not waited for.
            child.stdout.destroy();
            child.stderr.destroy();
            reject(new HostError(name, `had not ended after ${options.timeout} ms`, 'ETIMEDOUT'));
          }, options.timeout);
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(hostError(name, 'start', error));
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ code: code ?? 128 + (signal ? os.signals[signal] : 0), stdout: stdout(), stderr: stderr() });
    });
  });
}

function collect(stream: NodeJS.ReadableStream): () => string {
  const pieces: Buffer[] = [];
  let total = 0;
  stream.on('data', (piece: Buffer) => {
    const rest = MAX_OUTPUT - total;
    if (rest > 0) pieces.push(piece.subarray(0, rest));
    total += piece.length;
  });
  return () => Buffer.concat(pieces).toString('utf8');
}

/**
 * Runs a program that must succeed.
 * @param subject what it is about, for the message
 * @throws HostError with what the program said, and the errno that its words stand for
 */
export async function demand(
  argv: readonly string[],
  subject: string,
  errnoOf: (said: string) => string | undefined,
): Promise<string> {
  const { code, stdout, stderr } = await runProgram(argv, { timeout: 60_000 });
  if (code === 0) return stdout;
  const said = stderr.trim() || `ended with code ${code}`;
  throw new HostError(subject, `"${argv.join(' ')}" failed: ${said}`, errnoOf(said));
}
