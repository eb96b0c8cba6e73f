import assert from 'node:assert/strict';
import { test } from 'node:test';
import { captures, tellCaptures } from '../../test/captures.ts';
import { describeUnit } from './units.ts';

const found = captures();

test('a unit without readable registers has a name and a count', () => {
  assert.deepEqual(describeUnit({ name: 'ivhd0', devices: ['0000:00:00.0', '0000:00:01.0'] }), { name: 'ivhd0', devices: 2 });
  assert.deepEqual(describeUnit({ name: 'dmar0', devices: [], cap: '00d2008c222f0686' }), { name: 'dmar0', devices: 0 });
});

// The register values that the kernel printed, and what QEMU was started with (aw-bits=39,caching-mode=on,eim=on).
test('a unit is told in words', () => {
  assert.deepEqual(
    describeUnit({
      name: 'dmar0',
      devices: ['0000:00:03.0'],
      cap: '0012008c22260286',
      ecap: '0000000000f00f5a',
      version: '1:0',
      address: 'fed90000',
    }),
    {
      name: 'dmar0',
      devices: 1,
      version: '1:0',
      registerBase: 'fed90000',
      cap: '0012008c22260286',
      ecap: '0000000000f00f5a',
      can: {
        widths: [39],
        maximumGuestAddressWidth: 39,
        cachingMode: true,
        interruptRemapping: true,
        passThrough: true,
        scalableMode: false,
        nested: false,
        deviceTlb: false,
        queuedInvalidation: true,
      },
    },
  );
});

test(`a unit can do what its machine was given, and what its kernel said (${tellCaptures(found)})`, () => {
  let count = 0;
  for (const { name, argv, states } of found.all)
    for (const state of states)
      for (const [unit, { 'intel-iommu': intel, devices }] of Object.entries(state.iommus)) {
        if (intel.cap === undefined || intel.ecap === undefined) continue;
        const where = `${name} ${state.label}`;
        const { can } = describeUnit({
          name: unit,
          devices,
          cap: intel.cap.padStart(16, '0'),
          ecap: intel.ecap.padStart(16, '0'),
        });
        assert.ok(can, where);
        const device = argv.find((word) => word.startsWith('intel-iommu'));
        assert.ok(device, where);
        const option = (key: string) => new RegExp(`(?:^|,)${key}=([^,]*)`).exec(device)?.[1];
        const on = (key: string) => option(key) === 'on';
        const width = option('aw-bits');
        if (width !== undefined) assert.equal(can.maximumGuestAddressWidth, Number(width), where);
        assert.equal(can.widths.at(-1), can.maximumGuestAddressWidth, where);
        assert.equal(can.cachingMode, on('caching-mode'), where);
        assert.equal(can.deviceTlb, on('device-iotlb'), where);
        assert.equal(can.scalableMode, on('x-scalable-mode'), where);
        assert.equal(can.passThrough, option('pt') !== 'off', where);
        if (option('intremap') !== undefined) assert.equal(can.interruptRemapping, on('intremap'), where);
        assert.deepEqual([can.queuedInvalidation, can.nested], [true, false], where);
        const log = states[0]!.dmesg.join('\n');
        if (log.includes('Using Queued invalidation')) assert.ok(can.queuedInvalidation, where);
        const host = /DMAR: Host address width (\d+)/.exec(log)?.[1];
        if (host !== undefined) assert.equal(can.maximumGuestAddressWidth, Number(host), where);
        if (/DMAR-IR: Enabled IRQ remapping/.test(log)) assert.ok(can.interruptRemapping, where);
        count++;
      }
  assert.ok(count >= 10, `${count}`);
});
