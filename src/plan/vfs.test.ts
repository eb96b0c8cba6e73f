import assert from 'node:assert/strict';
import { test } from 'node:test';
import { capturedHost } from '../../test/captured-host.ts';
import { type Capture, type CapturedState, captures, tellCaptures } from '../../test/captures.ts';
import type { PciFunction } from '../host/functions.ts';
import { functionOf, type Picture, readPicture } from '../host/picture.ts';
import { chooseVfs, type VfChoice } from './vfs.ts';

const found = captures();
const told = tellCaptures(found);

/** Functions that had no VFs in one state and some in the next: the question, and what the kernel made of it. */
function* births(): Generator<{
  where: string;
  capture: Capture;
  before: CapturedState;
  after: CapturedState;
  bdf: string;
  made: string[];
}> {
  for (const capture of found.all)
    for (const [i, after] of capture.states.entries()) {
      const before = capture.states[i - 1];
      if (before === undefined) continue;
      for (const [bdf, { links }] of Object.entries(after.devices)) {
        const made = Object.keys(links)
          .flatMap((name) => /^virtfn(\d+)$/.exec(name)?.[1] ?? [])
          .sort((a, b) => Number(a) - Number(b))
          .map((n) => links[`virtfn${n}`]!);
        const earlier = before.devices[bdf];
        if (made.length === 0 || earlier === undefined || earlier.links.virtfn0 !== undefined) continue;
        yield { where: `${capture.name} ${after.label} ${bdf}`, capture, before, after, bdf, made };
      }
    }
}

async function look(
  capture: Capture,
  state: CapturedState,
  bdf: string,
  more = {},
): Promise<{ picture: Picture; pf: PciFunction }> {
  const picture = await readPicture(capturedHost(capture, state, more));
  const pf = functionOf(picture, bdf);
  assert.ok(pf);
  return { picture, pf };
}

const refusalOf = (choice: VfChoice) => {
  assert.ok('refused' in choice, 'it was not refused');
  return choice.refused;
};

test(`VFs are planned at the very addresses where the kernel then made them (${told})`, async () => {
  let count = 0;
  for (const { where, capture, before, bdf, made } of births()) {
    const { picture, pf } = await look(capture, before, bdf);
    assert.deepEqual(
      chooseVfs(picture, pf, made.length),
      { create: made.length, vfs: made.map((vf, n) => ({ vf: n, bdf: vf })) },
      where,
    );
    count += made.length;
  }
  assert.ok(count > 130, `${count}`);
});

test(`fewer VFs lie at the first of those addresses (${told})`, async () => {
  for (const { where, capture, before, bdf, made } of births()) {
    const { picture, pf } = await look(capture, before, bdf);
    const one = chooseVfs(picture, pf, 1);
    assert.ok('vfs' in one, where);
    assert.deepEqual(one.vfs, [{ vf: 0, bdf: made[0] }], where);
  }
});

test(`more VFs than TotalVFs are refused with both numbers (${told})`, async () => {
  for (const { where, capture, before, bdf } of births()) {
    const { picture, pf } = await look(capture, before, bdf);
    const total = pf.sriov!.totalVFs;
    const { id, because } = refusalOf(chooseVfs(picture, pf, total + 1));
    assert.equal(id, 'sriov/count', where);
    for (const number of [total + 1, total]) assert.match(because, new RegExp(`\\b${number}\\b`), where);
  }
});

test(`existing VFs serve when they are free, and their number is never changed from one above 0 (${told})`, async () => {
  let served = 0;
  for (const { where, capture, after, bdf, made } of births()) {
    const { picture, pf } = await look(capture, after, bdf);
    for (const wanted of [1, made.length]) {
      const choice = chooseVfs(picture, pf, wanted);
      if ('refused' in choice) continue;
      served++;
      assert.equal(choice.create, undefined, where);
      assert.equal(choice.vfs.length, wanted, where);
      for (const { vf, bdf: chosen } of choice.vfs) assert.equal(chosen, made[vf], where);
    }
    if (pf.sriov!.totalVFs > made.length) {
      const { id, because } = refusalOf(chooseVfs(picture, pf, made.length + 1));
      assert.equal(id, 'sriov/numvfs', where);
      for (const number of [made.length + 1, made.length]) assert.match(because, new RegExp(`\\b${number}\\b`), where);
    }
  }
  assert.ok(served > 0);
});

test('a count that does not answer refuses every wish, since a change is under way', async () => {
  const { capture, after, bdf } = births().next().value!;
  const path = `${after.devices[bdf]!.path}/sriov_numvfs`;
  const { picture, pf } = await look(capture, after, bdf, { [path]: { errno: 'ETIMEDOUT' } });
  const { id, because, seen } = refusalOf(chooseVfs(picture, pf, 1));
  assert.equal(id, 'sriov/numvfs');
  assert.match(because, /could not be read/);
  assert.deepEqual(seen, [{ where: `/sys/bus/pci/devices/${bdf}/sriov_numvfs`, text: 'no answer in time' }]);
});
