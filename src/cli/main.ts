#!/usr/bin/env node
// Kept tiny: `sluice --version` loads nothing else.
import { setFlagsFromString } from 'node:v8';
import { version } from './package.ts';

// Most runs take a second or less: what an optimizing compiler gains later costs more than it brings. It begins, but not so soon.
setFlagsFromString('--interrupt-budget=1000000');
// A report of thousands of functions is mostly new and stays: room for that is made in few steps, for each copies what there is.
setFlagsFromString('--semi-space-growth-factor=4');

// `sluice inspect | head` closes the pipe early. What is being done goes on to its end, unheard.
for (const sink of [process.stdout, process.stderr])
  sink.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });

const argv = process.argv.slice(2);
if (argv.length === 1 && (argv[0] === '--version' || argv[0] === '-V')) process.stdout.write(`sluice ${version()}\n`);
else {
  const { runCommandLine } = await import('./run.ts');
  process.exitCode = await runCommandLine(argv, {
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    uid: process.getuid?.() ?? -1,
  });
  // To take a large heap apart takes a while, for which nobody has to wait. Errors of what was written are told before that.
  setImmediate(() => {
    if (process.stdout.writableLength === 0 && process.stderr.writableLength === 0) process.exit();
  });
}
