import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { HostError } from '../host.ts';
import { liveLinks, parseLinks } from './links.ts';

// Recorded in a machine with an 82576 and two VFs, the first of them with settings; iproute2 6.1, kernel 6.12.
const RECORDED = new URL('../../../../src/host/live/data/ip-link-igb.json', import.meta.url);

test('the settings of the VFs of a real PF are read', () => {
  assert.deepEqual(parseLinks(readFileSync(RECORDED, 'utf8')), [
    { name: 'lo', mac: '00:00:00:00:00:00', up: true, vfs: [] },
    {
      name: 'eth0',
      mac: '52:54:00:aa:00:01',
      up: true,
      vfs: [
        { mac: '52:54:00:aa:01:00', vlan: 100, spoofchk: false, trust: true },
        { mac: '00:00:00:00:00:00', vlan: 0, spoofchk: true, trust: false },
      ],
    },
  ]);
});

test('the older spelling of a VF is read too', () => {
  const text =
    '[{"ifname":"e","flags":[],"address":"52:54:00:AA:00:01","vfinfo_list":[{"vf":0,"mac":"52:54:00:AA:01:00","vlan":7}]}]';
  assert.deepEqual(parseLinks(text), [
    {
      name: 'e',
      mac: '52:54:00:aa:00:01',
      up: false,
      vfs: [{ mac: '52:54:00:aa:01:00', vlan: 7, spoofchk: false, trust: false }],
    },
  ]);
});

test('an answer that is no JSON is an error, an empty one is no interface', () => {
  assert.throws(() => parseLinks('1: lo: <LOOPBACK>'), HostError);
  assert.deepEqual(parseLinks('\n'), []);
});

test('what the kernel answers to a change is in the error', async (t) => {
  const links = liveLinks();
  const there = await links.list().catch((error: unknown) => error);
  if (!Array.isArray(there)) return t.skip('this machine has no iproute2');
  await assert.rejects(links.setUp('nonexistent0', true), (error: unknown) => {
    assert.ok(error instanceof HostError);
    assert.equal(error.subject, 'nonexistent0');
    assert.equal(error.errno, 'ENODEV');
    assert.match(error.message, /Cannot find device "nonexistent0"/);
    return true;
  });
});
