import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { sharedData } from '../../test/data.ts';
import { mutationRuns, mutations } from '../../test/mutate.ts';
import {
  CommonHeader,
  describeConfig,
  lastVfBus,
  PciExpress,
  parseBdf,
  pcieCapability,
  readConfig,
  readHexDump,
  resetWays,
  resizableBars,
  Sriov,
  sriovOf,
  Type0Header,
  vfBars,
} from './index.ts';

/** A function of our own, for where nothing else is at hand. */
function madeUp(): Uint8Array {
  const bytes = new Uint8Array(4096);
  bytes.set(Type0Header.encode({ CapabilitiesPointer: 0x40 }), 0);
  bytes.set(CommonHeader.encode({ VendorID: 0x8086, CapabilitiesList: 1 }), 0);
  bytes.set(PciExpress.encode({ CapabilityID: 0x10, CapabilityVersion: 2 }), 0x40);
  bytes.set(Sriov.encode({ ExtendedCapabilityID: 0x10, CapabilityVersion: 1, TotalVFs: 8, VFStride: 1 }), 0x100);
  return bytes;
}

const folder = sharedData('pci');
const texts = (['pciutils', 'mail'] as const)
  .map((part) => join(folder ?? '', part))
  .filter((path) => folder && existsSync(path))
  .flatMap((path) => readdirSync(path).map((name) => join(path, name)))
  .filter((path) => path.endsWith('.hex'))
  .map((path) => readFileSync(path, 'utf8'));
const spaces = [madeUp(), ...texts.flatMap((text) => readHexDump(text).functions.map(({ bytes }) => bytes))];

test(`${mutationRuns()} broken configuration spaces: findings lie inside them, and all else is still told`, () => {
  for (const bytes of mutations(2, mutationRuns(), spaces)) {
    const config = readConfig(bytes);
    assert.equal(config === undefined, bytes.length < 64);
    if (!config) continue;
    const { capabilities, findings } = describeConfig(config);
    for (const { offset } of findings) assert.ok(offset >= 0 && offset < bytes.length, `${offset} of ${bytes.length}`);
    // One finding for the header, one for each chain, and three for each capability are the most.
    assert.ok(findings.length <= 4 + 3 * capabilities.length);
    for (const { offset, structures } of capabilities) {
      assert.ok(offset >= 64 && offset < bytes.length);
      for (const part of structures) assert.ok(part.offset + part.bytes <= bytes.length);
    }
    const fields = capabilities.reduce((sum, one) => sum + one.structures.reduce((all, part) => all + part.fields.length, 0), 0);
    assert.ok(fields < 40_000, `${fields} fields`);
    pcieCapability(config);
    resetWays(config);
    resizableBars(config);
    const sriov = sriovOf(config);
    if (sriov) {
      vfBars(sriov);
      lastVfBus(parseBdf('00:00.0')!, sriov, sriov.TotalVFs);
    }
  }
});

test(`${mutationRuns()} broken dumps: findings name lines that are there`, () => {
  const samples = (
    texts.length > 0
      ? texts
      : [`00:00.0 x\n${Array.from({ length: 16 }, (_, i) => `${i.toString(16)}0: 00 01 02 03`).join('\n')}`]
  )
    .filter((text) => text.length < 100_000)
    .map((text) => new TextEncoder().encode(text));
  for (const bytes of mutations(3, mutationRuns(), samples)) {
    const text = new TextDecoder().decode(bytes);
    const lines = text.split('\n').length;
    const { functions, findings } = readHexDump(text);
    for (const { line } of [...functions, ...findings]) assert.ok(line >= 1 && line <= lines);
    for (const one of functions) assert.ok(one.bytes.length <= 4096);
  }
});
