import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ECAP, type RecordingUnit, recordingUnit } from '../../../test/register-unit.ts';
import * as m from '../../../test/vtd-machine.ts';
import { PageRequest } from './formats-queue.ts';
import { readWord, writePair, writeWord } from './mmio.ts';
import { type PageRequestMessage, receivePageRequest } from './pages.ts';
import { READ, WRITE } from './translate.ts';

const [PPR, PRO] = [1, 2];
const BASE = 0x20000;
const SMS = 1n << 58n;
const REQUEST: PageRequestMessage = {
  sid: 0x108,
  pasid: -1,
  lo: 0x5000,
  hi: 0,
  RDR: 1,
  WRR: 0,
  EXR: 0,
  PMR: 0,
  LPIG: 1,
  PRGI: 3,
};
const receive = (unit: RecordingUnit, request: PageRequestMessage, admitted = true) =>
  receivePageRequest(
    unit,
    request,
    () => admitted,
    () => unit.caches.invalidateIotlb(3, 0, request.lo, request.hi, 0, 0),
  );

/** A unit with a page request queue of 4 KiB: 128 entries. */
function requested(ecap = ECAP): RecordingUnit {
  const unit = recordingUnit({ ecap });
  writePair(unit, 0xd0, BASE, 0);
  writeWord(unit, 0xe8, 0xfee02000 | 0);
  writeWord(unit, 0xe4, 0x55);
  writeWord(unit, 0xe0, 0);
  return unit;
}
const nothing = () => assert.fail('nothing is looked up');
const status = (unit: RecordingUnit): number => readWord(unit, 0xdc);

test('a page request is written to the queue, field by field, and an event tells of it', () => {
  const unit = requested();
  unit.memory.write64(BASE + 56, 0, -1n);
  const second = {
    sid: 0xffff,
    pasid: 0xedcba,
    lo: 0x89abcfff | 0,
    hi: 0x1234567,
    RDR: 1,
    WRR: 1,
    EXR: 1,
    PMR: 1,
    LPIG: 0,
    PRGI: 0x1ff,
  };
  assert.equal(receive(unit, REQUEST), 'queued');
  assert.equal(receive(unit, second), 'queued');
  const view = new DataView(unit.memory.readBytes(BASE, 0, 64)!.buffer);
  const rest = { RSVD_9: 0, RSVD_54: 0, RSVD_128: 0n };
  assert.deepEqual(PageRequest.decode(view, 0), {
    ...{ TYPE: 1, PP: 0, RID: 0x108, PASID: 0, EXR: 0, PMR: 0, RDR: 1, WRR: 0, LPIG: 1, PRGI: 3, ADDR: 5 },
    ...rest,
  });
  assert.deepEqual(PageRequest.decode(view, 32), {
    ...{
      TYPE: 1,
      PP: 1,
      RID: 0xffff,
      PASID: 0xedcba,
      EXR: 1,
      PMR: 1,
      RDR: 1,
      WRR: 1,
      LPIG: 0,
      PRGI: 0x1ff,
      ADDR: 0x123456789abc,
    },
    ...rest,
  });
  assert.deepEqual([readWord(unit, 0xc8), status(unit)], [64, PPR]);
  assert.deepEqual(unit.messages, [{ lo: 0xfee02000, hi: 0, data: 0x55 }]);
  assert.deepEqual(unit.responses, []);
  writeWord(unit, 0xdc, PPR);
  receive(unit, REQUEST);
  assert.equal(unit.messages.length, 2);
});

test('a queue holds all entries but one; then requests overflow, and the last of a group gets success', () => {
  const unit = requested();
  for (let each = 0; each < 127; each++) assert.equal(receive(unit, REQUEST), 'queued');
  assert.equal(receive(unit, { ...REQUEST, LPIG: 0 }), 'full');
  assert.equal(receive(unit, { ...REQUEST, pasid: 9 }), 'overflow');
  assert.deepEqual(unit.responses, [{ sid: 0x108, pasid: 9, PRGI: 3, RC: 0 }]);
  assert.equal(status(unit), PPR | PRO);
  writePair(unit, 0xc0, 64, 0);
  assert.equal(receive(unit, REQUEST), 'overflow', 'room alone does not end it');
  writeWord(unit, 0xdc, PRO | PPR);
  assert.equal(receive(unit, REQUEST), 'queued');
  assert.deepEqual([readWord(unit, 0xc8), unit.messages.length], [0, 2]);
});

test('a stop marker that finds the queue full is dropped, silently where ECAP says so', () => {
  const marker = { ...REQUEST, RDR: 0 };
  for (const [ecap, left] of [
    [ECAP | SMS, PPR],
    [ECAP & ~SMS, PPR | PRO],
  ] as const) {
    const unit = requested(ecap);
    for (let each = 0; each < 127; each++) receive(unit, REQUEST);
    assert.equal(receive(unit, marker), 'full');
    assert.deepEqual([status(unit), unit.responses], [left, []]);
  }
});

test('a request that finds no way through the tables is an invalid request', () => {
  const unit = requested();
  assert.equal(receive(unit, REQUEST, false), 'fault');
  assert.equal(receive(unit, { ...REQUEST, LPIG: 0 }, false), 'fault');
  assert.equal(receive(unit, { ...REQUEST, RDR: 0 }, false), 'fault', 'a stop marker');
  assert.deepEqual(unit.responses, [{ sid: 0x108, pasid: -1, PRGI: 3, RC: 1 }]);
  assert.equal(status(unit), 0);
});

test('a unit without page requests takes none', () => {
  const unit = recordingUnit({ ecap: ECAP & ~(1n << 29n) });
  assert.equal(receivePageRequest(unit, REQUEST, nothing, nothing), 'fault');
  assert.equal(unit.responses[0]?.RC, 1);
});

test('a masked event is pending, and dropped when software serviced the queue', () => {
  const unit = requested();
  writeWord(unit, 0xe0, 1 << 31);
  receive(unit, REQUEST);
  assert.equal(readWord(unit, 0xe0) >>> 0, 0xc0000000);
  writeWord(unit, 0xdc, PPR);
  assert.equal(readWord(unit, 0xe0) >>> 0, 0x80000000);
});

test('what is not queued drops nothing from the caches', () => {
  const unit = requested();
  for (let each = 0; each < 127; each++) receive(unit, REQUEST);
  assert.equal(unit.calls.length, 127);
  receive(unit, REQUEST);
  receive(unit, REQUEST);
  receive(unit, REQUEST, false);
  assert.equal(unit.calls.length, 127);
});

/** Where the entry is that makes a page writable, by PGTT, and the bit that does. */
const RIGHTS: readonly [pgtt: bigint, entries: readonly number[], bit: bigint][] = [
  [m.FIRST_STAGE, [m.FS3, m.FS1], 2n],
  [m.SECOND_STAGE, [m.SS4, m.SS3], 2n],
  [m.NESTED, [m.FS3, m.FS1], 2n],
  [m.NESTED, [m.SS3], 2n],
];
for (const [pgtt, entries, bit] of RIGHTS)
  for (const at of entries)
    test(`a page request makes the unit forget an entry at 0x${at.toString(16)}, with PGTT ${pgtt}`, () => {
      const machine = new m.Machine(pgtt);
      const { unit } = machine;
      machine.flip(m.CONTEXT, 1n << 4n); // PRE
      machine.flip(at, bit);
      unit.caches.flush();
      for (const pasid of [-1, m.ONE]) {
        assert.equal(unit.translate(m.SID, m.IOVA, 0, READ, pasid), 0);
        assert.notEqual(unit.translate(m.SID, m.IOVA, 0, WRITE, pasid), 0);
      }
      machine.flip(at, bit);
      unit.write(0xd0, 8, 0x90000);
      for (const pasid of [-1, m.ONE]) {
        assert.equal(unit.requestPage({ ...REQUEST, sid: m.SID, pasid, lo: m.IOVA }), 'queued');
        assert.equal(unit.translate(m.SID, m.IOVA, 0, WRITE, pasid), 0);
      }
    });
