import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { captures, configOf } from '../../../test/captures.ts';
import { cpuTime } from '../../../test/cpu-time.ts';
import { sharedData } from '../../../test/data.ts';
import { mutationRuns, mutations } from '../../../test/mutate.ts';
import { bdfOf, formatBdf, readHexDump, readLspciText } from '../../pci/index.ts';
import { computeGroups } from './compute.ts';
import { topologyOf } from './from-config.ts';
import { topologyOfListing } from './from-lspci.ts';
import type { Topology } from './topology.ts';
import { whyTogether } from './why.ts';

/** Every function is somewhere, once, and every pair can be asked about. */
function sane(topology: Topology): void {
  const { groups, ungrouped } = computeGroups(topology);
  const all = [...groups.flatMap(({ members }) => members), ...ungrouped.map(({ bdf }) => bdf)];
  assert.equal(all.length, topology.functions.length);
  assert.equal(new Set(all).size, all.length);
  const [first, last] = [topology.functions.at(0), topology.functions.at(-1)];
  if (first && last) assert.ok(whyTogether(topology, first.bdf, last.bdf).is);
}

test('broken configuration space makes some topology, never a failure', () => {
  const [capture] = captures().all.filter(({ states }) => Object.keys(states[0]?.devices ?? {}).length > 8);
  const samples = Object.values(capture!.states[0]!.devices).map(configOf);
  let functions: { bdf: string; config: Uint8Array }[] = [];
  for (const config of mutations(21, mutationRuns(1000), samples)) {
    functions.push({ bdf: formatBdf(bdfOf(0, (functions.length % 8) * 256 + functions.length)), config });
    if (functions.length < 40) continue;
    sane(topologyOf(functions));
    functions = [];
  }
});

const folder = sharedData('pci');

test('hex dumps with and without words give groups, and the bytes know more', {
  skip: !folder && 'no shared data beside the repository',
}, () => {
  let files = 0;
  for (const part of ['pciutils', 'mail'])
    for (const file of readdirSync(join(folder!, part)).filter((name) => name.endsWith('.hex'))) {
      const text = readFileSync(join(folder!, part, file), 'utf8');
      const listing = readLspciText(text);
      const topology = topologyOfListing(listing, readHexDump(text));
      sane(topology);
      assert.ok(
        topology.functions.every(({ vendor }) => vendor !== undefined),
        file,
      );
      files++;
    }
  assert.ok(files > 10);
});

const listings = sharedData('groups');

test('broken listings make some topology, never a failure', { skip: !listings && 'no shared data beside the repository' }, () => {
  const samples = readdirSync(listings!)
    .filter((name) => name.endsWith('.lspci.txt'))
    .map((name) => readFileSync(join(listings!, name)).subarray(0, 20_000));
  for (const bytes of mutations(22, mutationRuns(100), samples)) {
    const text = new TextDecoder().decode(bytes);
    sane(topologyOfListing(readLspciText(text), readHexDump(text)));
  }
});

test('thousands of functions of which nothing could be read are no burden', () => {
  const functions = Array.from({ length: 8192 }, (_, n) => ({
    bdf: formatBdf(bdfOf(n >> 11, n & 0x7ff)),
    path: '/sys/devices/pci0000:00/0000:00:00.0/',
  }));
  const took = cpuTime(() => {
    const { unknown } = computeGroups(topologyOf(functions));
    assert.ok(unknown.length > 1000);
  });
  assert.ok(took < 3000, `${took}`);
});

test('many functions that each claim all VFs are no burden', () => {
  const config = new Uint8Array(4096);
  const view = new DataView(config.buffer);
  view.setUint32(0, 0x10008086, true);
  config[6] = 0x10;
  config[0x34] = 0x40;
  view.setUint32(0x40, 0x00020010, true);
  view.setUint32(0x100, 0x00010010, true);
  view.setUint16(0x108, 1, true);
  for (const at of [0x10c, 0x10e, 0x110]) view.setUint16(at, 0xffff, true);
  view.setUint16(0x114, 1, true);
  view.setUint16(0x116, 1, true);
  const functions = Array.from({ length: 4096 }, (_, n) => ({ bdf: formatBdf(bdfOf(0, n)), config }));
  const took = cpuTime(() => sane(topologyOf(functions)));
  assert.ok(took < 3000, `${took}`);
});
