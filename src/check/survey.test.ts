import assert from 'node:assert/strict';
import { test } from 'node:test';
import { capturedHost } from '../../test/captured-host.ts';
import { captures, tellCaptures } from '../../test/captures.ts';
import { BDF, fn, pictureOf } from '../../test/pictures.ts';
import { readPicture } from '../host/picture.ts';
import { linkOf } from './links.ts';
import { PROBLEMS } from './problems/index.ts';
import { anyHarm, SEVERITIES, STATES, survey, wholeHost } from './survey.ts';

const shared = captures();

test(`every rule answers on every recorded host: ${tellCaptures(shared)}`, async () => {
  for (const capture of shared.all) {
    const picture = await readPicture(capturedHost(capture, capture.states[0]!));
    const subject = wholeHost(picture);
    const surveyed = survey(picture, subject);
    for (const { problem, answers, is } of surveyed) {
      assert.equal(
        is,
        STATES.find((state) => answers.some((answer) => answer.is === state)),
      );
      for (const rule of problem.rules.filter(({ about }) => about === 'function')) {
        const asked = answers.filter(({ asks }) => asks === rule.asks).flatMap(({ functions }) => functions);
        assert.deepEqual(asked.sort(), subject.functions.map(({ bdf }) => bdf).sort(), `${capture.name}: ${problem.id}`);
      }
      for (const answer of answers) assert.ok(answer.because.length > 0, `${capture.name}: ${problem.id}`);
    }
  }
});

test('what fails comes first, the worst of it first', async () => {
  for (const capture of shared.all.slice(0, 20)) {
    const picture = await readPicture(capturedHost(capture, capture.states[0]!));
    const places = survey(picture, wholeHost(picture)).map(
      ({ is, problem }) => STATES.indexOf(is) * SEVERITIES.length + SEVERITIES.indexOf(problem.severity),
    );
    assert.deepEqual(
      places,
      [...places].sort((a, b) => a - b),
      capture.name,
    );
  }
});

test('functions with the same to say of themselves are one answer', () => {
  const functions = Array.from({ length: 300 }, (_, i) =>
    fn(`0000:02:${(i >> 3).toString(16).padStart(2, '0')}.${i & 7}`, { group: i }),
  );
  const picture = pictureOf({
    functions,
    groups: functions.map(({ bdf, group }) => ({ number: group!, devices: [bdf], reserved: [] })),
  });
  const found = survey(picture, { host: false, functions });
  for (const { answers } of found) for (const { functions: alike } of answers) assert.ok(alike.length > 1);
  assert.ok(found.length > 10);
});

test('without a host, functions or a VM nothing is asked', () => {
  assert.deepEqual(survey(pictureOf(), { host: false, functions: [] }), []);
});

test('what is slow or only misread does no harm', () => {
  assert.equal(
    anyHarm([
      { is: 'fail', severity: 'slow' },
      { is: 'unknown', severity: 'blocker' },
    ]),
    false,
  );
  assert.equal(anyHarm([{ is: 'fail', severity: 'risk' }]), true);
});

test('every source of the catalogue that has an address gets one', () => {
  assert.equal(linkOf('gh:acme/tool#12 (a remark)'), 'https://github.com/acme/tool/issues/12');
  assert.equal(linkOf('linux:drivers/pci/iov.c sriov_enable()'), 'https://github.com/torvalds/linux/blob/v6.1/drivers/pci/iov.c');
  assert.equal(linkOf('qemu:hw/vfio/pci.c (11.1)'), 'https://github.com/qemu/qemu/blob/v11.1.0/hw/vfio/pci.c');
  assert.equal(linkOf('spec:VT-d 5.10'), undefined);
  for (const { sources } of PROBLEMS)
    for (const source of sources) if (source.startsWith('gh:')) assert.ok(linkOf(source) !== undefined, source);
});

test('the function of a picture is found among those that are asked about', () => {
  assert.deepEqual(
    wholeHost(pictureOf()).functions.map(({ bdf }) => bdf),
    [BDF],
  );
});
