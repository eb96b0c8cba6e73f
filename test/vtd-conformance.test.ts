import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { judgePart } from './conformance/vtd.ts';
import { difference, type RequestAnswer, type RequestExpect, type Rules } from './conformance/vtd-requests.ts';
import { ROOT } from './data.ts';

const vectors = join(ROOT, '../shared/vectors');
const skip = !existsSync(vectors) && 'no shared vectors beside the repository';

for (const part of ['vtd', 'vtd-spec'])
  test(`${part}: requests are answered as recorded, one case of eight`, { skip }, () => {
    const outcome = judgePart(vectors, part, 8)!;
    assert.deepEqual(outcome.disagreements, []);
    assert.ok(outcome.total > 1000);
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
