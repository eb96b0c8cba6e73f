import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type FakeState, fakeHost, machine, visible } from '../../test/fake-host.ts';
import { type Host, HostError } from '../host/host.ts';
import { type Applied, Interrupted, apply as planAndApply } from './apply.ts';
import type { Plan } from './plan.ts';
import { readAndPlan } from './read-plan.ts';
import { revert } from './revert.ts';
import { parseSpec, type VmSpec } from './spec.ts';
import { listApplied } from './status.ts';
import type { StepContext } from './step.ts';

const STATE = '/var/lib/sluice';
const QUIET: StepContext = { reached: async () => {}, tell: () => {} };

/** Applies a plan that is made already. */
const apply = (host: Host, plan: Plan, cx: StepContext): Promise<Applied> => planAndApply(host, plan, async () => ({ plan }), cx);

/** The process is gone: nothing more of it runs. */
class Killed extends Error {}

function specOf(text: string): VmSpec {
  const parsed = parseSpec(text, 'vm.yaml');
  if ('errors' in parsed) throw new Error(parsed.errors.map((error) => error.message).join('\n'));
  return parsed.spec;
}

const BOTH = specOf(
  'name: demo\nmemory: 512MiB\nvcpus: 1\nagent: false\niommu: intel\ndevices:\n  - pf: eth0\n    vf: { mac: "52:54:00:aa:01:00", vlan: 7 }\n  - pf: nvme0\n  - address: "0000:04:00.0"\n',
);

/** A plan without the steps that need a device behind sysfs: the machine of these tests has none. */
async function planOf(state: FakeState, spec: VmSpec = BOTH): Promise<Plan> {
  const planned = await readAndPlan(fakeHost(state), spec, 'vm.yaml', STATE);
  assert.ok('plan' in planned);
  return { ...planned.plan, steps: planned.plan.steps.filter((step) => step.do !== 'prove-nvme') };
}

/** Ends at the Nth point. */
const until = (last: number, how: () => Error): StepContext => {
  let points = 0;
  return {
    tell: () => {},
    async reached() {
      if (++points === last) throw how();
    },
  };
};

async function countPoints(act: (cx: StepContext) => Promise<unknown>): Promise<number> {
  let points = 0;
  await act({ tell: () => {}, reached: async () => void points++ });
  return points;
}

test('apply does the plan, and revert leaves the host as it was', async () => {
  const state = machine();
  const before = visible(state);
  const applied = await apply(fakeHost(state), await planOf(state), QUIET);
  assert.equal(applied.outcome, 'applied');
  assert.notDeepEqual(visible(state), before);
  assert.deepEqual(
    (await listApplied(fakeHost(state), STATE)).map((vm) => [vm.name, vm.state]),
    [['demo', 'applied']],
  );
  const restored = await revert(fakeHost(state), STATE, 'demo', QUIET);
  assert.equal(restored.outcome, 'restored');
  assert.deepEqual(visible(state), before);
});

test('a second revert changes nothing', async () => {
  const state = machine();
  await apply(fakeHost(state), await planOf(state), QUIET);
  await revert(fakeHost(state), STATE, 'demo', QUIET);
  const after = structuredClone(state);
  assert.equal((await revert(fakeHost(state), STATE, 'demo', QUIET)).outcome, 'nothing');
  assert.deepEqual(state, after);
});

test('killed at any point of apply, revert leaves the host as it was', async () => {
  const first = machine();
  const plan = await planOf(first);
  const points = await countPoints((cx) => apply(fakeHost(first), plan, cx));
  assert.ok(points > 2 * plan.steps.length, `only ${points} points`);
  for (let point = 1; point <= points; point++) {
    const state = machine();
    const before = visible(state);
    await assert.rejects(
      apply(
        fakeHost(state),
        plan,
        until(point, () => new Killed()),
      ),
      Killed,
    );
    await revert(fakeHost(state), STATE, 'demo', QUIET);
    assert.deepEqual(visible(state), before, `killed at point ${point} of ${points}`);
  }
});

test('killed at any point of apply, and then again and again in revert, the host ends as it was', async () => {
  const first = machine();
  const plan = await planOf(first);
  const points = await countPoints((cx) => apply(fakeHost(first), plan, cx));
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: points + 1 }),
      fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 4 }),
      async (inApply, inRevert) => {
        const state = machine();
        const before = visible(state);
        const gone = (error: unknown) => assert.ok(error instanceof Killed, String(error));
        await apply(
          fakeHost(state),
          plan,
          until(inApply, () => new Killed()),
        ).catch(gone);
        for (const point of inRevert)
          await revert(
            fakeHost(state),
            STATE,
            'demo',
            until(point, () => new Killed()),
          ).catch(gone);
        await revert(fakeHost(state), STATE, 'demo', QUIET);
        assert.deepEqual(visible(state), before);
      },
    ),
    { numRuns: 150 },
  );
});

test('a journal that was cut in the middle of its last line is still walked back', async () => {
  const state = machine();
  const before = visible(state);
  const journal = `${STATE}/demo/journal.jsonl`;
  await assert.rejects(
    apply(
      fakeHost(state),
      await planOf(state),
      until(9, () => new Killed()),
    ),
    Killed,
  );
  state.files[journal] += '{"begin":99,"ol';
  await revert(fakeHost(state), STATE, 'demo', QUIET);
  assert.deepEqual(visible(state), before);
});

test('a journal that is damaged elsewhere is refused, naming the line', async () => {
  const state = machine();
  await apply(fakeHost(state), await planOf(state), QUIET);
  const journal = `${STATE}/demo/journal.jsonl`;
  state.files[journal] = (state.files[journal] ?? '').replace('\n', '\n{"begin":\n');
  const damaged = structuredClone(state);
  await assert.rejects(revert(fakeHost(state), STATE, 'demo', QUIET), /journal\.jsonl:2: expected a line of JSON/);
  assert.deepEqual(state, damaged);
});

test('a step that fails undoes those before it, and says which it was', async () => {
  const state = machine();
  const before = visible(state);
  const plan = await planOf(state);
  const host = fakeHost(state);
  const files = {
    ...host.files,
    write: async (path: string, text: string) => {
      if (path.endsWith('/drivers/vfio-pci/bind') && text.startsWith('0000:04:00.0'))
        throw new HostError(path, 'refused', 'EBUSY');
      await host.files.write(path, text);
    },
  };
  const applied = await apply({ ...host, files }, plan, QUIET);
  assert.equal(applied.outcome, 'restored');
  assert.ok(applied.outcome === 'restored' && /bind 0000:04:00\.0/.test(applied.failure.step), 'the failing step is named');
  assert.deepEqual(visible(state), before);
});

test('Ctrl-C at any point leaves the host as it was', async () => {
  const first = machine();
  const plan = await planOf(first);
  const points = await countPoints((cx) => apply(fakeHost(first), plan, cx));
  for (let point = 2; point <= points; point++) {
    const state = machine();
    const before = visible(state);
    const applied = await apply(
      fakeHost(state),
      plan,
      until(point, () => new Interrupted()),
    );
    assert.ok(applied.outcome === 'restored' && applied.failure.interrupted);
    assert.deepEqual(visible(state), before);
  }
});

test('a VM that is applied is not applied again', async () => {
  const state = machine();
  const plan = await planOf(state);
  await apply(fakeHost(state), plan, QUIET);
  const after = structuredClone(state);
  const again = await apply(fakeHost(state), plan, QUIET);
  assert.ok(again.outcome === 'refused' && /applied already/.test(again.because));
  assert.deepEqual(state, after);
});

test('a host that changed since the plan was made is not touched', async () => {
  const state = machine();
  const plan = await planOf(state);
  await fakeHost(state).files.write('/sys/bus/pci/devices/0000:01:00.0/sriov_numvfs', '2');
  const before = visible(state);
  const applied = await apply(fakeHost(state), plan, QUIET);
  assert.ok(applied.outcome === 'restored' && /is 2 and was 0/.test(applied.failure.because));
  assert.deepEqual(visible(state), before);
});

test('after a restart of the host there is nothing to restore', async () => {
  const state = machine();
  await apply(fakeHost(state), await planOf(state), QUIET);
  const restarted = { ...machine(), files: { ...state.files, '/proc/sys/kernel/random/boot_id': 'another' } };
  const host = fakeHost(restarted);
  const readText = async (path: string) => (path.endsWith('/boot_id') ? 'another\n' : await host.files.readText(path));
  const before = visible(restarted);
  const restored = await revert({ ...host, files: { ...host.files, readText } }, STATE, 'demo', QUIET);
  assert.equal(restored.restarted, true);
  assert.deepEqual(visible(restarted), before);
});

test('somebody else who has a VF open keeps it: revert stops there, says who, and goes on when it is closed', async () => {
  const state = machine();
  const before = visible(state);
  await apply(fakeHost(state), await planOf(state), QUIET);
  const own = state.qemu;
  state.qemu = [{ pid: 99, argv: ['qemu-system-x86_64', '-device', 'vfio-pci,host=0000:02:00.1'] }];
  const stopped = await revert(fakeHost(state), STATE, 'demo', QUIET);
  assert.equal(stopped.outcome, 'incomplete');
  assert.match(stopped.steps.at(-1)?.failure ?? '', /0000:02:00\.1 is open in qemu-system-x86 \(pid 99\)/);
  assert.equal(own.length, 1);
  state.qemu = [];
  assert.equal((await revert(fakeHost(state), STATE, 'demo', QUIET)).outcome, 'restored');
  assert.deepEqual(visible(state), before);
});

test('a change that somebody else made since is not overwritten', async () => {
  const state = machine();
  await apply(fakeHost(state), await planOf(state), QUIET);
  const pf = state.functions.find((fn) => fn.bdf === '0000:01:00.0');
  assert.ok(pf?.sriov !== undefined);
  pf.sriov.num = 4;
  const restored = await revert(fakeHost(state), STATE, 'demo', QUIET);
  assert.equal(restored.outcome, 'incomplete');
  assert.match(restored.steps.at(-1)?.failure ?? '', /sriov_numvfs is 4, neither 0 as before nor 1 as set/);
});

test('the module stays while another function is bound to it', async () => {
  const state = machine();
  await apply(fakeHost(state), await planOf(state), QUIET);
  const other = state.functions.find((fn) => fn.bdf === '0000:03:00.0');
  assert.ok(other !== undefined);
  Object.assign(other, { driver: 'vfio-pci', override: 'vfio-pci' });
  await revert(fakeHost(state), STATE, 'demo', QUIET);
  assert.ok(state.modules.includes('vfio_pci'));
});

test('functions of an applied VM are not free for another, also when its guest has ended', async () => {
  const state = machine();
  await apply(fakeHost(state), await planOf(state), QUIET);
  state.qemu = [];
  const other = specOf(
    'name: other\nmemory: 512MiB\nvcpus: 1\nagent: false\ndevices:\n  - address: "0000:04:00.0"\n  - pf: eth0\n    vf: {}\n',
  );
  const planned = await readAndPlan(fakeHost(state), other, 'vm.yaml', STATE);
  assert.ok('refusals' in planned);
  assert.deepEqual(planned.refusals.map((refusal) => refusal.id).sort(), ['sriov/numvfs', 'use/claimed']);
});

test('a full disk keeps nobody from putting things back', async () => {
  const state = machine();
  const before = visible(state);
  await apply(fakeHost(state), await planOf(state), QUIET);
  const host = fakeHost(state);
  const full = async (path: string): Promise<never> => {
    throw new HostError(path, 'no space is left', 'ENOSPC');
  };
  const restored = await revert({ ...host, files: { ...host.files, append: full, replace: full } }, STATE, 'demo', QUIET);
  assert.equal(restored.outcome, 'restored');
  assert.deepEqual(visible(state), before);
});

test('a VM may be called lock', async () => {
  const state = machine();
  const plan = { ...(await planOf(state)), name: 'lock' };
  assert.equal((await apply(fakeHost(state), plan, QUIET)).outcome, 'applied');
  assert.equal((await revert(fakeHost(state), STATE, 'lock', QUIET)).outcome, 'restored');
});
