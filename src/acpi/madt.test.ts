import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { captures, tellCaptures } from '../../test/captures.ts';
import { fromHex } from '../bits/index.ts';
import { readMadt } from './madt.ts';

const found = captures();

test(`the I/O APIC and the processors are those that the kernel used (${tellCaptures(found)})`, () => {
  let count = 0;
  for (const capture of found.all)
    for (const state of capture.states) {
      const digits = state.acpi.APIC;
      if (digits === undefined) continue;
      const madt = readMadt(fromHex(digits));
      const where = `${capture.name} ${state.label}`;
      assert.ok(madt, where);
      const named = state.dmesg.flatMap(
        (line) => /IOAPIC\[\d+\]: apic_id (\d+), version \d+, address 0x([0-9a-f]+)/.exec(line) ?? [],
      );
      if (named.length > 0)
        assert.deepEqual(
          madt.ioApics.map(({ id, address }) => [id, address.toString(16)]),
          [[Number(named[1]), named[2]]],
          where,
        );
      // The local address of the only I/O APIC is in iomem as well.
      assert.match(state.proc.iomem!, new RegExp(`${madt.ioApics[0]!.address.toString(16)}-[0-9a-f]+ : IOAPIC 0`), where);
      assert.ok(madt.processors.includes(Number(/^initial apicid\s*: (\d+)/m.exec(state.proc.cpuinfo0!)?.[1])), where);
      count++;
    }
  assert.ok(count > 3, `${count}`);
});

test('a disabled processor is none, and one with a long id is one', () => {
  const bytes = new Uint8Array(44 + 8 + 8 + 16 + 12);
  bytes.set([0, 8, 0, 3, 1, 0, 0, 0], 44);
  bytes.set([0, 8, 1, 7, 0, 0, 0, 0], 52);
  bytes.set([9, 16, 0, 0, 0x2c, 1, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0], 60);
  bytes.set([1, 12, 32, 0, 0, 0, 0xc0, 0xfe, 24, 0, 0, 0], 76);
  new DataView(bytes.buffer).setUint32(4, bytes.length, true);
  assert.deepEqual(readMadt(bytes), { ioApics: [{ id: 32, address: 0xfec00000, gsiBase: 24 }], processors: [3, 300] });
});

test('whatever the bytes are, reading them ends', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 0, maxLength: 200 }), (bytes) => void readMadt(bytes)),
    { seed: 1, numRuns: 500 },
  );
});
