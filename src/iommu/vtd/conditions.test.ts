import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as m from '../../../test/vtd-machine.ts';
import { COMPLETER_ABORT, SUCCESS, UNSUPPORTED_REQUEST } from './ats.ts';
import { CONDITIONS, conditionOf } from './faults.ts';
import { ATOMIC, EXEC, NO_WRITE, PRIV, READ, WRITE, ZERO_LENGTH } from './translate.ts';

const { Machine, FIRST_STAGE, SECOND_STAGE, NESTED, PASS_THROUGH } = m;
type M = m.Machine;

/** How a row is provoked: the machine, what is spoiled, and the request. */
interface Provocation {
  code: string;
  mode?: bigint | undefined;
  config?: ConstructorParameters<typeof Machine>[1];
  spoil?: (machine: M) => void;
  /** The kind is untranslated unless it says so. */
  kind?: 'translation' | 'translated' | 'page';
  address?: number;
  access?: number;
  pasid?: number;
}

const NO = BigInt(m.NOWHERE);
const ecapWithout = (bit: bigint) => ({ ecap: m.ECAP & ~(1n << bit) });
const rtaddr = (value: bigint) => (machine: M) => machine.program(BigInt(m.ROOT) | value);
const set =
  (at: number, ...words: bigint[]) =>
  (machine: M) =>
    machine.write(at, ...words);
const flip = (at: number, bits: bigint) => (machine: M) => machine.flip(at, bits);
const both =
  (...spoils: ((machine: M) => void)[]) =>
  (machine: M) => {
    for (const spoil of spoils) spoil(machine);
  };
/** Makes the page read-only: what hardware wants to change there fails. */
const rom = (start: number) => (machine: M) => machine.memory.makeReadOnly({ start, end: start + 0x1000 });
/** Words of the PASID-table entry of requests without PASID. */
const Q0 = m.PASIDS;
const Q1 = m.PASIDS + 8;
const Q2 = m.PASIDS + 16;
const TTM = { scalable: 1n << 10n, reserved: 2n << 10n, abort: 3n << 10n };
const legacy = { mode: undefined };
const first = { mode: FIRST_STAGE };
const second = { mode: SECOND_STAGE };
const nested = { mode: NESTED };
const FEE = 0xfee00000;
/** Translated requests are checked by a host permission table: three levels lead to one that permits all of 128 KiB. */
const HPT = { L4: 0x30000, L3: 0x31000, L2: 0x32000, L1: 0x33000 };
const checked = {
  ...second,
  kind: 'translated' as const,
  address: 0x20000,
  config: { ecap: m.ECAP | (1n << 55n) | (1n << 59n) },
};
const permitted =
  (...spoils: ((machine: M) => void)[]) =>
  (machine: M) => {
    machine.flip(m.CONTEXT, 1n << 5n); // HPTE
    for (const entry of [m.PASIDS, m.PASID_ENTRY]) machine.write(entry + 32, BigInt(HPT.L4), 0n);
    machine.write(HPT.L4, 0n, BigInt(HPT.L3) | 1n);
    machine.write(HPT.L3, 0n, BigInt(HPT.L2) | 1n);
    machine.write(HPT.L2, 0n, BigInt(HPT.L1) | 1n);
    machine.write(HPT.L1 + 16, 0x3333333333333333n, 0x3333333333333333n);
    for (const spoil of spoils) spoil(machine);
  };

/** Tables of 48 bits only, in a host of 52. */
const WIDE_HOST = { cap: (m.CAP & ~((0x1fn << 8n) | (0x3fn << 16n))) | (4n << 8n) | (51n << 16n), haw: 52 };

const PROVOCATIONS: readonly Provocation[] = [
  { code: 'LRT.1', ...legacy, spoil: (machine) => machine.program(NO) },
  { code: 'LRT.2', ...legacy, spoil: set(m.ROOT + 16, 0n) },
  { code: 'LRT.3', ...legacy, spoil: flip(m.ROOT + 16, 1n << 46n) },
  { code: 'LCT.1', ...legacy, spoil: set(m.ROOT + 16, NO | 1n) },
  { code: 'LCT.2', ...legacy, spoil: set(m.CONTEXT, 0n) },
  { code: 'LCT.3', ...legacy, spoil: flip(m.CONTEXT + 8, 1n << 7n) },
  { code: 'LCT.4.1', ...legacy, spoil: flip(m.CONTEXT + 8, 4n) },
  // Pass-through needs a width as well: §9.3.
  { code: 'LCT.4.1', ...legacy, spoil: both(flip(m.CONTEXT, 8n), flip(m.CONTEXT + 8, 4n)) },
  { code: 'LCT.4.2', ...legacy, spoil: flip(m.CONTEXT, 0xcn) },
  { code: 'LCT.4.3', ...legacy, spoil: set(m.CONTEXT, NO | 1n) },
  { code: 'LCT.5', ...legacy, kind: 'translation' },
  { code: 'LSS.1', ...legacy, spoil: set(m.SS4, NO | 3n) },
  { code: 'LSS.2', ...legacy, spoil: flip(m.SS4, 1n << 7n) },
  { code: 'LGN.1.1', ...legacy, address: 2 ** 48 },
  { code: 'LGN.1.2', ...legacy, spoil: flip(m.CONTEXT, 4n), kind: 'translated', address: 2 ** 46 },
  { code: 'LGN.1.3', ...legacy, spoil: flip(m.CONTEXT, 8n), address: 2 ** 46 },
  { code: 'LGN.2', ...legacy, spoil: flip(m.SS4, 2n), access: WRITE },
  { code: 'LGN.3', ...legacy, spoil: flip(m.SS4, 1n) },
  { code: 'LGN.4', ...legacy, spoil: flip(m.SS3, 3n << 30n), address: 0x3ee00000 },
  { code: 'RTA.1.1', ...second, config: ecapWithout(52n), spoil: rtaddr(TTM.abort) },
  { code: 'RTA.1.2', ...second, spoil: rtaddr(TTM.reserved) },
  { code: 'RTA.1.3', ...second, config: ecapWithout(43n) },
  { code: 'RTA.1.4', ...legacy, config: { ecap: m.ECAP | (1n << 57n) }, spoil: rtaddr(1n << 7n) },
  { code: 'RTA.2', ...legacy, pasid: m.ONE },
  { code: 'RTA.3', ...legacy, kind: 'page' },
  { code: 'RTA.4', ...second, spoil: rtaddr(TTM.abort) },
  { code: 'RTA.5', ...second, config: { ver: 0x80 }, access: READ | EXEC, pasid: m.ONE },
  { code: 'SRT.1', ...second, spoil: (machine) => machine.program(NO | TTM.scalable) },
  { code: 'SRT.2', ...second, spoil: set(m.ROOT + 16, 0n) },
  { code: 'SRT.3', ...second, spoil: flip(m.ROOT + 16, 2n) },
  { code: 'SCT.1', ...second, spoil: set(m.ROOT + 16, NO | 1n) },
  { code: 'SCT.2', ...second, spoil: set(m.CONTEXT, 0n) },
  { code: 'SCT.3', ...second, spoil: flip(m.CONTEXT + 24, 1n) },
  { code: 'SCT.4.1', ...second, spoil: flip(m.CONTEXT, 0x14n) },
  { code: 'SCT.4.2', ...second, spoil: set(m.CONTEXT + 8, 1n << 13n) },
  { code: 'SCT.4.3', ...second, spoil: flip(m.CONTEXT, 0x48n) },
  { code: 'SCT.5', ...second, spoil: flip(m.CONTEXT, 4n), kind: 'translation' },
  { code: 'SCT.6', ...second, spoil: flip(m.CONTEXT, 8n), pasid: m.ONE },
  { code: 'SCT.7', ...second, pasid: 1 << 13 },
  { code: 'SCT.8', ...second, kind: 'page', pasid: m.ONE },
  { code: 'SCT.9', ...second, pasid: 0 },
  { code: 'SCT.10', ...second, kind: 'translated', pasid: m.ONE },
  { code: 'SPD.1', ...second, spoil: set(m.CONTEXT, NO | 0xdn) },
  { code: 'SPD.2', ...second, spoil: set(m.DIRECTORY, 0n) },
  { code: 'SPD.3', ...second, spoil: flip(m.DIRECTORY, 4n) },
  { code: 'SPT.1', ...second, spoil: set(m.DIRECTORY, NO | 1n) },
  { code: 'SPT.2', ...second, spoil: set(Q0, 0n) },
  { code: 'SPT.3', ...second, spoil: flip(Q0, 1n << 5n) },
  { code: 'SPT.4.1', ...second, spoil: flip(Q0, 4n << 2n) },
  { code: 'SPT.4.2', ...second, spoil: flip(Q0, 7n << 6n) },
  { code: 'SPT.4.3', ...first, spoil: flip(Q2, 2n << 2n) },
  { code: 'SPT.4.4', ...nested, config: { haw: 52 }, spoil: flip(Q2, 1n << 50n) },
  { code: 'SPT.5', ...second, access: READ | EXEC, pasid: m.ONE },
  { code: 'SPT.6', ...second, spoil: flip(m.PASID_ENTRY + 16, 1n), access: READ | PRIV, pasid: m.ONE },
  { code: 'SPT.9', ...checked, config: { ...checked.config, haw: 52 }, spoil: permitted(), address: 2 ** 49 },
  { code: 'SFS.1', ...first, spoil: set(m.FS3, NO | 7n) },
  { code: 'SFS.2', ...first, spoil: set(m.FS3, 0n) },
  { code: 'SFS.3', ...first, spoil: flip(m.FS4, 1n << 7n) },
  { code: 'SFS.4', ...first, spoil: set(Q2, NO) },
  { code: 'SFS.5', ...nested, config: { haw: 52 }, spoil: flip(m.FS3, 1n << 50n) },
  { code: 'SFS.6', ...nested, spoil: flip(m.SS3, 1n) },
  { code: 'SFS.7', ...nested, spoil: both(set(m.FS4, 0xc0000000n | 0x27n), flip(m.SS3 + 24, 1n)) },
  { code: 'SFS.8', ...nested, spoil: both(flip(m.FS1, 0x20n), flip(m.SS3, 2n)) },
  { code: 'SFS.9', ...first, spoil: both(flip(m.FS1, 0x20n), flip(Q1, 1n << 23n)) },
  { code: 'SFS.10', ...first, spoil: both(flip(m.FS1, 0x20n), rom(m.FS1)) },
  { code: 'SFS.10', ...first, spoil: both(flip(m.FS1, 0x20n), rom(m.FS1)), kind: 'translation' },
  { code: 'SSS.1', ...second, spoil: set(m.SS4, NO | 3n) },
  { code: 'SSS.2', ...second, spoil: set(m.SS4, 0n) },
  { code: 'SSS.3', ...second, spoil: flip(m.SS4, 1n << 7n) },
  { code: 'SSS.4', ...second, spoil: set(Q0, NO | 0x89n) },
  { code: 'SSS.5', ...second, spoil: both(flip(Q0, 1n << 9n), flip(Q1, 1n << 23n)) },
  { code: 'SSS.6', ...second, spoil: both(flip(Q0, 1n << 9n), rom(m.SS4)) },
  { code: 'SGN.1', ...first, address: 2 ** 48 },
  { code: 'SGN.2', ...first, spoil: flip(m.FS3, 4n) },
  { code: 'SGN.4.1', ...second, kind: 'translated', address: 2 ** 46 },
  { code: 'SGN.4.2', mode: PASS_THROUGH, address: 2 ** 46 },
  { code: 'SGN.5', ...second, address: 2 ** 48 },
  { code: 'SGN.6', ...first, spoil: flip(m.FS3, 2n), access: WRITE },
  { code: 'SGN.7', ...nested, spoil: both(flip(m.SS3 + 24, 1n), flip(m.FS1, 0xc0000000n)) },
  { code: 'SGN.8.1', mode: PASS_THROUGH, address: FEE, pasid: m.ONE },
  { code: 'LGN.1.1', config: WIDE_HOST, spoil: flip(m.CONTEXT, 8n), address: 2 ** 49 },
  { code: 'SGN.8.2', ...second, kind: 'translation', address: 0xc0000000 },
  { code: 'SGN.8.3', ...second, kind: 'translated', address: FEE },
  { code: 'SGN.10', ...second, config: { ecap: m.ECAP & ~(0x1fn << 35n) }, pasid: m.ONE },
  { code: 'HPT.1', ...checked, spoil: permitted(set(HPT.L2 + 8, NO | 1n)) },
  { code: 'HPT.2', ...checked, spoil: permitted(flip(HPT.L2 + 8, 2n)) },
  { code: 'HPT.3', ...checked, spoil: permitted(set(m.PASIDS + 32, NO)) },
  { code: 'HPT.4', ...checked, spoil: permitted(set(HPT.L3 + 8, 0n)), access: READ | ZERO_LENGTH },
  { code: 'HPT.5', ...checked, spoil: permitted(flip(HPT.L1 + 16, 2n)), access: WRITE },
  { code: 'HPT.6', ...checked, spoil: permitted(flip(HPT.L1 + 16, 1n)) },
  { code: 'S.1', ...second, kind: 'translation', address: FEE },
  { code: 'S.2', ...second, kind: 'translation', address: FEE, access: NO_WRITE },
  { code: '29h', ...second, address: FEE },
];

function provoke({ mode, config = {}, spoil, kind, address = m.IOVA, access, pasid = -1 }: Provocation) {
  const machine = new Machine(mode, config);
  spoil?.(machine);
  const { unit } = machine;
  const [lo, hi] = [address | 0, Math.floor(address / 2 ** 32)];
  if (kind === 'page') {
    const outcome = unit.requestPage({ sid: m.SID, pasid, lo, hi, RDR: 1, WRR: 0, EXR: 0, PMR: 0, LPIG: 1, PRGI: 3 });
    assert.equal(outcome, 'fault');
    const reason = Number((unit.read(0x228, 8) >> 32n) & 0xffn);
    return { unit, number: CONDITIONS.findIndex((row) => row.reason === reason) + 1 };
  }
  const number =
    kind === 'translation'
      ? unit.translateAts(m.SID, lo, hi, access ?? 0, pasid)
      : kind === 'translated'
        ? unit.translated(m.SID, lo, hi, access ?? READ, pasid)
        : unit.translate(m.SID, lo, hi, access ?? READ, pasid);
  return { unit, number };
}

test('requests that meet no condition go through', () => {
  for (const mode of [undefined, FIRST_STAGE, SECOND_STAGE, NESTED, PASS_THROUGH])
    for (const pasid of mode === undefined ? [-1] : [-1, m.ONE])
      for (const access of [READ, WRITE, ATOMIC | READ | WRITE]) {
        const { unit, number } = provoke({ code: '', mode, access, pasid });
        assert.equal(conditionOf(number)?.code, undefined, `mode ${mode}, pasid ${pasid}`);
        assert.equal(unit.out.lo, mode === FIRST_STAGE || mode === NESTED ? m.PAGE : m.IOVA);
      }
});

for (const each of PROVOCATIONS)
  test(`${each.code}: ${CONDITIONS.find(({ code }) => code === each.code)?.says}`, () => {
    const { unit, number } = provoke(each);
    const row = conditionOf(number);
    assert.equal(row?.code, each.code);
    const column = each.kind === 'page' ? 6 : each.kind === 'translated' ? 4 : each.kind === 'translation' ? 2 : 0;
    const answer = row.answers[column + (each.pasid === undefined || each.kind === 'page' ? 0 : 1)]!;
    assert.notEqual(answer, 'NA');
    const fault = ['UR', 'CA', 'IR', 'none+report'].includes(answer);
    assert.equal(unit.reported, fault);
    assert.equal(Number((unit.read(0x228, 8) >> 32n) & 0xffn), fault ? row.reason : 0);
    if (each.kind !== 'translation') return;
    const { status, R, W, U } = unit.completion;
    const expected = { UR: UNSUPPORTED_REQUEST, CA: COMPLETER_ABORT }[answer as string] ?? SUCCESS;
    assert.deepEqual([status, R, W, U], [expected, 0, Number(answer === 'untranslated'), Number(answer === 'untranslated')]);
  });

test('every row is provoked', () => {
  const provoked = new Set(PROVOCATIONS.map(({ code }) => code));
  assert.deepEqual(
    CONDITIONS.map(({ code }) => code).filter((code) => !provoked.has(code)),
    [],
  );
});

test('FPD of any entry on the way silences what is qualified, and nothing else', () => {
  const PLACES: readonly [bigint | undefined, number][] = [
    [undefined, m.CONTEXT],
    [SECOND_STAGE, m.CONTEXT],
    [SECOND_STAGE, m.DIRECTORY],
    [SECOND_STAGE, m.PASIDS],
  ];
  for (const [mode, at] of PLACES) {
    const silent = provoke({ code: '', mode, spoil: both(flip(at, 2n), set(m.SS4, 0n)) });
    assert.notEqual(silent.number, 0);
    assert.equal(silent.unit.reported, false);
    const loud = provoke({ code: '', mode, spoil: both(flip(at, 2n), set(m.ROOT + 16, 0n)) });
    assert.equal(loud.unit.reported, true);
  }
});
