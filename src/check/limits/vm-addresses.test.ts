import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BDF, fn, pictureOf } from '../../../test/pictures.ts';
import type { Picture } from '../../host/picture.ts';
import { vmOf } from '../vm-argv.ts';
import { bitsEnough, reservedAvoided } from './vm-addresses.ts';

const VFIO = `-device vfio-pci,host=${BDF}`;
const host = (reserved: Picture['groups'][0]['reserved'], cpuinfo = '') =>
  pictureOf({
    groups: [{ number: 1, type: 'DMA', devices: [BDF], reserved }],
    functions: [fn(BDF)],
    texts: { '/proc/cpuinfo': cpuinfo },
  });
const sizes = (bits: number) => `vendor_id\t: GenuineIntel\naddress sizes\t: ${bits} bits physical, 48 bits virtual\n`;
const MSI = { start: '0x00000000fee00000', end: '0x00000000feefffff', type: 'msi' };
const HYPER_TRANSPORT = { start: '0x000000fd00000000', end: '0x000000ffffffffff', type: 'reserved' };

test('guest memory crosses the HyperTransport hole near 1 TiB, and a processor of AMD moves it away', () => {
  const judge = (memory: string, cpu = '') =>
    reservedAvoided(vmOf(`qemu-system-x86_64 -M q35,accel=kvm ${cpu} -m ${memory} ${VFIO}`), host([MSI, HYPER_TRANSPORT]));
  assert.equal(judge('64G').is, 'pass');
  const crossed = judge('1023G');
  assert.equal(crossed.is, 'fail');
  assert.match(crossed.because, /0xfd00000000 to 0xffffffffff \(reserved\) of group 1 lies in memory above 4 GiB/);
  assert.equal(judge('1023G', '-cpu EPYC').is, 'pass');
});

test('regions that are relaxable, and lines that make no sense, keep nobody from mapping', () => {
  const judge = (type: string, start = '0x1000000') =>
    reservedAvoided(vmOf(`qemu-system-x86_64 -M q35 -m 4G ${VFIO}`), host([{ start, end: '0x1ffffff', type }])).is;
  assert.equal(judge('direct'), 'fail');
  assert.equal(judge('direct-relaxable'), 'pass');
  assert.equal(judge('direct', 'zero'), 'pass');
});

test('a guest with more address bits than the host, or too few for its memory, is told', () => {
  const judge = (line: string, bits: number) => bitsEnough(vmOf(`qemu-system-x86_64 -M q35 ${line}`), host([], sizes(bits)));
  assert.equal(judge('-accel kvm -cpu host', 39).is, 'pass');
  const generic = judge('-accel kvm -cpu Skylake-Server', 39);
  assert.equal(generic.is, 'fail');
  assert.match(generic.because, /told of 40 physical address bits \(without host-phys-bits=on\), and this processor has 39/);
  assert.equal(judge('-accel kvm -cpu Skylake-Server,host-phys-bits=on', 39).is, 'pass');
  assert.equal(judge('-accel kvm -cpu Skylake-Server,phys-bits=52', 46).is, 'fail');
  assert.equal(judge('-accel tcg -cpu max', 39).is, 'pass');
  const low = judge('-accel kvm -cpu host,host-phys-bits-limit=39 -m 500G', 46);
  assert.equal(low.is, 'fail');
  assert.match(low.because, /39 bits reach 0x8000000000: phys-bits too low/);
  assert.equal(judge('-accel kvm -cpu host -m 500G', 46).is, 'pass');
  assert.equal(bitsEnough(vmOf('qemu-system-x86_64 -accel kvm -cpu host'), host([])).is, 'unknown');
  assert.equal(bitsEnough(vmOf('qemu-system-aarch64 -M virt'), host([])).is, 'not-applicable');
});
