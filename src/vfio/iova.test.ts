import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { IOVA } from '../../test/conformance/iova.ts';
import { sharedData } from '../../test/data.ts';
import { type AddressRange, apertureOf, iovaRanges, parseReserved, type ReservedRegion } from './iova.ts';

const folder = sharedData('captures');
test('the kernel gives the ranges that follow from the registers and the reserved regions', {
  skip: folder ? false : 'the collection is not here',
}, async () => {
  const outcome = (await IOVA.run(folder!))!;
  assert.deepEqual(outcome.disagreements, []);
  assert.ok(outcome.total >= 6, `${outcome.total}`);
});

const kernel = { release: '6.12.9', cmdline: '' };
const of = (cap: string) => apertureOf({ name: 'dmar0', cap, amd: false }, kernel)!;

test('the width is the least of the tables and of MGAW, and the calculation shows both', () => {
  // QEMU 7.2 with aw-bits=39, from a report: SAGAW=2, MGAW=38.
  assert.equal(of('12008c22260286').bits, 39);
  assert.equal(of('d2008c222f0686').bits, 48);
  // A desktop unit with 48-bit tables that takes addresses of 39 bits: SAGAW=4, MGAW=38.
  const desktop = of('1c0000c40660462');
  assert.equal(desktop.bits, 39);
  assert.match(desktop.lines.map(({ text }) => text).join('\n'), /SAGAW=4[\s\S]*MGAW=38: 39 bits[\s\S]*min\(48, 39\) = 39/);
  assert.equal(of('d2008c222f0086'), undefined);
});

test('a kernel before 6.12 promises more than the unit can', () => {
  const old = apertureOf({ name: 'dmar0', cap: '12008c22260286', amd: false }, { release: '6.1.0-28-amd64', cmdline: '' })!;
  assert.deepEqual([old.bits, old.end], [39, (1n << 57n) - 1n]);
});

test('AMD-Vi and virtio-iommu take all 64 bits, but for tables of format v2', () => {
  const amd = (cmdline: string) => apertureOf({ name: 'ivhd0', amd: true }, { ...kernel, cmdline })!.bits;
  assert.equal(amd('quiet'), 64);
  assert.equal(amd('amd_iommu=pgtbl_v2'), 48);
  assert.equal(apertureOf({ name: 'virtio0', amd: false }, kernel)!.bits, 64);
  assert.equal(apertureOf({ name: 'dmar0', amd: false }, kernel), undefined);
});

test('reserved regions are cut out wherever they lie, but for relaxable ones', () => {
  const reserved = parseReserved(
    '0x0000000000000000 0x0000000000ffffff direct-relaxable\n0x00000000000a0000 0x00000000000bffff direct\n0x00000000fee00000 0x00000000feefffff msi\n',
  );
  assert.equal(reserved.length, 3);
  assert.deepEqual(iovaRanges([0xffff_ffffn, 0xfff_ffff_ffffn], reserved), [
    { start: 0n, end: 0x9ffffn },
    { start: 0xc0000n, end: 0xfedf_ffffn },
    { start: 0xfef0_0000n, end: 0xffff_ffffn },
  ]);
  const region = (start: bigint, end: bigint): ReservedRegion => ({ start, end, type: 'reserved' });
  assert.deepEqual(iovaRanges([99n], [region(0n, 9n), region(90n, 200n)]), [{ start: 10n, end: 89n }]);
  assert.deepEqual(iovaRanges([99n], [region(0n, 200n)]), []);
});

test('an address is in a range exactly when it is within the aperture and in no region', () => {
  const region = fc.tuple(
    fc.integer({ min: 0, max: 60 }),
    fc.integer({ min: 0, max: 20 }),
    fc.constantFrom('msi', 'direct-relaxable'),
  );
  fc.assert(
    fc.property(fc.array(region, { maxLength: 6 }), fc.integer({ min: 0, max: 63 }), (regions, last) => {
      const reserved = regions.map(([start, more, type]) => ({ start: BigInt(start), end: BigInt(start + more), type }));
      const ranges = iovaRanges([BigInt(last)], reserved);
      const within = (list: readonly AddressRange[], at: bigint) => list.some(({ start, end }) => start <= at && at <= end);
      for (let at = 0n; at < 90n; at++) {
        const free =
          at <= BigInt(last) &&
          !within(
            reserved.filter(({ type }) => type === 'msi'),
            at,
          );
        assert.equal(within(ranges, at), free, `${at}`);
      }
    }),
    { numRuns: 300, seed: 5 },
  );
});
