import assert from 'node:assert/strict';
import { test } from 'node:test';
import { capturedHost } from '../../test/captured-host.ts';
import {
  attribute,
  type Capture,
  type CapturedDevice,
  type CapturedState,
  type CapturedStep,
  captures,
  isState,
  tellCaptures,
} from '../../test/captures.ts';
import { type Picture, readPicture } from '../host/picture.ts';
import { judgeAssignment } from './assignable.ts';
import { ask } from './check.ts';
import { type Inspection, inspect } from './inspect.ts';
import { groupViable } from './rules/group-viable.ts';
import { interruptsRemapped } from './rules/interrupts-remapped.ts';

const found = captures();
const told = tellCaptures(found);

interface Moment {
  where: string;
  state: CapturedState;
  picture: Picture;
  inspection: Inspection;
}
/** Every state, looked at once. That this does not throw is the first thing to be shown. */
const moments: Promise<Moment[]> = (async () => {
  const all: Moment[] = [];
  for (const capture of found.all)
    for (const state of capture.states) {
      const picture = await readPicture(capturedHost(capture, state));
      all.push({ where: `${capture.name} ${state.label}`, state, picture, inspection: inspect(picture) });
    }
  return all;
})();

const isBridge = (device: CapturedDevice) => /^0x(06|0806)/.test(attribute(device, 'class')!);
/** Drivers that do no DMA for the host. */
const leavesDma = (driver: string | undefined) => driver === undefined || driver === 'vfio-pci' || driver === 'pcieport';

test(`every recorded moment can be inspected, and every function gets a verdict with a reason (${told})`, async () => {
  for (const { where, state, inspection } of await moments) {
    assert.equal(inspection.functions.length, Object.keys(state.devices).length, where);
    for (const { bdf, verdict } of inspection.functions) {
      assert.match(verdict.because, /\S/, `${where} ${bdf}`);
      // What stands in the way has its evidence, and what can be done about it has its steps.
      assert.equal(verdict.steps.length > 0, verdict.is === 'possible', `${where} ${bdf}`);
      if (['blocked', 'unknown', 'bridge'].includes(verdict.is)) assert.ok(verdict.findings.length > 0, `${where} ${bdf}`);
      for (const finding of verdict.findings) assert.equal(finding.bdf, bdf);
    }
    // What is told to programs is what is shown: plain data.
    assert.deepEqual(JSON.parse(JSON.stringify(inspection)), inspection, where);
  }
});

test(`the IOMMU is off exactly where there are no groups (${told})`, async () => {
  let off = 0;
  for (const { where, state, inspection } of await moments) {
    const none = Object.keys(state.groups).length === 0;
    assert.equal(inspection.iommu.is, none ? 'fail' : 'pass', where);
    if (none) off++;
    if (none) for (const { verdict } of inspection.functions) assert.equal(verdict.is, 'blocked', where);
  }
  assert.ok(off > (found.whole ? 10 : 2), `${off}`);
});

test(`why the IOMMU is off is said: the option, the missing driver or the missing table (${told})`, async () => {
  const said = new Set<string>();
  for (const { where, state, inspection } of await moments) {
    const { iommu } = inspection;
    if (iommu.is !== 'fail') continue;
    const option = /\b(intel_iommu|amd_iommu|iommu)=off\b/.exec(state.proc.cmdline!)?.[0];
    const table = ['DMAR', 'IVRS', 'VIOT'].find((name) => state.acpi[name] !== undefined);
    // The units that firmware gives and the option that turns them off; or the driver that is missing; or no unit at all.
    if (Object.keys(state.iommus).length > 0) assert.match(iommu.because, /no device is in a group/, where);
    else if (table === 'VIOT') assert.match(iommu.because, /VIOT table, but no driver/, where);
    else if (table !== undefined) {
      assert.ok(option, where);
      assert.ok(iommu.because.includes(`${table} table`) && iommu.because.includes(option), `${where}: ${iommu.because}`);
      assert.deepEqual(iommu.fix, [`boot without ${option}`], where);
    } else assert.match(iommu.because, /is a guest and was given no vIOMMU/, where);
    said.add(iommu.because);
    assert.ok(
      iommu.seen.some(({ text }) => text === state.proc.cmdline),
      where,
    );
  }
  assert.ok(said.size >= (found.whole ? 5 : 3), [...said].join('\n'));
});

test(`a function without a group is never ready, and a bridge never is one to give away (${told})`, async () => {
  const counts = new Map<string, number>();
  for (const { where, state, inspection } of await moments)
    for (const { bdf, verdict } of inspection.functions) {
      const device = state.devices[bdf]!;
      const at = `${where} ${bdf}: ${verdict.is}, ${verdict.because}`;
      counts.set(verdict.is, (counts.get(verdict.is) ?? 0) + 1);
      const ready = verdict.is === 'ready' || verdict.is === 'possible';
      if (device.links.iommu_group === undefined) assert.ok(!ready, at);
      if (isBridge(device)) assert.ok(verdict.is === 'bridge' || inspection.iommu.is === 'fail', at);
      else assert.notEqual(verdict.is, 'bridge', at);
      if (verdict.is === 'ready') assert.equal(device.links.driver, 'vfio-pci', at);
      if (verdict.is === 'possible' && device.links.driver === 'vfio-pci')
        assert.match(verdict.steps.join(), /unbind|sriov_numvfs/, at);
    }
  for (const kind of ['bridge', 'possible', 'blocked']) assert.ok((counts.get(kind) ?? 0) > 0, kind);
});

test(`a group is viable for a function when no other member has a driver of the host (${told})`, async () => {
  const counts = { pass: 0, fail: 0 };
  for (const { where, state, picture } of await moments)
    for (const [bdf, device] of Object.entries(state.devices)) {
      const verdict = ask(groupViable, picture, bdf);
      const group = device.links.iommu_group;
      if (group === undefined) {
        assert.equal(verdict.is, 'not-applicable', `${where} ${bdf}`);
        continue;
      }
      const blocking = state.groups[group]!.devices.filter(
        (member) => member !== bdf && !leavesDma(state.devices[member]?.links.driver),
      );
      const expected = blocking.length === 0 ? 'pass' : 'fail';
      assert.equal(verdict.is, expected, `${where} ${bdf}: ${verdict.because}`);
      for (const member of blocking.slice(0, 16))
        assert.ok(verdict.because.includes(member), `${where} ${bdf}: ${verdict.because}`);
      counts[expected]++;
    }
  assert.ok(counts.pass > 100 && counts.fail > 0, JSON.stringify(counts));
});

test(`behind a virtio-iommu a function without driver may still get a group, and elsewhere not (${told})`, async () => {
  let count = 0;
  for (const { where, state, picture, inspection } of await moments) {
    if (inspection.iommu.is !== 'pass') continue;
    const virtio = Object.values(state.iommus).some(({ path }) => path.includes('/virtio'));
    for (const { bdf } of inspection.functions) {
      const { iommu_group: group, driver } = state.devices[bdf]!.links;
      if (group !== undefined) continue;
      const verdict = judgeAssignment(picture, bdf).find(({ id }) => id === 'group/member')!;
      assert.equal(verdict.is, virtio && driver === undefined ? 'unknown' : 'fail', `${where} ${bdf}`);
      if (verdict.is === 'unknown') count++;
    }
  }
  assert.ok(count > 0);
});

/** What a step changed of the drivers of functions, put into a copy of the state. */
function withChanges(state: CapturedState, steps: readonly CapturedStep[]): CapturedState {
  const devices: Record<string, CapturedDevice> = { ...state.devices };
  for (const [sign, path, value] of steps.flatMap((step) => step.changes ?? [])) {
    const bdf = /^\/sys\/bus\/pci\/devices\/([^/]+)\/driver$/.exec(path)?.[1];
    const device = bdf === undefined ? undefined : devices[bdf];
    if (bdf === undefined || device === undefined) continue;
    const { driver, ...links } = device.links;
    const name = value.replace(/^-> /, '');
    if (sign === '+') devices[bdf] = { ...device, links: { ...links, driver: name } };
    else if (driver === name) devices[bdf] = { ...device, links };
  }
  return { ...state, devices };
}

/** Questions that VFIO answered in a capture: the state at that moment, and the step with the answer. */
function* answers(op: string): Generator<{ capture: Capture; now: CapturedState; step: CapturedStep; bdf: string }> {
  for (const capture of found.all) {
    let state = capture.states[0];
    let since: CapturedStep[] = [];
    let group: string | undefined;
    for (const event of capture.events) {
      if (isState(event)) {
        state = event;
        since = [];
        continue;
      }
      since.push(event);
      if (event.op === 'groupopen' && event.result === 'ok') group = event.args?.split(' ')[1];
      if (event.op === op && group !== undefined && state !== undefined)
        yield { capture, now: withChanges(state, since), step: event, bdf: group };
    }
  }
}

test(`a group that VFIO called viable is one for us (${told})`, async () => {
  let count = 0;
  for (const { capture, now, step, bdf } of answers('status')) {
    if (step.result !== 'ok' || step.viable === undefined) continue;
    const picture = await readPicture(capturedHost(capture, now));
    assert.equal(ask(groupViable, picture, bdf).is, step.viable ? 'pass' : 'fail', `${capture.name} ${bdf}`);
    count++;
  }
  assert.ok(count > 0);
});

test(`VFIO refuses a container for want of interrupt remapping where we say so, and only there (${told})`, async () => {
  const seen = { ok: 0, EPERM: 0 };
  const done = new Set<string>();
  for (const { capture, now, step, bdf } of answers('setiommu')) {
    // The first try of a capture: later ones are with allow_unsafe_interrupts or on a container that is set already.
    if (done.has(capture.name) || (step.result !== 'ok' && step.result !== 'EPERM')) continue;
    done.add(capture.name);
    const parameter = '/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts';
    const host = (unsafe: string) => capturedHost(capture, now, { [parameter]: `${unsafe}\n` });
    const verdict = ask(interruptsRemapped, await readPicture(host('N')), bdf);
    // Of an AMD unit the registers are not shown, and we do not know.
    if (verdict.is === 'unknown') continue;
    assert.equal(verdict.is, step.result === 'ok' ? 'pass' : 'fail', `${capture.name} ${bdf}: ${verdict.because}`);
    assert.equal(ask(interruptsRemapped, await readPicture(host('Y')), bdf).is, 'pass', capture.name);
    seen[step.result]++;
  }
  assert.ok(seen.ok > 0 && seen.EPERM > 0, JSON.stringify(seen));
});
