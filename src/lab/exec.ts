import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

export interface Ended {
  /** Exit status; undefined when a signal ended it. */
  code: number | undefined;
  stdout: string;
  stderr: string;
}

export interface ExecOptions {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  /** Milliseconds after which it is killed. */
  timeout?: number;
  /** Gets each line of standard output as it comes. */
  onLine?: (line: string) => void;
}

/**
 * Runs a program to its end without a shell. A status other than 0 is a value.
 * @throws Error with `code` `ENOENT` when there is no such program, `ETIMEDOUT` after `timeout`
 */
export function exec(program: string, argv: readonly string[], options: ExecOptions = {}): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, argv, {
      cwd: options.cwd,
      env: options.env ?? { ...process.env, LC_ALL: 'C' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const out: string[] = [];
    const err: Buffer[] = [];
    let late = false;
    const timer =
      options.timeout === undefined
        ? undefined
        : setTimeout(() => {
            late = true;
            child.kill('SIGKILL');
          }, options.timeout);
    createInterface({ input: child.stdout }).on('line', (line) => {
      out.push(line);
      options.onLine?.(line);
    });
    child.stderr.on('data', (piece: Buffer) => err.push(piece));
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.on('close', (code) => {
      clearTimeout(timer);
      if (late) {
        reject(Object.assign(new Error(`${program} did not end within ${options.timeout} ms`), { code: 'ETIMEDOUT' }));
        return;
      }
      const stdout = out.length === 0 ? '' : `${out.join('\n')}\n`;
      resolve({ code: code ?? undefined, stdout, stderr: Buffer.concat(err).toString() });
    });
  });
}

/** Whether a program of that name is on PATH and answers `--version`. */
export async function hasProgram(name: string): Promise<boolean> {
  try {
    await exec(name, ['--version'], { timeout: 20_000 });
    return true;
  } catch {
    return false;
  }
}

/**
 * What a program prints, as bytes.
 * @throws Error with its complaint when it does not end with 0
 */
export function execBytes(program: string, argv: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, argv, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', (piece: Buffer) => out.push(piece));
    child.stderr.on('data', (piece: Buffer) => err.push(piece));
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(Buffer.concat(out));
      else reject(new Error(`${program} ${argv.join(' ')}: ${Buffer.concat(err).toString().trim() || `ended with ${code}`}`));
    });
  });
}
