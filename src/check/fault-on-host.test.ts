import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BDF, fn, pictureOf } from '../../test/pictures.ts';
import { parseFault } from '../iommu/index.ts';
import { placeFault } from './fault-on-host.ts';

const picture = pictureOf({
  functions: [
    fn(BDF, { driver: 'e1000e' }),
    fn('0000:02:00.0', {
      group: 2,
      resources: [{ index: 0, start: 0xfb000000, size: 0x10000, space: 'memory', width: 32, prefetchable: false, unset: false }],
    }),
  ],
  groups: [
    {
      number: 1,
      type: 'DMA',
      devices: [BDF],
      reserved: [{ start: '0x00000000db5db000', end: '0x00000000db5fafff', type: 'direct' }],
    },
    { number: 2, type: 'identity', devices: ['0000:02:00.0'], reserved: [] },
  ],
  texts: { '/proc/iomem': '00100000-bfffffff : System RAM\n  01000000-01ffffff : Kernel code\n' },
});
const told = (device: string, address: string) =>
  placeFault(
    picture,
    parseFault(
      `DMAR: [DMA Read NO_PASID] Request device [${device}] fault addr ${address} [fault reason 0x06] PTE Read access is not set`,
    )!,
  ).join('\n');

test('a fault is told with its function, its driver, its unit and its group', () => {
  assert.match(told('01:00.0', '0x1000'), /0000:01:00\.0 has the driver e1000e, behind dmar0, in group 1, default domain DMA/);
  assert.match(told('02:00.0', '0x1000'), /no driver.*group 2, default domain identity/);
});

test('a requester that is no function of the host is said to be one, with its neighbours', () => {
  assert.match(told('01:00.3', '0x1000'), /no function 01:00\.3[\s\S]*same slot: 0000:01:00\.0/);
});

test('the owner of an address is named: a reserved region, the MSI window, a BAR, memory', () => {
  assert.match(told('01:00.0', '0xdb5e0000'), /in the direct region 0xdb5db000-0xdb5fafff$/m);
  assert.match(told('02:00.0', '0xdb5e0000'), /which is not for this device/);
  assert.match(told('01:00.0', '0xfee00000'), /MSI window/);
  assert.match(told('01:00.0', '0xfb000040'), /BAR 0 of 0000:02:00\.0/);
  assert.match(told('01:00.0', '0x1000040'), /"Kernel code" of \/proc\/iomem/);
});

test('an event without a device, and a status, are told nothing about', () => {
  assert.deepEqual(placeFault(picture, parseFault('DMAR: DRHD: handling fault status reg 2')!), []);
  assert.deepEqual(placeFault(picture, parseFault('AMD-Vi: Event logged [ILLEGAL_COMMAND_ERROR address=0x1000]')!), []);
});
