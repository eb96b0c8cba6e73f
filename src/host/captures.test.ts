import assert from 'node:assert/strict';
import { test } from 'node:test';
import { capturedHost } from '../../test/captured-host.ts';
import { attribute, type Capture, type CapturedState, captures, tellCaptures } from '../../test/captures.ts';
import { listFunctions, readFunction } from './functions.ts';
import { type Host, HostError } from './host.ts';
import { driverOf, groupOf, readGroups, readUnits } from './iommu.ts';
import { OPEN_FILES, readPicture } from './picture.ts';
import { readSriov } from './sriov.ts';
import { readSystem } from './system.ts';

const found = captures();
const told = tellCaptures(found);

interface Moment {
  where: string;
  capture: Capture;
  state: CapturedState;
  host: Host;
}

const moments: readonly Moment[] = found.all.flatMap((capture) =>
  capture.states.map((state) => ({
    where: `${capture.name} ${state.label}`,
    capture,
    state,
    host: capturedHost(capture, state),
  })),
);

const numbered = (names: readonly string[]) => [...names].sort((a, b) => Number(a.slice(6)) - Number(b.slice(6)));
const namesIn = (content: unknown): string[] => (Array.isArray(content) ? (content as string[]).toSorted() : []);

test(`a function is what the kernel showed of it (${told})`, async () => {
  let count = 0;
  for (const { where, state, host } of moments) {
    assert.deepEqual(await listFunctions(host), Object.keys(state.devices).sort(), where);
    for (const [bdf, device] of Object.entries(state.devices)) {
      const read = await readFunction(host, bdf);
      const at = `${where} ${bdf}`;
      assert.ok(read, at);
      count++;
      const hex = (name: string) => Number(attribute(device, name));
      assert.deepEqual([read.vendor, read.device, read.class], [hex('vendor'), hex('device'), hex('class')], at);
      assert.equal(read.path, device.path, at);
      assert.equal(read.driver, device.links.driver, at);
      assert.equal(read.group, device.links.iommu_group === undefined ? undefined : Number(device.links.iommu_group), at);
      assert.equal(read.unit, device.links.iommu, at);
      assert.equal(read.physfn, device.links.physfn, at);
      const virtfns = numbered(Object.keys(device.links).filter((link) => /^virtfn\d+$/.test(link)));
      assert.deepEqual(
        read.virtfns,
        virtfns.map((link) => device.links[link]),
        at,
      );
      assert.deepEqual(read.interfaces, namesIn(device.dirs.net), at);
      assert.deepEqual(read.nvme, namesIn(device.dirs.nvme), at);
      assert.equal(read.resetMethods?.join(' '), attribute(device, 'reset_method'), at);
      assert.equal(read.driverOverride ?? '(null)', attribute(device, 'driver_override'), at);
      assert.equal(read.bootVga, device.attrs.boot_vga === undefined ? undefined : attribute(device, 'boot_vga') === '1', at);
      assert.equal(String(read.numaNode ?? -1), attribute(device, 'numa_node'), at);
      // Only a bridge has bus numbers.
      assert.equal(read.headerType, attribute(device, 'secondary_bus_number') === undefined ? 0 : 1, at);
      assert.equal(read.unanswered, undefined, at);
      assert.equal(await driverOf(host, bdf), device.links.driver, at);
      assert.equal(await groupOf(host, bdf), read.group, at);
    }
  }
  assert.ok(count > 150, `${count}`);
});

test(`SR-IOV attributes are read as they are, and only a PF has them (${told})`, async () => {
  let count = 0;
  for (const { where, state, host } of moments)
    for (const [bdf, device] of Object.entries(state.devices)) {
      const at = `${where} ${bdf}`;
      const sriov = await readSriov(host, bdf);
      const total = attribute(device, 'sriov_totalvfs');
      assert.equal(sriov === undefined, total === undefined, at);
      if (sriov === undefined) continue;
      count++;
      const read = (name: string) => Number(attribute(device, `sriov_${name}`));
      assert.deepEqual(
        sriov,
        {
          totalVFs: Number(total),
          numVFs: read('numvfs'),
          firstVFOffset: read('offset'),
          vfStride: read('stride'),
          driversAutoprobe: attribute(device, 'sriov_drivers_autoprobe') === '1',
        },
        at,
      );
    }
  assert.ok(count > 10, `${count}`);
});

test(`a VF and its PF name each other (${told})`, async () => {
  let count = 0;
  for (const { where, state, host } of moments) {
    if (!Object.values(state.devices).some(({ links }) => links.physfn !== undefined || links.virtfn0 !== undefined)) continue;
    const { functions } = await readPicture(host);
    for (const pf of functions)
      for (const vf of pf.virtfns) {
        assert.equal(functions.find(({ bdf }) => bdf === vf)?.physfn, pf.bdf, `${where} ${vf}`);
        count++;
      }
    for (const vf of functions)
      if (vf.physfn !== undefined)
        assert.ok(functions.find(({ bdf }) => bdf === vf.physfn)?.virtfns.includes(vf.bdf), `${where} ${vf.bdf}`);
  }
  assert.ok(count > 130, `${count}`);
});

test(`groups are exactly those that the kernel made (${told})`, async () => {
  let count = 0;
  for (const { where, state, host } of moments) {
    const groups = await readGroups(host);
    assert.deepEqual(
      groups.map(({ number, type, devices }) => ({ number, type, devices })),
      Object.entries(state.groups)
        .map(([number, { type, devices }]) => ({ number: Number(number), type, devices: devices.toSorted() }))
        .sort((a, b) => a.number - b.number),
      where,
    );
    for (const { number, reserved, devices } of groups) {
      const lines = reserved.map(({ start, end, type }) => `${start} ${end} ${type}`).join('\n');
      assert.equal(lines, state.groups[number]!.reserved_regions, `${where} group ${number}`);
      for (const bdf of devices) assert.equal(state.devices[bdf]?.links.iommu_group, String(number), `${where} ${bdf}`);
      count++;
    }
  }
  assert.ok(count > 80, `${count}`);
});

test(`a unit has the functions and the registers that the kernel shows (${told})`, async () => {
  let registers = 0;
  for (const { where, capture, state, host } of moments) {
    const units = await readUnits(host);
    assert.deepEqual(
      units.map(({ name, devices }) => ({ name, devices })),
      Object.entries(state.iommus)
        .map(([name, { devices }]) => ({ name, devices: devices.toSorted() }))
        .sort((a, b) => (a.name < b.name ? -1 : 1)),
      where,
    );
    for (const unit of units) {
      const intel = state.iommus[unit.name]!['intel-iommu'];
      assert.equal(unit.version, intel.version, where);
      assert.equal(unit.address, intel.address, where);
      assert.equal(unit.cap === undefined, intel.cap === undefined, where);
      if (unit.cap === undefined || unit.ecap === undefined) continue;
      assert.match(unit.cap + unit.ecap, /^[0-9a-f]{32}$/);
      // The kernel printed them while it found the unit, which is in the log of the first state.
      const log = capture.states[0]!.dmesg.map((line) => /dmar0: reg_base_addr (\w+) ver (\S+) cap (\w+) ecap (\w+)/.exec(line));
      const line = log.find((match) => match !== null);
      if (line === undefined) continue;
      const strip = (text: string) => text.replace(/^0+/, '');
      assert.deepEqual([unit.address, unit.version, strip(unit.cap), strip(unit.ecap)], line.slice(1), where);
      registers++;
    }
  }
  assert.ok(registers >= 10, `${registers}`);
});

test(`the kernel and the processor are those of the machine (${told})`, async () => {
  for (const { where, capture, state, host } of moments) {
    const system = await readSystem(host);
    assert.equal(system.kernel, capture.release, where);
    assert.equal(system.cmdline, state.proc.cmdline, where);
    // Every machine was QEMU's, which sets the hypervisor flag.
    assert.deepEqual([system.uid, system.guest], [0, true], where);
    assert.equal(
      `MemTotal:         ${system.memory / 1024} kB`.replace(/\s+/g, ' '),
      state.proc.memtotal?.replace(/\s+/g, ' '),
      where,
    );
    assert.deepEqual(
      system.modules,
      state.proc.modules?.split('\n').map((line) => line.split(' ')[0]),
      where,
    );
    assert.equal(system.virtualization, /^flags.*\bsvm\b/m.test(state.proc.cpuinfo0 ?? '') ? 'svm' : undefined, where);
  }
});

test(`a picture of any recorded moment misses only what was not recorded (${told})`, async () => {
  for (const { where, state, host } of moments) {
    const picture = await readPicture(host);
    const unread = picture.unread.filter(({ what }) => !what.startsWith('/dev/nvme'));
    // A network function whose driver shows no interface at that moment: where that is could not be told.
    const [rest, hidden] = [unread.filter(({ about }) => about === undefined), unread.filter(({ about }) => about !== undefined)];
    assert.deepEqual(
      rest.map(({ what }) => what),
      // No process was recorded, which matters where a group could be open.
      ['network interfaces', ...(state.devvfio.some((name) => name !== 'vfio') ? [OPEN_FILES] : [])],
      where,
    );
    for (const bdf of hidden.flatMap(({ about }) => about ?? [])) {
      const found = picture.functions.find((one) => one.bdf === bdf);
      assert.ok(
        found !== undefined && found.class >>> 16 === 2 && found.driver !== undefined && found.interfaces.length === 0,
        `${where} ${bdf}`,
      );
    }
    assert.equal(picture.functions.length, Object.keys(state.devices).length, where);
    assert.deepEqual(
      picture.firmwareTables.map(({ signature }) => signature),
      ['DMAR', 'IVRS', 'VIOT'].filter((name) => state.acpi[name] !== undefined),
      where,
    );
    assert.deepEqual(
      picture.platformTables.map(({ signature }) => signature),
      ['MCFG', 'APIC'].filter((name) => state.acpi[name] !== undefined),
      where,
    );
    for (const [module, values] of Object.entries(picture.parameters))
      assert.deepEqual(values, state.parameters[module], `${where} ${module}`);
  }
});

test(`a group that VFIO took keeps the type of its default domain (${told})`, async () => {
  let taken = 0;
  for (const capture of found.all)
    for (const [i, after] of capture.states.entries()) {
      const before = capture.states[i - 1];
      // A type may be written while the group has no driver.
      const between = before ? capture.events.slice(capture.events.indexOf(before), capture.events.indexOf(after)) : [];
      if (before === undefined || between.some((step) => 'path' in step && step.path?.endsWith('/iommu_group/type'))) continue;
      const earlier = await readGroups(capturedHost(capture, before));
      for (const { number, type, devices } of await readGroups(capturedHost(capture, after))) {
        const owned = (state: CapturedState) => devices.some((bdf) => state.devices[bdf]?.links.driver === 'vfio-pci');
        const same = earlier.find((group) => group.devices.join() === devices.join());
        if (same === undefined || owned(before) || !owned(after)) continue;
        assert.equal(type, same.type, `${capture.name} ${after.label} group ${number}`);
        taken++;
      }
    }
  assert.ok(taken > 0);
});

test('a recorded host refuses to be changed', async () => {
  const { host } = moments[0]!;
  const refused = (error: unknown) => error instanceof HostError && error.errno === 'EROFS';
  const at = '/sys/bus/pci/devices/0000:00:00.0/driver_override';
  for (const change of [
    () => host.files.write(at, 'x'),
    () => host.files.append(at, 'x'),
    () => host.files.remove(at),
    () => host.files.lock(at),
    () => host.modules.load('vfio-pci'),
    () => host.links.setUp('eth0', true),
    () => host.vfio.open('0000:00:00.0', 0),
  ])
    await assert.rejects(async () => await change(), refused);
});
