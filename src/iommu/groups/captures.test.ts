import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { captures, tellCaptures } from '../../../test/captures.ts';
import { appearedIn, compareState, complaintAbout, judgeVfs } from '../../../test/conformance/captures.ts';
import { judgeMachine, machinesIn } from '../../../test/conformance/groups.ts';
import { sharedData } from '../../../test/data.ts';

const found = captures();
const told = tellCaptures(found);
const folder = sharedData('groups');

test(`groups are computed as the kernel made them (${told})`, () => {
  let states = 0;
  for (const capture of found.all)
    for (const state of capture.states) {
      assert.equal(complaintAbout(capture, state), undefined, `${capture.name} ${state.label}`);
      states++;
    }
  assert.ok(states > 20, `${states}`);
});

test(`only states after something was removed, added or rewritten are put down to order (${told})`, () => {
  for (const capture of found.all)
    for (const state of capture.states) {
      if (compareState(state).differences.length === 0) continue;
      const before = capture.events.slice(0, capture.events.indexOf(state));
      const cause = before.some(({ op, ...step }) => /host|sh/.test(op) || /remove|rescan|config/.test(JSON.stringify(step)));
      assert.ok(cause, `${capture.name} ${state.label}`);
    }
});

test(`VFs are predicted before they exist: address, PF and group (${told})`, () => {
  let count = 0;
  for (const capture of found.all)
    for (const appeared of appearedIn(capture))
      for (const why of judgeVfs(appeared)) {
        assert.equal(why, undefined, `${capture.name} ${appeared.after.label} ${appeared.pf}`);
        count++;
      }
  assert.ok(count > 20, `${count}`);
});

test('groups of real machines are the kernel’s wherever their listing holds the bytes', {
  skip: !folder && 'no shared data beside the repository',
}, () => {
  const counts = { same: 0, unknown: 0, other: 0 };
  for (const machine of machinesIn(folder!))
    for (const { bdf, is, right, says } of judgeMachine(machine, readFileSync(join(folder!, machine.input), 'utf8'))) {
      counts[is]++;
      assert.notEqual(is, 'other', `${machine.id} ${bdf}: ${says}`);
      // What is shown with `unknown`, that the kernel turned on what the ports offer, was right as well.
      assert.ok(right, `${machine.id} ${bdf}`);
    }
  // An answer that is always unknown would agree with everything.
  assert.ok(counts.same > 7 * counts.unknown, JSON.stringify(counts));
});
