import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BDF, fn, pictureOf } from '../../../test/pictures.ts';
import type { Picture } from '../../host/picture.ts';
import type { Resource } from '../../pci/index.ts';
import { dmaEntryLimit } from '../problems/dma-entry-limit.ts';
import { guestMmio64Window } from '../problems/guest-mmio64-window.ts';
import { iovaOutsideAperture } from '../problems/iova-outside-aperture.ts';
import { memlockLimit } from '../problems/memlock-limit.ts';
import { memlockViommuMultiplier } from '../problems/memlock-viommu-multiplier.ts';
import { vmOf } from '../vm-argv.ts';
import { addressesReached, barsPlaced, lockedMemory, mappingsNeeded } from './vm-limits.ts';

const GIB = 2 ** 30;
const VFIO = `-device vfio-pci,host=${BDF}`;
const VIOMMU = '-device intel-iommu,intremap=on,caching-mode=on';
const OVMF = '-drive if=pflash,format=raw,file=/usr/share/OVMF/OVMF_CODE.fd';
const vm = (more: string, memory = '4G') => vmOf(`qemu-system-x86_64 -machine q35,accel=kvm -m ${memory} ${more}`);
/** A host with 64 GiB and a unit of 39 or 48 bits before its one function. */
const host = (bits: 39 | 48, more: Partial<Picture> = {}): Picture => {
  const picture = pictureOf({
    units: [
      { name: 'dmar0', devices: [BDF], cap: bits === 39 ? '0012008c22260286' : '00d2008c222f0686', ecap: '0000000000f00f4a' },
    ],
    ...more,
  });
  return { ...picture, system: { ...picture.system, memory: 64 * GIB, kernel: '6.12.9' } };
};
const cpu = (bits: number) => ({
  texts: { '/proc/cpuinfo': `vendor_id\t: GenuineIntel\naddress sizes\t: ${bits} bits physical, 48 bits virtual\n` },
});
const limits = (bytes: string) => ({
  texts: { '/proc/self/limits': `Max locked memory         ${bytes}              ${bytes}              bytes\n` },
});

test('locked memory is charged once without a vIOMMU, and for each container behind one', () => {
  const two = `${VFIO} -device vfio-pci,host=0000:02:00.0`;
  assert.match(lockedMemory(vm(two), host(48)).because, /^4 GiB of guest memory \+ 1 GiB = 5 GiB \(5368709120 bytes\)/);
  assert.match(lockedMemory(vm(`${VIOMMU} ${two}`), host(48)).because, /^2 × 4 GiB of guest memory \+ 1 GiB = 9 GiB/);
  assert.equal(lockedMemory(vm(''), host(48)).is, 'not-applicable');
});

test('a limit counts where it is set; that of this shell need not be the one', () => {
  const judge = (memlock: number | undefined, shell: string) =>
    lockedMemory({ ...vm(VFIO), ...(memlock === undefined ? {} : { memlock }) }, host(48, limits(shell))).is;
  assert.equal(judge(undefined, '8388608'), 'unknown');
  assert.equal(judge(undefined, 'unlimited'), 'pass');
  assert.equal(judge(5 * GIB, '8388608'), 'pass');
  assert.equal(judge(5 * GIB - 1, 'unlimited'), 'fail');
  assert.equal(lockedMemory(vm(VFIO, '65G'), host(48, limits('unlimited'))).is, 'fail');
});

test('only a guest that translates needs many mappings', () => {
  assert.equal(mappingsNeeded(vm(VFIO), host(48)).is, 'not-applicable');
  assert.equal(mappingsNeeded(vm(`${VIOMMU} ${VFIO}`, '128M'), host(48)).is, 'pass');
  const many = mappingsNeeded(vm(`${VIOMMU} ${VFIO}`), host(48));
  assert.equal(many.is, 'unknown');
  assert.match(many.lines.map(({ text }) => text).join('\n'), /4294967296 bytes \/ 4096 bytes = 1048576 mappings/);
  const raised = host(48, { parameters: { vfio_iommu_type1: { dma_entry_limit: '2000000' } } });
  assert.equal(mappingsNeeded(vm(`${VIOMMU} ${VFIO}`), raised).is, 'pass');
});

test('memory beyond the unit keeps QEMU from starting, a window beyond it costs DMA between devices', () => {
  assert.equal(addressesReached(vm(VFIO), host(39)).is, 'pass');
  assert.equal(addressesReached(vm(VFIO, '600G'), host(39)).is, 'fail');
  const wide = addressesReached(vm(`-cpu host ${OVMF} ${VFIO}`), host(39, cpu(46)));
  assert.equal(wide.is, 'unknown');
  assert.match(wide.lines.map(({ text }) => text).join('\n'), /MGAW=38: 39 bits[\s\S]*last eighth of 2\^46/);
  assert.equal(addressesReached(vm(`-cpu host ${OVMF} ${VFIO}`), host(48, cpu(46))).is, 'pass');
  assert.equal(addressesReached(vm(`-cpu host,host-phys-bits-limit=39 ${OVMF} ${VFIO}`), host(39, cpu(46))).is, 'pass');
});

test('the width of the vIOMMU counts as well, and so do reserved regions of the group', () => {
  const narrow = `-device intel-iommu,intremap=on,caching-mode=on,aw-bits=39 ${VFIO}`;
  assert.equal(addressesReached(vm(`-cpu host ${OVMF} ${narrow}`), host(48, cpu(46))).is, 'unknown');
  const picture = host(48);
  const groups = picture.groups.map((group) => ({
    ...group,
    reserved: [{ start: '0x1000000', end: '0x1ffffff', type: 'direct' }],
  }));
  const rmrr = addressesReached(vm(VFIO), { ...picture, groups });
  assert.equal(rmrr.is, 'fail');
  assert.match(rmrr.because, /memory below 4 GiB/);
});

test('what is not behind a unit, or is no known machine, is not judged', () => {
  assert.equal(addressesReached(vm('-device vfio-pci,host=0000:77:00.0'), host(48)).is, 'not-applicable');
  assert.equal(addressesReached(vmOf(`qemu-system-x86_64 -machine microvm -m 1G ${VFIO}`), host(48)).is, 'not-applicable');
  const hidden = host(48, { units: [{ name: 'dmar0', devices: [BDF] }] });
  assert.equal(addressesReached(vm(VFIO), hidden).is, 'unknown');
});

test('a BAR larger than the window of OVMF is told, with the option that makes it larger', () => {
  const bar: Resource = {
    index: 1,
    start: 2 ** 40,
    size: 64 * GIB,
    space: 'memory',
    width: 64,
    prefetchable: true,
    unset: false,
  };
  const gpu = (more: Partial<Picture> = {}) =>
    host(48, { functions: [fn(BDF, { group: 7, unit: 'dmar0', resources: [bar] })], ...more });
  const short = barsPlaced(vm(`${OVMF} ${VFIO}`), gpu());
  assert.equal(short.is, 'fail');
  assert.match(short.fix!.join('\n'), /X-PciMmio64Mb,string=65536/);
  assert.equal(barsPlaced(vm(`${OVMF} ${VFIO} -fw_cfg name=opt/ovmf/X-PciMmio64Mb,string=65536`), gpu()).is, 'pass');
  assert.equal(barsPlaced(vm(`-cpu host ${OVMF} ${VFIO}`), gpu(cpu(46))).is, 'pass');
  assert.equal(barsPlaced(vm(VFIO), gpu()).is, 'not-applicable');
});

test('the problems of the catalogue rest on these calculations, and only one of two tells of locked memory', () => {
  const two = `${VFIO} -device vfio-pci,host=0000:02:00.0`;
  const judge = (line: string) =>
    [memlockLimit, memlockViommuMultiplier, dmaEntryLimit, iovaOutsideAperture, guestMmio64Window].map(({ rules }) => {
      const [rule] = rules;
      assert.ok(rule?.about === 'vm');
      return rule.run(vm(line), host(48, limits('8388608'))).is;
    });
  assert.deepEqual(judge(two), ['unknown', 'not-applicable', 'not-applicable', 'pass', 'not-applicable']);
  assert.deepEqual(judge(`${VIOMMU} ${two}`), ['not-applicable', 'unknown', 'unknown', 'pass', 'not-applicable']);
});
