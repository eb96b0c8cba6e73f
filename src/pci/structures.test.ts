import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  Acs,
  CommonHeader,
  Dvsec,
  describeConfig,
  EaEntry,
  EnhancedAllocation,
  ExpressLink,
  ExtendedCapabilityHeader,
  Msi,
  PciExpress,
  PciExpress2,
  partsOf,
  pcieCapability,
  ResizableBar,
  readConfig,
  resetWays,
  resizableBars,
  Type0Header,
  Type1Header,
  windowsOf,
} from './index.ts';

/** A function of these structures: those of the first 256 bytes are chained in the order given, so are the extended ones. */
function space(structures: readonly (readonly [offset: number, bytes: Uint8Array])[], length = 4096): Uint8Array {
  const bytes = new Uint8Array(4096);
  const low = structures.filter(([offset]) => offset < 256);
  bytes.set(Type0Header.encode({ CapabilitiesPointer: low[0]?.[0] ?? 0 }), 0);
  bytes.set(CommonHeader.encode({ VendorID: 0x8086, DeviceID: 0x10c9, CapabilitiesList: 1, ClassCode: 0x020000 }), 0);
  for (const [offset, body] of structures) bytes.set(body, offset);
  for (const [i, [offset]] of low.entries()) bytes[offset + 1] = low[i + 1]?.[0] ?? 0;
  const high = structures.filter(([offset]) => offset >= 256);
  for (const [i, [offset]] of high.entries())
    ExtendedCapabilityHeader.set.NextCapabilityOffset(new DataView(bytes.buffer), offset, high[i + 1]?.[0] ?? 0);
  return bytes.slice(0, length);
}

const config = (...args: Parameters<typeof space>) => readConfig(space(...args))!;
const express = (fields: Parameters<typeof PciExpress.encode>[0] = {}) =>
  PciExpress.encode({ CapabilityID: 0x10, CapabilityVersion: 2, ...fields });
const parts = (one: ReturnType<typeof config>) =>
  one.capabilities.map((capability) => partsOf(one, capability).map(({ structure, offset }) => [structure.name, offset]));
const found = (one: ReturnType<typeof config>) => one.findings.map(({ is, offset }) => `${is} ${offset.toString(16)}`);

test('MSI has four layouts', () => {
  const layout = (AddressCapable64: number, PerVectorMaskingCapable: number) =>
    parts(config([[0x50, Msi.encode({ CapabilityID: 5, AddressCapable64, PerVectorMaskingCapable })]]))[0]!.slice(1);
  assert.deepEqual(layout(0, 0), [['MSI Address and Data (32-bit)', 0x54]]);
  assert.deepEqual(layout(1, 0), [['MSI Address and Data (64-bit)', 0x54]]);
  assert.deepEqual(layout(0, 1), [
    ['MSI Address and Data (32-bit)', 0x54],
    ['MSI Mask and Pending Bits', 0x5c],
  ]);
  assert.deepEqual(layout(1, 1), [
    ['MSI Address and Data (64-bit)', 0x54],
    ['MSI Mask and Pending Bits', 0x60],
  ]);
});

test('a PCI Express Capability has the registers of its version and port', () => {
  const registers = (CapabilityVersion: number, DevicePortType: number, SlotImplemented = 0) =>
    parts(config([[0x40, express({ CapabilityVersion, DevicePortType, SlotImplemented })]]))[0]!.map(
      ([, offset]) => Number(offset) - 0x40,
    );
  const { endpoint, rootPort, integratedEndpoint, eventCollector } = PciExpress.values.DevicePortType;
  assert.deepEqual(registers(1, endpoint), [0, 0x0c]);
  assert.deepEqual(registers(2, endpoint), [0, 0x0c, 0x24, 0x2c]);
  assert.deepEqual(registers(2, endpoint, 1), [0, 0x0c, 0x24, 0x2c], 'an endpoint has no slot, whatever the bit says');
  assert.deepEqual(registers(2, rootPort, 1), [0, 0x0c, 0x14, 0x1c, 0x24, 0x2c, 0x34]);
  assert.deepEqual(registers(2, integratedEndpoint), [0, 0x24]);
  assert.deepEqual(registers(1, eventCollector), [0, 0x1c]);
});

test('entries of Enhanced Allocation are as long as they say', () => {
  const entry = (EntrySize: number) => EaEntry.encode({ EntrySize, BEI: 0, Enable: 1 });
  const bytes = space([[0x40, EnhancedAllocation.encode({ CapabilityID: 0x14, NumEntries: 2 })]]);
  bytes.set(entry(4), 0x44);
  bytes.set(entry(2), 0x58);
  const one = readConfig(bytes)!;
  assert.deepEqual(parts(one)[0]!.slice(1), [
    ['Enhanced Allocation Entry', 0x44],
    ['Enhanced Allocation Entry', 0x58],
  ]);
});

test('a capability that begins inside another, or reaches beyond its space, is a finding', () => {
  const acs = Acs.encode({ ExtendedCapabilityID: 13, CapabilityVersion: 1 });
  assert.deepEqual(
    found(
      config([
        [0x40, express()],
        [0x50, Msi.encode({ CapabilityID: 5 })],
      ]),
    ),
    ['overlap 50'],
  );
  assert.deepEqual(found(config([[0xd0, express()]])), ['overrun d0']);
  assert.deepEqual(
    found(
      config([
        [0x40, express()],
        [0x100, acs],
        [0xffc, acs.slice(0, 4)],
      ]),
    ),
    ['overrun ffc'],
  );
  assert.deepEqual(
    found(config([[0x40, express()]], 0x70)),
    ['short 40'],
    'a body that was not read is no fault of the function',
  );
});

test('a list of entries ends where the next capability begins', () => {
  const rebar = ResizableBar.encode({ NumberOfResizableBARs: 6, BARSize: 8 });
  const bytes = space([
    [0x40, express()],
    [0x100, ExtendedCapabilityHeader.encode({ ExtendedCapabilityID: 0x15, CapabilityVersion: 1 })],
    [0x114, Acs.encode({ ExtendedCapabilityID: 13, CapabilityVersion: 1 })],
  ]);
  bytes.set(rebar, 0x104);
  const one = readConfig(bytes)!;
  assert.deepEqual(parts(one)[1], [
    ['Resizable BAR', 0x104],
    ['Resizable BAR', 0x10c],
  ]);
  assert.deepEqual(found(one), []);
});

test('sizes of resizable BARs are powers of two from 1 MB to 8 EB', () => {
  const bytes = space([
    [0x40, express()],
    [0x100, ExtendedCapabilityHeader.encode({ ExtendedCapabilityID: 0x15, CapabilityVersion: 1 })],
  ]);
  const first = { BARIndex: 2, BARSize: 8, SizesSupported: 0x301, SizesSupportedUpper: 0x8000, NumberOfResizableBARs: 1 };
  bytes.set(ResizableBar.encode(first), 0x104);
  const MB = 2 ** 20;
  assert.deepEqual(resizableBars(readConfig(bytes)!), [
    { index: 2, size: 256 * MB, supported: [MB, 256 * MB, 512 * MB, 2 ** 63] },
  ]);
  assert.deepEqual(resizableBars(readConfig(bytes)!, true), []);
  assert.match(
    describeConfig(readConfig(bytes)!).capabilities[1]!.summary!,
    /^BAR 2 of 256 MiB, possible: 1 MiB, 256 MiB, 512 MiB, 8 EiB$/,
  );
  bytes.set(ResizableBar.encode({ ...first, NumberOfResizableBARs: 7 }), 0x104);
  assert.deepEqual(found(readConfig(bytes)!), ['bad-value 108']);
});

test('link, port type, FLR and ARI forwarding are read in one go', () => {
  const bytes = space([
    [
      0x40,
      express({
        DevicePortType: PciExpress.values.DevicePortType.downstreamPort,
        SlotImplemented: 1,
        FunctionLevelResetCapability: 1,
      }),
    ],
  ]);
  bytes.set(ExpressLink.encode({ MaxLinkSpeed: 4, MaximumLinkWidth: 16, CurrentLinkSpeed: 1, NegotiatedLinkWidth: 8 }), 0x4c);
  bytes.set(PciExpress2.encode({ ARIForwardingSupported: 1, ARIForwardingEnable: 1 }), 0x64);
  assert.deepEqual(pcieCapability(readConfig(bytes)!), {
    version: 2,
    type: 'downstreamPort',
    flr: true,
    slot: true,
    link: { speed: 2.5, width: 8, maxSpeed: 16, maxWidth: 16 },
    ariForwarding: { supported: true, enabled: true },
  });
  assert.deepEqual(resetWays(readConfig(bytes)!), ['flr']);
  assert.equal(resetWays(readConfig(bytes.slice(0, 64))!), undefined, 'unknown, not none');
  assert.equal(pcieCapability(config([[0x40, Msi.encode({ CapabilityID: 5 })]])), undefined);
});

test('a window is closed when its limit is below its base, and of no width when its types differ', () => {
  const bytes = space([]);
  bytes.set(
    Type1Header.encode({
      IOBase: 0xf1,
      IOLimit: 0x01,
      MemoryBase: 0xe000,
      MemoryLimit: 0xe3f0,
      PrefetchableMemoryBase: 0x0001,
      PrefetchableMemoryLimit: 0xfff0,
    }).subarray(16),
    16,
  );
  bytes[0x0e] = 1;
  assert.deepEqual(windowsOf(readConfig(bytes)!), [
    { space: 'io', width: 32, base: 0xf000, limit: 0xfff },
    { space: 'memory', width: 32, base: 0xe0000000, limit: 0xe3ffffff },
    { space: 'prefetchable', base: 0, limit: 0xffffffff },
  ]);
});

test('a DVSEC of CXL is named', () => {
  const one = config([
    [0x40, express()],
    [0x100, Dvsec.encode({ ExtendedCapabilityID: 0x23, DVSECVendorID: 0x1e98, DVSECLength: 0x3c, DVSECID: 0 })],
  ]);
  assert.equal(describeConfig(one).capabilities[1]!.summary, 'CXL device');
});
