import assert from 'node:assert/strict';
import { test } from 'node:test';
import { memlockLimit, memlockNeed, pseriesMemlockNeed } from './memlock.ts';

const GIB = 2 ** 30;

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

test('an NVMe disk of QEMU and a vDPA device each lock guest memory for themselves, with or without a virtual IOMMU', () => {
  const guest = { memory: 2 * GIB, devices: 2, nvmeDisks: 1, vdpaDevices: 2 };
  assert.equal(memlockNeed({ ...guest, viommu: false }).bytes, (1 + 1 + 2) * 2 * GIB + GIB);
  assert.equal(memlockNeed({ ...guest, viommu: true }).bytes, (2 + 1 + 2) * 2 * GIB + GIB);
  assert.equal(memlockNeed({ ...guest, devices: 0, viommu: true }).bytes, 3 * 2 * GIB + GIB);
});

test('a pseries guest locks its tables without VFIO, and with it guest memory or the windows, whichever is more', () => {
  const guest = { memory: 8 * GIB, maxMemory: 16 * GIB, hostBridges: 2, viommu: false };
  const tables = (16 * GIB) / 128 + 2 * 4 * 2 ** 20 + 8 * 2 ** 20;
  assert.equal(pseriesMemlockNeed({ ...guest, devices: 0 }).bytes, tables);
  assert.equal(pseriesMemlockNeed({ ...guest, devices: 1 }).bytes, tables + 8 * GIB + 2 * ((8 * GIB) / 512) + 8 * 2 ** 20);
  const small = pseriesMemlockNeed({ ...guest, memory: GIB, devices: 1 });
  assert.equal(small.bytes, tables + 2 * 2 * GIB);
  assert.match(small.text, /2 × 2 GiB/);
});

test('what the owner of a domain asks for comes before what it needs', () => {
  const need = () => memlockNeed({ memory: GIB, devices: 1, viommu: false });
  assert.equal(memlockLimit({ hardLimit: 3 * GIB, locked: true }, need).bytes, 3 * GIB);
  assert.equal(memlockLimit({ locked: true }, need).bytes, 'unlimited');
  assert.equal(memlockLimit({ locked: false }, need).bytes, 2 * GIB);
});
