import { type Decoded, entry, text, u8, u32, viewOf } from '../bits/index.ts';

/** What every system description table starts with. */
export const TableHeader = entry(
  'System Description Table Header',
  { source: 'ACPI 6.5 §5.2.6', bits: 36 * 8 },
  {
    Signature: text(0, 4, 'Signature'),
    Length: u32(4, 'Length'),
    Revision: u8(8, 'Revision'),
    Checksum: u8(9, 'Checksum'),
    OEMID: text(10, 6, 'OEM ID'),
    OEMTableID: text(16, 8, 'OEM Table ID'),
    OEMRevision: u32(24, 'OEM Revision'),
    CreatorID: text(28, 4, 'Creator ID'),
    CreatorRevision: u32(32, 'Creator Revision'),
  },
);

/** Something in a table that is not as the specification wants it. */
export interface TableFinding {
  /** Bytes from the start of the table. */
  offset: number;
  says: string;
}

export interface Table {
  header: Decoded<typeof TableHeader>;
  /** The table alone, up to its Length or the end of what is there. */
  view: DataView;
  findings: TableFinding[];
}

/**
 * Reads the header that every table has and checks length and checksum. What is wrong becomes a finding.
 *
 * @param signature the four characters that are expected
 * @returns undefined when there are not even the 36 bytes of a header
 */
export function readTable(bytes: Uint8Array, signature: string): Table | undefined {
  const whole = viewOf(bytes);
  if (!TableHeader.fits(whole)) return undefined;
  const header = TableHeader.decode(whole);
  const findings: TableFinding[] = [];
  if (header.Signature !== signature)
    findings.push({ offset: 0, says: `the signature is ${JSON.stringify(header.Signature)}, not ${signature}` });

  let length = header.Length;
  if (length < TableHeader.bytes) {
    findings.push({ offset: 4, says: `Length is ${length}, less than the header itself` });
    length = bytes.length;
  } else if (length > bytes.length) {
    findings.push({ offset: 4, says: `Length is ${length}, and only ${bytes.length} bytes are there` });
    length = bytes.length;
  } else if (length < bytes.length) {
    findings.push({ offset: length, says: `${bytes.length - length} bytes follow the end of the table` });
  }
  const own = bytes.subarray(0, length);
  // A sum over a part of the table means nothing.
  if (length === header.Length) {
    const sum = own.reduce((total, byte) => (total + byte) & 0xff, 0);
    if (sum !== 0) findings.push({ offset: 9, says: `the bytes of the table add up to ${sum}, not to 0 modulo 256` });
  }
  return { header, view: viewOf(own), findings };
}
