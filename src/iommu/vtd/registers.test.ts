import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { ROOT } from '../../../test/data.ts';
import { anyValue, roundTrip } from '../../../test/entries.ts';
import type { Entry, Fields } from '../../bits/index.ts';
import { addressWidths, CAP_REG, ECAP_REG, registerView } from './registers.ts';

const cap = (value: bigint) => CAP_REG.decode(registerView(value));
const ecap = (value: bigint) => ECAP_REG.decode(registerView(value));

test('the registers lie where the specification has them', () => {
  assert.deepEqual([CAP_REG.offset, CAP_REG.bytes, ECAP_REG.offset, ECAP_REG.bytes], [0x8, 8, 0x10, 8]);
});

for (const register of [CAP_REG, ECAP_REG] as unknown as Entry<Fields>[])
  test(`${register.name} keeps every value it can hold`, () =>
    fc.assert(fc.property(anyValue(register), (value) => assert.deepEqual(roundTrip(register, value), value))));

// The unit of a guest of QEMU with aw-bits=39 and caching-mode=on, as its kernel printed it.
test('cap 12008c22260286 is a unit with caching mode and 39-bit tables only', () => {
  assert.equal(
    CAP_REG.format(registerView(0x12008c22260286n)),
    'ND=d64K RWBF=0 PLMR=0 PHMR=0 CM=1 SAGAW=2 MGAW=38 ZLR=0 FRO=34 SSLPS=3 PSI=1 NFR=0 MAMV=18 DWD=0 DRD=0 FS1GP=0 PI=0 FS5LP=0 ECMDS=0 ESIRTPS=0 ESRTPS=0',
  );
  assert.deepEqual(addressWidths(cap(0x12008c22260286n).SAGAW), [39]);
  assert.equal(cap(0x12008c22260286n).FRO * 16, 0x220);
});

test('ecap f00f5a is a legacy-mode unit that remaps interrupts and passes through', () => {
  const { C, QI, DT, IR, EIM, PT, SC, IRO, SMTS, NEST, MHMV } = ecap(0xf00f5an);
  assert.deepEqual(
    { C, QI, DT, IR, EIM, PT, SC, IRO: IRO * 16, SMTS, NEST, MHMV },
    { C: 0, QI: 1, DT: 0, IR: 1, EIM: 1, PT: 1, SC: 0, IRO: 0xf0, SMTS: 0, NEST: 0, MHMV: 15 },
  );
});

test('SAGAW names the widths that the specification gives its bits, and none for reserved ones', () => {
  assert.deepEqual([0, 1, 2, 4, 6, 8, 14, 16, 31].map(addressWidths), [
    [],
    [],
    [39],
    [48],
    [39, 48],
    [57],
    [39, 48, 57],
    [],
    [39, 48, 57],
  ]);
});

/** Lines of the table of profiles: what each unit is made of, in the words of whoever wrote the vectors. */
const PROFILES: Readonly<Record<string, { agaw: string; mgaw: number; cap: string; ecap: string }>> = {
  full46: {
    agaw: '39/48/57',
    mgaw: 57,
    cap: 'ZLR FS1GP PI FS5LP SSLPS=3 ND=6',
    ecap: 'DT IR EIM PT SC NEST PRS SRS NWFS EAFS PASID SMTS SSADS SSTS FSTS SMPWC RPS ADMS RPRIVS PTRS PSS=19',
  },
  full52: {
    agaw: '39/48/57',
    mgaw: 57,
    cap: 'ZLR FS1GP PI FS5LP SSLPS=3 ND=6',
    ecap: 'DT IR EIM PT SC MTS NEST PRS SRS NWFS EAFS PASID SMTS SSADS SSTS FSTS SMPWC RPS ADMS RPRIVS PTRS SSIRWS PSS=19',
  },
  mid42: {
    agaw: '39/48',
    mgaw: 48,
    cap: 'FS1GP SSLPS=3 ND=2',
    ecap: 'DT IR PT NEST PRS SRS PASID SMTS SSTS FSTS SMPWC RPS PSS=14',
  },
  lean39: { agaw: '48', mgaw: 48, cap: 'ZLR PI SSLPS=1 ND=6', ecap: 'DT IR EIM NEST NWFS PASID SMTS SSTS FSTS PSS=9' },
  ss48: { agaw: '39/48', mgaw: 48, cap: 'ZLR SSLPS=3 ND=5', ecap: 'IR PT SC PASID SMTS SSADS SSTS SMPWC RPS PSS=19' },
  leg48: { agaw: '48', mgaw: 48, cap: 'SSLPS=1 ND=4', ecap: 'DT IR PT SC' },
  irreq: { agaw: '48', mgaw: 48, cap: 'ZLR PI SSLPS=3 ND=6', ecap: 'IR EIM PT EIMER IRREQ' },
};
/** Capabilities that no profile's line names although most have them: queues, coherent walks, where registers are. */
const UNNAMED = new Set(['C', 'QI', 'IRO', 'MHMV', 'MGAW', 'SAGAW', 'FRO', 'NFR', 'PSI', 'MAMV', 'DWD', 'DRD']);

/** The set bits and numbers of a decoded register, in the notation of the profiles. */
function wordsOf(values: Readonly<Record<string, unknown>>): string[] {
  return Object.entries(values)
    .filter(([name, value]) => !UNNAMED.has(name) && value !== 0 && value !== 0n)
    .map(([name, value]) =>
      ['SSLPS', 'ND', 'PSS'].includes(name) ? `${name}=${String(value)}` : name.replace('SMPWCS', 'SMPWC'),
    )
    .sort();
}

interface Vector {
  profile: string;
  cap: string;
  ecap: string;
  aw: number;
}

/** One case of each profile of a folder of vectors, or undefined when they are not here. */
function vectorProfiles(folder: string): Map<string, Vector> | undefined {
  const at = join(ROOT, '../shared/vectors', folder);
  let names: string[];
  try {
    names = readdirSync(at).filter((name) => name.endsWith('.jsonl.gz'));
  } catch {
    return undefined;
  }
  const found = new Map<string, Vector>();
  for (const name of names)
    for (const line of gunzipSync(readFileSync(join(at, name)))
      .toString()
      .split('\n')) {
      // Lines are long and alike: those of a profile that is known need no parsing.
      const profile = /"profile": ?"([^"]+)"/.exec(line)?.[1];
      if (profile !== undefined && !found.has(profile)) found.set(profile, JSON.parse(line) as Vector);
    }
  return found;
}

const written = vectorProfiles('vtd-spec');
const recorded = vectorProfiles('vtd');
const absent = 'the vectors are not here: ../shared/vectors';

test('units written from the specification have the capabilities that their profile names', {
  skip: written ? false : absent,
}, () => {
  assert.ok(written);
  assert.deepEqual([...written.keys()].sort(), Object.keys(PROFILES).sort());
  for (const [name, vector] of written) {
    const profile = PROFILES[name]!;
    const [caps, ecaps] = [cap(BigInt(vector.cap)), ecap(BigInt(vector.ecap))];
    assert.deepEqual(wordsOf(caps), profile.cap.split(' ').sort(), name);
    assert.deepEqual(wordsOf(ecaps), profile.ecap.split(' ').sort(), name);
    assert.equal(caps.MGAW + 1, profile.mgaw, name);
    assert.equal(addressWidths(caps.SAGAW).join('/'), profile.agaw, name);
    assert.ok(
      CAP_REG.reservedClear(registerView(BigInt(vector.cap)), 0) && ECAP_REG.reservedClear(registerView(BigInt(vector.ecap)), 0),
    );
  }
});

test('units of QEMU have the address width that they were started with', { skip: recorded ? false : absent }, () => {
  assert.ok(recorded && recorded.size >= 10);
  for (const [name, vector] of recorded) {
    const { MGAW, SAGAW, FRO, NFR, CM } = cap(BigInt(vector.cap));
    assert.equal(MGAW + 1, Number(vector.aw), name);
    assert.equal(addressWidths(SAGAW).at(-1), Number(vector.aw), name);
    assert.deepEqual([FRO * 16, NFR], [0x220, 0], name);
    assert.equal(CM, name.endsWith('-cm') ? 1 : 0, name);
    const { SMTS, SSTS, FSTS, IR } = ecap(BigInt(vector.ecap));
    assert.deepEqual([SMTS, SSTS, FSTS], [/-(sm|fs)/.test(name), /-sm/.test(name), /-fs/.test(name)].map(Number), name);
    assert.equal(IR, Number(/-ir/.test(name)), name);
  }
});
