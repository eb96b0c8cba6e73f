import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { memlockNeed } from './memlock.ts';

const GIB = 2 ** 30;
const libvirt = new URL('../../../../shared/data/libvirt/', import.meta.url);

test('without a virtual IOMMU guest memory is locked once, however many devices', () => {
  assert.equal(memlockNeed({ memory: 4 * GIB, devices: 1, viommu: false }).bytes, 5 * GIB);
  assert.equal(memlockNeed({ memory: 4 * GIB, devices: 3, viommu: false }).bytes, 5 * GIB);
});

test('behind a virtual IOMMU each device locks guest memory again', () => {
  const need = memlockNeed({ memory: 4 * GIB, devices: 3, viommu: true });
  assert.equal(need.bytes, 13 * GIB);
  assert.equal(need.text, '3 × 4 GiB of guest memory + 1 GiB = 13 GiB (13958643712 bytes)');
  assert.equal(
    need.terms.reduce((sum, term) => sum + term.bytes, 0),
    need.bytes,
  );
});

test('a guest without VFIO devices locks nothing', () => {
  assert.deepEqual(memlockNeed({ memory: 4 * GIB, devices: 0, viommu: true }).bytes, 0);
});

test('a size that is no round number of GiB is printed exactly', () => {
  assert.match(
    memlockNeed({ memory: 384 * 2 ** 20, devices: 2, viommu: true }).text,
    /^2 × 384 MiB .* = 1\.75 GiB \(1879048192 bytes\)$/,
  );
});

test('libvirt, for its x86 guests with host devices and no limit of their own, sets the same', {
  skip: existsSync(libvirt) ? false : 'shared/data/libvirt is not there',
}, () => {
  let compared = 0;
  for (const { name, input, expectedMemlockBytes } of JSON.parse(readFileSync(new URL('memlock.json', libvirt), 'utf8')) as {
    name: string;
    input: string;
    expectedMemlockBytes: number | string;
  }[]) {
    const xml = readFileSync(new URL(`memlock/${input}`, libvirt), 'utf8');
    if (!/arch=['"]x86_64/.test(xml) || /<hard_limit|<locked/.test(xml)) continue;
    const memory = Number(/<memory unit=['"]KiB['"]>(\d+)</.exec(xml)?.[1]) * 1024;
    const devices = xml.match(/<hostdev mode=['"]subsystem['"] type=['"]pci['"]/g)?.length ?? 0;
    assert.equal(memlockNeed({ memory, devices, viommu: /<iommu /.test(xml) }).bytes, expectedMemlockBytes, name);
    compared++;
  }
  assert.ok(compared >= 2, `${compared} compared`);
});
