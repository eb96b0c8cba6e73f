import { type Decoded, entry, hex, text, u8, u32, viewOf } from '../bits/index.ts';
import { Findings, type TableFinding } from './findings.ts';

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

export interface Table {
  header: Decoded<typeof TableHeader>;
  /** The table alone, up to its Length or the end of what is there, and never more than 256 KiB. */
  view: DataView;
  findings: Findings;
}

/** The longest table that is read. Firmware writes a few KiB; more is an attack on whoever reads it. */
export const MOST_BYTES: number = 1 << 18;

/**
 * Reads the header that every table has and checks signature, length, revision and checksum. What is wrong becomes a finding.
 *
 * @param signature the four characters that are expected
 * @param revisions those that firmware writes; every one when left out
 * @returns undefined when there are not even the 36 bytes of a header
 */
export function readTable(bytes: Uint8Array, signature: string, revisions?: readonly number[]): Table | undefined {
  const whole = viewOf(bytes);
  if (!TableHeader.fits(whole)) return undefined;
  const header = TableHeader.decode(whole);
  const findings = new Findings();
  if (header.Signature !== signature)
    findings.broken(0, `the signature is ${JSON.stringify(header.Signature)}, not ${signature}`);

  let length = header.Length;
  if (length < TableHeader.bytes) {
    findings.broken(4, `Length is ${length}, less than the header itself`);
    length = bytes.length;
  } else if (length > bytes.length) {
    findings.broken(4, `Length is ${length}, and only ${bytes.length} bytes are there`);
    length = bytes.length;
  } else if (length < bytes.length) {
    findings.odd(length, `${bytes.length - length} bytes follow the end of the table`);
  }
  if (revisions && !revisions.includes(header.Revision))
    findings.broken(8, `Revision is ${header.Revision}; ${signature} tables have ${revisions.join(' or ')}`);
  // A sum over a part of the table means nothing.
  if (length === header.Length) {
    const sum = sumOf(bytes.subarray(0, length));
    const right = (header.Checksum - sum) & 0xff;
    if (sum !== 0)
      findings.broken(9, `the bytes of the table add up to ${sum}, not to 0 modulo 256: the checksum would be ${hex(right, 2)}`);
  }
  if (length > MOST_BYTES) findings.broken(MOST_BYTES, `the table has ${length} bytes, and only ${MOST_BYTES} are read`);
  return { header, view: viewOf(bytes.subarray(0, Math.min(length, MOST_BYTES))), findings };
}

/** What a table to be built says of its maker. */
export type HeaderDescription = Partial<Omit<Table['header'], 'Signature' | 'Length' | 'Checksum'>>;

/**
 * A whole table: header with length and checksum, then the parts one after the other.
 * @param revision when the description has none
 * @throws RangeError when a value does not fit its field
 */
export function buildTable(
  signature: string,
  revision: number,
  header: HeaderDescription | undefined,
  parts: readonly Uint8Array[],
): Uint8Array<ArrayBuffer> {
  const { OEMID = 'SLUICE', OEMTableID = 'SLUICE', OEMRevision = 1, CreatorID = 'SLUI', CreatorRevision = 1 } = header ?? {};
  const body = concat(parts);
  const bytes = concat([
    TableHeader.encode({
      Signature: signature,
      Length: TableHeader.bytes + body.length,
      Revision: header?.Revision ?? revision,
      OEMID,
      OEMTableID,
      OEMRevision,
      CreatorID,
      CreatorRevision,
    }),
    body,
  ]);
  TableHeader.set.Checksum(viewOf(bytes), 0, -sumOf(bytes) & 0xff);
  return bytes;
}

export function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

function sumOf(bytes: Uint8Array): number {
  let sum = 0;
  for (const byte of bytes) sum = (sum + byte) & 0xff;
  return sum;
}

export type { TableFinding };
