import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { test } from 'node:test';
import type * as z from 'zod/mini';
import * as reports from '../src/cli/reports.ts';
import type { Proof } from '../src/plan/proof.ts';
import { ROOT } from './data.ts';
import { differences, fingerprint } from './fingerprint.ts';
import { inside, labOf, type Ran, runInMachine, sluice, tell } from './in-lab.ts';

const SPEC = join(ROOT, 'examples/demo.yaml');
const IGB = '0000:01:10.0';
const NVME = '0000:02:00.1';

/** The commands one after the other, each with the schema of what it prints. */
const WAY: readonly (readonly [string, readonly string[], z.ZodMiniType])[] = [
  ['inspect', ['inspect'], reports.inspectReport],
  ['plan', ['plan', SPEC], reports.planReport],
  ['apply', ['apply', SPEC], reports.applyReport],
  ['verify', ['verify', 'demo'], reports.verifyReport],
  ['status', ['status'], reports.statusReport],
  ['revert', ['revert', 'demo'], reports.revertReport],
  ['second revert', ['revert', 'demo'], reports.revertReport],
  ['status after', ['status'], reports.statusReport],
];

interface Told extends Ran {
  name: string;
  /** What the machine shows otherwise than before the first command. */
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
  const { lab, skip } = await labOf('backports');
  const token = `sluice-lab ${randomBytes(16).toString('hex')}`;
  const told = new Map<string, Told>();
  const of = (name: string): Told => {
    const found = told.get(name);
    assert.ok(found, `${name} was not run`);
    return found;
  };
  const report = <T>(name: string, schema: z.ZodMiniType<T>): T => schema.parse(JSON.parse(of(name).stdout));

  test('the whole way goes through on a real kernel, and every report is what its schema says', {
    skip,
    timeout: 600_000,
  }, async () => {
    await runInMachine<Told>(lab!, import.meta.url, 400, (one) => told.set(one.name, one), token);
    for (const [name, , schema] of WAY) {
      const { code, stdout, stderr } = of(name);
      assert.equal(code, 0, `${name}: ${stdout}\n${stderr}`);
      schema.parse(JSON.parse(stdout));
    }
    console.log(`  ${WAY.map(([name]) => `${name} ${of(name).seconds.toFixed(1)} s`).join(', ')}`);
  });

  test('inspect finds the unit, the groups, and how many virtual functions each device can give', { skip }, () => {
    const found = report('inspect', reports.inspectReport);
    assert.equal(found.iommu.is, 'pass');
    assert.deepEqual(
      found.units.map(({ name, can }) => [
        name,
        can?.abilities.find(({ field }) => field === 'ECAP_REG.IR')?.has,
        can?.cachingMode,
      ]),
      [['dmar0', true, true]],
    );
    assert.equal(found.dmar?.flags.INTR_REMAP, true);
    assert.deepEqual(found.kvm.usable, true, found.kvm.because);
    const possible = (bdf: string) => found.functions.find((one) => one.bdf === bdf)?.vfs?.possible;
    assert.deepEqual([possible('0000:01:00.0'), possible('0000:02:00.0')], [7, 4]);
    const lpc = found.groups.find((group) => group.devices.includes('0000:00:1f.0'));
    assert.deepEqual(lpc?.devices, ['0000:00:1f.0', '0000:00:1f.2', '0000:00:1f.3']);
    assert.deepEqual(of('inspect').changed, []);
  });

  test('what plan says is what apply does: the same steps, with nothing changed by planning', { skip }, () => {
    const { plan, refusals } = report('plan', reports.planReport);
    assert.deepEqual(refusals, []);
    assert.ok(plan);
    assert.deepEqual(
      plan.devices.map(({ bdf, pf, vf }) => [bdf, pf, vf]),
      [
        [IGB, '0000:01:00.0', 0],
        [NVME, '0000:02:00.0', 0],
      ],
    );
    assert.equal(plan.accel, 'kvm');
    const at = (text: string) => plan.argv.findIndex((word) => word.startsWith(text));
    assert.ok(at('intel-iommu') > 0 && at('intel-iommu') < at('vfio-pci'), plan.argv.join(' '));
    assert.deepEqual(of('plan').changed, []);
    const applied = report('apply', reports.applyReport);
    assert.equal(applied.outcome, 'applied');
    assert.deepEqual(
      applied.steps.map(({ title }) => title),
      plan.steps.map(({ title }) => title),
    );
  });

  test('verify proves every claim: DMA, interrupts, containment, and what the guest does with its devices', { skip }, () => {
    const { proofs, is } = report('verify', reports.verifyReport);
    assert.deepEqual(
      proofs.filter((proof) => proof.is !== 'proved'),
      [],
    );
    assert.equal(is, 'proved');
    const proof = (bdf: string, level: Proof['level'], claim: RegExp): Proof => {
      const found = proofs.filter((one) => one.bdf === bdf && one.level === level && claim.test(one.claim));
      assert.equal(found.length, 1, `${bdf} ${level} ${claim}: ${proofs.map((one) => one.claim).join('; ')}`);
      return found[0] as Proof;
    };
    const shows = (one: Proof, text: RegExp) => assert.match(one.seen.map((seen) => seen.text).join('\n'), text);

    shows(proof(NVME, 'vfio', /Identify by DMA/), /SLUICE-LAB/);
    assert.match(proof(NVME, 'vfio', /MSI-X interrupt/).because, /^[1-9]\d* events? on the eventfd/);
    shows(proof(NVME, 'vfio', /blocked and reported/), /DMAR: .*DMA Write.*\[02:00\.1\].*fault addr 0x[0-9a-f]+/);
    shows(proof(NVME, 'guest', /sector/), new RegExp(token));
    assert.match(proof(IGB, 'guest', /packets/).because, /^5 packets transmitted, 5 (packets )?received/);
    for (const [bdf, driver] of [
      [IGB, 'igbvf'],
      [NVME, 'nvme'],
    ] as const) {
      shows(proof(bdf, 'host', /vfio-pci drives it/), /vfio-pci/);
      shows(proof(bdf, 'host', /QEMU of this guest has it open/), /\/dev\/vfio\/\d+/);
      const interrupts = proof(bdf, 'host', /interrupts arrive/);
      shows(interrupts, /vfio-msix\[\d+\]/);
      const [, first, second] = /^(\d+) before and (\d+) after/.exec(interrupts.because) ?? [];
      assert.ok(Number(second) > Number(first), interrupts.because);
      proof(bdf, 'host', /reports no fault/);
      shows(proof(bdf, 'guest', /driver of the guest/), new RegExp(driver));
      shows(proof(bdf, 'guest', /IOMMU group/), /^0000:[0-9a-f]{2}:/);
    }
  });

  test('status tells of the guest while it runs, and of none afterwards', { skip }, () => {
    const { vms } = report('status', reports.statusReport);
    assert.deepEqual(
      vms.map(({ name, state, devices }) => [name, state, devices]),
      [['demo', 'applied', [IGB, NVME]]],
    );
    assert.equal(
      of('status').changed.some((line) => line.startsWith('qemu:') && line.includes(String(vms[0]?.pid))),
      true,
    );
    assert.deepEqual(report('status after', reports.statusReport).vms, []);
  });

  test('revert leaves the machine as it was, and a second revert does nothing', { skip }, () => {
    const first = report('revert', reports.revertReport);
    assert.equal(first.restored.outcome, 'restored');
    assert.deepEqual(of('revert').changed, []);
    const second = report('second revert', reports.revertReport);
    assert.deepEqual(second.restored, { outcome: 'nothing', steps: [], restarted: false });
    assert.deepEqual(of('second revert').changed, []);
  });
}
