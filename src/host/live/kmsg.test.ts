import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseKmsg, readKmsg } from './kmsg.ts';

// Records in the form of Documentation/ABI/testing/dev-kmsg.
const RECORDS = `7,160,424069,-;pci_root PNP0A03:00: host bridge window [io  0x0000-0x0cf7] (ignored)
 SUBSYSTEM=acpi
 DEVICE=+acpi:PNP0A03:00
6,339,5140900,-;NET: Registered protocol family 10
30,340,5690716,-;udevd[80]: starting version 181
3,341,5951491,-,caller=T12;DMAR: [DMA Write NO_PASID] Request device [02:00.1] fault addr 0x10002000
4,342,5951500,c;two\\x0alines and a back\\x5cslash; not the end
`;

test('kernel records become lines with their time and level; dictionaries and lines of programs are left out', () => {
  assert.deepEqual(parseKmsg(RECORDS), [
    { at: 424069, level: 7, text: 'pci_root PNP0A03:00: host bridge window [io  0x0000-0x0cf7] (ignored)' },
    { at: 5140900, level: 6, text: 'NET: Registered protocol family 10' },
    { at: 5951491, level: 3, text: 'DMAR: [DMA Write NO_PASID] Request device [02:00.1] fault addr 0x10002000' },
    { at: 5951500, level: 4, text: 'two\nlines and a back\\slash; not the end' },
  ]);
});

test('bytes that the kernel escaped are put together to characters again', () => {
  assert.equal(parseKmsg('6,1,1,-;\\xc3\\xa4 and \u00e4\n')[0]?.text, '\u00e4 and \u00e4');
});

test('a recorded log is read from a plain file, an absent one is undefined', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-kmsg-'));
  try {
    writeFileSync(join(folder, 'kmsg'), RECORDS.repeat(1000));
    assert.equal(readKmsg(join(folder, 'kmsg'), '/dev/kmsg')?.length, 4000);
    assert.equal(readKmsg(join(folder, 'absent'), '/dev/kmsg'), undefined);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
