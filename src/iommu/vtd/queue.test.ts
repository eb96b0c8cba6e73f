import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { anyValue, roundTrip } from '../../../test/entries.ts';
import { CAP, ECAP, type RecordingUnit, recordingUnit } from '../../../test/register-unit.ts';
import type { Entry, Fields } from '../../bits/entry.ts';
import * as formats from './formats-queue.ts';
import { readWord, writePair, writeWord } from './mmio.ts';
import { completeDeviceTlb, timeOutDeviceTlb } from './queue.ts';
import type { DeviceTlbRequest } from './register-state.ts';

const BASE = 0x10000;
const QIE = 1 << 26;
const TE = 1 << 31;
const SRTP = 1 << 30;
const IQE = 0x10;
const ICE = 0x20;
const ITE = 0x40;

const head = (unit: RecordingUnit): number => readWord(unit, 0x80);
const fsts = (unit: RecordingUnit): number => readWord(unit, 0x34);
const IQEI = (unit: RecordingUnit): number => readWord(unit, 0xb0) & 0xf;

function put(unit: RecordingUnit, at: number, bytes: Uint8Array): void {
  unit.memory.writeBytes(BASE + at, 0, bytes);
}

/** A unit with a queue of 4 KiB at 0x10000; it and translation are on. */
function queued(about: Parameters<typeof recordingUnit>[0] & { wide?: boolean; TTM?: number } = {}): RecordingUnit {
  const unit = recordingUnit(about);
  writePair(unit, 0x20, (about.TTM ?? 0) << 10, 0);
  writePair(unit, 0x90, BASE | (about.wide ? 0x800 : 0), 0);
  writeWord(unit, 0x18, SRTP);
  writeWord(unit, 0x18, TE);
  writeWord(unit, 0x18, TE | QIE);
  return unit;
}

/** Submits descriptors from the head on, each in as many bytes as the queue has for one. */
function submit(unit: RecordingUnit, ...descriptors: Uint8Array[]): void {
  const width = readWord(unit, 0x90) & 0x800 ? 32 : 16;
  let tail = readWord(unit, 0x88);
  for (const bytes of descriptors) {
    const padded = new Uint8Array(width);
    padded.set(bytes.subarray(0, width));
    put(unit, tail, padded);
    tail = (tail + width) % 4096;
  }
  writeWord(unit, 0x88, tail);
}

const TYPE = formats.DESCRIPTOR_TYPES;
const context = (values: object) => formats.ContextCacheInvalidate.encode({ TYPE_0: TYPE.contextCache, ...values });
const iotlb = (values: object) => formats.IotlbInvalidate.encode({ TYPE_0: TYPE.iotlb, ...values });
const pasidCache = (values: object) => formats.PasidCacheInvalidate.encode({ TYPE_0: TYPE.pasidCache, ...values });
const pasidIotlb = (values: object) => formats.PasidIotlbInvalidate.encode({ TYPE_0: TYPE.pasidIotlb, ...values });
const deviceTlb = (values: object) => formats.DeviceTlbInvalidate.encode({ TYPE_0: TYPE.deviceTlb, ...values });
const pasidDeviceTlb = (values: object) => formats.PasidDeviceTlbInvalidate.encode({ TYPE_0: TYPE.pasidDeviceTlb, ...values });
const interruptEntry = (values: object) =>
  formats.InterruptEntryCacheInvalidate.encode({ TYPE_0: TYPE.interruptEntryCache, ...values });
const wait = (values: object) => formats.InvalidationWait.encode({ TYPE_0: TYPE.wait, ...values });
const response = (values: object) => formats.PageGroupResponse.encode({ TYPE_0: TYPE.pageGroupResponse, ...values });
const hpt = (values: object) => formats.HptCacheInvalidate.encode({ TYPE_0: TYPE.hptCache, ...values });

const LAYOUTS = [
  formats.ContextCacheInvalidate,
  formats.PasidCacheInvalidate,
  formats.IotlbInvalidate,
  formats.PasidIotlbInvalidate,
  formats.DeviceTlbInvalidate,
  formats.PasidDeviceTlbInvalidate,
  formats.HptCacheInvalidate,
  formats.InterruptEntryCacheInvalidate,
  formats.InvalidationWait,
  formats.PageGroupResponse,
  formats.PageRequest,
] as unknown as Entry<Fields>[];
for (const layout of LAYOUTS)
  test(`${layout.name} keeps every value it can hold`, () =>
    fc.assert(fc.property(anyValue(layout), (value) => assert.deepEqual(roundTrip(layout, value), value))));

// Linux 6.1 in the lab wrote these: interrupt entry global, wait, context cache and IOTLB of a device, a page of a domain.
test('descriptors of a driver mean what it meant', () => {
  const unit = queued();
  const words = [
    [0x4n, 0n],
    [0x200000025n, 0x11c6404n],
    [0x10800020031n, 0n],
    [0x500f2n, 0xfffa0005n],
    [0x11n, 0n],
    [0xd2n, 0n],
  ];
  words.forEach(([low, high], index) => {
    unit.memory.write64(BASE + index * 16, 0, low!);
    unit.memory.write64(BASE + index * 16 + 8, 0, high!);
  });
  writeWord(unit, 0x88, words.length * 16);
  assert.equal(head(unit), words.length * 16);
  assert.equal(unit.memory.read32(0x11c6404, 0), 2);
  assert.deepEqual(unit.calls, [
    ['invalidateAll'],
    ['invalidateContextCache', 3, 2, 0x108, 0],
    ['invalidateIotlb', 3, 5, 0xfffa0000 | 0, 0, 5, 0],
    ['invalidateContextCache', 1, 0, 0, 0],
    ['invalidateIotlb', 1, 0, 0, 0, 0, 0],
  ]);
});

test('every descriptor reaches its cache with all granularities', () => {
  const unit = queued({ wide: true, TTM: 1 });
  submit(
    unit,
    context({ G: 2, DID: 7 }),
    context({ G: 3, DID: 7, SID: 0x1234, FM: 3 }),
    iotlb({ G: 2, DID: 9 }),
    iotlb({ G: 3, DID: 9, AM: 18, IH: 1, ADDR: 0xabcdef123 }),
    pasidCache({ G: 0, DID: 3 }),
    pasidCache({ G: 1, DID: 3, PASID: 0xfffff }),
    pasidCache({ G: 3 }),
    pasidIotlb({ G: 2, DID: 4, PASID: 5 }),
    pasidIotlb({ G: 3, DID: 4, PASID: 5, AM: 63, ADDR: 2 ** 52 - 1 }),
    pasidIotlb({ G: 3, DID: 4, PASID: 5, AM: 0, ADDR: 2 ** 52 - 1 }),
    interruptEntry({ G: 1, IM: 4, IIDX: 0x1230 }),
  );
  assert.equal(fsts(unit), 0);
  assert.equal(head(unit), 11 * 32);
  assert.deepEqual(unit.calls, [
    ['invalidateContextCache', 2, 7, 0, 0],
    ['invalidateContextCache', 3, 7, 0x1234, 3],
    ['invalidateIotlb', 2, 9, 0, 0, 0, 0],
    // ADDR 0xabcdef123 is the address 0xabcdef123000.
    ['invalidateIotlb', 3, 9, 0xef123000 | 0, 0xabcd, 18, 1],
    ['invalidatePasidCache', 0, 3, 0],
    ['invalidatePasidCache', 1, 3, 0xfffff],
    ['invalidatePasidCache', 3, 0, 0],
    ['invalidatePasidIotlb', 2, 4, 5, 0, 0, 0, 0],
    ['invalidatePasidIotlb', 3, 4, 5, -4096, -1, 63, 0],
    ['invalidatePasidIotlb', 3, 4, 5, -4096, -1, 0, 0],
    ['invalidate', 0x1230, 4],
  ]);
});

test('descriptors for devices carry what the device needs', () => {
  const requests: DeviceTlbRequest[] = [];
  const unit = queued({
    wide: true,
    TTM: 1,
    devices: {
      invalidate(request) {
        requests.push(request);
        return 'completed';
      },
    },
  });
  submit(
    unit,
    deviceTlb({ SID: 0x100, S: 1, ADDR: 0x7ff, MIP: 31 }),
    pasidDeviceTlb({ SID: 0x101, PASID: 0x12345, ADDR: 0x10, GI: 1, S: 1 }),
    response({ RID: 0x102, PP: 1, PASID: 77, PRGI: 0x1ff, RC: 1, IGN_66: 1 }),
    response({ RID: 0x103, PASID: 77, PRGI: 1 }),
  );
  assert.equal(head(unit), 128);
  assert.deepEqual(requests, [
    { sid: 0x100, pasid: -1, global: false, lo: 0x7ff000, hi: 0, S: 1, ITag: 0 },
    { sid: 0x101, pasid: 0x12345, global: true, lo: 0x10000, hi: 0, S: 1, ITag: 0 },
  ]);
  assert.deepEqual(unit.responses, [
    { sid: 0x102, pasid: 77, PRGI: 0x1ff, RC: 1 },
    { sid: 0x103, pasid: -1, PRGI: 1, RC: 0 },
  ]);
});

test('a wait descriptor writes its status and sends an event, once until it is serviced', () => {
  const unit = queued();
  writePair(unit, 0xa8, 0xfee01004 | 0, 7);
  writeWord(unit, 0xa4, 0x41);
  const both = wait({ SW: 1, IF: 1, DATA: 0xdeadbeef, ADDR: 0x3000 / 4 });
  submit(unit, both);
  assert.equal(unit.memory.read32(0x3000, 0), 0xdeadbeef | 0);
  assert.deepEqual([readWord(unit, 0x9c), readWord(unit, 0xa0) >>> 0, unit.messages.length], [1, 0xc0000000, 0]);
  writeWord(unit, 0xa0, 0);
  assert.deepEqual(unit.messages, [{ lo: 0xfee01004, hi: 7, data: 0x41 }]);
  assert.equal(readWord(unit, 0xa0), 0);
  submit(unit, both);
  assert.equal(unit.messages.length, 1, 'IWC is still set');
  writeWord(unit, 0x9c, 1);
  submit(unit, both, wait({ FN: 1 }));
  assert.equal(unit.messages.length, 2);
  assert.equal(head(unit), 64);
});

test('a pending event is dropped when its condition is serviced before it is unmasked', () => {
  const unit = queued();
  submit(unit, wait({ IF: 1 }));
  assert.equal(readWord(unit, 0xa0) >>> 0, 0xc0000000);
  writeWord(unit, 0x9c, 1);
  assert.equal(readWord(unit, 0xa0) >>> 0, 0x80000000);
  writeWord(unit, 0xa0, 0);
  assert.deepEqual(unit.messages, []);
});

test('a status address has as many bits as the host', () => {
  const unit = queued({ haw: 39 });
  // Bit 39 and above are ignored: what is left is 0x100000040.
  submit(
    unit,
    wait({ SW: 1, DATA: 5, ADDR: 0x80_0000_0000 / 4 + 0x1_0000_0040 / 4 }),
    wait({ SW: 1, DATA: 1, ADDR: 2 ** 37 / 4 }),
  );
  assert.equal(unit.memory.read32(0x40, 1), 5);
  assert.equal(head(unit), 32);
});

/** Why a queue stops, for each kind of error: a value of IQEI. */
const errors: readonly [says: string, code: number, about: Parameters<typeof queued>[0], descriptor: Uint8Array | number][] = [
  ['a tail beyond the queue', 1, {}, 0x1000],
  ['a type that is none', 3, {}, new Uint8Array([0xb])],
  ['type 0', 3, {}, new Uint8Array(16)],
  ['a type beyond four bits', 3, {}, new Uint8Array([1 + 16, 2])],
  ['a PASID descriptor in legacy mode', 3, { wide: true }, pasidCache({ G: 3 })],
  ['a device-TLB descriptor without DT', 3, { ecap: ECAP & ~4n }, deviceTlb({})],
  ['a response without PRS', 3, { ecap: ECAP & ~(1n << 29n), wide: true, TTM: 1 }, response({})],
  ['an HPT descriptor without HPTS', 3, { wide: true, TTM: 1 }, hpt({ G: 1 })],
  ['a reserved bit', 4, {}, context({ G: 1, RSVD_12: 1 })],
  ['a reserved bit in the second half', 4, { wide: true }, Uint8Array.from([...context({ G: 1 }), ...new Uint8Array(15), 1])],
  ['a reserved granularity of contexts', 4, {}, context({ G: 0 })],
  ['a reserved granularity of the IOTLB', 4, {}, iotlb({ G: 0 })],
  ['a reserved granularity of the PASID cache', 4, { wide: true, TTM: 1 }, pasidCache({ G: 2 })],
  ['a reserved granularity of PASID entries', 4, { wide: true, TTM: 1 }, pasidIotlb({ G: 1 })],
  ['a mask beyond MAMV', 4, {}, iotlb({ G: 3, AM: 19 })],
  ['pages without PSI', 4, { cap: CAP & ~(1n << 39n) }, iotlb({ G: 3 })],
  ['PD without PDS', 4, { ecap: ECAP & ~(1n << 42n) }, wait({ PD: 1 })],
  ['PFSID without DIT', 4, {}, deviceTlb({ PFSID_4: 1 })],
  ['narrow descriptors in scalable mode', 5, { TTM: 1 }, context({ G: 1 })],
  ['wide descriptors in a legacy unit', 5, { ecap: 0x5002n, wide: true }, context({ G: 1 })],
  ['a tail between wide descriptors', 6, { wide: true }, 0x10],
  ['a reserved mode', 7, { TTM: 2 }, context({ G: 1 })],
  ['scalable mode in a legacy unit', 7, { ecap: 0x5002n, TTM: 1 }, context({ G: 1 })],
];
for (const [says, code, about, descriptor] of errors)
  test(`the queue stops at ${says}, and IQERCD_REG says ${code}`, () => {
    const unit = queued(about);
    writeWord(unit, 0x38, 0);
    if (typeof descriptor === 'number') writeWord(unit, 0x88, descriptor);
    else submit(unit, descriptor);
    assert.deepEqual([fsts(unit), IQEI(unit), head(unit), unit.calls.length], [IQE, code, 0, 0]);
    assert.equal(unit.messages.length, 1);
  });

test('a queue outside memory cannot be fetched', () => {
  const unit = recordingUnit();
  writePair(unit, 0x90, 0x80000000 | 0, 0);
  writeWord(unit, 0x18, QIE);
  writeWord(unit, 0x88, 16);
  assert.deepEqual([fsts(unit), IQEI(unit)], [IQE, 2]);
});

test('an HPT descriptor reaches its cache with all granularities', () => {
  const unit = queued({ ecap: ECAP | (1n << 55n), wide: true, TTM: 1 });
  const before = unit.calls.length;
  submit(unit, hpt({ G: 1 }), hpt({ G: 2, HPTDID: 4, IH: 2 }), hpt({ G: 3, HPTDID: 4, AM: 9, IH: 3, ADDR: 2 ** 52 - 1 }));
  assert.deepEqual([fsts(unit), head(unit)], [0, 96]);
  assert.deepEqual(unit.calls.slice(before), [
    ['invalidateHostPermissions', 1, 0, 0, 0, 0, 0],
    ['invalidateHostPermissions', 2, 4, 0, 0, 0, 2],
    // Bits from the host address width on do not count.
    ['invalidateHostPermissions', 3, 4, -4096, 2 ** 14 - 1, 9, 3],
  ]);
});

test('a queue goes on when software mends the descriptor and clears IQE', () => {
  const unit = queued();
  submit(unit, iotlb({ G: 1 }), context({ G: 0 }), iotlb({ G: 2, DID: 1 }));
  assert.deepEqual([head(unit), fsts(unit)], [16, IQE]);
  submit(unit, iotlb({ G: 2, DID: 2 }));
  assert.equal(head(unit), 16, 'nothing is fetched while IQE is set');
  put(unit, 16, context({ G: 1 }));
  writeWord(unit, 0x34, IQE);
  assert.deepEqual([head(unit), fsts(unit)], [64, 0]);
  assert.deepEqual(
    unit.calls.map((call) => call.slice(0, 3)),
    [
      ['invalidateIotlb', 1, 0],
      ['invalidateContextCache', 1, 0],
      ['invalidateIotlb', 2, 1],
      ['invalidateIotlb', 2, 2],
    ],
  );
});

test('clearing IQE without mending anything leaves the queue where it is until the tail is written', () => {
  const unit = queued();
  submit(unit, context({ G: 0 }));
  writeWord(unit, 0x34, IQE);
  assert.deepEqual([head(unit), fsts(unit)], [0, 0]);
  submit(unit, context({ G: 1 }));
  assert.deepEqual([head(unit), fsts(unit)], [0, IQE]);
});

test('an error behind the one that was mended is told as well', () => {
  const unit = queued();
  submit(unit, context({ G: 0 }), iotlb({ G: 1 }), pasidCache({ G: 0 }));
  put(unit, 0, context({ G: 1 }));
  writeWord(unit, 0x34, IQE);
  assert.deepEqual([head(unit), fsts(unit), IQEI(unit)], [32, IQE, 3]);
});

test('an error behind a device that did not answer is told when software clears ITE', () => {
  const unit = queued({ devices: { invalidate: () => 'timed out' } });
  submit(unit, deviceTlb({ SID: 0x100 }), context({ G: 0 }));
  assert.deepEqual([head(unit), fsts(unit)], [16, ITE]);
  writeWord(unit, 0x34, ITE);
  assert.deepEqual([head(unit), fsts(unit)], [16, IQE]);
});

test('turning the queue off puts the head to 0, and turning it on goes on to the tail', () => {
  const unit = queued();
  submit(unit, iotlb({ G: 1 }), iotlb({ G: 1 }));
  writeWord(unit, 0x18, TE);
  assert.equal(head(unit), 0);
  writeWord(unit, 0x88, 0x10);
  assert.equal(unit.calls.length, 2);
  writeWord(unit, 0x18, TE | QIE);
  assert.deepEqual([head(unit), unit.calls.length], [16, 3]);
});

test('the queue is a ring, and its base may be anywhere', () => {
  const unit = recordingUnit();
  writePair(unit, 0x90, 0, 1);
  writeWord(unit, 0x18, QIE);
  for (let round = 0; round < 600; round++) {
    const at = (round % 256) * 16;
    unit.memory.writeBytes(at, 1, iotlb({ G: 2, DID: round }));
    writeWord(unit, 0x88, (at + 16) % 4096);
  }
  assert.deepEqual(
    unit.calls.map(([, , DID]) => DID),
    Array.from({ length: 600 }, (_, round) => round),
  );
});

test('a wait descriptor waits for devices, and a descriptor for one waits for an ITag', () => {
  const tags: number[] = [];
  const unit = queued({
    devices: {
      invalidate({ ITag }) {
        tags.push(ITag);
        return 'pending';
      },
    },
  });
  submit(unit, deviceTlb({ SID: 8 }), deviceTlb({ SID: 9 }), wait({ SW: 1, DATA: 1, ADDR: 0x3000 / 4 }), iotlb({ G: 1 }));
  assert.equal(head(unit), 32);
  completeDeviceTlb(unit, 9, 1 << 1, 1);
  assert.deepEqual([head(unit), unit.memory.read32(0x3000, 0)], [32, 0]);
  completeDeviceTlb(unit, 8, 1 << 0, 1);
  assert.deepEqual([head(unit), unit.memory.read32(0x3000, 0)], [64, 1]);
  submit(unit, ...Array.from({ length: 40 }, () => deviceTlb({ SID: 8 })));
  assert.equal(head(unit), 64 + 32 * 16);
  for (let each = 0; each < 40; each++) completeDeviceTlb(unit, 8, 1 << tags[2 + each]!, 1);
  assert.deepEqual([head(unit), fsts(unit), tags.length], [64 + 40 * 16, 0, 42]);
});

test('a device that does not answer stops the queue with ITE; its wait completes after that is cleared', () => {
  const unit = queued({ devices: { invalidate: ({ sid }) => (sid === 8 ? 'timed out' : 'pending') } });
  writeWord(unit, 0x38, 0);
  submit(unit, deviceTlb({ SID: 9 }), deviceTlb({ SID: 8 }), wait({ SW: 1, DATA: 1, ADDR: 0x3000 / 4 }));
  assert.deepEqual([head(unit), fsts(unit), readWord(unit, 0xb4), unit.messages.length], [32, ITE, 8, 1]);
  completeDeviceTlb(unit, 9, 1 << 0, 1);
  assert.equal(unit.memory.read32(0x3000, 0), 0);
  writeWord(unit, 0x34, ITE);
  assert.deepEqual([head(unit), fsts(unit), unit.memory.read32(0x3000, 0)], [48, 0, 1]);
});

test('a time-out frees the ITag, and of several the first is named', () => {
  const unit = queued({ devices: { invalidate: () => 'pending' } });
  submit(unit, deviceTlb({ SID: 5 }), deviceTlb({ SID: 6 }));
  timeOutDeviceTlb(unit, 1);
  timeOutDeviceTlb(unit, 0);
  timeOutDeviceTlb(unit, 7);
  assert.deepEqual([fsts(unit), readWord(unit, 0xb4), unit.registers.itags.some((one) => one !== 0)], [ITE, 6, false]);
});

test('a completion that nothing waits for is an error that does not stop the queue', () => {
  const unit = queued({ devices: { invalidate: () => 'pending' } });
  submit(unit, deviceTlb({ SID: 5 }), wait({ FN: 1 }));
  completeDeviceTlb(unit, 6, 1 << 0, 1);
  completeDeviceTlb(unit, 7, 1 << 3, 1);
  assert.deepEqual([fsts(unit), readWord(unit, 0xb4) >>> 0, head(unit)], [ICE, 0x60000, 16]);
  completeDeviceTlb(unit, 5, 1 << 0, 1);
  assert.equal(head(unit), 32);
});

test('an invalidation is done when as many completions came as the device announced', () => {
  const unit = queued({ devices: { invalidate: () => 'pending' } });
  submit(unit, deviceTlb({ SID: 5 }), deviceTlb({ SID: 5 }), wait({ FN: 1 }));
  completeDeviceTlb(unit, 5, 0b11, 2);
  assert.equal(head(unit), 32);
  completeDeviceTlb(unit, 5, 0b10, 2);
  assert.equal(head(unit), 32);
  completeDeviceTlb(unit, 5, 0b101, 2);
  assert.deepEqual([head(unit), fsts(unit)], [48, ICE], 'the valid ITag of the message counts, the other is an error');
  submit(unit, deviceTlb({ SID: 6 }), wait({ FN: 1 }));
  for (let each = 0; each < 8; each++) {
    assert.equal(head(unit), 64);
    completeDeviceTlb(unit, 6, 1, 0);
  }
  assert.equal(head(unit), 80);
});

test('while translation is off no completion is heard, so an invalidation of a device times out', () => {
  const unit = queued({ devices: { invalidate: ({ sid }) => (sid === 5 ? 'completed' : 'pending') } });
  submit(unit, deviceTlb({ SID: 6 }));
  writeWord(unit, 0x18, QIE);
  completeDeviceTlb(unit, 6, 1, 1);
  completeDeviceTlb(unit, 6, 2, 1);
  assert.deepEqual([fsts(unit), unit.registers.itags[0]], [0, 7]);
  submit(unit, deviceTlb({ SID: 5 }), wait({ FN: 1 }));
  assert.deepEqual([fsts(unit), readWord(unit, 0xb4), head(unit)], [ITE, 5, 32]);
});

test('whoever receives a message may submit more', () => {
  const unit = queued();
  writeWord(unit, 0xa0, 0);
  let left = 5;
  Object.assign(unit, {
    send() {
      writeWord(unit, 0x9c, 1);
      if (left-- > 0) submit(unit, iotlb({ G: 2, DID: left }), wait({ IF: 1 }));
    },
  });
  submit(unit, wait({ IF: 1 }), iotlb({ G: 1 }));
  assert.deepEqual(
    unit.calls.map(([, G, DID]) => (G === 1 ? 'global' : DID)),
    ['global', 4, 3, 2, 1, 0],
  );
});
