import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { captures, tellCaptures } from '../../test/captures.ts';
import { cpuTime } from '../../test/cpu-time.ts';
import { sharedData } from '../../test/data.ts';
import { remapsInterrupts, translated } from './vm.ts';
import { vmOf } from './vm-argv.ts';
import { readSettings, readSize, splitWords } from './vm-words.ts';

test('words are split as a shell does, with lines that go on, comments and both quotes', () => {
  assert.deepEqual(splitWords('a "b \\"c\\"" \'d $e\' \\\n f\\ g # h i\nj'), ['a', 'b "c"', 'd $e', 'f g', 'j']);
});

test('JSON that a mail client gave typographic quotes, and that nobody quoted, is one word', () => {
  assert.deepEqual(splitWords('-device {“driver”:“vfio-pci”,“host”:“0000:0b:00.0”}: vfio'), [
    '-device',
    '{"driver":"vfio-pci","host":"0000:0b:00.0"}:',
    'vfio',
  ]);
});

test('two commas are one of the value, and the last of a key counts', () => {
  assert.deepEqual(readSettings('file,path=/a,,b,x=yes,flag,x=no', 'kind'), { kind: 'file', path: '/a,b', x: 'off', flag: 'on' });
});

test('sizes are read with the units of QEMU', () => {
  assert.deepEqual(
    [readSize('4096', 2 ** 20), readSize('4G'), readSize('1.5g'), readSize('0x1000'), readSize('512M'), readSize('many')],
    [2 ** 32, 2 ** 32, 1.5 * 2 ** 30, 0x1000, 2 ** 29, undefined],
  );
});

test('a line as guides print it is understood', () => {
  const vm = vmOf(`sudo taskset -c 2 qemu-system-x86_64 -enable-kvm -M q35,kernel_irqchip=split -m 8G \\
    -smp 6,sockets=1,cores=3,threads=2 -cpu host,+vmx,host-phys-bits-limit=39 \\
    -device intel-iommu,intremap=on,caching-mode=yes,aw-bits=48 \\
    -device pcie-root-port,id=rp1,bus=pcie.0 -device vfio-pci,host=3b:00.0,bus=rp1 \\
    -drive if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE.fd -fw_cfg name=opt/ovmf/X-PciMmio64Mb,string=65536`);
  assert.equal(vm.accel, 'kvm');
  assert.equal(vm.machine, 'q35');
  assert.equal(vm.kernelIrqchip, 'split');
  assert.equal(vm.memory.bytes, 8 * 2 ** 30);
  assert.deepEqual(vm.vcpus, { count: 6, maximum: 6, highestApicId: 5 });
  assert.deepEqual(vm.cpu, { model: 'host', props: { vmx: 'on', 'host-phys-bits-limit': '39' } });
  assert.deepEqual(vm.iommus[0]?.device.props, { intremap: 'on', 'caching-mode': 'on', 'aw-bits': '48' });
  assert.deepEqual(
    vm.hostDevices.map(({ bdf, backend, bypasses }) => ({ bdf, backend, bypasses })),
    [{ bdf: '0000:3b:00.0', backend: 'container', bypasses: false }],
  );
  assert.equal(vm.firmware, 'ovmf');
  assert.equal(vm.mmio64, 64 * 2 ** 30);
  assert.equal(translated(vm).length, 1);
});

test('APIC ids are sparse with odd core counts', () => {
  const id = (smp: string) => vmOf(['qemu-system-x86_64', '-smp', smp]).vcpus.highestApicId;
  assert.equal(id('4'), 3);
  assert.equal(id('3,cores=0'), 2, 'what QEMU refuses is still a number');
  assert.equal(id('6,sockets=2,cores=3'), 6);
  assert.equal(id('192,sockets=2,cores=48,threads=2'), 128 + 95);
  // 255 is reached with far fewer than 256 processors.
  assert.equal(id('132,sockets=4,cores=33'), 3 * 64 + 32);
  assert.equal(id('200,sockets=4,dies=2,cores=25'), 3 * 64 + 32 + 24);
});

test('with KVM an irqchip that nobody split keeps interrupts from being remapped, without KVM it does not', () => {
  const remaps = (line: string) => {
    const vm = vmOf(`qemu-system-x86_64 ${line}`);
    return remapsInterrupts(vm, vm.iommus[0]!);
  };
  assert.equal(remaps('-machine q35,accel=kvm -device intel-iommu'), false);
  assert.equal(remaps('-machine q35,accel=kvm,kernel-irqchip=split -device intel-iommu'), true);
  assert.equal(remaps('-machine pc-q35-4.0 -accel kvm -device intel-iommu'), true);
  assert.equal(remaps('-machine q35 -accel tcg -device intel-iommu'), true);
  assert.equal(remaps('-machine q35 -accel tcg -device intel-iommu,intremap=off'), false);
  assert.equal(remaps('-machine q35 -accel tcg -device virtio-iommu-pci'), false);
});

test('what is behind a conventional bridge, or an expander that bypasses, is told', () => {
  const vm = vmOf([
    ...'qemu-system-x86_64 -M q35 -device intel-iommu -device pxb-pcie,id=pxb,bus_nr=64,bypass_iommu=on'.split(' '),
    ...'-device pcie-root-port,id=rp,bus=pxb -device vfio-pci,host=0000:01:00.0,bus=rp'.split(' '),
    ...'-device pcie-pci-bridge,id=br,bus=pcie.0 -device vfio-pci,host=0000:02:00.0,bus=br,iommufd=i0'.split(' '),
  ]);
  assert.deepEqual(
    vm.hostDevices.map(({ bridge, bypasses, backend }) => ({ bridge, bypasses, backend })),
    [
      { bridge: undefined, bypasses: true, backend: 'container' },
      { bridge: 'br', bypasses: false, backend: 'iommufd' },
    ],
  );
});

test('a device before the vIOMMU is not translated', () => {
  const vm = vmOf('qemu-system-x86_64 -M q35 -device vfio-pci,host=01:00.0 -device intel-iommu');
  assert.equal(vm.hostDevices.length, 1);
  assert.deepEqual(translated(vm), []);
});

test('memory of backends, huge pages and the nodes that it is bound to are told', () => {
  const vm = vmOf(
    'qemu-system-x86_64 -m size=8G,maxmem=32G,slots=4 -overcommit mem-lock=on ' +
      '-object memory-backend-file,id=m0,size=4G,mem-path=/dev/hugepages1G/vm,share=on,prealloc=on,host-nodes=0-1,policy=bind ' +
      '-object \'{"qom-type":"memory-backend-memfd","id":"m1","size":4294967296,"hugetlb":true,"hugetlbsize":2097152}\'',
  );
  const GIB = 2 ** 30;
  assert.deepEqual(vm.memory, {
    bytes: 8 * GIB,
    maximum: 32 * GIB,
    locked: true,
    backends: [
      {
        id: 'm0',
        bytes: 4 * GIB,
        hugepages: { path: '/dev/hugepages1G/vm', pageSize: GIB },
        shared: true,
        prealloc: true,
        hostNodes: [0, 1],
      },
      { id: 'm1', bytes: 4 * GIB, hugepages: { pageSize: 2 ** 21 }, shared: false, prealloc: false },
    ],
  });
});

const found = captures();

test(`every command line that a machine was really started with is understood (${tellCaptures(found)})`, () => {
  for (const { name, argv } of found.all) {
    const vm = vmOf(['qemu-system-x86_64', ...argv]);
    const text = argv.join(' ');
    assert.equal(vm.devices.length, argv.filter((word) => word === '-device').length, name);
    assert.equal(vm.iommus.length, text.match(/-device (intel|amd|virtio)-iommu/g)?.length ?? 0, name);
    assert.match(vm.machine, /q35|pc/, name);
    assert.equal(vm.accel, 'tcg', name);
  }
});

const users = sharedData('users');
test('lines that users posted are understood', { skip: users ? false : '../shared/data/users is not there' }, () => {
  for (const line of readFileSync(join(users!, 'cmdlines.jsonl'), 'utf8').trim().split('\n')) {
    const { kind, text } = JSON.parse(line) as { kind: string; text: string };
    if (kind !== 'qemu-argv') continue;
    const vm = vmOf(text);
    const given = [...text.matchAll(/-device[ =]\S*vfio-pci[^\s]*/g)].length;
    assert.equal(vm.hostDevices.length, given, text);
    for (const { bdf } of vm.hostDevices) assert.match(bdf ?? '', /^[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/, text);
  }
});

test('whatever the line, a VM comes out, and soon', () => {
  const piece = fc.oneof(
    fc.string(),
    fc.constantFrom(
      '-device',
      '-m',
      '-smp',
      '-M',
      '{',
      '"',
      "'",
      '\\',
      ',',
      ',,',
      '=',
      'intel-iommu',
      'vfio-pci,host=',
      '-cpu',
      '\n',
    ),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
      const vm = vmOf(pieces.join(' '));
      assert.ok(vm.memory.bytes >= 0);
      assert.deepEqual(vmOf(pieces).from, vm.from);
    }),
    { numRuns: 300, seed: 7 },
  );
  const many = `-device {"a":${'{"b":'.repeat(20_000)}1${'}'.repeat(20_001)} `.repeat(3);
  assert.equal(vmOf(many).devices.length, 3);
  const took = cpuTime(() => {
    assert.equal(vmOf('-device a,b=c '.repeat(100_000)).devices.length, 100_000);
    assert.equal(vmOf('{ '.repeat(20_000)).devices.length, 0);
  });
  assert.ok(took < 4000, `${took}`);
});
