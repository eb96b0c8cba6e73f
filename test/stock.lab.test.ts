import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { test } from 'node:test';
import { applyReport, inspectReport, planReport, revertReport, verifyReport } from '../src/cli/reports.ts';
import { ROOT } from './data.ts';
import { differences, fingerprint } from './fingerprint.ts';
import { inside, labOf, type Ran, runInMachine, sluice, tell } from './in-lab.ts';

const SPEC = join(ROOT, 'examples/demo-nvme.yaml');
const VF = '0000:02:00.1';
const WAY: readonly (readonly [string, readonly string[]])[] = [
  ['inspect', ['inspect']],
  ['plan', ['plan', SPEC]],
  ['apply', ['apply', SPEC]],
  ['verify', ['verify', 'demo']],
  ['revert', ['revert', 'demo']],
];

interface Told extends Ran {
  name: string;
  changed: string[];
}

if (inside) {
  const before = fingerprint();
  for (const [name, args] of WAY) {
    const ran = await sluice([...args, '--json']);
    tell({ ...ran, name, changed: differences(before, fingerprint()) } satisfies Told);
  }
} else await outside();

async function outside(): Promise<void> {
  const { lab, skip } = await labOf('stock');
  const token = `sluice-lab ${randomBytes(16).toString('hex')}`;

  test("the whole way with the release's own QEMU and kernel, and the NVMe device alone", {
    skip,
    timeout: 600_000,
  }, async () => {
    console.log(`  ${lab!.abilities.version}, Linux ${lab!.release}`);
    const told = new Map<string, Told>();
    await runInMachine<Told>(lab!, import.meta.url, 400, (one) => told.set(one.name, one), token);
    const report = (name: string): unknown => {
      const one = told.get(name);
      assert.equal(one?.code, 0, `${name}: ${one?.stdout}\n${one?.stderr}`);
      return JSON.parse(one.stdout);
    };
    const found = inspectReport.parse(report('inspect'));
    assert.deepEqual(
      found.functions.flatMap(({ bdf, vfs }) => (vfs === undefined ? [] : [[bdf, vfs.possible]])),
      [['0000:02:00.0', 4]],
    );
    const { plan } = planReport.parse(report('plan'));
    assert.equal(plan?.accel, 'kvm');
    assert.equal(applyReport.parse(report('apply')).outcome, 'applied');

    const { proofs } = verifyReport.parse(report('verify'));
    assert.deepEqual(
      proofs.filter((proof) => proof.is !== 'proved'),
      [],
    );
    for (const claim of [
      /Identify by DMA/,
      /MSI-X interrupt/,
      /blocked and reported/,
      /QEMU of this guest has it open/,
      /interrupts arrive/,
      /IOMMU group of its own/,
      /sector/,
    ])
      assert.equal(proofs.filter((proof) => proof.bdf === VF && claim.test(proof.claim)).length, 1, String(claim));
    assert.match(JSON.stringify(proofs.find((proof) => /sector/.test(proof.claim))?.seen), new RegExp(token));

    assert.equal(revertReport.parse(report('revert')).restored.outcome, 'restored');
    assert.deepEqual(told.get('revert')?.changed, []);
    console.log(`  ${WAY.map(([name]) => `${name} ${told.get(name)?.seconds.toFixed(1)} s`).join(', ')}`);
  });
}
