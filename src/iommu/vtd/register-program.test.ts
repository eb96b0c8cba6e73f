import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CAP, ECAP, recordingUnit } from '../../../test/register-unit.ts';
import { recordFault } from './faultlog.ts';
import { readWord, writePair, writeWord } from './mmio.ts';
import { receivePageRequest } from './pages.ts';
import { completeDeviceTlb, timeOutDeviceTlb } from './queue.ts';
import { REGISTERS } from './register-map.ts';
import type { Devices, DeviceTlbAnswer, RegisterUnit } from './register-state.ts';

const WRITES = 1_000_000;
const ANSWERS: readonly DeviceTlbAnswer[] = ['completed', 'pending', 'timed out'];

/** Numbers that look random and are the same every time (mulberry32); all 32 bits, signed, for `below` 0. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed);
    mixed ^= mixed >>> 14;
    return below === 0 ? mixed : (mixed >>> 0) % below;
  };
}

/** What holds of a unit between any two accesses. */
function checkState({ map, registers, active, interruptRules: rules }: RegisterUnit): void {
  const { words, nextFault, itags } = registers;
  const at = (offset: number): number => words[offset / 4]!;
  for (let word = 0; word < words.length; word++)
    assert.equal(words[word]! & ~(map.readable[word]! | map.writable[word]!), 0, `reserved bits at 0x${(word * 4).toString(16)}`);
  const GSTS = at(0x1c);
  assert.deepEqual([GSTS >>> 31, (GSTS >>> 25) & 1, (GSTS >>> 23) & 1], [active.TES, rules.IRES, rules.CFIS]);
  let pending = 0;
  for (let index = 0; index < map.records; index++) pending |= words[map.FRCD + index * 4 + 3]! >>> 31;
  const FSTS = at(0x34);
  assert.equal((FSTS >>> 1) & 1, pending, 'PPF is the OR of all F');
  assert.ok(FSTS >>> 8 < map.records && nextFault < map.records);
  const held = (control: number): boolean => ((at(control) >>> 30) & 1) === 1;
  assert.ok(!held(0x38) || (FSTS & 0x73) !== 0, 'a fault event is pending only for a fault');
  assert.ok(!held(0xa0) || at(0x9c) === 1, 'a completion event is pending only for a completion');
  assert.ok(!held(0xe0) || at(0xdc) !== 0, 'a page request event is pending only for a request');
  for (const control of [0x38, 0xa0, 0xe0]) assert.notEqual(at(control) >>> 30, 1, 'what is pending and not masked was sent');
  assert.ok(at(0x80) >= 0 && at(0x80) < 1 << 19 && (at(0x80) & 15) === 0);
  assert.equal(at(0x64) & 1, registers.regions.on);
  assert.ok(itags.every((one) => one >= 0 && one <= 0x10000));
  assert.equal(at(0x18), 0, 'a command is done when the write returns');
  assert.equal((at(0x2c) >>> 31) | (words[map.IVA + 3]! >>> 31), 0, 'so is an invalidation');
}

test('a million random accesses leave a unit in a state that can be, and none of them throws', () => {
  const next = numbers(0x5eed);
  const ecap = ECAP | (1n << 25n) | (1n << 44n) | (1n << 55n);
  /** What the program made happen. */
  const seen = { devices: 0, responses: 0, messages: 0, invalidations: 0 };
  const devices: Devices = {
    invalidate() {
      seen.devices++;
      return ANSWERS[next(8) % 3]!;
    },
    respond: () => void seen.responses++,
  };
  const invalidated = (): void => void seen.invalidations++;
  const unit: RegisterUnit = {
    ...recordingUnit({ ecap }),
    devices,
    caches: {
      forgetSpaces: () => {},
      invalidateContextCache: invalidated,
      invalidatePasidCache: invalidated,
      invalidateIotlb: invalidated,
      invalidateHostPermissions: invalidated,
      invalidatePasidIotlb: invalidated,
    },
    interruptEntries: { invalidate: invalidated, invalidateAll: invalidated },
    send: () => void seen.messages++,
  };
  const { memory } = unit;
  const offsets = REGISTERS.flatMap((info) =>
    Array.from({ length: info.layout.bytes / 4 }, (_, word) => info.at(CAP, ecap) + word * 4),
  );
  // Fewer bits make sense more often.
  const value = (): number => (next(4) === 0 ? next(0) : next(2) === 0 ? next(0) & next(0) & next(0) : 1 << next(32));
  for (let count = 0; count < WRITES; count++) {
    const offset = next(16) === 0 ? next(0x1200) : offsets[next(offsets.length)]!;
    switch (next(16)) {
      case 0:
        writePair(unit, 0x90, 0x1000 | (next(2) << 11), 0);
        break;
      case 1:
      case 2:
        writePair(unit, offset, value(), value());
        break;
      case 3: {
        // Where the next descriptor is fetched: one of some type, now and then with a word of garbage.
        const at = 0x1000 + (readWord(unit, 0x80) & 0xfe0);
        for (let word = 0; word < 8; word++) memory.write32(at + word * 4, 0, next(32) === 0 ? value() : 0);
        memory.write32(at, 0, 1 + next(10) + (next(4) << 4));
        break;
      }
      case 4:
        recordFault(unit, next(256), next(0x10000), value(), value(), next(4), next(3), next(2) ? -1 : next(1 << 20), next(4));
        break;
      case 5:
        receivePageRequest(
          unit,
          { sid: next(0x10000), pasid: -1, lo: 0, hi: 0, RDR: 1, WRR: 0, EXR: 0, PMR: 0, LPIG: next(2), PRGI: 1 },
          () => true,
          () => {},
        );
        break;
      case 6:
        if (next(2)) completeDeviceTlb(unit, next(0x10000), value(), next(8));
        else timeOutDeviceTlb(unit, next(32));
        break;
      case 7:
        writeWord(unit, 0x18, next(2) ? 1 << 26 : value());
        break;
      case 8:
        writeWord(unit, 0x34, -1);
        break;
      case 9:
        writeWord(unit, 0x88, next(128) * 32);
        break;
      case 10:
        writePair(unit, 0x20, next(4) << 10, 0);
        break;
      case 11:
        // Statuses are serviced and events unmasked, so that there are new ones.
        writeWord(unit, 0x9c + next(2) * 0x40, 3);
        writeWord(unit, [0x38, 0xa0, 0xe0][next(3)]!, next(2) << 31);
        break;
      default:
        writeWord(unit, offset, value());
    }
    if (count % 1000 === 0) checkState(unit);
  }
  checkState(unit);
  for (const [what, times] of Object.entries(seen)) assert.ok(times > 1000, `${what}: ${times}`);
});
