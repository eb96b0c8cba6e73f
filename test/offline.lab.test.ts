import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { labOf, SLUICE } from './in-lab.ts';

// A network namespace of its own has no way out, whatever the machine has.
const NAMESPACE: readonly string[] = ['unshare', process.getuid?.() === 0 ? '-n' : '-rn'];
const cut = spawnSync(NAMESPACE[0] as string, [...NAMESPACE.slice(1), 'true']).status === 0;
const ci = ['1', 'true'].includes(process.env.CI ?? '');
const skip = cut || ci ? false : `${NAMESPACE.join(' ')} is not allowed here`;

const cache = mkdtempSync(join(tmpdir(), 'sluice-offline-'));
after(() => rmSync(cache, { recursive: true }));

function offline(args: readonly string[], home?: string): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(NAMESPACE[0] as string, [...NAMESPACE.slice(1), process.execPath, SLUICE, ...args], {
    encoding: 'utf8',
    env: { ...process.env, ...(home === undefined ? {} : { XDG_CACHE_HOME: home }) },
    timeout: 120_000,
  });
}

for (const args of [
  ['lab', 'setup'],
  ['lab', 'setup', '--flavour', 'stock'],
  ['lab', 'run', '--', 'true'],
])
  test(`the first set-up without network, by ${args.join(' ')}: one message, and no lab`, { skip }, () => {
    const { status, stdout, stderr } = offline(args, cache);
    assert.equal(status, 3, stdout + stderr);
    assert.equal(stdout, '');
    assert.match(
      stderr,
      /^sluice: the package lists of \S+ cannot be read \(.+\): the first set-up needs this mirror; check the network/m,
    );
    assert.equal(stderr.split('\n').filter((line) => line.startsWith('sluice:')).length, 1, stderr);
    assert.doesNotMatch(stderr, /^\s+at |^[EW]: /m);
    // Nothing that could be taken for a lab, whole or half.
    assert.deepEqual(
      readdirSync(join(cache, 'sluice/lab')).filter((name) => /^(backports|stock|building)/.test(name)),
      [],
    );
    const after = offline(['lab', 'status', '--json'], cache);
    assert.deepEqual([after.status, (JSON.parse(after.stdout) as { labs: unknown[] }).labs], [1, []]);
    console.log(`  ${stderr.trim().split('\n').at(-1)}`);
  });

const { skip: none } = await labOf('backports');

test('a lab that is complete needs no network, and a refresh without network leaves it as it is', { skip: skip || none }, () => {
  const labs = () => (JSON.parse(offline(['lab', 'status', '--json']).stdout) as { labs: unknown[] }).labs;
  const before = labs();
  assert.ok(before.length > 0);
  const again = offline(['lab', 'setup']);
  assert.equal(again.status, 0, again.stderr);
  const refresh = offline(['lab', 'setup', '--refresh']);
  assert.equal(refresh.status, 3, refresh.stdout + refresh.stderr);
  assert.match(refresh.stderr, /^sluice: the package lists of /m);
  assert.deepEqual(labs(), before);
});
