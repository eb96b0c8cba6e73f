import assert from 'node:assert/strict';
import { test } from 'node:test';
import { capturedHost } from '../../test/captured-host.ts';
import { captures, tellCaptures } from '../../test/captures.ts';
import { BDF, fn, pictureOf } from '../../test/pictures.ts';
import { verdictOf } from '../../test/rules.ts';
import type { PciFunction } from '../host/functions.ts';
import { OPEN_FILES, type Picture, readPicture } from '../host/picture.ts';
import type { Usage } from '../host/usage.ts';

const found = captures();
const about = (id: string, functions: PciFunction[], more: Partial<Picture> = {}, cmdline?: string) =>
  verdictOf(id, pictureOf({ functions, ...more }, cmdline), functions[0]!.bdf);
const TWIN = '0000:02:00.0';

test('binding by numbers catches the twin that the host needs', () => {
  const twins = [fn(BDF, { driver: 'vfio-pci' }), fn(TWIN, { driver: 'e1000e', group: 2 })];
  const verdict = about('bind-without-override', twins, {}, 'vfio-pci.ids=10de:1b80,8086:0001');
  assert.equal(verdict.is, 'fail');
  assert.match(verdict.because, /take 8086:0001: that is 1 other function as well \(0000:02:00\.0, e1000e\)/);
  assert.equal(about('bind-without-override', [twins[0]!], {}, 'vfio-pci.ids=8086:0001').is, 'pass');
  assert.equal(about('bind-without-override', twins).is, 'not-applicable');
  assert.equal(
    about('bind-without-override', [{ ...twins[0]!, driverOverride: 'vfio-pci' }, twins[1]!], {}, 'vfio-pci.ids=8086:0001').is,
    'pass',
  );
  // VFs of one PF are alike on purpose.
  const vfs = [BDF, TWIN].map((bdf) => fn(bdf, { physfn: '0000:00:09.0' }));
  assert.equal(about('bind-without-override', vfs, {}, 'vfio-pci.ids=8086:0001').is, 'pass');
});

test('numbers are found in /etc/modprobe.d too, with subsystem, comments and lines that go on', () => {
  const config = new Uint8Array(256);
  config.set([0x86, 0x80, 1, 0]);
  config.set([0x86, 0x80, 0x3c, 0xa0], 0x2c);
  const told = (text: string) =>
    about('host-driver-first', [fn(BDF, { config, driver: 'igb' })], { texts: { '/etc/modprobe.d/vfio.conf': text } }).is;
  assert.equal(told('options vfio-pci ids=8086:0001\n'), 'fail');
  assert.equal(told('options vfio_pci disable_idle_d3=1 \\\n  ids=8086:0001:8086:a03c\n'), 'fail');
  assert.equal(told('options vfio-pci ids=8086:0001:8086:ffff\n'), 'not-applicable');
  assert.equal(told('options vfio-pci ids=8086:0001:ffffffff:ffffffff\n'), 'fail');
  assert.equal(told('# options vfio-pci ids=8086:0001\n'), 'not-applicable');
  assert.equal(told('options snd ids=8086:0001\n'), 'not-applicable');
});

test('what is meant for vfio-pci and has another driver is told, and whether a softdep makes that wait', () => {
  const verdict = (driver: string | undefined, texts: Picture['texts'] = {}) =>
    about('host-driver-first', [fn(BDF, driver === undefined ? {} : { driver })], { texts }, 'vfio-pci.ids=8086:0001');
  assert.match(verdict('igb').because, /igb has it: no softdep makes igb wait/);
  assert.match(verdict('igb', { '/etc/modprobe.d/a.conf': 'softdep igb pre: vfio-pci' }).because, /although a softdep/);
  assert.equal(verdict('mlx5_vfio_pci').is, 'pass');
  assert.match(verdict(undefined).because, /no driver has it/);
  assert.equal(about('host-driver-first', [fn(BDF, { driver: 'igb' })]).is, 'not-applicable');
  assert.equal(about('host-driver-first', [fn(BDF, { driver: 'igb', driverOverride: 'vfio-pci' })]).is, 'fail');
});

test('drivers_probe returns success whether or not a driver took the device', (t) => {
  let without = 0;
  for (const { events } of found.all)
    for (const step of events) {
      if (!('path' in step) || step.path !== '/sys/bus/pci/drivers_probe' || step.result !== 'ok') continue;
      if (!step.changes?.some(([sign, path]) => sign === '+' && path.endsWith('/driver'))) without++;
    }
  if (without === 0) return t.skip('no capture here has such a write');
  // So the advice that has such a write says that the driver is to be looked at.
  const verdict = about('host-driver-first', [fn(BDF, { driverOverride: 'vfio-pci' })]);
  assert.match(verdict.fix!.join(), /drivers_probe, and look at its driver: the write succeeds either way/);
});

test('the need of another member of the group is told, and what a guest has open is no need of the host', () => {
  const other = fn(TWIN, { bootVga: true });
  const usage: Usage[] = [{ bdf: TWIN, kind: 'mount', what: '/', where: '/proc/self/mountinfo' }];
  const verdict = about('host-critical-device', [fn(BDF), other], { usage });
  assert.equal(verdict.is, 'fail');
  assert.match(verdict.because, /0000:02:00\.0 of its group: it holds the root file system.*it is the boot display/);
  assert.equal(
    about('host-critical-device', [fn(BDF), { ...other, group: 2 }], { groups: [{ number: 1, devices: [BDF], reserved: [] }] })
      .is,
    'pass',
  );
  const open: Usage[] = [{ group: 1, kind: 'vfio', what: 'qemu (pid 7)', where: '/proc/7/fd', pid: 7 }];
  assert.equal(about('host-critical-device', [fn(BDF)], { usage: open }).is, 'not-applicable');
  assert.equal(about('vfio-group-busy', [fn(BDF, { driver: 'vfio-pci' })], { usage: open }).is, 'fail');
});

test('a group without a VFIO driver has nothing that could be open, and others are looked into by root', () => {
  const hidden = { unread: [{ what: OPEN_FILES, because: 'not root' }] };
  assert.equal(about('vfio-group-busy', [fn(BDF, { driver: 'igb' })], hidden).is, 'pass');
  assert.equal(about('vfio-group-busy', [fn(BDF, { driver: 'vfio-pci' })], hidden).is, 'unknown');
  assert.equal(about('vfio-group-busy', [fn(BDF, { driver: 'vfio-pci' })]).is, 'pass');
});

test(`a record without processes does not claim that no group is open (${tellCaptures(found)})`, async () => {
  let open = 0;
  for (const capture of found.all)
    for (const state of capture.states) {
      const picture = await readPicture(capturedHost(capture, state));
      for (const { bdf, driver } of picture.functions) {
        if (driver !== 'vfio-pci') continue;
        assert.equal(verdictOf('vfio-group-busy', picture, bdf).is, 'unknown', `${capture.name} ${state.label}`);
        open++;
      }
    }
  assert.ok(open > 0);
});

test('the framebuffer of the firmware is found inside a BAR, with and without addresses', () => {
  const gpu = fn(BDF, { class: 0x030000, bootVga: true });
  const iomem = (addresses: string, owner: string) =>
    about('framebuffer-holds-bar', [gpu], {
      texts: {
        '/proc/iomem': `${addresses} : PCI Bus 0000:00\n  ${addresses} : ${BDF}\n    ${addresses} : ${owner}\n${addresses} : efifb\n`,
      },
    });
  assert.equal(iomem('e0000000-efffffff', 'BOOTFB').is, 'fail');
  assert.match(iomem('00000000-00000000', 'simpledrm').because, /simpledrm is inside its BARs/);
  assert.equal(iomem('00000000-00000000', 'nvidia').is, 'pass');
  assert.equal(about('framebuffer-holds-bar', [gpu]).is, 'unknown');
  assert.equal(about('framebuffer-holds-bar', [fn(BDF)]).is, 'not-applicable');
});

test('VFIO is there when its modules are loaded, built in or can be loaded, and its node is', () => {
  const is = (modules: string[], more: Partial<Picture> = {}) =>
    verdictOf('vfio-modules-missing', pictureOf({ system: { ...pictureOf().system, modules }, ...more })).is;
  const nodes = { folders: { '/dev/vfio': ['vfio'] } };
  const config = (text: string) => ({ texts: { '/boot/config-6.12': text } });
  assert.equal(is(['vfio_pci', 'vfio_iommu_type1'], nodes), 'pass');
  assert.equal(is(['vfio_pci', 'vfio_iommu_type1']), 'fail');
  assert.equal(is(['vfio_pci'], nodes), 'unknown');
  assert.equal(is([], { ...nodes, ...config('CONFIG_VFIO_PCI=m\nCONFIG_VFIO_IOMMU_TYPE1=m\n') }), 'pass');
  assert.equal(is([], { ...nodes, ...config('CONFIG_VFIO_PCI=y\nCONFIG_VFIO_IOMMU_TYPE1=y\n') }), 'pass');
  assert.equal(is([], { ...nodes, ...config('CONFIG_VFIO_PCI=m\n') }), 'fail');
  assert.equal(is(['vfio_pci', 'vfio_iommu_type1'], { unread: [{ what: '/dev/vfio', because: 'no' }] }), 'unknown');
});

test('lockdown is told with what it forbids, and is not guessed', () => {
  const verdict = (text: string | undefined) =>
    verdictOf('lockdown-blocks-pci', pictureOf({ texts: text === undefined ? {} : { '/sys/kernel/security/lockdown': text } }));
  assert.equal(verdict('[none] integrity confidentiality\n').is, 'pass');
  assert.match(verdict('none [integrity] confidentiality\n').because, /integrity.*vfio-pci works all the same/);
  assert.match(verdict('none integrity [confidentiality]\n').because, /debugfs cannot be read/);
  assert.equal(verdict(undefined).is, 'unknown');
  assert.equal(verdict('nonsense').is, 'unknown');
});

test('no-IOMMU mode is seen by its parameter and by its nodes', () => {
  const is = (value: string | undefined, names: string[] = ['vfio']) =>
    verdictOf(
      'noiommu-mode',
      pictureOf({
        parameters: value === undefined ? {} : { vfio: { enable_unsafe_noiommu_mode: value } },
        folders: { '/dev/vfio': names },
      }),
    ).is;
  assert.equal(is('Y'), 'fail');
  assert.equal(is('N'), 'pass');
  assert.equal(is(undefined), 'pass');
  assert.equal(is('N', ['noiommu-0', 'vfio']), 'fail');
});

test('the deny list of vfio-pci depends on kernel and parameter', () => {
  const is = (device: number, kernel: string, more: Partial<Picture> = {}, driver?: string) =>
    about('vfio-denylist', [fn(BDF, { device, ...(driver === undefined ? {} : { driver }) })], {
      system: { ...pictureOf().system, kernel },
      ...more,
    }).is;
  assert.equal(is(0x37c8, '6.1.0'), 'fail');
  assert.equal(is(0x37c8, '6.1.0', { parameters: { vfio_pci: { disable_denylist: 'Y' } } }), 'pass');
  assert.equal(is(0x37c8, '6.1.0', {}, 'vfio-pci'), 'pass');
  assert.equal(is(0x0b25, '6.12.9'), 'fail');
  assert.equal(is(0x0b25, '6.1.0'), 'unknown');
  assert.equal(is(0x10c9, '6.1.0'), 'not-applicable');
});
