import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { captures } from '../../test/captures.ts';
import { sharedData } from '../../test/data.ts';
import { mutations } from '../../test/mutate.ts';
import { buildDmar, buildIvrs, buildMcfg, buildViot } from '../acpi/index.ts';
import { fromHex } from '../bits/index.ts';
import { columns } from './output.ts';
import { runCommandLine } from './run.ts';
import { dmarReport, ivrsReport, mcfgReport, viotReport } from './table-reports.ts';

const REPORTS = { dmar: dmarReport, ivrs: ivrsReport, mcfg: mcfgReport, viot: viotReport };
type Kind = keyof typeof REPORTS;

const folder = mkdtempSync(join(tmpdir(), 'sluice-table-'));
after(() => rmSync(folder, { recursive: true }));

async function sluice(...argv: string[]) {
  const out: string[] = [];
  const err: string[] = [];
  const code = await runCommandLine(argv, {
    stdout: { write: (piece) => out.push(String(piece)) },
    stderr: { write: (piece) => err.push(String(piece)) },
    env: {},
    uid: 1000,
  });
  return { code, out: out.join(''), err: err.join('') };
}

function fileOf(bytes: Uint8Array): string {
  const path = join(folder, 'table.bin');
  writeFileSync(path, bytes);
  return path;
}

const unit = { type: 'DRHD', includePciAll: true, segment: 0, registerBase: 0xfed90000n, scopes: [] } as const;
const dmar = buildDmar({
  hostAddressWidth: 39,
  INTR_REMAP: true,
  structures: [
    { ...unit, scopes: [{ type: 'ioapic', enumerationId: 2, startBus: 0xf0, path: [{ device: 31, function: 0 }] }] },
    {
      type: 'RMRR',
      segment: 0,
      base: 0x9b800000n,
      limit: 0x9f9fffffn,
      scopes: [{ type: 'endpoint', path: [{ device: 2, function: 0 }] }],
    },
    { type: 'ANDD', deviceNumber: 1, deviceName: '\\_SB.\u001b[31mI2C0' },
  ],
});

test('a table is told structure by structure, with the byte at which each begins', async () => {
  const { code, out, err } = await sluice('decode', 'dmar', fileOf(dmar));
  assert.deepEqual({ code, err }, { code: 0, err: '' });
  assert.match(out, /^DMAR table of \d+ bytes, revision 1\n/);
  assert.match(out, /\n {3}48 {2}DRHD {2}unit at 0xfed90000 with 4 KiB of registers, for all devices of\n/);
  assert.match(out, /\n {15}ioapic 2 at f0:1f\.0\n/);
  assert.match(out, /\n {3}72 {2}RMRR {2}memory 0x9b800000 to 0x9f9fffff \(66 MiB\)/);
  assert.match(out, /Nothing is wrong with it\.\n$/);
  assert.ok(!out.includes('\u001b'), 'a name from the table cannot colour the terminal');
});

test('a broken table is told as far as it can be read, with the place of what is wrong, and the exit code says so', async () => {
  const bytes = buildDmar({
    hostAddressWidth: 39,
    structures: [unit, { ...unit, includePciAll: false, segment: 1, registerBase: 0n }],
  });
  const { code, out } = await sluice('decode', 'dmar', fileOf(bytes));
  assert.equal(code, 1);
  assert.match(out, /unit at 0xfed90000/);
  assert.match(out, /What is wrong, by byte offset\n {3}72 {2}broken {2}DRHD has no register base address\n$/);
  const odd = buildDmar({
    hostAddressWidth: 39,
    structures: [unit, { type: 'RMRR', segment: 0, base: 0n, limit: 4095n, scopes: [] }],
  });
  assert.equal((await sluice('decode', 'dmar', fileOf(odd))).code, 0, 'what is merely odd does not make it broken');
});

test('a file that is no such table is a mistake, with what it is and what to do', async () => {
  const mcfg = buildMcfg({ allocations: [{ base: 0xe0000000n, segment: 0, startBus: 0, endBus: 255 }] });
  const other = mcfg.slice();
  other.set([0x49, 0x4f, 0x52, 0x54]);
  const cases: [Uint8Array, RegExp][] = [
    [mcfg, /is a MCFG table, not DMAR\n'sluice decode mcfg'/],
    [other, /its signature is "IORT"\nThere are verbs for DMAR, IVRS, MCFG, VIOT/],
    [Buffer.from('DMAR @ 0x0000000000000000\n'), /header of a DMAR table alone has 36/],
    [Buffer.from('    0000: 44 4D 41 52 a8 00 00 00 and so on, in text'), /is no DMAR table: it begins with " {4}"\nA raw table/],
    [new Uint8Array(), /is empty/],
    [dmar.subarray(0, 20), /has 20 bytes; the header/],
    [dmar.subarray(0, 40), /has 40 bytes: the start of a DMAR table/],
  ];
  for (const [bytes, expected] of cases) {
    const { code, out, err } = await sluice('decode', 'dmar', fileOf(bytes));
    assert.deepEqual({ code, out }, { code: 2, out: '' }, `${expected}`);
    assert.match(err, expected);
  }
  assert.equal((await sluice('decode', 'dmar', join(folder, 'absent'))).code, 2);
});

/** Real tables where there are any, and one of ours for each kind. */
function tables(): [Kind, Uint8Array][] {
  const found: [Kind, Uint8Array][] = [
    ['dmar', dmar],
    ['ivrs', buildIvrs({ blocks: [] })],
    ['mcfg', buildMcfg({ allocations: [{ base: 0xe0000000n, segment: 1, startBus: 9, endBus: 8 }], rest: Uint8Array.of(1) })],
    [
      'viot',
      buildViot({
        nodes: [
          { type: 'virtioIommuMmio', base: 0xfe000000n },
          { type: 'pciRange', endpointStart: 0, segmentStart: 0, segmentEnd: 1, bdfStart: 0, bdfEnd: 0xffff, outputNode: 48 },
          { type: 'mmioEndpoint', endpoint: 0x90000, base: 0xfe001000n, outputNode: 48 },
          { type: 'unknown', typeNumber: 9, data: Uint8Array.of(1) },
        ],
      }),
    ],
  ];
  for (const { states } of captures().all)
    for (const { acpi } of states.slice(0, 1))
      for (const kind of ['dmar', 'ivrs', 'viot'] as const) {
        const text = acpi[kind.toUpperCase()];
        if (text) found.push([kind, fromHex(text)]);
      }
  for (const kind of ['dmar', 'ivrs', 'mcfg'] as const) {
    const shared = sharedData(`acpi/${kind}`);
    for (const file of shared ? readdirSync(shared) : [])
      if (file.endsWith('.bin')) found.push([kind, Uint8Array.from(readFileSync(join(shared!, file)))]);
  }
  return found;
}

test('every table fits 80 columns, and its JSON has the published form and all that the text shows', async () => {
  const all = tables();
  const broken = (['dmar', 'ivrs', 'mcfg', 'viot'] as const).flatMap((kind) => {
    const samples = all.filter(([one]) => one === kind).slice(0, 10);
    const seeds = samples.map(([, bytes]) => bytes);
    return [...mutations(5, 25, seeds)].map((bytes): [Kind, Uint8Array] => [kind, bytes]);
  });
  // Of the many tables of the collection every fourth is enough, as there are four texts.
  for (const [kind, bytes] of [...all.filter((_, i) => i < 60 || i % 4 === 0), ...broken]) {
    const path = fileOf(bytes);
    const { code, out } = await sluice('decode', kind, path);
    assert.ok(code <= 2, out);
    if (code === 2) continue;
    for (const line of out.split('\n')) assert.ok(columns(line) <= 80, `${kind}: ${line}`);
    const json = await sluice('decode', kind, path, '--json');
    assert.equal(json.code, code);
    const report = REPORTS[kind].parse(JSON.parse(json.out));
    const shown = [...report.says, ...report.lines.flatMap(({ says }) => says), ...report.findings.map(({ says }) => says)];
    const flat = out.replace(/\s+/g, ' ');
    for (const line of shown)
      assert.ok(flat.includes(line.replace(/[\s]+/g, ' ').replace(/[^\x20-\x7e]/g, '?')) || /[^\x20-\x7e]/.test(line), line);
  }
});
