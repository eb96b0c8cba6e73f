import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  buildDmar,
  buildIvrs,
  buildMcfg,
  buildViot,
  readDmar,
  readIvrs,
  readMcfg,
  readViot,
  type TableFinding,
} from './index.ts';

interface Read {
  offset: number;
  length: number;
}

const scopes = [{ type: 'endpoint', path: [{ device: 2, function: 0 }] }] as const;
const dmar = buildDmar({
  hostAddressWidth: 39,
  INTR_REMAP: true,
  structures: [
    { type: 'DRHD', includePciAll: false, segment: 0, registerBase: 0xfed90000n, scopes },
    { type: 'DRHD', includePciAll: true, segment: 0, registerBase: 0xfed91000n, scopes: [] },
    { type: 'RMRR', segment: 0, base: 0x9b800000n, limit: 0x9f9fffffn, scopes },
    { type: 'ATSR', allPorts: true, segment: 0, scopes: [] },
    { type: 'RHSA', registerBase: 0xfed91000n, proximityDomain: 0 },
    { type: 'ANDD', deviceNumber: 1, deviceName: '\\_SB.I2C0' },
    { type: 'SATC', atcRequired: false, segment: 0, scopes },
    { type: 'SIDP', segment: 0, scopes },
  ],
});
const unit = {
  type: 'IVHD',
  flags: 0,
  deviceId: 2,
  capabilityOffset: 0x40,
  base: 0xfd200000n,
  segment: 0,
  info: 0,
  features: 0,
} as const;
const entries = [
  { type: 'start', deviceId: 8, dteSetting: 0 },
  { type: 'end', deviceId: 0xfffe, dteSetting: 0 },
  { type: 'special', deviceId: 0, dteSetting: 0, handle: 33, sourceId: 0xa0, variety: 1 },
] as const;
const ivrs = buildIvrs({
  EFRSup: true,
  blocks: [
    { ...unit, typeNumber: 0x10, entries },
    { ...unit, typeNumber: 0x40, entries },
    { type: 'IVMD', typeNumber: 0x20, flags: 1, deviceId: 0, auxiliaryData: 0, segment: 0, base: 0n, memoryLength: 4096n },
  ],
});
const allocation = { base: 0xe0000000n, segment: 0, startBus: 0, endBus: 63 };
const mcfg = buildMcfg({ allocations: [allocation, { ...allocation, startBus: 64, endBus: 255 }] });
const viot = buildViot({
  nodes: [
    { type: 'virtioIommuPci', segment: 0, bdf: 8 },
    { type: 'pciRange', endpointStart: 0, segmentStart: 0, segmentEnd: 0, bdfStart: 0, bdfEnd: 255, outputNode: 48 },
    { type: 'mmioEndpoint', endpoint: 0x1000, base: 0xfe000000n, outputNode: 48 },
  ],
});

const readers: { [name: string]: [Uint8Array, (bytes: Uint8Array) => { all: Read[]; findings: TableFinding[] } | undefined] } = {
  DMAR: [dmar, (bytes) => withAll(readDmar(bytes), (read) => read.structures)],
  IVRS: [ivrs, (bytes) => withAll(readIvrs(bytes), (read) => read.blocks)],
  MCFG: [mcfg, (bytes) => withAll(readMcfg(bytes), (read) => read.allocations)],
  VIOT: [viot, (bytes) => withAll(readViot(bytes), (read) => read.nodes)],
};

function withAll<T extends { findings: TableFinding[] }>(read: T | undefined, all: (read: T) => Read[]) {
  return read && { all: all(read), findings: read.findings };
}

for (const [name, [whole, read]] of Object.entries(readers)) {
  test(`a ${name} table that is cut off anywhere gives every structure before the cut, and says that it is cut`, () => {
    const complete = read(whole)!;
    assert.ok(complete.all.length > 1);
    for (let length = 0; length < whole.length; length++) {
      const cut = read(whole.slice(0, length));
      if (length < 44) assert.equal(cut, undefined);
      if (!cut) continue;
      assert.deepEqual(
        cut.all.filter((one) => one.offset + one.length <= length),
        complete.all.filter((one) => one.offset + one.length <= length),
        `${length}`,
      );
      const broken = cut.findings.filter(({ is }) => is === 'broken');
      assert.match(broken[0]!.says, new RegExp(`^Length is ${whole.length}, and only ${length} bytes are there$`));
      // The second is the structure that the cut goes through.
      assert.ok(broken.length <= 2, `${length}: ${JSON.stringify(broken)}`);
      for (const { offset } of cut.findings) assert.ok(offset <= length);
    }
  });

  test(`a ${name} table with one byte changed is read, and its checksum or signature or length says so`, () => {
    for (let at = 0; at < whole.length; at++) {
      const changed = whole.slice();
      changed[at]! ^= 0x41;
      const found = read(changed)!;
      assert.ok(found.findings.length > 0, `${at}`);
      for (const { offset } of found.findings) assert.ok(offset >= 0 && offset <= changed.length, `${at}`);
    }
  });
}
