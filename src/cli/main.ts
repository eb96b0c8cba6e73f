#!/usr/bin/env node
// Kept tiny: `sluice --version` loads nothing else.
import { version } from './package.ts';

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
}
