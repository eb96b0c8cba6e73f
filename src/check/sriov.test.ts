import assert from 'node:assert/strict';
import { test } from 'node:test';
import { capturedHost } from '../../test/captured-host.ts';
import { type Capture, type CapturedState, type CapturedStep, captures, isState, tellCaptures } from '../../test/captures.ts';
import { BDF, fn, pictureOf } from '../../test/pictures.ts';
import type { PciFunction } from '../host/functions.ts';
import { functionOf, type Picture, readPicture } from '../host/picture.ts';
import type { Resource } from '../pci/index.ts';
import type { Verdict } from './check.ts';
import type { Problem } from './problem.ts';
import { hostBarUnassigned } from './problems/host-bar-unassigned.ts';
import { pfLinkDown } from './problems/pf-link-down.ts';
import { sriovBusRange } from './problems/sriov-bus-range.ts';
import { sriovChangeNonzero } from './problems/sriov-change-nonzero.ts';
import { sriovMmioExhausted } from './problems/sriov-mmio-exhausted.ts';
import { sriovNoPfDriver } from './problems/sriov-no-pf-driver.ts';
import { sriovTotalExceeded } from './problems/sriov-total-exceeded.ts';
import { sriovVfsInUse } from './problems/sriov-vfs-in-use.ts';
import { vfCreationRace } from './problems/vf-creation-race.ts';
import { vfHostDriverClaims } from './problems/vf-host-driver-claims.ts';
import { vfMacZero } from './problems/vf-mac-zero.ts';
import { vfTokenNeeded } from './problems/vf-token-needed.ts';
import { vfTrustSpoof } from './problems/vf-trust-spoof.ts';
import { vmOf } from './vm-argv.ts';

const found = captures();
const told = tellCaptures(found);

/** The verdict of one question of a problem about a function. */
function about(problem: Problem, picture: Picture, pf: PciFunction, question = 0): Verdict {
  const rule = problem.rules.filter((one) => one.about === 'function')[question];
  assert.ok(rule !== undefined, problem.id);
  return rule.run(picture, pf);
}

/** The verdict about a VM that wants `count` VFs of a PF. */
function wanting(problem: Problem, picture: Picture, pf: string, count: number): Verdict {
  const rule = problem.rules.find((one) => one.about === 'vm');
  assert.ok(rule !== undefined, problem.id);
  return rule.run({ ...vmOf('qemu-system-x86_64'), vfs: [{ pf, count }] }, picture);
}

/** A state with what steps since then changed: drivers and numbers of VFs. */
function after(state: CapturedState, steps: readonly CapturedStep[]): CapturedState {
  const devices = { ...state.devices };
  for (const [sign, path, value] of steps.flatMap((step) => step.changes ?? [])) {
    const [, bdf = '', name = ''] = /^\/sys\/bus\/pci\/devices\/([^/]+)\/(driver|sriov_\w+)$/.exec(path) ?? [];
    const device = devices[bdf];
    if (device === undefined) continue;
    if (name === 'driver') {
      const { driver: _, ...links } = device.links;
      devices[bdf] = { ...device, links: sign === '+' ? { ...links, driver: value.replace(/^-> /, '') } : links };
    } else if (sign === '+') devices[bdf] = { ...device, attrs: { ...device.attrs, [name]: value } };
  }
  return { ...state, devices };
}

interface Write {
  where: string;
  picture: Picture;
  pf: PciFunction;
  value: number;
  result: string;
}

/** Every number that somebody wrote to `sriov_numvfs` of a PF, with the host before it and the kernel's answer. */
const writes: Promise<Write[]> = (async () => {
  const all: Write[] = [];
  for (const capture of found.all) {
    let state = capture.states[0];
    let since: CapturedStep[] = [];
    let picture: Picture | undefined;
    for (const event of capture.events) {
      if (isState(event)) {
        state = event;
        since = [];
        picture = undefined;
        continue;
      }
      const bdf = /\/([^/]+)\/sriov_numvfs$/.exec(event.path ?? '')?.[1];
      if (event.op === 'write' && bdf !== undefined && state !== undefined && /^\d{1,4}$/.test(event.value ?? '')) {
        picture ??= await readPicture(capturedHost(capture, after(state, since)));
        const pf = functionOf(picture, bdf);
        const where = `${capture.name} ${bdf} ${event.value}`;
        if (pf?.sriov !== undefined) all.push({ where, picture, pf, value: Number(event.value), result: event.result ?? '' });
      }
      since.push(event);
      if ((event.changes ?? []).length > 0) picture = undefined;
    }
  }
  return all;
})();

test(`ENOENT from sriov_numvfs means the driver, ERANGE means TotalVFs, EBUSY another number, and the kernel says so where a rule does (${told})`, async () => {
  const counts: Record<string, number> = {};
  for (const { where, picture, pf, value, result } of await writes) {
    counts[result] = (counts[result] ?? 0) + 1;
    const total = wanting(sriovTotalExceeded, picture, pf.bdf, value);
    const at = `${where}: ${result}; ${total.because}`;
    assert.equal(total.is === 'fail', result === 'ERANGE', at);
    if (result === 'ERANGE') continue;
    // Zero VFs, or as many as there are, is no change, and needs no driver.
    const same = value === pf.sriov?.numVFs;
    const driver = about(sriovNoPfDriver, picture, pf);
    assert.equal(driver.is === 'fail' && !same, result === 'ENOENT', `${where}: ${result}; ${driver.because}`);
    if (result === 'ENOENT') continue;
    const change = wanting(sriovChangeNonzero, picture, pf.bdf, value);
    if (change.is === 'fail') assert.equal(result, 'EBUSY', `${where}: ${change.because}`);
    if (result === 'EBUSY') assert.ok((pf.sriov?.numVFs ?? 0) > 0 && !same, where);
    const room = [sriovMmioExhausted, sriovBusRange].map((problem) => about(problem, picture, pf));
    if (result === 'ok' && value > 0)
      assert.ok(!room.some(({ is }) => is === 'fail'), `${where}: ${room.map((one) => one.because).join('; ')}`);
  }
  assert.ok(
    (counts.ok ?? 0) > 10 && (counts.ERANGE ?? 0) > 2 && (counts.ENOENT ?? 0) > 0 && (counts.EBUSY ?? 0) > 2,
    JSON.stringify(counts),
  );
});

test(`ENOSYS comes from a PF at function != 0 whose function 0 is no PF, and only there (${told})`, async () => {
  const counts = { ENOSYS: 0, others: 0 };
  for (const { where, picture, pf, value, result } of await writes) {
    if (value === 0 || result === 'ERANGE' || result === 'ENOENT' || result === 'EBUSY') continue;
    const verdict = about(sriovNoPfDriver, picture, pf, 1);
    assert.equal(verdict.is === 'fail', result === 'ENOSYS', `${where}: ${result}; ${verdict.because}`);
    counts[result === 'ENOSYS' ? 'ENOSYS' : 'others']++;
  }
  assert.ok(counts.others > 10 && (counts.ENOSYS > 0 || !found.whole), JSON.stringify(counts));
});

interface Moment {
  label: string;
  pf: PciFunction;
  picture: Picture;
}

/** PFs of each boot in the states of it, in their order. */
const moments: Promise<{ capture: Capture; pfs: Map<string, Moment[]> }[]> = (async () => {
  const all = [];
  for (const capture of found.all) {
    const pfs = new Map<string, Moment[]>();
    for (const state of capture.states) {
      if (!Object.values(state.devices).some(({ attrs }) => attrs.sriov_totalvfs !== undefined)) continue;
      const picture = await readPicture(capturedHost(capture, state));
      for (const pf of picture.functions)
        if (pf.sriov !== undefined) pfs.set(pf.bdf, [...(pfs.get(pf.bdf) ?? []), { label: state.label, pf, picture }]);
    }
    all.push({ capture, pfs });
  }
  return all;
})();

test(`sriov_totalvfs may change when the driver loads, and it is said that it did (${told})`, async () => {
  let changed = 0;
  for (const { capture, pfs } of await moments)
    for (const [bdf, over] of pfs)
      for (const { label, pf, picture } of over) {
        const before = over[0]!.pf;
        const verdict = about(sriovTotalExceeded, picture, pf);
        assert.equal(verdict.is, 'pass', `${capture.name} ${label} ${bdf}`);
        if (pf.driver === undefined || before.driver !== undefined || pf.sriov?.totalVFs === before.sriov?.totalVFs) continue;
        changed++;
        assert.match(
          verdict.because,
          new RegExp(`up to ${pf.sriov?.totalVFs} VFs; the capability has ${before.sriov?.totalVFs}`),
        );
        assert.match(about(sriovTotalExceeded, over[0]!.picture, before).because, /a driver may lower that/);
      }
  assert.ok(changed > 0);
});

test(`VFs of a PF on vfio-pci bind to vfio-pci by themselves and need the token (${told})`, async () => {
  let count = 0;
  for (const { capture, pfs } of await moments)
    for (const over of pfs.values())
      for (const { label, pf, picture } of over) {
        if (pf.driver !== 'vfio-pci' || pf.virtfns.length === 0) continue;
        count++;
        assert.equal(pf.sriov?.driversAutoprobe, false, `${capture.name} ${label}`);
        assert.equal(about(vfTokenNeeded, picture, pf).is, 'fail');
        for (const bdf of pf.virtfns) {
          const vf = functionOf(picture, bdf)!;
          assert.equal(vf.driver, 'vfio-pci', `${capture.name} ${label} ${bdf}`);
          assert.match(about(vfTokenNeeded, picture, vf).because, /demands the token/);
        }
      }
  assert.ok(count > 0 || !found.whole);
});

test(`where the kernel made the VFs, all are said to be there, and no rule says that there was no room (${told})`, async () => {
  let count = 0;
  for (const { capture, pfs } of await moments)
    for (const [bdf, over] of pfs)
      for (const { label, pf, picture } of over) {
        if (pf.sriov?.numVFs === 0) continue;
        count++;
        for (const problem of [vfCreationRace, sriovMmioExhausted, sriovBusRange])
          assert.equal(about(problem, picture, pf).is, 'pass', `${capture.name} ${label} ${bdf} ${problem.id}`);
      }
  assert.ok(count > 5);
});

const PF = '0000:01:00.0';
const pf = (more: Partial<PciFunction> = {}, sriov: Partial<NonNullable<PciFunction['sriov']>> = {}): PciFunction =>
  fn(PF, {
    driver: 'ixgbe',
    path: `/sys/devices/pci0000:00/0000:00:01.0/${PF}`,
    interfaces: ['eth0'],
    sriov: { totalVFs: 63, numVFs: 0, firstVFOffset: 128, vfStride: 2, driversAutoprobe: true, ...sriov },
    ...more,
  });
const line = (index: number, more: Partial<Resource> = {}): Resource => ({
  index,
  start: 0,
  size: 0,
  space: 'none',
  width: 64,
  prefetchable: true,
  unset: false,
  ...more,
});
const lines = (at: number, more: Partial<Resource>) =>
  Array.from({ length: 13 }, (_, i) => (i === at ? line(i, { space: 'memory', ...more }) : line(i)));

/** A bridge at 00:01.0 with bus 1 up to `subordinate`. */
function bridge(subordinate: number): PciFunction {
  const config = new Uint8Array(64);
  config.set([0x86, 0x80, 1, 0], 0);
  config.set([0, 4, 6], 9);
  config[14] = 1;
  config.set([0, 1, subordinate], 0x18);
  return fn('0000:00:01.0', { class: 0x060400, headerType: 1, config });
}

test('ENOMEM from sriov_numvfs means MMIO, where a VF BAR has no address', () => {
  const judge = (resources: Resource[]) => about(sriovMmioExhausted, pictureOf(), pf({ resources }));
  assert.equal(judge(lines(7, { start: 0xe000_0000, size: 63 * 0x4000 })).is, 'pass');
  const none = judge(lines(7, { size: 63 * 0x4000 }));
  assert.equal(none.is, 'fail');
  assert.match(none.because, /VF BAR 0 \(1032192 bytes\) of 63 VFs has no address.*ENOMEM/);
  assert.equal(judge(lines(10, { start: 0x1000, size: 63 * 0x4000, unset: true })).is, 'fail');
  assert.equal(judge(lines(0, { start: 0x1000, size: 4096 })).is, 'unknown');
});

test('ENOMEM from sriov_numvfs means bus numbers, where VFs lie beyond what the bridge above passes', () => {
  const judge = (subordinate: number, sriov = {}) => {
    const one = pf({}, sriov);
    return about(sriovBusRange, pictureOf({ functions: [bridge(subordinate), one] }), one);
  };
  // 63 VFs from 01:10.0 in steps of two: the last, number 62, is 01:00.0 + 128 + 124 = 01:1f.4.
  assert.equal(judge(1).is, 'pass');
  const short = judge(1, { firstVFOffset: 384 });
  assert.equal(short.is, 'fail');
  assert.match(short.because, /^0 of 63 VFs can be had: the last would be on bus 02, and the bridge above passes buses up to 01/);
  assert.match(judge(1, { totalVFs: 127 }).because, /^64 of 127 VFs can be had/);
  assert.equal(judge(2, { totalVFs: 127 }).is, 'pass');
  assert.match(judge(1, { firstVFOffset: 384 }).because, /unless offset or stride change when NumVFs is set/);
  assert.equal(judge(1, { firstVFOffset: 0, vfStride: 0 }).is, 'unknown');
});

test('offset and stride may change with NumVFs and ARI: the numbers of now are shown with both', () => {
  const one = pf({}, { firstVFOffset: 384 });
  const { seen } = about(sriovBusRange, pictureOf({ functions: [bridge(1), one] }), one);
  assert.deepEqual(
    seen.map(({ where, text }) => `${where.split('/').at(-1)}=${text}`),
    ['sriov_offset=384', 'sriov_stride=2', 'config, Subordinate Bus Number=01'],
  );
});

test('reading sriov_numvfs must not hang: what had no answer in time is told as a change under way', () => {
  const one = pf({ virtfns: ['0000:01:10.0'] }, { numVFs: undefined });
  const picture = pictureOf({ functions: [one] });
  assert.equal(about(sriovVfsInUse, picture, one).is, 'fail');
  assert.equal(about(vfCreationRace, picture, one).is, 'unknown');
  assert.equal(about(vfHostDriverClaims, picture, one).is, 'unknown');
  assert.equal(wanting(sriovTotalExceeded, picture, PF, 1).is, 'fail');
  assert.equal(wanting(sriovChangeNonzero, picture, PF, 1).is, 'unknown');
});

test('VFs that a program has open are named with it before anybody removes them', () => {
  const vf = fn('0000:01:10.0', { group: 7, physfn: PF, driver: 'vfio-pci' });
  const one = pf({ virtfns: [vf.bdf] }, { numVFs: 1 });
  const functions = [one, vf];
  const free = about(sriovVfsInUse, pictureOf({ functions }), one);
  assert.equal(free.is, 'pass');
  const usage: Picture['usage'] = [
    { group: 7, kind: 'vfio', what: 'qemu-system-x86 (pid 42)', where: '/proc/42/fd/20', pid: 42 },
  ];
  const used = about(sriovVfsInUse, pictureOf({ functions, usage }), one);
  assert.equal(used.is, 'fail');
  assert.match(used.because, /1 of its 1 VFs are in use.*waits for qemu-system-x86 \(pid 42\)/);
  const hidden = pictureOf({ functions, unread: [{ what: 'open files of other users', because: 'not root' }] });
  assert.equal(about(sriovVfsInUse, hidden, one).is, 'unknown');
});

test('addresses, trust and the link of VFs are judged by what the PF says', () => {
  const vfs = [
    { mac: '00:00:00:00:00:00', vlan: 0, spoofchk: true, trust: false },
    { mac: '52:54:00:00:00:01', vlan: 0, spoofchk: false, trust: true },
  ];
  const one = pf({}, { numVFs: 2 });
  const picture = (up: boolean, settings = vfs) =>
    pictureOf({ functions: [one], links: [{ name: 'eth0', mac: '52:54:00:00:00:00', up, vfs: settings }] });
  assert.match(about(vfMacZero, picture(true), one).because, /1 of 2 VFs of eth0 have no address/);
  assert.equal(about(vfMacZero, picture(true, vfs.slice(1)), one).is, 'pass');
  assert.equal(about(vfTrustSpoof, picture(true), one).is, 'unknown');
  assert.equal(about(vfTrustSpoof, picture(true, vfs.slice(1)), one).is, 'pass');
  assert.equal(about(pfLinkDown, picture(true), one).is, 'pass');
  assert.equal(about(pfLinkDown, picture(false), one).is, 'fail');
  const unread = pictureOf({ functions: [one], unread: [{ what: 'network interfaces', because: 'no rtnetlink' }] });
  for (const problem of [vfMacZero, vfTrustSpoof, pfLinkDown])
    assert.equal(about(problem, unread, one).is, 'unknown', problem.id);
});

test('a token is needed exactly where the PF is on vfio-pci, and refused elsewhere', () => {
  const vf = fn('0000:01:10.0', { physfn: PF, driver: 'vfio-pci' });
  const rule = vfTokenNeeded.rules.find((one) => one.about === 'vm')!;
  const judge = (driver: string, device: string) =>
    rule.run(
      vmOf(`qemu-system-x86_64 -device vfio-pci,host=01:10.0${device}`),
      pictureOf({ functions: [pf({ driver, virtfns: [vf.bdf] }), vf] }),
    ).is;
  assert.equal(judge('vfio-pci', ''), 'fail');
  assert.equal(judge('vfio-pci', ',vf-token=a'), 'pass');
  assert.equal(judge('ixgbe', ''), 'pass');
  assert.equal(judge('ixgbe', ',vf-token=a'), 'fail');
});

test('a memory BAR without an address is told, also where the kernel cleared its line', () => {
  const judge = (more: Partial<PciFunction>) => about(hostBarUnassigned, pictureOf(), fn(BDF, more));
  assert.equal(judge({ resources: lines(0, { start: 0xf000_0000, size: 0x1000 }) }).is, 'pass');
  assert.equal(judge({ resources: lines(1, { size: 0x1000_0000 }) }).is, 'fail');
  assert.equal(judge({ resources: lines(1, { start: 0x1000, size: 0x1000, unset: true }) }).is, 'fail');
  assert.equal(judge({ resources: lines(2, { space: 'io', size: 32 }) }).is, 'pass', 'nobody needs I/O ports');
  const config = new Uint8Array(64);
  config.set([0x86, 0x80, 1, 0], 0);
  config[0x14] = 0x0c; // 64-bit prefetchable, address 0
  const cleared = judge({ resources: lines(0, { start: 0xf000_0000, size: 0x1000 }), config });
  assert.equal(cleared.is, 'fail');
  assert.match(cleared.because, /^BAR 1 has no address/);
  assert.equal(judge({}).is, 'unknown');
});
