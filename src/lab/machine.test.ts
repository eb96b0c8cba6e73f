import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDeviceHelp } from './abilities.ts';
import { jobEnvironment, machineArguments } from './machine.ts';
import type { RunFolder } from './run-folder.ts';
import type { Lab } from './store.ts';

const NVME = ['serial', 'sriov_max_vfs', 'sriov_vq_flexible', 'sriov_vi_flexible', 'max_ioqpairs', 'msix_qsize'];
const LAB: Lab = {
  flavour: 'backports',
  folder: '/cache/lab',
  release: '6.12.0',
  modules: 'root/lib/modules/6.12.0',
  kernel: 'root/boot/vmlinuz-6.12.0',
  initrd: 'initrd.gz',
  guestKernel: 'guest/vmlinuz',
  guestInitrd: 'guest/initrd.gz',
  bin: 'bin',
  packages: [],
  abilities: {
    version: 'QEMU emulator version 10.0.2',
    devices: { igb: ['mac'], nvme: NVME, 'intel-iommu': ['intremap', 'caching-mode', 'device-iotlb'] },
  },
  bytes: 0,
  format: 1,
};
const RUN: RunFolder = {
  path: '/tmp/r',
  disk: '/tmp/r/nvme.raw',
  console: '/tmp/r/console.log',
  share: '/tmp/r/share',
  mark: 'm',
};

/** Values of an option that may be given several times. */
const values = (argv: readonly string[], option: string) => argv.flatMap((word, at) => (word === option ? [argv[at + 1]!] : []));
const deviceNames = (argv: readonly string[]) => values(argv, '-device').map((value) => value.split(',')[0]);

test('the whole machine has VT-d before the devices that it translates for, an igb and an NVMe controller', () => {
  const names = deviceNames(machineArguments(LAB, RUN, 'igb+nvme', false));
  assert.equal(names[0], 'intel-iommu');
  assert.ok(names.includes('igb') && names.includes('nvme') && names.includes('nvme-ns'));
});

test('the NVMe controller is at the same address whether there is an igb or not', () => {
  for (const devices of ['igb+nvme', 'nvme'] as const) {
    const argv = machineArguments(LAB, RUN, devices, false);
    const ports = values(argv, '-device').filter((value) => value.startsWith('pcie-root-port,'));
    assert.deepEqual(
      ports.map((value) => /addr=(\w+)/.exec(value)?.[1]),
      ['1', '2'],
    );
    assert.ok(values(argv, '-device').some((value) => value.startsWith('nvme,') && value.includes('bus=rp2')));
    assert.equal(deviceNames(argv).includes('igb'), devices === 'igb+nvme');
  }
});

test('only the file system root is shared read-only, and only the run folder writable', () => {
  const shares = values(machineArguments(LAB, RUN, 'nvme', false), '-fsdev');
  assert.equal(shares.length, 2);
  for (const share of shares) assert.equal(share.includes('readonly=on'), share.includes('path=/,'));
  assert.ok(shares.some((share) => share.includes('path=/tmp/r/share,')));
});

test('a terminal is there only when it is asked for', () => {
  assert.ok(!deviceNames(machineArguments(LAB, RUN, 'nvme', false)).includes('virtconsole'));
  assert.ok(deviceNames(machineArguments(LAB, RUN, 'nvme', true)).includes('virtconsole'));
});

test('a device or a property that this QEMU lacks is named', () => {
  const { igb: _, ...devices } = LAB.abilities.devices;
  const without: Lab = { ...LAB, abilities: { version: 'QEMU emulator version 7.2', devices } };
  assert.throws(() => machineArguments(without, RUN, 'igb+nvme', false), /version 7\.2 has no device igb/);
  assert.ok(machineArguments(without, RUN, 'nvme', false).length > 0);
  const old: Lab = { ...LAB, abilities: { version: 'QEMU 6', devices: { ...LAB.abilities.devices, nvme: ['serial'] } } };
  assert.throws(() => machineArguments(old, RUN, 'nvme', false), /device nvme of QEMU 6 has no sriov_max_vfs, sriov_vq_flexible/);
});

test('a command finds the programs of the lab first, and what it is given wins', () => {
  const env = jobEnvironment(LAB, { HOME: '/elsewhere', X: '1' }, '/opt/x:relative:/usr/bin');
  assert.equal(env.PATH, '/cache/lab/bin:/opt/x:/usr/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin:/bin');
  assert.equal(env.SLUICE_LAB_KERNEL, '/cache/lab/guest/vmlinuz');
  assert.equal(env.HOME, '/elsewhere');
  assert.equal(env.X, '1');
});

test("a device's properties are the names in its help", () => {
  const help = `igb options:
  acpi-index=<uint32>    -  (default: 0)
  addr=<str>             - Slot and optional function number, example: 06.0 or 06 (default: -1)
  x-pcie-flr-init=<bool> - on/off (default: on)
`;
  assert.deepEqual(parseDeviceHelp(help), ['acpi-index', 'addr', 'x-pcie-flr-init']);
});
