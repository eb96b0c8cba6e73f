import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type InterruptAnswer, type InterruptExpect, interruptDiffers, interruptExcused } from './conformance/vtd-interrupts.ts';

const answer: InterruptAnswer = {
  r: 'irq',
  remapped: true,
  index: 5,
  message: { lo: 0xfee2300c | 0, hi: 0x100, data: 0xc193 },
  vector: 0,
  pid: 0n,
  reason: 0,
  fault: undefined,
  fsts: 0,
  reads: [['irte', 0x1050n]],
  irte: { low: 1n, high: 0n },
};
const irq = { index: 5, vector: 0x93, dest: 0x123, delivery: 1, destMode: 1, trigger: 1, rh: 1 };
const judge = (
  expect: InterruptExpect,
  ours: Partial<InterruptAnswer> = {},
  quirks: string[] = [],
  accept: InterruptExpect[] = [],
) => {
  const op = { sid: 0x100, addr: '0xfee000b0', expect, accept };
  const said = { ...answer, ...ours };
  const why = interruptDiffers(op, said);
  return why !== undefined && interruptExcused(op, new Set(quirks), said) ? undefined : why;
};

test('an answer agrees when all that is said of it does', () => {
  assert.equal(
    judge({ r: 'irq', irq, remapped: true, msi: ['0x100fee2300c', '0xc193'], reads: [['irte', '0x1050']] }),
    undefined,
  );
});

test('each thing that differs is named', () => {
  for (const [name, value] of Object.entries(irq))
    assert.match(judge({ r: 'irq', irq: { ...irq, [name]: value + 1 } })!, RegExp(name));
  assert.match(judge({ r: 'irq', remapped: false })!, /remapped/);
  assert.match(judge({ r: 'irq', msi: ['0xfee2300c', '0xc193'] })!, /address/);
  assert.match(judge({ r: 'irq', msi: ['0x100fee2300c', '0xc194'] })!, /data/);
  assert.match(judge({ r: 'irq', reads: [] })!, /reads/);
  assert.match(judge({ r: 'posted' })!, /answer is irq, not posted/);
  const blocked = { r: 'fault', reason: 0x22, message: undefined } as const;
  const fault = { reason: 0x22, sid: 0x100, type: 0, info: 5n << 48n };
  assert.equal(
    judge({ r: 'fault', fault: { reason: 0x22, sid: 0x100, info: '0x5000000000000' } }, { ...blocked, fault }),
    undefined,
  );
  assert.match(judge({ r: 'fault', fault: { reason: 0x24, sid: 0x100 } }, { ...blocked, fault })!, /reason is 34, not 36/);
  assert.match(judge({ r: 'fault', fault: { reason: 0x22, sid: 0x101 } }, { ...blocked, fault })!, /sid/);
  assert.match(judge({ r: 'fault', fault: { reason: 0x22, sid: 0x100, info: '0x0' } }, { ...blocked, fault })!, /info/);
  const posted = { r: 'posted', vector: 7, pid: 0x40n, message: undefined } as const;
  assert.equal(judge({ r: 'posted', vector: 7, pid: '0x40', notify: null }, posted), undefined);
  assert.match(judge({ r: 'posted', vector: 8 }, posted)!, /PIR/);
  assert.match(judge({ r: 'posted', pid: '0x80' }, posted)!, /descriptor/);
  assert.match(judge({ r: 'posted', notify: irq }, posted)!, /notification/);
});

test('another right answer is accepted, whatever was read for it', () => {
  assert.equal(judge({ r: 'dropped' }, {}, [], [{ r: 'irq', reads: [] }]), undefined);
});

test('a shortcut of QEMU excuses what it is about and nothing else', () => {
  const fault = (reason: number) =>
    ({ r: 'fault', reason, fault: { reason, sid: 0x100, type: 0, info: 0n }, message: undefined }) as const;
  const svt2 = (start: number, end: number) => ({ low: 1n, high: (2n << 18n) | BigInt((start << 8) | end) });
  assert.equal(judge({ r: 'dropped' }, fault(0x24), ['no-interrupt-fault-record']), undefined);
  assert.ok(judge({ r: 'dropped' }, {}, ['no-interrupt-fault-record']));
  const said = { r: 'fault', fault: { reason: 0x26, sid: 0x100 } };
  assert.equal(judge(said, { irte: svt2(0, 2) }, ['svt2-bus-range-swapped']), undefined, 'bus 1 is from 0 to 2');
  assert.ok(judge(said, { irte: svt2(2, 0) }, ['svt2-bus-range-swapped']));
  assert.ok(judge(said, { irte: { low: 1n, high: 0n } }, ['svt2-bus-range-swapped']));
  assert.equal(
    judge({ r: 'irq', irq }, { ...fault(0x24), irte: { low: 0x8001n, high: 0n } }, ['posted-interrupt-mode-ignored']),
    undefined,
  );
  assert.ok(judge({ r: 'irq', irq }, fault(0x24), ['posted-interrupt-mode-ignored']));
  assert.ok(judge({ r: 'irq', remapped: false }, fault(0x25), ['compatibility-format-always-passes']), 'this one is remappable');
});
