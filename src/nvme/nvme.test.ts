import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { anyValue, roundTrip } from '../../test/entries.ts';
import { type Entry, type Fields, viewOf } from '../bits/index.ts';
import {
  ACQ,
  AQA,
  ASQ,
  CAP,
  CC,
  CNS,
  CompletionQueueEntry,
  CSTS,
  decodeStatus,
  doorbell,
  IdentifyController,
  identify,
  PrimaryControllerCapabilities,
  readIdentifyController,
  readPrimaryCapabilities,
  readSecondaryControllers,
  SecondaryControllerEntry,
  SecondaryControllerListHeader,
  StatusField,
  SubmissionQueueEntry,
  submissionEntry,
  VirtualizationDword10,
  VirtualizationDword11,
  VS,
  virtualizationManagement,
} from './index.ts';

const words = (bytes: Uint8Array) => Array.from({ length: bytes.length / 4 }, (_, i) => viewOf(bytes).getUint32(i * 4, true));

// The words below are those a C program sends that is known to work on QEMU 10.0's controller.
test('the controller is enabled with 64-byte submissions and 16-byte completions', () => {
  assert.deepEqual(words(CC.encode({ EN: 1, IOSQES: 6, IOCQES: 4 })), [(6 << 16) | (4 << 20) | 1]);
  assert.deepEqual(words(AQA.encode({ ASQS: 15, ACQS: 15 })), [(15 << 16) | 15]);
  assert.deepEqual(words(ASQ.encode({ ASQB: 0x10000 })), [0x10000000, 0]);
  assert.deepEqual(words(ACQ.encode({ ACQB: 0x10001 })), [0x10001000, 0]);
  assert.deepEqual(
    [CAP.offset, VS.offset, CC.offset, CSTS.offset, AQA.offset, ASQ.offset, ACQ.offset],
    [0, 8, 0x14, 0x1c, 0x24, 0x28, 0x30],
  );
});

test('an Identify command lies in a submission queue entry where the controller reads it', () => {
  const expected = new Array<number>(16).fill(0);
  expected[0] = 6 | (7 << 16);
  expected[6] = 0x10002000;
  expected[10] = 1;
  assert.deepEqual(words(submissionEntry(identify(CNS.controller), 7, 0x10002000n)), expected);
  assert.deepEqual(identify(CNS.secondaryControllers, { cntid: 5 }), {
    opcode: 6,
    nsid: 0,
    cdw10: 0x50015,
    cdw11: 0,
    dataLength: 4096,
  });
});

test('a completion gives command, status and phase', () => {
  const view = viewOf(Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 7, 0, 0x05, 0x80]));
  const completion = CompletionQueueEntry.decode(view);
  assert.deepEqual([completion.CID, completion.P, completion.SQHD, completion.SF], [7, 1, 1, 0x4002]);
  assert.deepEqual(decodeStatus(completion.SF), { ok: false, sct: 0, sc: 2, doNotRetry: true, says: 'Invalid Field in Command' });
});

test('doorbells follow one another at the stride of the controller', () => {
  assert.equal(doorbell('submission', 0, 0), 0x1000);
  assert.equal(doorbell('completion', 0, 0), 0x1004);
  assert.equal(doorbell('submission', 1, 0), 0x1008);
  assert.equal(doorbell('completion', 3, 2), 0x1000 + 7 * 16);
});

test('resources are managed with the dwords that nvme-cli sends for the same request', () => {
  // nvme virt-mgmt -c 1 -r 0 -a 8 -n 2; -c 1 -r 1 -a 8 -n 1; -c 1 -a 9 -n 0; -c 1 -a 7; -c 0 -r 1 -a 1 -n 0
  const sent = [
    virtualizationManagement('secondaryAssign', 1, { type: 'VQ', count: 2 }),
    virtualizationManagement('secondaryAssign', 1, { type: 'VI', count: 1 }),
    virtualizationManagement('secondaryOnline', 1),
    virtualizationManagement('secondaryOffline', 1),
    virtualizationManagement('primaryFlexibleAllocation', 0, { type: 'VI', count: 0 }),
  ];
  assert.deepEqual(
    sent.map(({ opcode, cdw10, cdw11 }) => [opcode, cdw10, cdw11]),
    [
      [0x1c, 0x10008, 2],
      [0x1c, 0x10108, 1],
      [0x1c, 0x10009, 0],
      [0x1c, 0x10007, 0],
      [0x1c, 0x101, 0],
    ],
  );
  assert.throws(() => virtualizationManagement('secondaryAssign', 65536), RangeError);
  assert.throws(() => virtualizationManagement('secondaryAssign', 1, { type: 'VQ', count: -1 }), RangeError);
});

test('the refusals of Virtualization Management are told in words, unknown ones as numbers', () => {
  assert.deepEqual(
    [0, 0x411f, 0x120, 0x121, 0x122, 0x7c0, 0x1fe].map((status) => decodeStatus(status).says),
    [
      'Successful Completion',
      'Invalid Controller Identifier',
      'Invalid Secondary Controller State',
      'Invalid Number of Controller Resources',
      'Invalid Resource Identifier',
      'vendor status 0xc0',
      'commandSpecific status 0xfe',
    ],
  );
  assert.equal(decodeStatus(0x4000).ok, true);
  assert.equal(decodeStatus(0x122).ok, false);
});

test('Identify Controller gives ids, version, and whether it manages virtual functions', () => {
  const data = new Uint8Array(4096);
  const put = (at: number, text: string, length: number) =>
    data.set(
      Array.from(text.padEnd(length), (c) => c.charCodeAt(0)),
      at,
    );
  data.set([0x36, 0x1b, 0xf4, 0x1a], 0);
  put(4, 'S1', 20);
  put(24, 'QEMU NVMe Ctrl', 40);
  put(64, '10.0.2', 8);
  data.set([0x01, 0x02], 78);
  data.set([0, 4, 1, 0], 80);
  data[256] = 0x80;
  const controller = readIdentifyController(data)!;
  assert.deepEqual(
    [
      controller.VID,
      controller.SSVID,
      controller.SN,
      controller.MN,
      controller.FR,
      controller.CNTLID,
      controller.VirtualizationManagement,
    ],
    [0x1b36, 0x1af4, 'S1', 'QEMU NVMe Ctrl', '10.0.2', 0x201, 1],
  );
  assert.deepEqual(VS.decode(new DataView(data.buffer, 80)), { TER: 0, MNR: 4, MJR: 1 });
  assert.equal(readIdentifyController(data.subarray(1)), undefined);
});

test('Primary Controller Capabilities tell what may be given away', () => {
  const data = new Uint8Array(4096);
  data[4] = 3;
  data.set([18, 0, 0, 0, 4, 0, 0, 0, 0, 0, 2, 0, 8, 0, 1, 0], 32);
  data.set([9, 0, 0, 0, 2, 0, 0, 0, 0, 0, 1, 0, 3, 0, 1, 0], 64);
  const { VQSupported, VISupported, VQFRT, VQRFA, VQPRT, VQFRSM, VIFRT, VIRFA, VIPRT, VIFRSM } = readPrimaryCapabilities(data)!;
  assert.deepEqual(
    [VQSupported, VISupported, VQFRT, VQRFA, VQPRT, VQFRSM, VIFRT, VIRFA, VIPRT, VIFRSM],
    [1, 1, 18, 4, 2, 8, 9, 2, 1, 3],
  );
  assert.equal(readPrimaryCapabilities(data.subarray(0, 4095)), undefined);
});

test('the secondary controllers are listed with the number of their VF, as many as the bytes hold', () => {
  const list = (count: number, ...entries: Uint8Array[]) =>
    Uint8Array.from([count, ...new Array<number>(31).fill(0), ...entries.flatMap((one) => [...one])]);
  const entries = [
    SecondaryControllerEntry.encode({ SCID: 1, PCID: 0, Online: 1, VFN: 1, NVQ: 2, NVI: 1 }),
    SecondaryControllerEntry.encode({ SCID: 2, PCID: 0, VFN: 2 }),
    SecondaryControllerEntry.encode({ SCID: 3, PCID: 0 }),
  ];
  const expected = [
    { scid: 1, pcid: 0, online: true, vf: 0, vq: 2, vi: 1 },
    { scid: 2, pcid: 0, online: false, vf: 1, vq: 0, vi: 0 },
    { scid: 3, pcid: 0, online: false, vf: undefined, vq: 0, vi: 0 },
  ];
  assert.deepEqual(readSecondaryControllers(list(3, ...entries)), expected);
  assert.deepEqual(readSecondaryControllers(list(2, ...entries)), expected.slice(0, 2));
  assert.deepEqual(readSecondaryControllers(list(127, ...entries)), expected);
  assert.deepEqual(readSecondaryControllers(new Uint8Array(5)), []);
});

test('every NVMe structure keeps every value it can hold', () => {
  const small = [
    CAP,
    VS,
    CC,
    CSTS,
    AQA,
    ASQ,
    ACQ,
    SubmissionQueueEntry,
    CompletionQueueEntry,
    StatusField,
    VirtualizationDword10,
    VirtualizationDword11,
  ];
  const large = [SecondaryControllerEntry, SecondaryControllerListHeader, IdentifyController, PrimaryControllerCapabilities];
  for (const one of small as unknown as Entry<Fields>[])
    fc.assert(fc.property(anyValue(one), (value) => assert.deepEqual(roundTrip(one, value), value)));
  for (const one of large as unknown as Entry<Fields>[])
    fc.assert(
      fc.property(anyValue(one), (value) => assert.deepEqual(roundTrip(one, value), value)),
      { numRuns: 10 },
    );
});
