import assert from 'node:assert/strict';
import { test } from 'node:test';
import { recordedQemu } from '../../test/qemu.ts';
import { HostError } from '../host/host.ts';
import { DEVICES, parseDevice, parseHelp, readQemu } from './capabilities.ts';

const old = recordedQemu('qemu-7.2.22');
const recent = recordedQemu('qemu-10.0.2');

test('the settings of intel-iommu are those the installed QEMU names, with its defaults', async () => {
  const a = (await readQemu(old)).devices['intel-iommu']!;
  const b = (await readQemu(recent)).devices['intel-iommu']!;
  assert.deepEqual(a['aw-bits'], { type: 'uint8', default: '39' });
  assert.deepEqual(b['aw-bits'], { type: 'uint8', default: '48' });
  assert.deepEqual(a.intremap, { type: 'OnOffAuto', default: 'auto', says: 'on/off/auto' });
  assert.deepEqual(b.intremap, a.intremap);
  assert.deepEqual([a['caching-mode']?.default, b['caching-mode']?.default], ['false', 'off']);
  assert.deepEqual(
    [a, b].map((options) => ['x-scalable-mode', 'x-flts', 'fs1gp', 'pt'].filter((name) => name in options)),
    [
      ['x-scalable-mode', 'pt'],
      ['x-scalable-mode', 'x-flts', 'fs1gp', 'pt'],
    ],
  );
});

test('each recorded help is read without losing a line', async () => {
  for (const recorded of [old, recent]) {
    const qemu = await readQemu(recorded);
    for (const device of DEVICES) {
      const lines = recorded.text(`device-${device}`).trimEnd().split('\n').length - 1;
      assert.equal(Object.keys(qemu.devices[device]!).length, lines, device);
    }
  }
});

test('types may nest and a description may hold anything', () => {
  assert.deepEqual(
    parseDevice(
      'd',
      'd options:\n  primary-bus=<link<PCI>>\n  x=<str>  - a <b> (c) (default: "d, e")\n  y=<bool>    -  (default: [])\n',
    ),
    {
      'primary-bus': { type: 'link<PCI>' },
      x: { type: 'str', says: 'a <b> (c)', default: 'd, e' },
      y: { type: 'bool', default: '[]' },
    },
  );
  assert.equal(parseDevice('d', 'e options:\n  x=<str>\n'), undefined);
});

test('machines, accelerators and options of the command line are read', async () => {
  for (const recorded of [old, recent]) {
    const qemu = await readQemu(recorded);
    for (const machine of ['q35', 'pc', 'microvm', 'none']) assert.ok(qemu.machines.includes(machine), machine);
    assert.ok(!qemu.machines.includes('Supported'));
    assert.deepEqual(qemu.accelerators, ['tcg', 'kvm']);
    assert.ok(qemu.options.accel!.includes('kernel-irqchip'));
    assert.ok(qemu.options.name!.includes('debug-threads'));
    assert.deepEqual(qemu.options.help, qemu.options.h);
  }
  const [a, b] = [await readQemu(old), await readQemu(recent)];
  assert.equal('no-hpet' in a.options, true);
  assert.equal('no-hpet' in b.options, false);
});

test('a heading ends the help of the option before it', () =>
  assert.deepEqual(parseHelp('-a x=y\n   z=1\nHeading with w=2:\n-b[=v]\n'), { a: ['x', 'z'], b: [] }));

test('what was read is plain data', async () => {
  const qemu = await readQemu(recent, ['qemu-system-x86_64', '-L', '/x']);
  assert.deepEqual(JSON.parse(JSON.stringify(qemu)), qemu);
  assert.deepEqual(qemu.program, ['qemu-system-x86_64', '-L', '/x']);
  assert.ok(recent.asked.every((argv) => argv[1] === '-L' || argv[1]?.startsWith('-')));
});

test('a device that the installed QEMU does not have is absent, with its words', async () => {
  const qemu = await readQemu(recent, 'qemu-system-x86_64', ['vfio-pci', 'no-such-device']);
  assert.equal('no-such-device' in qemu.devices, false);
  assert.match(qemu.absent['no-such-device']!, /Device 'no-such-device' not found/);
});

test('QEMU missing: the message names the package', async () => {
  const run = async (argv: readonly string[]) => {
    throw new HostError(argv[0]!, 'cannot run', 'ENOENT');
  };
  await assert.rejects(readQemu({ run }), (error) => {
    assert.ok(error instanceof HostError);
    assert.equal(error.errno, 'ENOENT');
    assert.match(error.message, /^qemu-system-x86_64: .*apt install qemu-system-x86/);
    return true;
  });
});

test('a program that is there but does not run says why', async () => {
  const stderr = 'qemu-system-x86_64: error while loading shared libraries: libfdt.so.1: cannot open shared object file\n';
  await assert.rejects(
    readQemu({ run: async () => ({ code: 127, stdout: '', stderr }) }),
    /does not answer -h as QEMU does: .*libfdt/,
  );
});
