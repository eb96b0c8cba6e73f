import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { capturedHost } from '../../test/captured-host.ts';
import { captureNamed, captures } from '../../test/captures.ts';
import { fakeHost, machine } from '../../test/fake-host.ts';
import { survey, wholeHost } from '../check/survey.ts';
import { readPicture } from '../host/picture.ts';
import { parseSpec } from '../plan/spec.ts';
import { checkVm } from './check.ts';
import { checkLogReport } from './check-log-report.ts';
import { type CheckReport, checkReport, showSurveyed } from './check-report.ts';
import { renderCheck } from './check-view.ts';
import { EXIT } from './exit.ts';
import { makeStyle } from './output.ts';
import { runCommandLine } from './run.ts';

const folder = mkdtempSync(join(tmpdir(), 'sluice-check-'));
after(() => rmSync(folder, { recursive: true }));

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

async function reportOf(name: string): Promise<CheckReport> {
  const capture = captureNamed(name) ?? captures().all[0]!;
  const picture = await readPicture(capturedHost(capture, capture.states[0]!));
  return {
    schema: 'sluice/check/1',
    host: picture.host,
    about: { kind: 'host' },
    refusals: [],
    problems: showSurveyed(survey(picture, wholeHost(picture))),
    unread: [],
  };
}

test('the report of a host follows its schema, and its text keeps to 80 columns where words allow', async () => {
  const report = await reportOf('act-remove-rescan');
  assert.deepEqual(checkReport.parse(JSON.parse(JSON.stringify(report))), JSON.parse(JSON.stringify(report)));
  const text = renderCheck(report, { width: 80, style: makeStyle(false) }, true);
  for (const line of text.split('\n')) assert.ok(line.length <= 80 || !line.trim().includes(' '), line);
  assert.match(text, /Passed\n/);
  assert.doesNotMatch(renderCheck(report, { width: 80, style: makeStyle(false) }, false), /Passed\n/);
});

test('check --log names the problems of a log with their lines, and its exit code says so', async () => {
  const log = join(folder, 'host.log');
  writeFileSync(
    log,
    '> [   12.345678] DMAR: IOMMU enabled\r\n> [   13.000000] qemu: vfio 0000:01:00.0: group 1 is not viable\r\n',
  );
  const { code, out } = await sluice('check', '--log', log);
  assert.equal(code, EXIT.findings);
  assert.match(out, /group-not-viable/);
  assert.match(out, /line 2: qemu: vfio/);
  assert.match(out, /1 lines? (is|are) normal/);
  const report = checkLogReport.parse(JSON.parse((await sluice('check', '--log', log, '--json')).out));
  assert.deepEqual(
    [report.lines, report.found[0]!.candidates[0]!.id, report.found[0]!.said[0]!.lines],
    [2, 'group-not-viable', [2]],
  );
});

test('a log without a known problem is no finding, and one that is not there a mistake', async () => {
  const log = join(folder, 'quiet.log');
  writeFileSync(log, 'Linux version 6.12\n');
  assert.equal((await sluice('check', '--log', log)).code, EXIT.ok);
  assert.equal((await sluice('check', '--log', join(folder, 'absent.log'))).code, EXIT.usage);
  assert.equal((await sluice('check', '--log', log, '0000:00:00.0')).code, EXIT.usage);
});

test('a target that is nothing of this host is refused with what to write', async () => {
  const { code, err } = await sluice('check', 'nonsense');
  assert.notEqual(code, EXIT.ok);
  assert.match(err, /neither a function nor an interface|PCI/);
});

const specOf = (text: string) => {
  const parsed = parseSpec(text, 'vm.yaml');
  if ('errors' in parsed) throw new Error(parsed.errors.map(({ message }) => message).join('; '));
  return parsed.spec;
};

test('check of a VM asks about the host, the VM, the functions it is given and the PFs of its VFs', async () => {
  const spec = specOf('name: demo\nmemory: 512MiB\nvcpus: 2\nneeds: [vfio]\ndevices:\n  - pf: eth0\n    vf: {}\n');
  const report = await checkVm(fakeHost(machine()), spec, 'vm.yaml', '/var/lib/sluice');
  checkReport.parse(JSON.parse(JSON.stringify(report)));
  assert.deepEqual(report.refusals, []);
  const answers = report.problems.flatMap(({ id, answers: all }) => all.map((one) => ({ id, ...one })));
  assert.deepEqual([...new Set(answers.map(({ about }) => about))].sort(), ['function', 'host', 'vm']);
  assert.ok(answers.some(({ id, functions }) => id === 'sriov-mmio-exhausted' && functions.includes('0000:01:00.0')));
  // The PF stays with the host: that its group or the host needs it is no problem.
  assert.ok(!answers.some(({ id, functions }) => id === 'group-not-viable' && functions.includes('0000:01:00.0')));
});

test('check of a VM that cannot be planned names the refusals with their place in the file', async () => {
  const spec = specOf('name: demo\nmemory: 512MiB\nvcpus: 2\ndevices:\n  - interface: gone\n');
  const report = await checkVm(fakeHost(machine()), spec, 'vm.yaml', '/var/lib/sluice');
  assert.equal(report.refusals.length, 1);
  const text = renderCheck(report, { width: 80, style: makeStyle(false) }, false);
  assert.match(text, /vm\.yaml:5:/);
});
