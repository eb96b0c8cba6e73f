import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { captures, tellCaptures } from '../../../test/captures.ts';
import { oraclesIn } from '../../../test/conformance/acpi.ts';
import { sharedData } from '../../../test/data.ts';
import { anyValue, roundTrip } from '../../../test/entries.ts';
import { fieldsOf, IvhdFeatures, readIvrs } from '../../acpi/index.ts';
import type { Entry, Fields } from '../../bits/index.ts';
import { registerView } from '../vtd/registers.ts';
import { amdAbilities, CapabilityHeader, EFR, EFR2, readAmdRegisters } from './registers.ts';

const folder = sharedData('acpi');
const found = captures();
const recorded = found.all.flatMap(({ name, argv, states }) =>
  states.slice(0, 1).flatMap(({ iommus }) =>
    Object.values(iommus).flatMap((unit) => {
      const { cap, features } = unit['amd-iommu'] ?? {};
      return cap !== undefined && features !== undefined ? [{ name, argv: argv.join(' '), cap, features }] : [];
    }),
  ),
);

test(`what sysfs shows of AMD units is what QEMU was asked for, in either order of the registers (${tellCaptures(found)})`, {
  skip: recorded.length === 0 && 'no capture has an AMD unit',
}, () => {
  for (const { name, argv, cap, features } of recorded) {
    const registers = readAmdRegisters(cap, features);
    assert.ok(registers, name);
    const { capability, efr } = registers;
    assert.deepEqual([capability.CapID, capability.CapType, capability.EFRSup], [0x0f, 3, 1], name);
    assert.equal(efr.XTSup, /xtsup=on/.test(argv) ? 1 : 0, name);
    // QEMU's unit: guest tables, guest virtual APIC, invalidation of all, six levels of host tables.
    assert.deepEqual([efr.GTSup, efr.GASup, efr.IASup, amdAbilities(registers).hostLevels], [1, 1, 1, 6], name);
  }
});

test('the features that firmware tells in the old block and the register image in the new one agree, on every machine', {
  skip: !folder && 'no shared data beside the repository',
}, () => {
  let compared = 0;
  for (const { path } of oraclesIn(folder!, 'ivrs') ?? []) {
    const blocks = readIvrs(readFileSync(path))!.blocks.filter((block) => block.type === 'IVHD');
    for (const old of blocks.filter(({ typeNumber }) => typeNumber === 0x10))
      for (const { efr, deviceId, typeNumber } of blocks) {
        // A block without an image tells nothing.
        if (typeNumber !== 0x11 || deviceId !== old.deviceId || !efr) continue;
        const { XTSup, NXSup, GTSup, GLXSup, IASup, GASup, HESup, PASmax, GATS, HATS } = fieldsOf(IvhdFeatures, old.features);
        const expected = { XTSup, NXSup, GTSup, GLXSup, IASup, GASup, HESup, PASmax, GATS, HATS };
        const image = EFR.decode(registerView(efr));
        assert.deepEqual({ ...image, ...expected }, image, path);
        compared++;
      }
  }
  assert.ok(compared > 40);
});

test('the registers of a server are told apart, whichever comes first', () => {
  // The image that firmware of an EPYC has in IVRS, and the second register with 2048 interrupts.
  const [first, second] = ['246577efa2254afa', '100'];
  const registers = readAmdRegisters('1c0b640f', `${first}:${second}`)!;
  assert.deepEqual(readAmdRegisters('1c0b640f\n', `${second}:${first}\n`), registers);
  assert.equal(registers.efr2.NumIntRemapSup, 1);
  assert.deepEqual([registers.efr.PPRSup, registers.efr.HATS, registers.efr.PASmax], [1, 2, 15]);
  assert.equal(amdAbilities(registers).pasidBits, 16);
  assert.equal(readAmdRegisters('1c0b640f', first)?.efr2.NumIntRemapSup, 0);
});

test('text that is no register is none', () => {
  for (const [cap, features] of [
    ['', '0'],
    ['xyz', '0'],
    ['0', ''],
    ['0', '1:2:3'],
    ['123456789', '0'],
    ['0', '12345678901234567'],
  ] as const)
    assert.equal(readAmdRegisters(cap, features), undefined, `${cap} ${features}`);
});

test('the registers keep every value they can hold', () => {
  for (const one of [CapabilityHeader, EFR, EFR2] as unknown as Entry<Fields>[])
    fc.assert(fc.property(anyValue(one), (value) => assert.deepEqual(roundTrip(one, value), value)));
});
