import assert from 'node:assert/strict';
import { test } from 'node:test';
import { captures, tellCaptures } from '../../test/captures.ts';
import { pictureOf } from '../../test/pictures.ts';
import { type Ability, describeUnit as describe } from './units.ts';

const found = captures();
const describeUnit = (unit: Parameters<typeof describe>[1]) => describe(pictureOf(), unit);
const has = ({ abilities }: { abilities: readonly Ability[] }, field: string) =>
  abilities.some((one) => one.field === field && one.has);

test('a unit without readable registers has a name and a count', () => {
  assert.deepEqual(describeUnit({ name: 'ivhd0', devices: ['0000:00:00.0', '0000:00:01.0'] }), {
    name: 'ivhd0',
    kind: 'virtio-iommu',
    devices: 2,
  });
  assert.deepEqual(describeUnit({ name: 'dmar0', devices: [], cap: '00d2008c222f0686' }), {
    name: 'dmar0',
    kind: 'VT-d',
    devices: 0,
  });
});

// The register values that the kernel printed, and what QEMU was started with (aw-bits=39,caching-mode=on,eim=on).
test('a unit is told in words', () => {
  const { can, ...rest } = describeUnit({
    name: 'dmar0',
    devices: ['0000:00:03.0'],
    cap: '0012008c22260286',
    ecap: '0000000000f00f5a',
    version: '1:0',
    address: 'fed90000',
  });
  assert.deepEqual(rest, {
    name: 'dmar0',
    kind: 'VT-d',
    devices: 1,
    version: '1:0',
    registerBase: 'fed90000',
    cap: '0012008c22260286',
    ecap: '0000000000f00f5a',
  });
  assert.ok(can);
  const { abilities, ...numbers } = can;
  assert.deepEqual(numbers, {
    widths: [39],
    maximumGuestAddressWidth: 39,
    domains: 65536,
    pasidBits: 0,
    faultRecords: 1,
    cachingMode: true,
  });
  assert.deepEqual(
    abilities.filter((one) => one.has).map(({ field, what }) => `${field} ${what}`),
    [
      'ECAP_REG.IR interrupt remapping',
      'ECAP_REG.EIM x2APIC interrupts',
      'ECAP_REG.PT pass-through',
      'ECAP_REG.QI queued invalidation',
      'CAP_REG.SSLPS 2 MiB pages',
      'CAP_REG.SSLPS 1 GiB pages',
    ],
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
        assert.equal(has(can, 'ECAP_REG.DT'), on('device-iotlb'), where);
        assert.equal(has(can, 'ECAP_REG.SMTS'), on('x-scalable-mode'), where);
        assert.equal(has(can, 'ECAP_REG.PT'), option('pt') !== 'off', where);
        if (option('intremap') !== undefined) assert.equal(has(can, 'ECAP_REG.IR'), on('intremap'), where);
        assert.deepEqual([has(can, 'ECAP_REG.QI'), has(can, 'ECAP_REG.NEST')], [true, false], where);
        const log = states[0]!.dmesg.join('\n');
        if (log.includes('Using Queued invalidation')) assert.ok(has(can, 'ECAP_REG.QI'), where);
        const host = /DMAR: Host address width (\d+)/.exec(log)?.[1];
        if (host !== undefined) assert.equal(can.maximumGuestAddressWidth, Number(host), where);
        if (/DMAR-IR: Enabled IRQ remapping/.test(log)) assert.ok(has(can, 'ECAP_REG.IR'), where);
        count++;
      }
  assert.ok(count >= 10, `${count}`);
});
