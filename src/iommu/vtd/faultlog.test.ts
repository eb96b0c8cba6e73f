import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CAP, ECAP, type RecordingUnit, recordingUnit } from '../../../test/register-unit.ts';
import { recordFault, recordInterruptFault, recordQueueError } from './faultlog.ts';
import { readWord, writePair, writeWord } from './mmio.ts';
import { FAULT_TYPES, FRCD_REG } from './registers-fault.ts';

const [PFO, PPF, IQE] = [1, 2, 0x10];
const TE = 1 << 31;
const FRCD = 0x400;
/** This unit has 16 records. */
const RECORDS = 16;

const fsts = (unit: RecordingUnit): number => readWord(unit, 0x34);
let requester = 0;
/** A fault of a requester that had none yet, unless told. */
const fault = (unit: RecordingUnit, sid = ++requester): void => recordFault(unit, 5, sid, 0x1234, 0, FAULT_TYPES.write, 0, -1, 0);
function record(unit: RecordingUnit, index: number) {
  const view = new DataView(new ArrayBuffer(16));
  for (let word = 0; word < 4; word++) view.setInt32(word * 4, readWord(unit, FRCD + index * 16 + word * 4), true);
  return FRCD_REG.decode(view);
}
const clear = (unit: RecordingUnit, index: number): void => writeWord(unit, FRCD + index * 16 + 12, 1 << 31);

test('a record has every field of the request', () => {
  const unit = recordingUnit();
  recordFault(unit, 0x71, 0xfe01, 0x89abcdef | 0, 0x4567, FAULT_TYPES.atomicOp, 2, 0xabcde, 3);
  recordFault(unit, 0x6, 0x100, 0xfff, -1, FAULT_TYPES.read, 1, -1, 3);
  recordFault(unit, 0x59, 0x101, 0, 0, FAULT_TYPES.pageRequest, 0, 1, 0);
  const zero = { RSVD_0: 0, RSVD_80: 0, F: 1 };
  assert.deepEqual(
    [0, 1, 2].map((index) => record(unit, index)),
    [
      { ...zero, FI: 0x456789abc, SID: 0xfe01, T2: 1, PRIV: 1, EXE: 1, PP: 1, FR: 0x71, PV: 0xabcde, AT: 2, T1: 1 },
      { ...zero, FI: 0x1ffffff00000, SID: 0x100, T2: 0, PRIV: 0, EXE: 0, PP: 0, FR: 6, PV: 0, AT: 1, T1: 1 },
      { ...zero, FI: 0, SID: 0x101, T2: 1, PRIV: 0, EXE: 0, PP: 1, FR: 0x59, PV: 1, AT: 0, T1: 0 },
    ],
  );
});

// A fault that QEMU 10.0 recorded: reason 0x71, a read of requester 0xfe00.
test('a record lies in memory as another implementation has it', () => {
  const unit = recordingUnit();
  recordFault(unit, 0x71, 0xfe00, 0x997a5000 | 0, 0x456d, FAULT_TYPES.read, 0, 0, 0);
  const words = [0, 4, 8, 12].map((offset) => readWord(unit, FRCD + offset) >>> 0);
  // That one has T1, F, FR, PP and SID: 0xc00000718000fe00.
  assert.deepEqual(words, [0x997a5000, 0x456d, 0x8000fe00, 0xc0000071]);
});

test('interrupt faults name the index, or nothing', () => {
  const unit = recordingUnit();
  recordInterruptFault(unit, 0x26, 0x100, 0xfffe);
  recordInterruptFault(unit, 0x25, 0x101, -1);
  assert.deepEqual([record(unit, 0).FI, record(unit, 0).FR, record(unit, 1).FI], [0xfffe * 2 ** 36, 0x26, 0]);
});

test('address type and PASID are reserved in a unit without them', () => {
  const unit = recordingUnit({ ecap: ECAP & ~4n & ~(1n << 40n) });
  recordFault(unit, 0x71, 1, 0, 0, FAULT_TYPES.read, 2, 5, 3);
  const { AT, PP, PV, EXE, PRIV } = record(unit, 0);
  assert.deepEqual([AT, PP, PV, EXE, PRIV], [0, 0, 0, 0, 0]);
});

test('records are filled in turn; when the next one is taken the rest is lost until PFO is cleared', () => {
  const unit = recordingUnit();
  writeWord(unit, 0x18, TE);
  for (let index = 0; index < RECORDS; index++) {
    fault(unit, index);
    assert.equal(fsts(unit), PPF);
  }
  fault(unit, 99);
  assert.equal(fsts(unit), PPF | PFO);
  clear(unit, 0);
  fault(unit, 98);
  assert.equal(record(unit, 0).F, 0, 'nothing is recorded while PFO is set');
  writeWord(unit, 0x34, PFO);
  fault(unit, 97);
  assert.deepEqual([record(unit, 0).SID, record(unit, 0).F, fsts(unit)], [97, 1, PPF]);
});

test('a requester with a pending record gets no other one, and none of it counts as overflow', () => {
  const unit = recordingUnit({ cap: CAP & ~(0xffn << 40n) });
  fault(unit, 7);
  fault(unit, 7);
  assert.equal(fsts(unit), PPF);
  fault(unit, 8);
  assert.equal(fsts(unit), PPF | PFO);
});

test('FRI names the first record since there was none', () => {
  const unit = recordingUnit();
  writeWord(unit, 0x18, TE);
  fault(unit);
  fault(unit);
  assert.equal(fsts(unit), PPF);
  clear(unit, 0);
  assert.equal(fsts(unit), PPF);
  clear(unit, 1);
  assert.equal(fsts(unit), 0);
  fault(unit);
  fault(unit);
  assert.equal(fsts(unit), PPF | (2 << 8));
  clear(unit, 2);
  clear(unit, 3);
  assert.equal(fsts(unit), 0);
});

test('the next record is the first one again when remapping of DMA and of interrupts is off', () => {
  const unit = recordingUnit();
  writeWord(unit, 0x18, TE);
  fault(unit);
  writeWord(unit, 0x18, TE | (1 << 25));
  writeWord(unit, 0x18, 1 << 25);
  assert.equal(unit.registers.nextFault, 1);
  writeWord(unit, 0x18, 0);
  assert.equal(unit.registers.nextFault, 0);
});

test('a command that turns nothing off leaves the next record where it is', () => {
  const unit = recordingUnit();
  fault(unit);
  writeWord(unit, 0x18, 1 << 30);
  assert.equal(unit.registers.nextFault, 1);
});

test('one event is sent until every condition is serviced', () => {
  const unit = recordingUnit();
  writeWord(unit, 0x38, 0);
  writePair(unit, 0x40, 0xfee00000 | 0, 5);
  writeWord(unit, 0x3c, 0x4a);
  fault(unit);
  fault(unit);
  recordQueueError(unit, 3);
  clear(unit, 0);
  clear(unit, 1);
  fault(unit);
  assert.deepEqual(unit.messages, [{ lo: 0xfee00000, hi: 5, data: 0x4a }]);
  clear(unit, 2);
  writeWord(unit, 0x34, IQE);
  recordQueueError(unit, 3);
  assert.equal(unit.messages.length, 2);
});

test('a masked event is pending until it is unmasked or serviced', () => {
  const unit = recordingUnit();
  fault(unit);
  assert.equal(readWord(unit, 0x38) >>> 0, 0xc0000000);
  writeWord(unit, 0x38, 0);
  assert.deepEqual([unit.messages.length, readWord(unit, 0x38)], [1, 0]);
  writeWord(unit, 0x38, 1 << 31);
  clear(unit, 0);
  fault(unit);
  assert.equal(readWord(unit, 0x38) >>> 0, 0xc0000000);
  clear(unit, 1);
  assert.equal(readWord(unit, 0x38) >>> 0, 0x80000000);
  writeWord(unit, 0x38, 0);
  assert.equal(unit.messages.length, 1);
});
