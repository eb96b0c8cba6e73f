import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultDomainOption, interruptsOffOption, iommuOffOption, optionValues } from './cmdline.ts';

test('values of an option are found as the kernel finds them', () => {
  assert.deepEqual(optionValues('quiet intel_iommu=on,sm_on root=/dev/sda1 intel-iommu=off', 'intel_iommu'), [
    'on',
    'sm_on',
    'off',
  ]);
  assert.deepEqual(optionValues('noapic', 'noapic'), ['']);
  assert.deepEqual(optionValues('xiommu=off iommux=off iommu.strict=0', 'iommu'), []);
  assert.deepEqual(optionValues('dyndbg="file a iommu=off" iommu=pt', 'iommu'), ['pt']);
  assert.deepEqual(optionValues('iommu=pt -- iommu=off', 'iommu'), ['pt']);
  assert.deepEqual(optionValues('', 'iommu'), []);
});

test('the option that turns the IOMMU off is named, the last word counts', () => {
  const off = iommuOffOption;
  assert.equal(off('intel_iommu=off'), 'intel_iommu=off');
  assert.equal(off('intel_iommu=sm_on,off quiet'), 'intel_iommu=off');
  assert.equal(off('intel_iommu=off intel_iommu=on'), undefined);
  assert.equal(off('intel_iommu=on iommu=off'), 'iommu=off');
  assert.equal(off('iommu=pt,off'), 'iommu=off');
  assert.equal(off('amd_iommu=off'), 'amd_iommu=off');
  assert.equal(off('amd_iommu=fullflush iommu=pt intel_iommu=on,igfx_off,sp_off,sm_off'), undefined);
  assert.equal(off('BOOT_IMAGE=/off root=iommu=off'), undefined);
});

test('the option that turns interrupt remapping off is named', () => {
  const off = interruptsOffOption;
  assert.equal(off('quiet intremap=off'), 'intremap=off');
  assert.equal(off('intremap=nosid,off'), 'intremap=off');
  assert.equal(off('intremap=off intremap=on'), undefined);
  assert.equal(off('intremap=no_x2apic_optout'), undefined);
  assert.equal(off('noapic'), 'noapic');
  assert.equal(off('nointremap'), 'nointremap');
  assert.equal(off('noapictimer intremap'), undefined);
});

test('of iommu=pt, iommu=nopt and iommu.passthrough the last one counts', () => {
  const identity = (cmdline: string) => defaultDomainOption(cmdline)?.identity;
  assert.equal(identity('quiet intel_iommu=on'), undefined);
  assert.equal(identity('iommu.passthrough=0 iommu=pt'), true);
  assert.equal(identity('iommu=pt iommu.passthrough=off'), false);
  assert.equal(identity('iommu=pt,nopt'), false);
  assert.equal(identity('iommu.passthrough=1'), true);
  assert.equal(identity('intel_iommu=pt'), undefined);
  assert.deepEqual(defaultDomainOption('iommu=soft,pt'), { option: 'iommu=pt', identity: true });
});
