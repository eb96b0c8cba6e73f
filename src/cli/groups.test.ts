import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { capturedHost } from '../../test/captured-host.ts';
import { captureNamed, captures, tellCaptures } from '../../test/captures.ts';
import { complaintAbout } from '../../test/conformance/captures.ts';
import { machinesIn } from '../../test/conformance/groups.ts';
import { sharedData } from '../../test/data.ts';
import { readPicture } from '../host/picture.ts';
import { EXIT } from './exit.ts';
import { type GroupsSource, groupsReportOf, sourceOfListing, sourceOfPicture } from './groups.ts';
import { parseChanges } from './groups-changes.ts';
import { type GroupsReport, groupsReport } from './groups-report.ts';
import { renderGroups } from './groups-view.ts';
import { columns, makeStyle } from './output.ts';
import { runCommandLine } from './run.ts';

const found = captures();
const page = { width: 80, style: makeStyle(false) };

function report(source: GroupsSource, { supposed = '', bdfs = [] as string[], why = false } = {}): GroupsReport {
  const made = groupsReportOf(source, supposed === '' ? [] : parseChanges(supposed), bdfs, why);
  groupsReport.parse(made);
  for (const line of renderGroups(made, page).split('\n')) assert.ok(columns(line) <= 80, line);
  return made;
}

async function stateOf(name: string, label: string): Promise<GroupsSource> {
  const capture = captureNamed(name)!;
  const state = capture.states.find((one) => one.label === label)!;
  return sourceOfPicture(await readPicture(capturedHost(capture, state)));
}

test(`the verb agrees with the kernel on every recorded moment, or names the order as the reason (${tellCaptures(found)})`, async () => {
  for (const capture of found.all)
    for (const state of capture.states) {
      const { differences, presence, groups } = report(sourceOfPicture(await readPicture(capturedHost(capture, state))));
      const where = `${capture.name} ${state.label}`;
      assert.equal(complaintAbout(capture, state), undefined, where);
      assert.ok(
        differences.every(({ reason }) => reason === 'order'),
        where,
      );
      assert.deepEqual(presence, [], where);
      if (Object.keys(state.groups).length > 0) assert.equal(groups.length, Object.keys(state.groups).length, where);
    }
});

test('listings of real machines are shown in 80 columns and by the schema', {
  skip: !sharedData('groups') && 'no shared data beside the repository',
}, () => {
  const folder = sharedData('groups')!;
  for (const { id, input } of machinesIn(folder)) {
    const source = sourceOfListing(id, readFileSync(join(folder, input), 'utf8'));
    assert.equal(report(source).are, 'computed');
    const [a, b] = source.topology.functions.slice(-2).map(({ bdf }) => bdf);
    assert.ok(report(source, { bdfs: [a!, b!], why: true }).why!.because.length > 0, id);
  }
});

const present = (name: string) => captureNamed(name) === undefined && `the capture ${name} is not here`;

test('VFs can be supposed, and each has its group', { skip: present('igb-2') }, async () => {
  const source = await stateOf('igb-2', 'drivers');
  const pf = source.topology.functions.find(({ sriov }) => sriov !== undefined && sriov !== 'none')!.bdf;
  const { changed, groups, are, supposing } = report(source, { supposed: `vfs=${pf}=2` });
  assert.deepEqual([are, supposing], ['computed', [`vfs=${pf}=2`]]);
  assert.equal(changed!.filter(({ was, becomes }) => was.length === 0 && becomes.length === 0).length, 2);
  assert.ok(groups.length > source.kernel.length);
});

test('without a unit the groups are told that there would be with one', { skip: present('opt-off') }, async () => {
  const off = report(await stateOf('opt-off', 'drivers'));
  const on = report(await stateOf('opt-nocm', 'drivers'));
  assert.equal(off.are, 'computed');
  assert.match(off.notes.join(' '), /drives no remapping unit/);
  const members = ({ groups }: GroupsReport) =>
    groups
      .map((group) =>
        group.members
          .map(({ bdf }) => bdf)
          .sort()
          .join(' '),
      )
      .sort();
  assert.deepEqual(members(off), members(on));
});

test('isolation that does not exist is a finding', { skip: present('act-remove-rescan') }, async () => {
  const { differences } = report(await stateOf('act-remove-rescan', 'rescanned'));
  assert.deepEqual(
    differences.map(({ kernel, reason }) => [kernel, reason]),
    [['finer', 'order']],
  );
  assert.match(differences[0]!.says, /does not exist/);
});

test('every form of a supposed change is read, and what is none is told', () => {
  const read = (text: string) => parseChanges(text).map(({ words }) => words);
  assert.deepEqual(read('vfs=01:00.0=4'), ['vfs=0000:01:00.0=4']);
  assert.deepEqual(read('vfs 01:00.0=4, acs 00:1c.0=off; ari off'), ['vfs=0000:01:00.0=4', 'acs=0000:00:1c.0=off', 'ari=off']);
  assert.deepEqual(read('move 01:00.0 to 0000:00:1d.0'), ['move=0000:01:00.0=0000:00:1d.0']);
  for (const text of ['', 'vfs=01:00.0', 'vfs=01:00.0=x', 'acs=01:00.0=maybe', 'ari=on', 'fly=1', 'vfs=eth0=4'])
    assert.throws(() => parseChanges(text), /--if/, text);
});

async function sluice(...argv: string[]) {
  const out: string[] = [];
  const err: string[] = [];
  const sink = (into: string[]) => ({ write: (piece: unknown) => into.push(String(piece)) });
  const code = await runCommandLine(argv, { stdout: sink(out), stderr: sink(err), env: {}, uid: 1000 } as Parameters<
    typeof runCommandLine
  >[1]);
  return { code, out: out.join(''), err: err.join('') };
}

test('mistakes are one message', async () => {
  const one = await sluice('groups', '--why', '01:00.0');
  assert.deepEqual(
    [one.code, one.err],
    [EXIT.usage, 'sluice: --why needs two functions\nAs in: sluice groups --why 01:00.0 02:00.0\n'],
  );
  assert.match((await sluice('groups', 'eth0')).err, /eth0 is no address of a function/);
  assert.match((await sluice('groups', '--host', 'lspci:/nonexistent')).err, /there is no such file/);
  assert.match((await sluice('groups', '--host', 'lspci:/dev/null')).err, /lists no function/);
});
