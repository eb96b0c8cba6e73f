import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { cpuTime } from '../../../test/cpu-time.ts';
import { formatBdf, readLspciText } from '../../pci/index.ts';
import { applyChanges, ImpossibleChange } from './changes.ts';
import { compareGroups } from './compare.ts';
import { type Computed, computeGroups } from './compute.ts';
import { topologyOf } from './from-config.ts';
import { topologyOfListing } from './from-lspci.ts';
import { ACS_QUIRKS } from './quirks.ts';
import { type AcsRegisters, REQ_ACS_FLAGS, type Topology, type TopologyFunction } from './topology.ts';
import { whyTogether } from './why.ts';

const acs = (control: number, capability = REQ_ACS_FLAGS): AcsRegisters => ({ capability, control, unread: 0 });
const ON = acs(REQ_ACS_FLAGS);
const OFF = acs(0);
const port = (bdf: string, secondary: number, more: Partial<TopologyFunction> = {}): TopologyFunction => ({
  bdf,
  vendor: 0x1b36,
  device: 0xc,
  class: 0x060400,
  port: 'rootPort',
  multifunction: false,
  buses: { secondary, subordinate: secondary },
  acs: ON,
  sriov: 'none',
  ...more,
});
const endpoint = (bdf: string, more: Partial<TopologyFunction> = {}): TopologyFunction => ({
  bdf,
  vendor: 0x1af4,
  device: 1,
  class: 0x020000,
  port: 'endpoint',
  multifunction: false,
  acs: 'none',
  sriov: 'none',
  ...more,
});
const machine = (...functions: TopologyFunction[]): Topology => ({ functions });
const partition = ({ groups }: Computed) => groups.map(({ members }) => [...members].sort().join(' ')).sort();

test('the control bits of a port decide, not its capability', () => {
  const behind = (registers: AcsRegisters) =>
    partition(computeGroups(machine(port('0000:00:01.0', 1, { acs: registers }), endpoint('0000:01:00.0'))));
  assert.deepEqual(behind(ON), ['0000:00:01.0', '0000:01:00.0']);
  assert.deepEqual(behind(OFF), ['0000:00:01.0 0000:01:00.0']);
  assert.deepEqual(behind(acs(0, 0)), ['0000:00:01.0', '0000:01:00.0'], 'what is not offered counts as wired on');
});

test('of two functions that share a group the first bridge and the missing bit are named', () => {
  const topology = machine(
    port('0000:00:01.0', 1, { acs: acs(REQ_ACS_FLAGS & ~0x04), buses: { secondary: 1, subordinate: 4 } }),
    port('0000:01:00.0', 2, { port: 'upstreamPort', buses: { secondary: 2, subordinate: 4 } }),
    port('0000:02:00.0', 3, { port: 'downstreamPort' }),
    port('0000:02:01.0', 4, { port: 'downstreamPort' }),
    endpoint('0000:03:00.0'),
    endpoint('0000:04:00.0'),
  );
  const why = whyTogether(topology, '0000:03:00.0', '0000:04:00.0');
  assert.equal(why.is, 'together');
  assert.equal(why.at, '0000:00:01.0');
  assert.deepEqual(why.missing, ['RR']);
  assert.match(why.because.join(' '), /00:01\.0 above 0000:\S+ does not isolate: its ACS control has RR off/);
  const { topology: changed } = applyChanges(topology, [{ is: 'acs', bdf: '0000:00:01.0', on: true }]);
  const apart = whyTogether(changed, '0000:03:00.0', '0000:04:00.0');
  assert.equal(apart.is, 'apart');
  assert.match(apart.because.join(' '), /0000:02:00\.0 above 0000:03:00\.0 isolates/);
});

test('all behind a bridge to conventional PCI carry one requester ID, whatever ACS says', () => {
  const topology = machine(
    port('0000:00:01.0', 1),
    endpoint('0000:01:00.0', { port: 'bridgeToPci', buses: { secondary: 2, subordinate: 2 } }),
    endpoint('0000:02:01.0', { port: 'conventional' }),
    endpoint('0000:02:02.0', { port: 'conventional' }),
  );
  assert.deepEqual(partition(computeGroups(topology)), ['0000:00:01.0', '0000:01:00.0 0000:02:01.0 0000:02:02.0']);
  const why = whyTogether(topology, '0000:02:01.0', '0000:02:02.0');
  assert.deepEqual([why.at, why.missing.length], ['0000:01:00.0', 0]);
  assert.match(why.because.join(' '), /leaves it as 0000:02:00\.0/);
});

test('a disk controller that uses the requester ID of function 1 shares its group', () => {
  const slot = (device: number) =>
    machine(
      port('0000:00:01.0', 1),
      endpoint('0000:01:00.0', { vendor: 0x1b4b, device, multifunction: true, acs: ON }),
      endpoint('0000:01:00.1', { vendor: 0x1b4b, device: 0x91a4, multifunction: true, acs: ON }),
    );
  assert.equal(computeGroups(slot(0x9123)).groups.length, 2);
  assert.equal(computeGroups(slot(0x9999)).groups.length, 3);
});

test('functions behind VMD have the group of VMD', () => {
  const topology = machine(
    endpoint('0000:00:0e.0', { port: 'integratedEndpoint' }),
    port('10000:e0:06.0', 0xe1, { above: null, realDma: '0000:00:0e.0' }),
    endpoint('10000:e1:00.0', { above: '10000:e0:06.0', realDma: '0000:00:0e.0' }),
  );
  assert.equal(computeGroups(topology).groups.length, 1);
});

test('functions behind a VMD that is not known share a group, which is unknown with the reason', () => {
  const behind = (bdf: string) => endpoint(bdf, { realDma: null });
  const alone = machine(endpoint('0000:00:02.0'), behind('10000:e1:00.0'), behind('10000:e2:00.0'));
  const { groups, unknown } = computeGroups(alone);
  assert.deepEqual(
    groups.map(({ members }) => members.length),
    [1, 2],
  );
  assert.deepEqual(
    unknown.map(({ bdf, perhapsWith }) => [bdf, perhapsWith]),
    [
      ['10000:e1:00.0', []],
      ['10000:e2:00.0', []],
    ],
  );
  assert.match(unknown[0]!.because.join(), /not known which VMD function it is behind/);
  assert.equal(whyTogether(alone, '10000:e1:00.0', '10000:e2:00.0').is, 'together');
  assert.equal(whyTogether(alone, '10000:e1:00.0', '0000:00:02.0').is, 'unknown');
  assert.deepEqual(computeGroups(machine(endpoint('10000:e1:00.0', { realDma: '0000:00:0e.0' }))).unknown.length, 1);

  const vmd = (bdf: string) => endpoint(bdf, { vendor: 0x8086, device: 0x467f, class: 0x010400, port: 'integratedEndpoint' });
  const several = machine(
    endpoint('0000:00:02.0'),
    vmd('0000:00:0e.0'),
    vmd('0000:40:0e.0'),
    behind('10000:e1:00.0'),
    behind('10001:e1:00.0'),
    behind('10002:e1:00.0'),
  );
  const of = computeGroups(several);
  assert.equal(of.groups.length, 6);
  assert.deepEqual(
    of.unknown.map(({ bdf }) => bdf),
    several.functions.slice(1).map(({ bdf }) => bdf),
  );
  assert.ok(of.unknown.every(({ because, perhapsWith }) => because.length > 0 && perhapsWith.length > 0));
  assert.equal(whyTogether(several, '10000:e1:00.0', '0000:40:0e.0').is, 'unknown');
  assert.equal(whyTogether(several, '10000:e1:00.0', '0000:00:02.0').is, 'apart');
});

test('of a listing or of bytes alone, the VMDs make their domains in order, and a missing one leaves the answer open', () => {
  const vmd = (bdf: string) => `${bdf} RAID bus controller: Intel Corporation Volume Management Device NVMe RAID Controller\n`;
  const drive = (bdf: string) => `${bdf} Non-Volatile memory controller: Samsung Electronics Co Ltd NVMe SSD Controller\n`;
  const real = (text: string) =>
    topologyOfListing(readLspciText(text)).functions.flatMap(({ realDma }) => (realDma === undefined ? [] : [realDma]));
  const [a, b] = ['0000:00:0e.0', '0000:80:0e.0'];
  const drives = drive('10000:01:00.0') + drive('10001:01:00.0');
  assert.deepEqual(real(vmd(a) + vmd(b) + drives), [a, b]);
  assert.deepEqual(real(vmd(a) + drives), [null, null]);
  assert.deepEqual(real(drives), [null, null]);
  const bytes = (device: number) => {
    const config = new Uint8Array(64);
    config.set([0x86, 0x80, device & 0xff, device >> 8]);
    config.set([0, 4, 1], 9);
    return config;
  };
  const made = (vmds: number, path?: string) =>
    topologyOf([
      ...[a, b].slice(0, vmds).map((bdf) => ({ bdf, config: bytes(0x28c0) })),
      { bdf: '10000:01:00.0', config: bytes(0x953), ...(path === undefined ? {} : { path }) },
    ]).functions.at(-1)!.realDma;
  assert.equal(made(1), a);
  assert.equal(made(2), null);
  assert.equal(made(2, `/sys/devices/pci0000:80/${b}/pci10000:01/10000:01:00.0`), b, 'a path tells');
});

test('what could not be read is unknown only where it matters', () => {
  const { acs: _, ...hidden } = port('0000:00:01.0', 1);
  const alone = computeGroups(machine(hidden));
  assert.deepEqual(alone.unknown, [], 'nothing is behind it: no answer depends on it');
  const { unknown, groups } = computeGroups(machine(hidden, endpoint('0000:01:00.0'), endpoint('0000:00:02.0')));
  assert.deepEqual(
    unknown.map(({ bdf }) => bdf),
    ['0000:00:01.0', '0000:01:00.0'],
  );
  assert.match(unknown[1]!.because.join(), /00:01\.0: its ACS capability could not be read/);
  assert.deepEqual(unknown[1]!.perhapsWith, ['0000:00:01.0']);
  assert.equal(groups.length, 3);
});

test('without a device number the quirks of its maker leave the answer open', () => {
  const slot = (more: Partial<TopologyFunction>) => {
    const nic = (bdf: string) => {
      const { device: _, ...f } = endpoint(bdf, { vendor: 0x8086, multifunction: true, ...more });
      return f;
    };
    return computeGroups(machine(nic('0000:00:04.0'), nic('0000:00:04.1')));
  };
  assert.equal(slot({}).unknown.length, 2);
  assert.deepEqual(
    [
      slot({ name: 'I350 Gigabit Network Connection' }).groups.length,
      slot({ name: 'I350 Gigabit Network Connection' }).unknown.length,
    ],
    [2, 0],
  );
  assert.deepEqual(
    [slot({ name: 'Ethernet Controller X710' }).groups.length, slot({ name: 'Ethernet Controller X710' }).unknown.length],
    [1, 0],
  );
});

test('every quirk names its function of the kernel, and none stands twice', () => {
  for (const { kernel, says } of ACS_QUIRKS) {
    assert.match(kernel, /^pci_quirk_\w+_acs$/);
    assert.ok(says.length > 10);
  }
  const ids = ACS_QUIRKS.flatMap(({ vendor, devices, kernel }) =>
    devices === 'any' ? [] : devices.map((one) => `${vendor} ${String(one)} ${kernel}`),
  );
  assert.equal(new Set(ids).size, ids.length);
});

test('a function that was hot-added alone is told as order, and as no isolation', () => {
  const mate = { port: 'endpoint' as const, acs: 'none' as const };
  const topology = machine(
    endpoint('0000:00:04.0', { ...mate, multifunction: true }),
    endpoint('0000:00:04.1', { ...mate, multifunction: false }),
  );
  const computed = computeGroups(topology);
  assert.equal(computed.groups.length, 1);
  const kernel = [
    { number: 3, devices: ['0000:00:04.0'] },
    { number: 9, devices: ['0000:00:04.1'] },
  ];
  const [difference] = compareGroups(topology, computed, kernel).differences;
  assert.deepEqual([difference?.kernel, difference?.reason, difference?.groups], ['finer', 'order', [3, 9]]);
  assert.match(difference!.says, /the isolation shown does not exist/);
  const [override] = compareGroups(topology, computed, kernel, 'quiet pcie_acs_override=downstream,multifunction').differences;
  assert.equal(override?.reason, 'acs override active');
});

test('ACS that was changed after the groups were made is told as order, in both directions', () => {
  const topology = (registers: AcsRegisters) => machine(port('0000:00:01.0', 1, { acs: registers }), endpoint('0000:01:00.0'));
  const one = [{ number: 1, devices: ['0000:00:01.0', '0000:01:00.0'] }];
  const two = [
    { number: 1, devices: ['0000:00:01.0'] },
    { number: 2, devices: ['0000:01:00.0'] },
  ];
  const compare = (registers: AcsRegisters, kernel: typeof one) =>
    compareGroups(topology(registers), computeGroups(topology(registers)), kernel).differences.map(
      ({ kernel: is, reason }) => `${is} ${reason}`,
    );
  assert.deepEqual(compare(OFF, two), ['finer order']);
  assert.deepEqual(compare(ON, one), ['coarser order']);
  assert.deepEqual(compare(ON, two), []);
  const without = machine(port('0000:00:01.0', 1, { acs: 'none' }), endpoint('0000:01:00.0'));
  assert.equal(compareGroups(without, computeGroups(without), two).differences[0]?.reason, 'quirk unknown to us');
});

test('VFs that would not fit are refused with the reason', () => {
  const sriov = { numVFs: 0, totalVFs: 8, firstVFOffset: 0x80, vfStride: 2, vfDevice: 0x10ca };
  const topology = machine(port('0000:00:01.0', 1), endpoint('0000:01:00.0', { sriov: { ...sriov, firstVFOffset: 0x100 } }));
  const refused = (count: number) => () => applyChanges(topology, [{ is: 'vfs', bdf: '0000:01:00.0', count }]);
  assert.throws(refused(9), (error) => error instanceof ImpossibleChange && /can have 8 VFs/.test(error.message));
  assert.throws(refused(1), (error) => error instanceof ImpossibleChange && /bus numbers up to 02.*ENOMEM/.test(error.message));
});

test('a device that moves behind a port without ACS shares its group, and its old place is free', () => {
  const topology = machine(
    port('0000:00:01.0', 1),
    port('0000:00:02.0', 2, { acs: OFF }),
    endpoint('0000:01:00.0', { multifunction: true }),
    endpoint('0000:01:00.1', { multifunction: true }),
  );
  const { topology: moved, notes } = applyChanges(topology, [{ is: 'move', bdf: '0000:01:00.0', to: '0000:00:02.0' }]);
  assert.deepEqual(partition(computeGroups(moved)), ['0000:00:01.0', '0000:00:02.0 0000:02:00.0 0000:02:00.1']);
  assert.equal(notes.length, 2);
  assert.throws(() => applyChanges(topology, [{ is: 'move', bdf: '0000:00:01.0', to: '0000:00:01.0' }]), /part of it/);
});

/** Any machine: buses in a row below each other or side by side, functions of every kind, some of it unread. */
const anyRegisters = fc.oneof(
  fc.record({ capability: fc.nat(127), control: fc.nat(127), unread: fc.constant(0) }),
  fc.constant('none' as const),
  fc.constant(undefined),
);
const anyFunction = fc.record({
  bus: fc.nat(5),
  device: fc.nat(2),
  fn: fc.nat(2),
  secondary: fc.nat(6),
  vendor: fc.constantFrom(0x8086, 0x1002, 0x1b36, undefined),
  id: fc.constantFrom(0x10c9, 0x4385, 0xa110, 1, undefined),
  port: fc.constantFrom(
    'rootPort',
    'upstreamPort',
    'downstreamPort',
    'endpoint',
    'integratedEndpoint',
    'bridgeToPci',
    'conventional',
    undefined,
  ),
  acs: anyRegisters,
  multifunction: fc.constantFrom(true, false, undefined),
  covered: fc.constantFrom(true, true, true, false),
});
const anyMachine = fc.array(anyFunction, { maxLength: 24 }).map((rows): Topology => {
  const found = new Map<string, TopologyFunction>();
  for (const { bus, device, fn, secondary, vendor, id, ...rest } of rows) {
    const bdf = formatBdf({ domain: 0, bus, device, function: fn });
    found.set(bdf, {
      bdf,
      ...(vendor !== undefined && { vendor }),
      ...(id !== undefined && { device: id }),
      ...(secondary > 0 && { buses: { secondary, subordinate: 6 } }),
      ...(Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined)) as Partial<TopologyFunction>),
    });
  }
  return { functions: [...found.values()] };
});

test('every function is in one group or has none, on any machine', () =>
  fc.assert(
    fc.property(anyMachine, (topology) => {
      const { groups, ungrouped, unknown } = computeGroups(topology);
      const all = [...groups.flatMap(({ members }) => members), ...ungrouped.map(({ bdf }) => bdf)];
      assert.deepEqual(all.sort(), topology.functions.map(({ bdf }) => bdf).sort());
      for (const { because } of unknown) assert.ok(because.length > 0, JSON.stringify(topology));
      for (const { members, joins } of groups) assert.equal(joins.length, members.length - 1);
    }),
    { seed: 3, numRuns: 1000 },
  ));

test('the order of the input does not matter', () =>
  fc.assert(
    fc.property(anyMachine, (topology) =>
      assert.deepEqual(computeGroups({ functions: topology.functions.toReversed() }), computeGroups(topology)),
    ),
    { seed: 4, numRuns: 300 },
  ));

test('turning ACS on nowhere puts together what was apart', () =>
  fc.assert(
    fc.property(anyMachine, fc.nat(), (topology, pick) => {
      if (topology.functions.length === 0) return;
      const { bdf } = topology.functions[pick % topology.functions.length]!;
      const groupOf = (one: Topology) =>
        new Map(computeGroups(one).groups.flatMap(({ members, number }) => members.map((name) => [name, number])));
      const before = groupOf(topology);
      const after = groupOf(applyChanges(topology, [{ is: 'acs', bdf, on: true }]).topology);
      for (const [a, group] of after)
        for (const [b, other] of after)
          if (group === other) assert.equal(before.get(a), before.get(b), `${a} and ${b} after ${bdf}`);
    }),
    { seed: 5, numRuns: 500 },
  ));

test('why and the groups say the same of any two functions', () =>
  fc.assert(
    fc.property(anyMachine, fc.nat(), fc.nat(), (topology, one, other) => {
      const { functions } = topology;
      if (functions.length === 0) return;
      const [a, b] = [functions[one % functions.length]!.bdf, functions[other % functions.length]!.bdf];
      const why = whyTogether(topology, a, b);
      const together = computeGroups(topology).groups.some(({ members }) => members.includes(a) && members.includes(b));
      assert.equal(why.is === 'together', together);
      if (a !== b) assert.ok(why.because.length > 0, JSON.stringify([a, b, topology]));
    }),
    { seed: 6, numRuns: 500 },
  ));

test('a large machine takes a moment', () => {
  const functions: TopologyFunction[] = [];
  for (let domain = 0; domain < 8; domain++)
    for (let device = 0; device < 31; device++) {
      const at = { domain, bus: 0, device, function: 0 };
      functions.push(port(formatBdf(at), device + 1, { acs: device % 2 ? ON : OFF }));
      for (let slot = 0; slot < 4; slot++)
        for (let fn = 0; fn < 8; fn++)
          functions.push(
            endpoint(formatBdf({ domain, bus: device + 1, device: slot, function: fn }), { multifunction: true, acs: ON }),
          );
    }
  assert.ok(functions.length > 8000);
  computeGroups({ functions });
  const took = cpuTime(() => computeGroups({ functions }));
  assert.ok(took < 1000, `${took}: far below 100 on an idle machine`);
});
