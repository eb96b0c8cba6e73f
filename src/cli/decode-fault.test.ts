import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EXIT } from './exit.ts';
import { faultReport } from './fault-report.ts';
import { runCommandLine } from './run.ts';

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

const LINE =
  '[ 12.345678] DMAR: [DMA Read NO_PASID] Request device [0a:00.0] fault addr 0xfffe0000 [fault reason 0x06] PTE Read access is not set';

test('decode fault tells a line in words, within 80 columns', async () => {
  const { code, out } = await sluice('decode', 'fault', LINE);
  assert.equal(code, EXIT.ok);
  assert.match(out, /^VT-d DMA read of 0a:00.0\n/);
  assert.match(out, /no read permission at the address/);
  assert.ok(out.split('\n').every((line) => line.length <= 80));
});

test('decode fault --json holds the parts', async () => {
  const report = faultReport.parse(JSON.parse((await sluice('decode', 'fault', '--json', LINE)).out));
  const { requester, address, reason, cause } = report.faults[0]!;
  assert.deepEqual(
    { requester, address, reason, cause },
    { requester: '0a:00.0', address: '0xfffe0000', reason: 6, cause: 'not-mapped' },
  );
});

test('decode fault refuses what is no fault line', async () => {
  const { code, err } = await sluice('decode', 'fault', 'DMAR: IOMMU enabled');
  assert.equal(code, EXIT.usage);
  assert.match(err, /no fault line/);
});
