import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { bigTree, writeTree } from '../../test/big-tree.ts';
import { HostError } from '../host/host.ts';
import { LabError } from '../lab/errors.ts';
import { makeContext, stateFolder } from './context.ts';
import { EXIT, explain, Interrupted, UsageError } from './exit.ts';
import { fitMessage } from './message.ts';
import { errorReport, schemasReport, textReport } from './own-reports.ts';
import { packageFolder, program, version } from './package.ts';
import { runCommandLine } from './run.ts';
import { readSpecFile } from './spec-file.ts';

async function sluice(...argv: string[]) {
  const out: string[] = [];
  const err: string[] = [];
  const code = await runCommandLine(argv, {
    stdout: { write: (piece) => out.push(String(piece)) },
    stderr: { write: (piece) => err.push(String(piece)) },
    env: {},
    uid: 1000,
  });
  return { code, out: out.join(''), err: err.join('') };
}

test('help goes to standard output and is no mistake', async () => {
  const { code, out, err } = await sluice('--help');
  assert.deepEqual({ code, err }, { code: 0, err: '' });
  assert.match(out, /inspect[\s\S]*Exit codes/);
});

test('a mistake goes to standard error with its exit code and no stack', async () => {
  const { code, out, err } = await sluice('inspct');
  assert.deepEqual({ code, out }, { code: EXIT.usage, out: '' });
  assert.equal(err, 'sluice: there is no verb inspct\nDid you mean inspect?\n');
});

test('on a terminal a long message keeps to its columns, and each line goes on below its own beginning', async () => {
  const say = async (terminal: { isTTY?: true; columns?: number }, ...argv: string[]) => {
    const [out, err] = [[] as string[], [] as string[]];
    await runCommandLine(argv, {
      stdout: { write: (piece) => out.push(String(piece)) },
      stderr: { write: (piece) => err.push(String(piece)), ...terminal },
      env: { NO_COLOR: '1' },
      uid: 1000,
    });
    return { out: out.join(''), err: err.join('') };
  };
  const argv = ['inspect', '--host', '/nonexistent folder/of a long name/host.json.gz', '--root', '/x'];
  const piped = await say({}, ...argv);
  assert.equal(piped.err.split('\n').length, 2);
  for (const columns of [20, 33, 60]) {
    const shown = await say({ isTTY: true, columns }, ...argv);
    for (const line of shown.err.split('\n')) assert.ok(line.length <= columns, line);
    assert.equal(shown.err.replace(/\s+/g, ' '), piped.err.replace(/\s+/g, ' '));
    assert.equal((await say({ isTTY: true, columns }, ...argv, '--json')).out, (await say({}, ...argv, '--json')).out);
  }
  const sink = { write: () => true, isTTY: true, columns: 30 };
  assert.equal(
    fitMessage('vm.yaml:2:1: short\n  a detail that is longer than the terminal\n    a  table  stays', sink),
    'vm.yaml:2:1: short\n  a detail that is longer than\n  the terminal\n    a  table  stays',
  );
});

test('what a terminal would obey is taken out of messages that quote files', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-message-'));
  const file = join(folder, 'na\x1b[31mme');
  writeFileSync(file, '\x1b[2J\x07evil');
  const { code, err } = await sluice('inspect', '--host', file);
  const listing = join(folder, 'posted.txt');
  writeFileSync(listing, 'Hello,\n00:1f.0 ISA bridge: Intel\n');
  assert.match((await sluice('inspect', '--host', listing)).err, /write --host lspci:.*posted\.txt/);
  rmSync(folder, { recursive: true });
  assert.equal(code, EXIT.usage);
  assert.match(err, /name is no snapshot: .*evil/);
  assert.doesNotMatch(err.trimEnd(), /\p{Cc}/u);
});

test('with --json a mistake is a report too', async () => {
  const { code, out } = await sluice('inspct', '--json');
  const report = errorReport.parse(JSON.parse(out));
  assert.deepEqual([report.kind, report.exit, code], ['UsageError', 2, 2]);
});

test('--json holds what schema list, man, completion and help show', async () => {
  schemasReport.parse(JSON.parse((await sluice('schema', 'list', '--json')).out));
  for (const argv of [['man'], ['completion', 'zsh'], ['plan', '--help'], ['--version']]) {
    const { text } = textReport.parse(JSON.parse((await sluice('--json', ...argv)).out));
    assert.equal(`${text.trimEnd()}\n`, (await sluice(...argv)).out);
  }
});

test('schema prints the schema of the VM spec when none is named', async () => {
  const { out } = await sluice('schema');
  assert.equal(JSON.parse(out).title, 'Sluice VM');
  assert.equal((await sluice('schema', 'spce')).err, 'sluice: there is no schema spce\nDid you mean spec?\n');
});

test('every kind of error has its exit code, and only a bug of ours shows a stack', () => {
  for (const [error, exit] of [
    [new UsageError('x'), 2],
    [new HostError('/sys/x', 'no', 'EACCES'), 3],
    [new LabError('x'), 3],
    [new Interrupted(), 130],
  ] as const) {
    assert.equal(explain(error).exit, exit);
    assert.doesNotMatch(explain(error).text, /\n {4}at /);
  }
  const bug = explain(new TypeError('x is not a function'));
  assert.equal(bug.exit, EXIT.bug);
  assert.match(bug.text, /bug in Sluice[\s\S]*\n {4}at /);
});

test('journals are where root keeps state, or where the user does', () => {
  assert.equal(stateFolder({ XDG_STATE_HOME: '/x' }, 0), '/var/lib/sluice');
  assert.equal(stateFolder({ XDG_STATE_HOME: '/x', HOME: '/h' }, 1000), '/x/sluice');
  assert.equal(stateFolder({ XDG_STATE_HOME: 'relative', HOME: '/h' }, 1000), '/h/.local/state/sluice');
  const world = { stdout: { write: () => true }, stderr: { write: () => true }, env: {}, uid: 0 };
  assert.equal(makeContext({ json: false, root: undefined, host: undefined, state: '/tmp/s/../t' }, world).state, '/tmp/t');
});

test('the files of a spec are found from its own folder', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-spec-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'vm.yaml');
  writeFileSync(path, 'name: a\nmemory: 1GiB\ndisk: ./d.img\nkernel: /boot/k\n');
  const { disk, kernel } = await readSpecFile(path);
  assert.deepEqual({ disk, kernel }, { disk: join(folder, 'd.img'), kernel: '/boot/k' });

  writeFileSync(path, 'name: a\nmemory: 4GB\ncpus: 1\n');
  await assert.rejects(readSpecFile(path), (error) => error instanceof UsageError && error.message.split('\n').length === 3);
  writeFileSync(path, Buffer.from([0x6e, 0xff, 0xfe]));
  await assert.rejects(readSpecFile(path), /vm\.yaml: it is not UTF-8 text/);
  await assert.rejects(readSpecFile(join(folder, 'none.yaml')), /none\.yaml: there is no such file/);
  await assert.rejects(readSpecFile(folder), /that is a folder/);
  await assert.rejects(readSpecFile('/dev/zero'), /expected a spec of at most 1 MiB/);
});

test('the bundle is a program: it can be executed and says its version', () => {
  assert.ok(statSync(program()).mode & 0o111);
  assert.match(readFileSync(program(), 'utf8'), /^#!\/usr\/bin\/env node\n/);
  const { stdout, status } = spawnSync(process.execPath, [program(), '--version'], { encoding: 'utf8' });
  assert.deepEqual([stdout, status], [`sluice ${version()}\n`, 0]);
});

test('--version loads nothing but the file that it is in and what that imports', () => {
  const sources = readFileSync(program(), 'utf8').matchAll(/^import .*?from ?"(.+?)"|^import ?"(.+?)"/gm);
  const folder = join(packageFolder(), 'dist', 'bin');
  for (const [, from, bare] of sources) {
    const name = (from ?? bare)!;
    if (name.startsWith('node:')) continue;
    assert.ok(statSync(join(folder, name)).size < 4096, `${name} is not tiny`);
  }
});

test('a reader that goes away is no error', async () => {
  const child: ChildProcess = spawn(process.execPath, [program(), 'man'], { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout!.destroy();
  let said = '';
  child.stderr!.on('data', (piece) => {
    said += piece;
  });
  const code = await new Promise((resolve) => child.on('close', resolve));
  assert.deepEqual([code, said], [0, '']);
});

test('the program ends only when all is written, and not well when it cannot be', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-run-'));
  try {
    writeTree(folder, bigTree(200));
    const inspect = `'${process.execPath}' '${program()}' inspect --json --root '${folder}'`;
    const shell = (line: string) =>
      spawnSync('sh', ['-c', line], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], maxBuffer: 2 ** 30 });
    // More than a pipe holds, for a reader that takes its time.
    const { stdout } = shell(`${inspect} | (sleep 0.5; cat)`);
    assert.equal(JSON.parse(stdout).functions.length, 200);
    assert.notEqual(shell(`${inspect} > /dev/full`).status, 0);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
