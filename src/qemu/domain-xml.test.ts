import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MEMLOCK } from '../../test/conformance/memlock.ts';
import { sharedData } from '../../test/data.ts';
import { DomainError, domainMemlock, readDomain } from './domain-xml.ts';

const GIB = 2 ** 30;
const domain = (inside: string, devices = '', arch = "arch='x86_64' machine='q35'") =>
  `<domain type='kvm'><name>g</name>${inside}<os><type ${arch}>hvm</type></os><devices>${devices}</devices></domain>`;
const MEMORY = "<memory unit='GiB'>2</memory>";
const hostdev = (slot: string, more = '') =>
  `<hostdev mode='subsystem' type='pci'><source><address domain='0x0001' bus='0x3b' slot='${slot}' function='0x1'/></source>${more}</hostdev>`;
const limit = (xml: string) => domainMemlock(readDomain(xml)).bytes;

const folder = sharedData('libvirt');
test('libvirt sets the same limits', { skip: folder ? false : 'the collection is not here' }, async () => {
  const outcome = await MEMLOCK.run(folder!);
  assert.deepEqual(outcome?.disagreements, []);
  assert.ok(outcome!.total >= 8, `${outcome!.total}`);
});

test('sizes have units, KiB when none is given, and are rounded up to whole KiB', () => {
  const memory = (attribute: string, text: string) => readDomain(domain(`<memory ${attribute}>${text}</memory>`)).memory;
  assert.equal(memory('', '1048576'), GIB);
  assert.equal(memory("unit='G'", '1'), GIB);
  assert.equal(memory("unit='gb'", '1'), Math.ceil(1e9 / 1024) * 1024);
  assert.equal(memory("unit='bytes'", '1'), 1024);
});

test('without a total, memory is that of the NUMA cells and of the modules', () => {
  const cells = "<cpu><numa><cell id='0' memory='1' unit='GiB'/><cell id='1' memory='1048576'/></numa></cpu>";
  const module = "<memory model='dimm'><target><size unit='MiB'>512</size></target></memory>";
  assert.equal(readDomain(domain(cells, module)).memory, 2.5 * GIB);
  assert.equal(readDomain(domain(MEMORY + cells, module)).memory, 2 * GIB);
});

test('functions, mediated devices and interfaces that are functions count; USB and capabilities do not', () => {
  const devices = [
    hostdev('0x00'),
    "<hostdev mode='subsystem' type='mdev' model='vfio-pci'><source><address uuid='c2177883-f1bb-47f0-914d-32a22e3a8804'/></source></hostdev>",
    "<interface type='hostdev'><source><address type='pci' domain='0' bus='0x05' slot='0x10' function='0'/></source></interface>",
    "<hostdev mode='subsystem' type='usb'><source><address bus='1' device='2'/></source></hostdev>",
    "<hostdev mode='capabilities' type='storage'><source><block>/dev/sdf1</block></source></hostdev>",
    "<interface type='network'><source network='default'/></interface>",
  ].join('');
  const read = readDomain(domain(MEMORY, devices));
  assert.deepEqual(read.devices, [{ host: '0001:3b:00.1' }, {}, { host: '0000:05:10.0' }]);
  assert.equal(limit(domain(MEMORY, devices)), 3 * GIB);
  assert.equal(limit(domain(MEMORY, `${devices}<iommu model='intel'/>`)), 7 * GIB);
});

test('NVMe disks count wherever they are in a chain, and each vDPA disk and interface does', () => {
  const disks = [
    "<disk type='nvme'><source type='pci' managed='yes' namespace='1'><address domain='0' bus='1' slot='0' function='0'/></source></disk>",
    "<disk type='file'><source file='/a'/><backingStore type='file'><backingStore type='nvme'/></backingStore></disk>",
    "<disk type='vhostvdpa'><source dev='/dev/vhost-vdpa-0'/></disk>",
    "<disk type='file'><source file='/b'/><backingStore/></disk>",
  ].join('');
  const read = readDomain(domain(MEMORY, `${disks}<interface type='vdpa'><source dev='/dev/vhost-vdpa-1'/></interface>`));
  assert.deepEqual([read.nvmeDisks, read.vdpaDevices], [2, 2]);
  assert.equal(domainMemlock(read).bytes, 4 * 2 * GIB + GIB);
});

test('a hard limit that is no limit is none', () => {
  const inside = (limitKib: string) => `<memtune><hard_limit>${limitKib}</hard_limit></memtune>${MEMORY}`;
  assert.equal(limit(domain(inside('9007199254740991'), hostdev('0'))), 3 * GIB);
  assert.equal(limit(domain(inside('4194304'), hostdev('0'))), 4 * GIB);
});

test('a pseries guest gets a host bridge for each slot that libvirt has to place', () => {
  const ppc = "arch='ppc64le' machine='pseries'";
  const bridges = (devices: string) => readDomain(domain(MEMORY, devices, ppc)).hostBridges;
  assert.equal(bridges(''), 1);
  assert.equal(bridges(hostdev('0') + hostdev('0')), 2);
  assert.equal(bridges(hostdev('0') + hostdev('1')), 3);
  assert.equal(
    bridges(`${hostdev('0', "<address type='pci' bus='0x01'/>")}<controller type='pci' index='1' model='pci-root'/>`),
    1,
  );
});

test('what is no domain is told with what was expected', () => {
  for (const [text, says] of [
    ['', /no XML/],
    ['<domain>', /no XML/],
    ['<network/>', /its root is <network>/],
    [domain("<memory unit='GiB'>lots</memory>"), /<memory> of line 1 should hold a number/],
    [domain("<memory unit='furlong'>1</memory>"), /furlong/],
  ] as const)
    assert.throws(
      () => readDomain(text),
      (error) => error instanceof DomainError && says.test(error.message),
      text,
    );
});

test('whatever the text, it is read or refused in one way', () => {
  const piece = fc.constantFrom(
    '<domain>',
    '</domain>',
    '<devices>',
    '</devices>',
    '<memory>',
    '1',
    '&x;',
    '<!DOCTYPE a [<!ENTITY x "y">]>',
    ']]>',
    "<disk type='nvme'/>",
    '\0',
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      try {
        readDomain(pieces.join(''));
      } catch (error) {
        assert.ok(error instanceof DomainError, String(error));
      }
    }),
    { numRuns: 500, seed: 3 },
  );
});
