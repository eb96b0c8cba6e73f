import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attribute, captures, configOf, tellCaptures } from '../../test/captures.ts';
import { linkIn } from './pci-link.ts';

const found = captures();

test(`configuration space tells the link as the kernel prints it (${tellCaptures(found)})`, () => {
  let links = 0;
  for (const { name, states } of found.all)
    for (const { label, devices } of states)
      for (const [bdf, device] of Object.entries(devices)) {
        const at = `${name} ${label} ${bdf}`;
        const [speed, width, maxSpeed, maxWidth] = [
          'current_link_speed',
          'current_link_width',
          'max_link_speed',
          'max_link_width',
        ].map((attr) => attribute(device, attr));
        const shown = Number(width) > 0 && Number(width) < 255 && Number(maxWidth) > 0;
        const link = linkIn(configOf(device));
        if (link === undefined) continue;
        assert.deepEqual(link, shown ? { speed, width: Number(width), maxSpeed, maxWidth: Number(maxWidth) } : 'none', at);
        links += shown ? 1 : 0;
      }
  assert.ok(links > 100, `${links}`);
});

test('bytes that do not tell are left to the files of the kernel', () => {
  assert.equal(linkIn(new Uint8Array(64)), undefined);
  assert.equal(linkIn(new Uint8Array(256).fill(0xff)), undefined);
  assert.equal(linkIn(new Uint8Array(256)), 'none');
  const circle = new Uint8Array(256);
  circle.set([0x10], 6);
  circle.set([0x40], 0x34);
  circle.set([1, 0x40], 0x40);
  assert.equal(linkIn(circle), undefined);
});
