import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { recordedQemu } from '../../test/qemu.ts';
import { buildArgv, type GuestMachine, guestFiles } from './argv.ts';
import { type QemuCapabilities, readQemu } from './capabilities.ts';

const qemus: QemuCapabilities[] = [await readQemu(recordedQemu('qemu-7.2.22')), await readQemu(recordedQemu('qemu-10.0.2'))];
const qemu = qemus[1]!;
const guest: GuestMachine = {
  name: 'demo',
  uuid: '6c1b1d4e-2f1a-4a53-9f4c-0d9a5b0e7c11',
  memory: 384 * 2 ** 20,
  vcpus: 2,
  machine: 'q35',
  firmware: 'seabios',
  disks: [],
  kernel: '/lab/vmlinuz',
  initrd: '/lab/initrd.gz',
  append: 'console=ttyS0 intel_iommu=on',
  iommu: 'intel',
  accel: 'kvm',
  devices: [
    { bdf: '0000:01:10.0', id: 'vf0' },
    { bdf: '0000:02:00.1', id: 'nvme0' },
  ],
  folder: '/run/sluice/demo',
};

function argvOf(changes: Partial<GuestMachine> = {}, of: QemuCapabilities = qemu): string[] {
  const result = buildArgv({ ...guest, ...changes }, of);
  assert.equal(result.refusals, undefined, JSON.stringify(result.refusals));
  return result.argv!;
}
function refusalsOf(changes: Partial<GuestMachine>, of: QemuCapabilities = qemu): string[] {
  const result = buildArgv({ ...guest, ...changes }, of);
  assert.ok(result.refusals, 'it was not refused');
  return result.refusals.map((r) => `${r.about}: ${r.because}`);
}
const valuesOf = (argv: string[], option: string): string[] => argv.flatMap((word, i) => (argv[i - 1] === option ? [word] : []));
/** Without what is in a device's help. */
const without = (of: QemuCapabilities, device: string, setting: string): QemuCapabilities => {
  const { [setting]: _, ...rest } = of.devices[device]!;
  return { ...of, devices: { ...of.devices, [device]: rest } };
};

test('iommu: intel is q35 with a split irqchip and an intel-iommu with intremap and caching-mode before any vfio-pci', () => {
  for (const of of qemus) {
    const argv = argvOf({}, of);
    assert.deepEqual(valuesOf(argv, '-machine'), ['q35,kernel-irqchip=split']);
    const devices = valuesOf(argv, '-device');
    assert.equal(devices[0], 'intel-iommu,intremap=on,caching-mode=on');
    assert.deepEqual(
      devices.filter((device) => device.startsWith('vfio-pci')),
      ['vfio-pci,host=0000:01:10.0,addr=0x10,id=vf0,bus=pcie.0', 'vfio-pci,host=0000:02:00.1,addr=0x11,id=nvme0,bus=pcie.0'],
    );
  }
});

test('virtio-iommu too comes before any vfio-pci', () => {
  const result = buildArgv({ ...guest, iommu: 'virtio', addressWidth: 39 }, qemu);
  const devices = valuesOf(result.argv!, '-device');
  assert.equal(devices[0], 'virtio-iommu-pci,aw-bits=39,addr=0x3,bus=pcie.0');
  assert.deepEqual(valuesOf(result.argv!, '-machine'), ['q35']);
  assert.ok(!result.refusals && result.warnings.some((w) => w.includes('remaps no interrupts')));
});

test('the address of each device in the guest is known before it runs', () => {
  const result = buildArgv(guest, qemu);
  assert.deepEqual(!result.refusals && result.placed, [
    { bdf: '0000:01:10.0', id: 'vf0', guest: '0000:00:10.0' },
    { bdf: '0000:02:00.1', id: 'nvme0', guest: '0000:00:11.0' },
  ]);
});

test('QMP, agent, console and pid file are in the folder of the guest', () => {
  const argv = argvOf().join(' ');
  const files = guestFiles(guest.folder);
  for (const text of [
    `-chardev socket,id=qmp0,path=${files.qmp},server=on,wait=off -mon chardev=qmp0,mode=control`,
    `-chardev file,id=console0,path=${files.console} -serial chardev:console0`,
    `-chardev socket,id=agent0,path=${files.agent},server=on,wait=off`,
    'virtserialport,chardev=agent0,name=org.qemu.guest_agent.0,bus=serial0.0',
    `-pidfile ${files.pidfile}`,
    `-name guest=demo -uuid ${guest.uuid} -no-user-config -nodefaults -display none`,
  ])
    assert.ok(argv.includes(text), text);
  assert.ok(!argv.includes('-no-reboot'), 'a server may restart itself');
});

test('without KVM the guest runs under emulation and a warning says why', () => {
  const result = buildArgv({ ...guest, accel: 'tcg', accelBecause: '/dev/kvm is not there' }, qemu);
  assert.ok(!result.refusals);
  assert.deepEqual(valuesOf(result.argv, '-accel'), ['tcg']);
  assert.deepEqual(valuesOf(result.argv, '-cpu'), ['max']);
  assert.match(result.warnings[0]!, /^KVM is not used \(\/dev\/kvm is not there\)/);
  assert.deepEqual(valuesOf(argvOf(), '-cpu'), ['host']);
});

test('OVMF is two flash chips, the first of them read-only', () =>
  assert.deepEqual(valuesOf(argvOf({ firmware: { ovmf: { code: '/f/CODE.fd', vars: '/v/a,b.fd' } } }), '-drive'), [
    'if=pflash,unit=0,format=raw,readonly=on,file=/f/CODE.fd',
    'if=pflash,unit=1,format=raw,file=/v/a,,b.fd',
  ]));

test('disks are virtio-blk, the first of them started from', () => {
  const argv = argvOf({
    disks: [
      { path: '/d/a.qcow2', format: 'qcow2' },
      { path: '/d/b', format: 'raw', readonly: true },
    ],
  });
  assert.deepEqual(valuesOf(argv, '-drive'), [
    'if=none,id=disk0,format=qcow2,file=/d/a.qcow2',
    'if=none,id=disk1,format=raw,readonly=on,file=/d/b',
  ]);
  assert.ok(valuesOf(argv, '-device').includes('virtio-blk-pci,drive=disk0,bootindex=1,addr=0x5,id=virtio-disk0,bus=pcie.0'));
});

test('a comma in any value stays inside its value', () => {
  const text = fc.string({ unit: fc.constantFrom('a', ',', '=', '/', 'é'), minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(text, text, text, (name, disk, folder) => {
      const argv = argvOf({ name, disks: [{ path: `/${disk}`, format: 'raw' }], folder: `/${folder}` });
      assert.equal(split(valuesOf(argv, '-name')[0]!).guest, name);
      assert.equal(split(valuesOf(argv, '-drive')[0]!).file, `/${disk}`);
      assert.equal(split(valuesOf(argv, '-chardev')[0]!).path, `/${folder}/qmp.sock`);
      assert.equal(valuesOf(argv, '-pidfile')[0], `/${folder}/qemu.pid`);
    }),
  );
});

/** As QEMU reads a list of settings (util/keyval.c): a doubled comma is one, a single one ends the value. */
function split(list: string): Record<string, string> {
  return Object.fromEntries(
    list
      .replaceAll(',,', '\0')
      .split(',')
      .map((setting) => setting.replaceAll('\0', ','))
      .map((setting) => [setting.slice(0, Math.max(0, setting.indexOf('='))), setting.slice(setting.indexOf('=') + 1)]),
  );
}

test('a setting that the installed QEMU lacks is a refusal that names it', () => {
  assert.deepEqual(refusalsOf({}, without(qemu, 'intel-iommu', 'caching-mode')), [
    `-device intel-iommu,caching-mode: intel-iommu of this QEMU (${qemu.version}) has no setting caching-mode`,
  ]);
  assert.match(refusalsOf({ addressWidth: 39 }, without(qemu, 'intel-iommu', 'aw-bits'))[0]!, /^-device intel-iommu,aw-bits: /);
  const { 'vfio-pci': _, ...devices } = qemu.devices;
  assert.deepEqual(refusalsOf({}, { ...qemu, devices, absent: { 'vfio-pci': "Device 'vfio-pci' not found" } }), [
    `-device vfio-pci: this QEMU (${qemu.version}) has no such device: Device 'vfio-pci' not found`,
  ]);
});

test('an option, machine, accelerator or split irqchip that the installed QEMU lacks is a refusal', () => {
  const { msg: _, ...options } = qemu.options;
  assert.match(refusalsOf({}, { ...qemu, options })[0]!, /^-msg: /);
  assert.match(refusalsOf({}, { ...qemu, machines: ['pc'] })[0]!, /^-machine q35: /);
  assert.match(refusalsOf({}, { ...qemu, accelerators: ['tcg'] })[0]!, /^-accel kvm: /);
  assert.match(
    refusalsOf({}, { ...qemu, options: { ...qemu.options, accel: [], machine: [] } })[0]!,
    /^-machine kernel-irqchip: /,
  );
});

test('the version decides nothing', () => {
  const strip = (argv: string[]) => argv.join(' ');
  assert.equal(strip(argvOf({}, { ...qemu, version: '0.1' })), strip(argvOf()));
  assert.equal(strip(argvOf({}, qemus[0])), strip(argvOf({}, qemus[1])));
});

test('virtio-iommu without aw-bits keeps its own width, with a warning', () => {
  const result = buildArgv({ ...guest, iommu: 'virtio', addressWidth: 39 }, qemus[0]!);
  assert.ok(!result.refusals);
  assert.ok(result.warnings.some((w) => w.includes('has no aw-bits')));
  assert.ok(!result.argv.some((word) => word.includes('aw-bits')));
});

for (const [what, changes, message] of [
  ['intel on pc', { machine: 'pc' }, /^-machine pc: /],
  ['a relative path', { disks: [{ path: 'nbd:host', format: 'raw' }] }, /^disks\[0\]: "nbd:host" is not an absolute path/],
  ['memory of half a MiB more', { memory: 2 ** 28 + 2 ** 19 }, /^-m: /],
  ['no CPU', { vcpus: 0 }, /^-smp: /],
  ['a UUID that is none', { uuid: 'x' }, /^-uuid: /],
  ['an address that is none', { devices: [{ bdf: '01:10.0', id: 'a' }] }, /^vfio-pci,host: "01:10.0" is not a PCI address/],
  ['an id with a comma', { devices: [{ bdf: '0000:01:10.0', id: 'a,x=y' }] }, /^vfio-pci,id: /],
  ['one function twice', { devices: ['a', 'b'].map((id) => ({ bdf: '0000:01:10.0', id })) }, /is given twice$/],
  ['one id twice', { devices: ['0000:01:10.0', '0000:01:10.2'].map((bdf) => ({ bdf, id: 'a' })) }, /the id a is taken$/],
  [
    'more devices than slots',
    { devices: [...Array(16).keys()].map((i) => ({ bdf: `0000:01:${(i + 8).toString(16).padStart(2, '0')}.0`, id: `d${i}` })) },
    /^devices: 16 devices/,
  ],
  ['a folder too deep for a socket', { folder: `/${'x'.repeat(100)}` }, /^folder: .* longer than the 107 bytes/],
  ['a NUL in the command line', { append: 'a\0b' }, /^append: a NUL/],
] as [string, Partial<GuestMachine>, RegExp][])
  test(`refused: ${what}`, () => assert.match(refusalsOf(changes)[0]!, message));

test('further arguments come last, as they are', () =>
  assert.deepEqual(argvOf({ extra: ['-S', '-object', 'a,b'] }).slice(-3), ['-S', '-object', 'a,b']));
