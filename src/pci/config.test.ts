import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { anyValue, roundTrip } from '../../test/entries.ts';
import type { Entry, Fields } from '../bits/index.ts';
import * as pci from './index.ts';
import {
  Acs,
  barsOf,
  CommonHeader,
  capabilityName,
  EXTENDED,
  ExtendedCapabilityHeader,
  findCapability,
  hasFlr,
  Msix,
  PciExpress,
  readConfig,
  Sriov,
  sriovOf,
  Type0Header,
} from './index.ts';

/** An endpoint with a PCI Express Capability at 40h, MSI-X at 80h, SR-IOV at 100h and ACS at 160h. */
function endpoint(length = 4096): Uint8Array {
  const bytes = new Uint8Array(4096);
  bytes.set(Type0Header.encode({ SubsystemVendorID: 0x1af4, SubsystemID: 0x1100, CapabilitiesPointer: 0x40 }), 0);
  bytes.set(CommonHeader.encode({ VendorID: 0x8086, DeviceID: 0x10c9, CapabilitiesList: 1, ClassCode: 0x020000 }), 0);
  bytes.set(
    PciExpress.encode({ CapabilityID: 0x10, NextCapabilityPointer: 0x80, CapabilityVersion: 2, FunctionLevelResetCapability: 1 }),
    0x40,
  );
  bytes.set(Msix.encode({ CapabilityID: 0x11, TableSize: 9 }), 0x80);
  bytes.set(Sriov.encode({ ExtendedCapabilityID: 0x10, CapabilityVersion: 1, NextCapabilityOffset: 0x160, TotalVFs: 8 }), 0x100);
  bytes.set(Acs.encode({ ExtendedCapabilityID: 0x0d, CapabilityVersion: 1 }), 0x160);
  return bytes.slice(0, length);
}

const shown = (bytes: Uint8Array) => readConfig(bytes)!.capabilities.map(({ name, offset }) => `${offset.toString(16)} ${name}`);
const found = (bytes: Uint8Array) => readConfig(bytes)!.findings.map(({ is, offset }) => `${is} ${offset.toString(16)}`);

test('an endpoint with extended space shows both chains', () => {
  assert.deepEqual(shown(endpoint()), [
    '40 PCI Express',
    '80 MSI-X',
    '100 Single Root I/O Virtualization',
    '160 Access Control Services',
  ]);
  assert.deepEqual(found(endpoint()), []);
  assert.equal(hasFlr(readConfig(endpoint())!), true);
});

test('256 bytes show the first chain; a chain that is cut is a finding, and one not begun is none', () => {
  assert.deepEqual(shown(endpoint(256)), ['40 PCI Express', '80 MSI-X']);
  assert.deepEqual(found(endpoint(256)), []);
  assert.deepEqual(found(endpoint(0x150)), ['short 102']);
  assert.equal(sriovOf(readConfig(endpoint(0x130))!), undefined, 'a structure that is cut is not decoded');
  assert.deepEqual(found(endpoint(0x60)), ['short 41', 'short 40']);
});

test('64 bytes, all that may be read without privilege, show the header and say what is missing', () => {
  const config = readConfig(endpoint(64))!;
  assert.deepEqual(
    [config.vendor, config.device, config.classCode, config.subsystem],
    [0x8086, 0x10c9, 0x020000, { vendor: 0x1af4, device: 0x1100 }],
  );
  assert.deepEqual(config.capabilities, []);
  assert.deepEqual(
    config.findings.map(({ is }) => is),
    ['short'],
  );
  assert.equal(hasFlr(config), undefined, 'unknown, not no');
  assert.equal(readConfig(endpoint(63)), undefined);
});

test('a chain that loops is shown once, with the byte that closes the loop', () => {
  const bytes = endpoint();
  bytes[0x81] = 0x40;
  assert.deepEqual(found(bytes), ['loop 81']);
  assert.equal(shown(bytes).length, 4);
  const extended = endpoint();
  extended.set(
    ExtendedCapabilityHeader.encode({ ExtendedCapabilityID: EXTENDED.ACS, CapabilityVersion: 1, NextCapabilityOffset: 0x100 }),
    0x160,
  );
  assert.deepEqual(found(extended), ['loop 162']);
});

test('pointers into the header, and capabilities of ones, end a chain with a finding', () => {
  const low = endpoint();
  low[0x81] = 0x3c;
  assert.deepEqual(found(low), ['bad-pointer 81']);
  const broken = endpoint();
  broken.fill(0xff, 0x80, 0x90);
  assert.deepEqual(found(broken), ['broken-chain 80']);
  const extended = endpoint();
  extended.fill(0xff, 0x160, 0x170);
  assert.deepEqual(found(extended), ['broken-chain 160']);
  const below = endpoint();
  below.set(
    ExtendedCapabilityHeader.encode({ ExtendedCapabilityID: EXTENDED.ACS, CapabilityVersion: 1, NextCapabilityOffset: 0x40 }),
    0x160,
  );
  assert.deepEqual(found(below), ['bad-pointer 162']);
});

test('the reserved low bits of a pointer are not looked at', () => {
  const bytes = endpoint();
  bytes[0x34] = 0x43;
  assert.equal(shown(bytes).length, 4);
});

test('a function that does not answer is all ones, and a layout to come is told', () => {
  assert.deepEqual(found(new Uint8Array(4096).fill(0xff)), ['absent 0']);
  const odd = endpoint();
  odd[0x0e] = 0x05;
  assert.deepEqual(found(odd), ['unknown-layout e']);
  assert.equal(readConfig(odd)?.layout, 'unknown');
});

test('without PCI Express the bytes above 256 are no extended space, whatever they hold', () => {
  const bytes = endpoint();
  bytes[0x34] = 0x80;
  assert.deepEqual(shown(bytes), ['80 MSI-X']);
});

test('BARs of 64 bits take two registers', () => {
  const bytes = endpoint();
  bytes.set(
    Type0Header.encode({ BAR0: 0xfe00000c, BAR1: 0x21, BAR2: 0xc001, BAR3: 0xfe600000, CapabilitiesPointer: 0x40 }).subarray(16),
    16,
  );
  assert.deepEqual(barsOf(readConfig(bytes)!), [
    { index: 0, space: 'memory', width: 64, prefetchable: true, base: 0x21fe000000 },
    { index: 2, space: 'io', width: 32, prefetchable: false, base: 0xc000 },
    { index: 3, space: 'memory', width: 32, prefetchable: false, base: 0xfe600000 },
  ]);
});

test('an unknown capability is named by its number', () => {
  assert.equal(capabilityName(0x7f, false), 'capability 0x7f');
  assert.equal(capabilityName(0x10, true), 'Single Root I/O Virtualization');
});

test('no bytes make the walk throw or hang, and what it lists lies inside what was read', () => {
  const any = fc
    .record({
      length: fc.constantFrom(64, 65, 128, 254, 256, 257, 1024, 4094, 4096),
      pokes: fc.array(fc.tuple(fc.nat(600), fc.nat(255)), { maxLength: 40 }),
    })
    .map(({ length, pokes }) => {
      const bytes = endpoint(length);
      for (const [at, value] of pokes) if (at < length) bytes[at] = value;
      return bytes;
    });
  fc.assert(
    fc.property(fc.oneof(any, fc.uint8Array({ maxLength: 700, size: 'max' })), (bytes) => {
      const config = readConfig(bytes);
      if (!config) return assert.ok(bytes.length < 64);
      assert.ok(
        config.capabilities.every(({ offset, extended }) => offset >= (extended ? 256 : 64) && offset + 2 <= bytes.length),
      );
      assert.ok(config.capabilities.length <= 48 + 960);
      findCapability(config, 1);
      barsOf(config);
      hasFlr(config);
    }),
    { numRuns: 2000 },
  );
});

test('every PCI structure keeps every value it can hold', () => {
  const all = Object.values(pci).filter((one) => typeof one === 'object' && 'encode' in one) as unknown as Entry<Fields>[];
  assert.ok(all.length > 60, `${all.length}`);
  for (const one of all)
    fc.assert(
      fc.property(anyValue(one), (value) => assert.deepEqual(roundTrip(one, value), value)),
      { seed: 1, numRuns: 40 },
    );
});
