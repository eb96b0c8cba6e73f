// What a collector found odd in tables of real machines. Each has to be among our findings, where it is about the table.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { readDmar, readIvrs, readMcfg, type TableFinding } from '../../src/acpi/index.ts';
import { type ConformanceSet, partOf, Tally } from './set.ts';

const READERS: { [kind: string]: (bytes: Uint8Array) => { findings: TableFinding[] } | undefined } = {
  dmar: readDmar,
  ivrs: readIvrs,
  mcfg: readMcfg,
};

/**
 * What no finding is for: characters of a maker that cannot be printed, and a register set that states its size, which
 * VT-d 4.1 and later want.
 */
const NO_DEFECT = /^(header-non-printable|drhd-size-nonzero)$/;

/** The words of the finding for an anomaly whose name begins so; for any other, one finding of any kind has to be there. */
const EXPECTED: readonly (readonly [anomaly: RegExp, finding: RegExp])[] = [
  [/^register-base-zero/, /no register base address/],
  [/^rmrr-over-1GiB/, /larger than 1 GiB/],
  [/^(blocks-sum-differs|iasl:Unknown IVRS subtable)/, /is not known; it is skipped/],
  [/^iasl:ACPI subtable terminates early/, /unique ID of format/],
  [/^no-ioapic-special-device/, /no I\/O APIC is named/],
  [/^special-device-duplicate/, /has an entry at \d+ already/],
  [/^revision/, /^Revision is/],
  [/^checksum/, /add up to/],
];

export const acpiAnomalies: ConformanceSet = {
  name: 'acpi/anomalies',
  run(folder) {
    const index = partOf(folder, 'acpi/anomalies.json');
    if (index === undefined) return undefined;
    const tally = new Tally();
    for (const { file, anomalies } of JSON.parse(readFileSync(index, 'utf8')) as { file: string; anomalies: string[] }[]) {
      const path = join(dirname(index), file);
      const read = READERS[file.split('/')[0] ?? ''];
      if (!read || !existsSync(path)) continue;
      const findings = read(Uint8Array.from(readFileSync(path)))?.findings ?? [];
      for (const anomaly of anomalies) {
        if (NO_DEFECT.test(anomaly)) continue;
        const expected = EXPECTED.find(([name]) => name.test(anomaly))?.[1] ?? /./;
        const told = findings.some(({ says }) => expected.test(says));
        tally.add(
          `${file} ${anomaly}`,
          told ? undefined : `no finding says so, of ${JSON.stringify(findings.map(({ says }) => says))}`,
        );
      }
    }
    return tally;
  },
};
