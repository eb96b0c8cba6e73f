import assert from 'node:assert/strict';
import { test } from 'node:test';
import { capturedHost } from '../../test/captured-host.ts';
import { captureNamed } from '../../test/captures.ts';
import { BDF, fn, pictureOf } from '../../test/pictures.ts';
import { readPicture } from '../host/picture.ts';
import { bootOptions } from './boot-options.ts';

const here = (cmdline: string, more = {}) =>
  bootOptions(pictureOf(more, cmdline)).map(({ text, effective }) => [text, effective]);

test('options of the other vendor are told to do nothing', () => {
  assert.deepEqual(here('amd_iommu=fullflush quiet intel_iommu=on'), [
    ['amd_iommu=fullflush', false],
    ['intel_iommu=on', true],
  ]);
});

test('a misspelt value is told, and options that have nothing to do with passthrough are not', () => {
  assert.deepEqual(here('root=/dev/sda1 intel_iommu=onn pci=nocrs,noats -- iommu=pt'), [
    ['intel_iommu=onn', false],
    ['pci=noats', true],
  ]);
});

test('vfio-pci.ids names what took the devices', () => {
  const functions = [fn(BDF, { vendor: 0x10de, device: 0x1b81, driver: 'nouveau' })];
  const [option] = bootOptions(pictureOf({ functions }, 'vfio-pci.ids=10de:1b81,8086:1'));
  assert.equal(option?.effective, false);
  assert.match(option.here, /0000:01:00\.0: nouveau has it; 8086:1: no such function/);
});

const pass = ['act-group-type-pt', 'opt-nopt-hw', 'opt-passthrough0'].flatMap((name) => captureNamed(name) ?? []);
test('iommu=pt is told with the groups it reached, and with ECAP_REG.PT where it reached none', {
  skip: pass.length < 1,
}, async () => {
  for (const capture of pass) {
    const options = bootOptions(await readPicture(capturedHost(capture, capture.states[0]!)));
    const through = options.find(({ text }) => text === 'iommu=pt')!;
    const identity = Object.values(capture.states[0]!.groups).filter(({ type }) => type === 'identity').length;
    assert.match(through.here, new RegExp(`^${identity} of `));
    assert.equal(through.effective, identity > 0);
    if (identity === 0) assert.match(through.here, /ECAP_REG\.PT is 0/);
  }
});
