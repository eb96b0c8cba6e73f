// npm run crash-test: kills `sluice apply` with SIGKILL at every single change, one after the other, on a real kernel in the lab,
// and looks whether `sluice revert` leaves the machine as it was. Outside the machine it boots it; inside it does the work.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openLab, runInLab, setupLab } from '../src/lab/index.ts';
import { ROOT } from './data.ts';
import { differences, fingerprint } from './fingerprint.ts';

const SLUICE = join(ROOT, 'dist/bin/sluice.js');
/** Seconds for all points together, and the points that would be too many to be true. */
const LIMIT = 3000;
const MOST = 400;
/** Kills at other moments than the points. */
const ANY_TIME = 6;

if (process.env.SLUICE_LAB_SHARE === undefined) await outside();
else inside();

async function outside(): Promise<void> {
  const lab = (await openLab({ flavour: 'backports' })) ?? (await setupLab({ flavour: 'backports', progress: console.log }));
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  const result = await runInLab(lab, {
    argv: [process.execPath, fileURLToPath(import.meta.url)],
    timeout: LIMIT,
    devices: 'igb+nvme',
    signal: stop.signal,
    onStdout: (piece) => process.stdout.write(piece),
    onStderr: (piece) => process.stderr.write(piece),
  });
  if (result.reason !== 'exit') console.error(`the machine ended: ${result.reason}\n${result.consoleTail.join('\n')}`);
  process.exitCode = result.reason === 'exit' ? (result.code ?? 1) : 1;
}

function inside(): void {
  const folder = mkdtempSync(join(tmpdir(), 'crash-test-'));
  try {
    const spec = join(folder, 'crash.yaml');
    // Without an agent nothing waits for the guest: its start is a point like any other.
    writeFileSync(
      spec,
      `name: crash
memory: 256MiB
kernel: /lab/guest/vmlinuz
initrd: /lab/guest/initrd.gz
append: console=ttyS0 panic=-1
iommu: intel
agent: off
timeout: 20s
devices:
  - pf: 0000:01:00.0
    vf: { mac: "52:54:00:aa:01:00", vlan: 5 }
  - pf: nvme0
`,
    );
    const before = fingerprint();
    const tally = { tried: 0, restored: 0 };
    let whole = 0;
    for (let point = 1; point <= MOST; point++) {
      const begun = Date.now();
      const applied = sluice(['apply', spec], { SLUICE_CRASH_AT: String(point) });
      whole = Date.now() - begun;
      if (applied.signal !== 'SIGKILL') break; // beyond the last point apply goes through
      judge(before, tally, `${String(point).padStart(3)}  ${/crash point \d+: (.*)/.exec(applied.stderr)?.[1] ?? '?'}`);
    }
    judge(before, undefined, '  -  apply went through');
    // Between the points as well: at moments that nobody chose.
    for (let n = 1; n <= ANY_TIME; n++) {
      const after = Math.round(((n - 0.5) / ANY_TIME) * whole);
      const killed = sluice(['apply', spec], {}, after);
      const inTime = killed.signal === 'SIGKILL';
      const what = `  ~  killed from outside after ${after} ms`;
      judge(before, inTime ? tally : undefined, inTime ? what : `${what}, which was too late`);
    }
    console.log(`crash points: ${tally.tried} tried, ${tally.restored} restored`);
    process.exitCode = tally.tried > 0 && tally.tried === tally.restored && process.exitCode === undefined ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Reverts, twice, and compares the machine with what it was. Without a tally only a difference counts. */
function judge(before: Record<string, string>, tally: { tried: number; restored: number } | undefined, what: string): void {
  const problems: string[] = [];
  const first = sluice(['revert', 'crash', '--json'], {});
  if (first.status !== 0) problems.push(`revert ended with ${first.status}: ${first.stdout}${first.stderr}`);
  problems.push(...differences(before, fingerprint()));
  const second = sluice(['revert', 'crash', '--json'], {});
  if (second.status !== 0 || !second.stdout.includes('"outcome": "nothing"'))
    problems.push(`a second revert did something: ${second.stdout}`);
  problems.push(...differences(before, fingerprint()).map((text) => `after a second revert: ${text}`));
  console.log(`${problems.length === 0 ? 'restored' : 'NOT RESTORED'}  ${what}`);
  for (const problem of problems) console.log(`    ${problem}`);
  if (tally !== undefined) {
    tally.tried++;
    if (problems.length === 0) tally.restored++;
  } else if (problems.length > 0) process.exitCode = 1;
}

function sluice(
  args: string[],
  env: Record<string, string>,
  killAfter?: number,
): { status: number | null; signal: string | null; stdout: string; stderr: string } {
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [SLUICE, ...args], {
    encoding: 'utf8',
    env: { ...process.env, ...env },
    timeout: killAfter ?? 120_000,
    killSignal: 'SIGKILL',
  });
  return { status, signal, stdout, stderr };
}
