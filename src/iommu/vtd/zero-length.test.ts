import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CAP, FS1, IOVA, Machine, NESTED, SECOND_STAGE, SID, SS3, SS4 } from '../../../test/vtd-machine.ts';
import { conditionOf } from './faults.ts';
import { READ, ZERO_LENGTH } from './request.ts';

// Reads of no bytes from pages that may only be written. VT-d 5.10 §3.14, CAP_REG.ZLR, §9.8.

const R = 1n;
const W = 2n;
const ZLR = 1n << 22n;

/** What a read comes to, of tables whose two entries keep only these rights. */
function ask(mode: bigint | undefined, cap: bigint, table: bigint, page: bigint, access: number): string | undefined {
  const machine = new Machine(mode, { cap });
  machine.write(SS4, BigInt(SS3) | table);
  machine.write(SS3, 0x80n | page);
  return conditionOf(machine.unit.translate(SID, IOVA, 0, access, -1))?.code;
}

test('a page that may only be written lets zero-length reads through with ZLR, and no others', () => {
  for (const [mode, refused] of [
    [undefined, 'LGN.3'],
    [SECOND_STAGE, 'SGN.7'],
  ] as const) {
    assert.equal(ask(mode, CAP, W, W, READ | ZERO_LENGTH), undefined);
    assert.equal(ask(mode, CAP, W, W, READ), refused);
    assert.equal(ask(mode, CAP & ~ZLR, W, W, READ | ZERO_LENGTH), refused);
    assert.equal(ask(mode, CAP & ~ZLR, R, R, READ | ZERO_LENGTH), undefined);
  }
});

test('nested: what the second stage lets write, a zero-length read may read, whatever the first says of writing', () => {
  for (const [RW, cap, refused] of [
    [2n, CAP, undefined],
    [0n, CAP, undefined],
    [0n, CAP & ~ZLR, 'SGN.7'],
  ] as const) {
    const machine = new Machine(NESTED, { cap });
    // The tables stay readable: the page is in another gigabyte.
    machine.write(SS3 + 24, 0xc0000000n | 0x80n | W);
    machine.write(FS1, 0xc0050000n | 0x65n | RW);
    assert.equal(conditionOf(machine.unit.translate(SID, IOVA, 0, READ | ZERO_LENGTH, -1))?.code, refused);
  }
});

test('in legacy mode each entry is judged by itself: R does not matter where W is set', () => {
  assert.equal(ask(undefined, CAP, R, W, READ | ZERO_LENGTH), undefined);
  assert.equal(ask(undefined, CAP, W, R, READ | ZERO_LENGTH), undefined);
  assert.equal(ask(undefined, CAP & ~ZLR, R, W, READ | ZERO_LENGTH), 'LGN.3');
  assert.equal(ask(undefined, CAP, 0n, W, READ | ZERO_LENGTH), 'LGN.3');
});
