import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import { LabError } from './errors.ts';
import { type Devices, jobEnvironment } from './machine.ts';
import { drive, type RunResult } from './run.ts';
import type { Lab } from './store.ts';

/** Ctrl-]: ends the machine when its shell answers no more, as telnet does. */
const ESCAPE = 0x1d;

/**
 * An interactive root shell in a fresh L1 on the user's terminal, until it exits or Ctrl-] is pressed. The terminal is as before afterwards.
 * @throws LabError when standard input or output is no terminal
 */
export async function shellInLab(lab: Lab, options: { devices?: Devices } = {}): Promise<RunResult> {
  const { stdin, stdout } = process;
  if (!stdin.isTTY || !stdout.isTTY)
    throw new LabError(
      'a shell needs a terminal on standard input and output; to run one command use: sluice lab run -- COMMAND',
    );
  const stop = new AbortController();
  let machine: (Readable & Writable) | undefined;
  const typed = (piece: Buffer) => {
    const at = piece.indexOf(ESCAPE);
    machine?.write(at < 0 ? piece : piece.subarray(0, at));
    if (at >= 0) stop.abort();
  };
  const restore = () => {
    stdin.off('data', typed);
    if (stdin.isTTY) stdin.setRawMode(false);
    stdin.pause();
  };
  process.on('exit', restore);
  const shell = existsSync('/bin/bash') ? ['/bin/bash', '-i'] : ['/bin/sh', '-i'];
  const more = {
    TERM: process.env.TERM ?? 'dumb',
    PS1: '\\u@\\h:\\w# ',
    SLUICE_LAB_TERMINAL: `${stdout.rows}x${stdout.columns}`,
  };
  try {
    return await drive(
      lab,
      {
        job: { argv: shell, env: jobEnvironment(lab, more), cwd: process.cwd() },
        timeout: 0,
        devices: options.devices ?? ('igb' in lab.abilities.devices ? 'igb+nvme' : 'nvme'),
        token: `sluice-lab ${randomBytes(16).toString('hex')}`,
        onStdout: () => {},
        onStderr: () => {},
        onTerminal(terminal) {
          machine = terminal;
          stdin.setRawMode(true);
          stdin.on('data', typed);
          stdin.resume();
          terminal.on('data', (piece: Buffer) => stdout.write(piece));
        },
      },
      stop.signal,
    );
  } finally {
    process.off('exit', restore);
    restore();
  }
}
