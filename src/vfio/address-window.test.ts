import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { barWindow, type GuestLayout, guestRegions, highestAddress, lowMemory } from './address-window.ts';

const GIB = 2 ** 30;
const guest = (more: Partial<GuestLayout> = {}): GuestLayout => ({ machine: 'q35', firmware: 'ovmf', memory: 8 * GIB, ...more });
const all = (bits: number) => [{ start: 0n, end: (1n << BigInt(bits)) - 1n }];
const shown = (layout: GuestLayout) =>
  guestRegions(layout).regions.map(({ start, end }) => `${start.toString(16)}-${end.toString(16)}`);

test('memory is split below 4 GiB as QEMU splits it', () => {
  // The boundaries of hw/i386/pc_q35.c (0xb0000000) and pc_piix.c (0xe0000000).
  assert.equal(lowMemory('q35', 2 * GIB).result, 2 * GIB);
  assert.equal(lowMemory('q35', 2.75 * GIB - 1).result, 2.75 * GIB - 1);
  assert.equal(lowMemory('q35', 2.75 * GIB).result, 2 * GIB);
  assert.equal(lowMemory('q35', 8 * GIB).result, 2 * GIB);
  assert.equal(lowMemory('pc', 3.25 * GIB).result, 3.25 * GIB);
  assert.equal(lowMemory('pc', 3.5 * GIB).result, 3 * GIB);
  assert.equal(lowMemory('pc', 8 * GIB).result, 3 * GIB);
});

test('OVMF puts its window above memory, aligned, or into the last eighth of the address space', () => {
  assert.deepEqual(shown(guest()), ['0-7fffffff', '100000000-27fffffff', '800000000-fffffffff']);
  assert.deepEqual(shown(guest({ mmio64: 64 * GIB })).at(-1), '1000000000-1fffffffff');
  // What edk2 says of 46 bits in its own log: base 0x380000000000, size 0x80000000000.
  assert.deepEqual(shown(guest({ physBits: 46 })).at(-1), '380000000000-3fffffffffff');
  assert.deepEqual(shown(guest({ physBits: 52 })).at(-1), '380000000000-3fffffffffff');
  assert.deepEqual(shown(guest({ physBits: 39 })).at(-1), '7000000000-7fffffffff');
  // An eighth of 36 bits is 8 GiB: less than OVMF takes anyway.
  assert.deepEqual(shown(guest({ physBits: 36 })).at(-1), '800000000-fffffffff');
});

test('SeaBIOS needs room only for BARs, at the end of the address space where it knows that', () => {
  const bars = [{ size: 16 * GIB, count: 1 }];
  assert.equal(shown(guest({ firmware: 'seabios' })).length, 2);
  assert.equal(shown(guest({ firmware: 'seabios', bars })).at(-1), '280000000-67fffffff');
  assert.equal(shown(guest({ firmware: 'seabios', bars, physBits: 40 })).at(-1), 'fc00000000-ffffffffff');
  assert.equal(shown(guest({ firmware: 'seabios', bars, physBits: 40, memory: GIB })).at(-1), '100000000-4ffffffff');
});

test('memory to plug has its place above memory, a GiB more for each slot', () => {
  const regions = guestRegions(guest({ maxMemory: 16 * GIB, slots: 2 })).regions;
  assert.deepEqual(
    regions.map(({ what }) => what),
    ['memory below 4 GiB', 'memory above 4 GiB', 'memory to plug', '64-bit PCI window'],
  );
  assert.deepEqual([regions[2]!.start, regions[2]!.end], [0x2_8000_0000n, 0x5_0000_0000n - 1n]);
});

test('an AMD guest whose memory would reach the HyperTransport hole has it from 1 TiB on', () => {
  const big = guest({ memory: 1000 * GIB });
  assert.equal(guestRegions(big).regions[1]!.start, 4n * BigInt(GIB));
  assert.equal(guestRegions({ ...big, amd: true }).regions[1]!.start, 1n << 40n);
  assert.equal(guestRegions(guest({ amd: true })).regions[1]!.start, 4n * BigInt(GIB));
});

test('BARs of all VFs count, and the sum is aligned to the largest', () => {
  const { result, lines } = barWindow([
    { size: 16 * 2 ** 20, count: 1 },
    { size: 64 * 2 ** 10, count: 64 },
  ]);
  assert.equal(result, 32 * 2 ** 20);
  assert.match(lines[0]!.text, /^16777216 \+ 64 × 65536 = 20971520 bytes of BARs, aligned to 16777216: 33554432$/);
  assert.equal(barWindow([{ size: 64 * GIB, count: 1 }], 32 * GIB).fits, false);
  assert.equal(barWindow([], 32 * GIB).fits, true);
});

test('a 39-bit unit holds a small guest, and not the window of a firmware that trusts 46 bits', () => {
  assert.equal(highestAddress(guest(), all(39)).fits, true);
  const wide = highestAddress(guest({ physBits: 46 }), all(39));
  assert.deepEqual([wide.fits, wide.result, wide.outside.map(({ what }) => what)], [false, 2 ** 46, ['64-bit PCI window']]);
  assert.match(wide.lines.at(-1)!.text, /64-bit PCI window \(0x380000000000 to 0x3fffffffffff\) cannot all be mapped/);
  assert.equal(highestAddress(guest({ physBits: 39 }), all(39)).fits, true);
});

test('a reserved region inside guest memory is an obstacle', () => {
  const ranges = [
    { start: 0n, end: 0x7fff_ffffn - 0x1000n },
    { start: 0x8000_0000n, end: (1n << 48n) - 1n },
  ];
  assert.deepEqual(
    highestAddress(guest(), ranges).outside.map(({ what }) => what),
    ['memory below 4 GiB'],
  );
});

test('regions never overlap, all memory is there, and every line says what it stands on', () => {
  fc.assert(
    fc.property(
      fc.record({
        machine: fc.constantFrom('q35' as const, 'pc' as const),
        firmware: fc.constantFrom('ovmf' as const, 'seabios' as const),
        memory: fc.integer({ min: 1, max: 2 ** 21 }).map((mib) => mib * 2 ** 20),
        physBits: fc.option(fc.integer({ min: 42, max: 52 }), { nil: undefined }),
        amd: fc.boolean(),
        bars: fc.array(
          fc.record({ size: fc.integer({ min: 12, max: 36 }).map((log) => 2 ** log), count: fc.integer({ min: 0, max: 8 }) }),
          { maxLength: 3 },
        ),
      }),
      ({ physBits, ...rest }) => {
        const { lines, regions } = guestRegions({ ...rest, ...(physBits === undefined ? {} : { physBits }) });
        const memory = regions
          .filter(({ what }) => what.startsWith('memory'))
          .reduce((sum, { start, end }) => sum + end - start + 1n, 0n);
        assert.equal(memory, BigInt(rest.memory));
        for (const [index, { start, end }] of regions.entries()) {
          assert.ok(start <= end);
          assert.ok(index === 0 || start > regions[index - 1]!.end);
        }
        for (const { text, source } of lines) assert.ok(/\S/.test(text) && /\S/.test(source));
      },
    ),
    { numRuns: 400, seed: 11 },
  );
});
