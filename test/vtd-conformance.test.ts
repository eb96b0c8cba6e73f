import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Tally } from './conformance/set.ts';
import { judgeCase, judgePart } from './conformance/vtd.ts';
import { caseFiles, casesOf, type VtdCase, type VtdOp } from './conformance/vtd-cases.ts';
import { difference, type RequestAnswer, type RequestExpect, type Rules } from './conformance/vtd-requests.ts';
import { ROOT } from './data.ts';

const vectors = join(ROOT, '../shared/vectors');
const skip = !existsSync(vectors) && 'no shared vectors beside the repository';

for (const part of ['vtd', 'vtd-spec'])
  test(`${part}: a unit does as recorded, one case of eight`, { skip }, () => {
    const outcome = judgePart(vectors, part, 8)!;
    assert.deepEqual(outcome.disagreements, []);
    assert.ok(outcome.total > 1000);
  });

test('a case may write to many pages, and is replayed with a kernel as well', { skip }, () => {
  const file = caseFiles(join(vectors, 'vtd'))[0]!;
  const one = [...casesOf(file)].find(({ quirks }) => quirks.length === 0)!;
  const more = Array.from({ length: 300 }, (_, page): [string, string] => [
    `0x${(0x150000000 + page * 4096).toString(16)}`,
    '0x1',
  ]);
  const tally = new Tally();
  judgeCase({ ...one, mem: [...one.mem, ...more] }, tally);
  assert.deepEqual([tally.disagreements, tally.total > 0], [[], true]);
});

/** Ways to change one thing that a case says of an operation; undefined when it says nothing of that. */
const CHANGES: Record<string, (op: VtdOp & { expect?: unknown }) => unknown> = {
  place: (op) => op.op === 'dma' && op.expect.hpa && { hpa: `0x${(BigInt(op.expect.hpa) ^ 0x1000n).toString(16)}` },
  answer: (op) => 'expect' in op && 'sid' in op && { r: op.expect.r === 'blocked' ? 'ok' : 'blocked' },
  status: (op) => 'sid' in op && op.expect.fsts && { fsts: op.expect.fsts === '0x0' ? '0x2' : '0x0' },
  reason: (op) =>
    op.op === 'dma' && op.expect.r === 'fault' && op.expect.fault && { fault: { ...op.expect.fault, reason: 0x99 } },
  'fault address': (op) => op.op === 'dma' && op.expect.fault?.info && { fault: { ...op.expect.fault, info: '0x7000' } },
  data: (op) =>
    op.op === 'dma' && !op.write && op.expect.data && { data: op.expect.data.replace(/^./, (one) => (one === '0' ? '1' : '0')) },
  message: (op) => op.op === 'msi' && op.expect.msi && { msi: [op.expect.msi[0], '0xff00'] },
  register: (op) => (op.op === 'r32' || op.op === 'r64') && op.off === 0x80 && { val: '0xff0' },
  event: (op) => (op.op === 'dma' || op.op === 'w32') && { events: [{ addr: '0xfee00000', data: '0x99' }] },
  'entry read': (op) => 'sid' in op && op.expect.reads && { reads: [...op.expect.reads, ['ss1', '0x8']], readsMin: undefined },
  completion: (op) => op.op === 'ats' && { completion: { ...op.expect.completion, w: 1 - (op.expect.completion?.w ?? 0) } },
};

for (const [what, change] of Object.entries(CHANGES))
  test(`a case of which one ${what} is changed does not come out`, { skip }, () => {
    let tried = 0;
    for (const part of ['vtd', 'vtd-spec'])
      for (const file of caseFiles(join(vectors, part))) {
        // The first of each file that says something of it, and has only one right answer.
        for (const one of casesOf(file)) {
          const changed = one.quirks.length === 0 && changedCase(one, change);
          if (!changed) continue;
          const tally = new Tally();
          judgeCase(changed, tally);
          assert.notEqual(tally.agreed, tally.total, one.id);
          tried++;
          break;
        }
      }
    assert.ok(tried > 0);
  });

function changedCase(one: VtdCase, change: (op: VtdOp) => unknown): VtdCase | undefined {
  for (const [at, op] of one.ops.entries()) {
    const to = 'accept' in op || 'expectFresh' in op ? undefined : change(op);
    if (!to) continue;
    const expect = { ...(op as { expect?: object }).expect, ...to };
    return { ...one, ops: one.ops.with(at, { ...op, expect } as VtdOp) };
  }
  return undefined;
}

test('a case that lists another word of memory, or one less, does not come out', { skip }, () => {
  for (const file of caseFiles(join(vectors, 'vtd')))
    for (const one of casesOf(file)) {
      // Where a walk met a fault flags may be other ones.
      const fault = one.ops.some((op) => 'sid' in op && op.expect.r !== 'ok');
      if (fault || one.quirks.length > 0 || one.memAfter.length === 0) continue;
      const [[at, word], ...rest] = one.memAfter as [[string, string], ...[string, string][]];
      const other = `0x${(BigInt(word) ^ (1n << 40n)).toString(16)}`;
      for (const memAfter of [[[at, other], ...rest] as [string, string][], rest]) {
        const tally = new Tally();
        judgeCase({ ...one, memAfter }, tally);
        assert.match(tally.disagreements.at(-1) ?? '', /memory/, one.id);
      }
      break;
    }
});

const answer: RequestAnswer = {
  r: 'fault',
  pieces: [{ iova: 0x1000n, length: 8, hpa: undefined, reason: 0x71, reported: true, shown: '' }],
  data: undefined,
  reasons: [0x71],
  fault: { reason: 0x71, sid: 5, type: 1, t2: 0, at: 0, pp: 1, pasid: 7, priv: 0, info: 0x1000n },
  completion: { status: 'success', r: 1, w: 0, u: 0, priv: 0, s: 1, n: 0, addr: 0x200000n, size: 0x200000n },
  fsts: 2,
  reads: [['root', 0x50n]],
};
const RULES: Rules = { reads: true, log: true, older: false, data: true, pasids: true, info: -1n, legacyReasons: false };
const fault = { reason: 0x71, sid: 5, type: 1, at: 0, pp: 1, pasid: 7, priv: 0, info: '0x1000' };
const judge = (expect: Partial<RequestExpect>, ours: Partial<RequestAnswer> = {}, rules: Partial<Rules> = {}) =>
  difference({ r: 'fault', fault, ...expect }, { ...answer, ...ours }, { ...RULES, ...rules });

test('each thing of a fault that differs is named', () => {
  assert.equal(judge({ fault, fsts: '0x2', reads: [['root', '0x50']] }), undefined);
  for (const [name, value] of Object.entries({ reason: 0x72, sid: 6, type: 0, at: 1, pp: 0, pasid: 8, priv: 1, info: '0x2000' }))
    assert.match(judge({ fault: { ...fault, [name]: value } })!, name === 'reason' ? /71h, not 72h/ : new RegExp(name));
  assert.match(judge({ fsts: '0x0' })!, /FSTS/);
  assert.match(judge({ reads: [] })!, /reads/);
  assert.match(judge({ r: 'ok' })!, /fault 71h, not ok/);
  assert.equal(judge({ fault: { ...fault, reason: 1 }, specReasons: [0x71] }), undefined);
});

test('where a request went and what it moved is compared', () => {
  const ok = { r: 'ok', fault: undefined } as unknown as RequestExpect;
  const went = { r: 'ok', reasons: [], pieces: [{ ...answer.pieces[0]!, hpa: 0x5000n }], data: '00ff', fault: undefined };
  assert.equal(judge({ ...ok, hpa: '0x5000', data: '00ff' }, went), undefined);
  assert.match(judge({ ...ok, hpa: '0x6000' }, went)!, /hpa/);
  assert.match(judge({ ...ok, data: '00fe' }, went)!, /data/);
  assert.match(judge({ ...ok, pieces: [['0x1000', null, 8]] }, went)!, /should not/);
  assert.match(judge({ ...ok, pieces: [['0x1000', '0x5000', 9]] }, went)!, /length/);
});

test('a translation completion may cover a smaller range, and nothing else may differ', () => {
  const completion = { status: 'success', r: 1, w: 0, u: 0, priv: 0, s: 1, n: 0, addr: '0x0', size: '0x40000000' };
  const inside = { pieces: [{ ...answer.pieces[0]!, iova: 0x201000n }] };
  assert.equal(judge({ completion }, inside), undefined);
  assert.match(judge({ completion })!, /range/, 'the address is in another part');
  for (const name of ['r', 'w', 'u', 'priv', 'n'] as const)
    assert.match(judge({ completion: { ...completion, [name]: 1 - completion[name] } }, inside)!, new RegExp(`^${name} is`));
  assert.match(judge({ completion: { ...completion, status: 'CA' } })!, /status/);
  assert.match(judge({ completion: { ...completion, addr: '0x200000', size: '0x1000' } })!, /range/);
});
