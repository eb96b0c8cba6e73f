import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attribute, type CapturedDevice, type CapturedState, captures, configOf, tellCaptures } from '../../test/captures.ts';
import {
  barsOf,
  type Config,
  express2Of,
  formatBdf,
  hasFlr,
  lastVfBus,
  parseBdf,
  parseResources,
  pcieCapability,
  readConfig,
  resetWays,
  sriovOf,
  vfAddresses,
  vfBarAddress,
  vfBars,
} from './index.ts';

const found = captures();
const told = tellCaptures(found);

function* devices(): Generator<{ where: string; bdf: string; device: CapturedDevice; config: Config; state: CapturedState }> {
  for (const { name, states } of found.all)
    for (const state of states)
      for (const [bdf, device] of Object.entries(state.devices)) {
        const config = readConfig(configOf(device));
        assert.ok(config, bdf);
        yield { where: `${name} ${state.label} ${bdf}`, bdf, device, config, state };
      }
}

const number = (text: string | undefined) => Number(text);
const sysfsHex = (value: number, digits: number) => `0x${value.toString(16).padStart(digits, '0')}`;

test(`configuration space says what the kernel says of every function (${told})`, () => {
  let count = 0;
  for (const { where, device, config } of devices()) {
    count++;
    // QEMU's amd-iommu gives MSI, HyperTransport and MSI four bytes each, which is less than they have.
    const found = config.findings.filter(({ is }) => !(is === 'overlap' && config.classCode === 0x080600));
    assert.deepEqual(found, [], where);
    assert.equal(sysfsHex(config.classCode, 6), attribute(device, 'class'), where);
    assert.equal(sysfsHex(config.revision, 2), attribute(device, 'revision'), where);
    if (config.layout === 'type0')
      assert.equal(sysfsHex(config.subsystem!.vendor, 4), attribute(device, 'subsystem_vendor'), where);
    if (device.links.physfn) assert.equal(config.vendor, 0xffff, where);
    else {
      assert.equal(sysfsHex(config.vendor, 4), attribute(device, 'vendor'), where);
      assert.equal(sysfsHex(config.device, 4), attribute(device, 'device'), where);
    }
  }
  assert.ok(count > 100);
});

test(`a bridge has the buses that the kernel put behind it (${told})`, () => {
  let count = 0;
  for (const { where, bdf, config, state } of devices()) {
    for (const [child, { path }] of Object.entries(state.devices)) {
      if (!path.endsWith(`/${bdf}/${child}`)) continue;
      // A VF may lie on a bus of its own, between the bridge's secondary and subordinate bus.
      const { bus } = parseBdf(child)!;
      assert.ok(config.bridge, where);
      assert.ok(bus >= config.bridge.secondary && bus <= config.bridge.subordinate, `${where}: ${child}`);
      count++;
    }
    assert.equal(config.bridge !== undefined, config.classCode >> 8 === 0x0604, where);
  }
  assert.ok(count > 20);
});

test(`the SR-IOV capability agrees with sysfs (${told})`, () => {
  let count = 0;
  for (const { where, device, config } of devices()) {
    const sriov = sriovOf(config);
    const read = (name: string) => attribute(device, `sriov_${name}`);
    assert.equal(sriov !== undefined, read('offset') !== undefined, where);
    if (!sriov) continue;
    count++;
    assert.equal(sriov.FirstVFOffset, number(read('offset')), where);
    assert.equal(sriov.VFStride, number(read('stride')), where);
    assert.equal(sriov.VFDeviceID.toString(16), read('vf_device'), where);
    if (read('numvfs') !== undefined) assert.equal(sriov.VFEnable ? sriov.NumVFs : 0, number(read('numvfs')), where);
    // The driver may allow fewer than the capability offers.
    assert.ok(number(read('totalvfs')) <= sriov.TotalVFs, where);
  }
  assert.ok(count > 5);
});

test(`VFs appear where the state before said they would (${told})`, () => {
  let count = 0;
  for (const { name, states } of found.all)
    for (const [i, after] of states.entries()) {
      const before = states[i - 1];
      for (const [bdf, device] of Object.entries(after.devices)) {
        const links = Object.keys(device.links).filter((link) => /^virtfn\d+$/.test(link));
        const pf = before?.devices[bdf];
        if (links.length === 0 || !pf) continue;
        const sriov = sriovOf(readConfig(configOf(pf))!)!;
        const address = parseBdf(bdf)!;
        const predicted = vfAddresses(address, sriov, links.length);
        assert.deepEqual(
          Object.fromEntries(predicted.map((vf, n) => [`virtfn${n}`, formatBdf(vf)])),
          Object.fromEntries(links.map((link) => [link, device.links[link]])),
          `${name} ${after.label} ${bdf}`,
        );
        assert.equal(lastVfBus(address, sriov, links.length), Math.max(...predicted.map((vf) => vf.bus)));
        count += links.length;
      }
    }
  assert.ok(count > 130, `${count}`);
});

test(`a VF has the identity and the BARs that its PF lends it (${told})`, () => {
  let count = 0;
  for (const { where, device, config, state } of devices()) {
    const sriov = sriovOf(config);
    const bars = sriov && vfBars(sriov, parseResources(attribute(device, 'resource')!)!);
    for (const [link, vfName] of Object.entries(device.links)) {
      const n = /^virtfn(\d+)$/.exec(link)?.[1];
      const vf = state.devices[vfName];
      if (n === undefined || !vf) continue;
      assert.equal(attribute(vf, 'vendor'), sysfsHex(config.vendor, 4), where);
      assert.equal(attribute(vf, 'device'), sysfsHex(sriov!.VFDeviceID, 4), where);
      const resources = parseResources(attribute(vf, 'resource')!)!.filter(({ size }) => size > 0);
      assert.deepEqual(
        bars!.map((bar) => [bar.index, vfBarAddress(bar, Number(n)), bar.size, bar.width]),
        resources.map(({ index, start, size, width }) => [index, start, size, width]),
        `${where} VF ${n}`,
      );
      count++;
    }
  }
  assert.ok(count > 130, `${count}`);
});

test(`memory BARs lie where the kernel's resources say (${told})`, () => {
  let count = 0;
  for (const { where, device, config } of devices()) {
    const resources = parseResources(attribute(device, 'resource')!)!;
    for (const bar of barsOf(config)) {
      const resource = resources[bar.index]!;
      // A register keeps what the firmware put there when the kernel claims nothing; then there is nothing to compare with.
      if (bar.base === 0 || resource.size === 0 || resource.unset) continue;
      assert.deepEqual([bar.space, bar.base], [resource.space, resource.start], `${where} BAR ${bar.index}`);
      if (bar.space === 'memory')
        assert.deepEqual([bar.width, bar.prefetchable], [resource.width, resource.prefetchable], `${where} BAR ${bar.index}`);
      count++;
    }
  }
  assert.ok(count > 50);
});

test(`function level reset and ARI agree with what the kernel made of them (${told})`, () => {
  let count = 0;
  for (const { where, device, config, state } of devices()) {
    const methods = attribute(device, 'reset_method');
    if (methods !== undefined && hasFlr(config) !== undefined)
      assert.equal(/(^| )flr( |$)|(^| )af_flr( |$)/.test(methods), hasFlr(config), `${where}: ${methods}`);
    const parent = /\/([^/]+)\/[^/]+$/.exec(device.path)?.[1] ?? '';
    const above = state.devices[parent];
    if (above) {
      const port = readConfig(configOf(above))!;
      // The kernel shows the setting of the port above at the functions below it.
      assert.equal(express2Of(port)?.ARIForwardingEnable ?? 0, number(attribute(device, 'ari_enabled')), where);
    }
    count++;
  }
  assert.ok(count > 100);
});

test(`the ways to reset a function alone are those that the kernel found (${told})`, () => {
  let count = 0;
  for (const { where, device, config } of devices()) {
    const methods = attribute(device, 'reset_method');
    if (methods === undefined) continue;
    // The others need the bus, the firmware or a driver.
    const alone = methods.split(' ').filter((method) => ['flr', 'af_flr', 'pm'].includes(method));
    assert.deepEqual(resetWays(config), alone, where);
    count++;
  }
  assert.ok(count > 100);
});

test(`links have the speed and the width that the kernel reads (${told})`, () => {
  let count = 0;
  const speed = (text: string | undefined) => /^([\d.]+) GT\/s/.exec(text ?? '')?.[1];
  for (const { where, device, config } of devices()) {
    const link = pcieCapability(config)?.link;
    if (!link || attribute(device, 'current_link_speed') === undefined) continue;
    const shown = (value: number | undefined) => value?.toFixed(1);
    assert.equal(shown(link.speed), speed(attribute(device, 'current_link_speed')), where);
    assert.equal(shown(link.maxSpeed), speed(attribute(device, 'max_link_speed')), where);
    assert.equal(link.width, number(attribute(device, 'current_link_width')), where);
    assert.equal(link.maxWidth, number(attribute(device, 'max_link_width')), where);
    count++;
  }
  assert.ok(count > 50);
});
