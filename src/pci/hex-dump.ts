import { formatBdf, parseBdf } from './bdf.ts';

/** The bytes of one function as a text shows them. */
export interface DumpedFunction {
  /** `0000:3b:00.0`; undefined for rows that no address stands above. */
  bdf: string | undefined;
  /** At most 4096: no row begins after `ff0`. */
  bytes: Uint8Array<ArrayBuffer>;
  /** Line of the address, or of the first row without one; counted from 1. */
  line: number;
}

/** A line of a dump that is not as lspci prints it. */
export interface DumpFinding {
  is: 'malformed' | 'short-row' | 'out-of-order' | 'repeated' | 'incomplete';
  /** Counted from 1. */
  line: number;
  says: string;
}

export interface HexDump {
  /** Those with at least one row, in the order of the text. */
  functions: DumpedFunction[];
  findings: DumpFinding[];
}

const ROW_BYTES = 16;
/** Hostile text could have as many as it has lines. */
const MOST_FINDINGS = 1000;

const QUOTE = /^(?:[ \t]*[>|])+/;
const ADDRESS = /^((?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[01][0-9a-f]\.[0-7])(?:[ \t]|$)/i;
const LOOKS_LIKE_ROW = /^([0-9a-f]{2,3}):[ \t]+[0-9a-f]{2}(?![^ \t])/i;
const BYTES = /^(?:[0-9a-f]{2}[ \t]+){0,15}[0-9a-f]{2}$/i;

/**
 * Reads what `lspci -x`, `-xxx` or `-xxxx` prints, alone or among the prose of `-vvv`, for one function or a whole machine.
 * Marks of quoted mail, CRLF and rows that a mail program broke in two are understood; all other lines are passed over.
 * When a row is missing, what follows it in that function is left out: its place would be a guess.
 */
export function readHexDump(text: string): HexDump {
  const functions: DumpedFunction[] = [];
  const findings: DumpFinding[] = [];
  const seen = new Set<string>();
  const find = (is: DumpFinding['is'], line: number, says: string): void => {
    if (findings.length < MOST_FINDINGS) findings.push({ is, line, says });
  };
  let current: { bdf: string | undefined; line: number; bytes: number[]; broken: boolean } | undefined;
  const finish = (): void => {
    if (!current || current.bytes.length === 0) return;
    const { bdf, line, bytes } = current;
    functions.push({ bdf, line, bytes: Uint8Array.from(bytes) });
    if (bdf !== undefined && seen.has(bdf)) find('repeated', line, `${bdf} was there before`);
    if (bdf !== undefined) seen.add(bdf);
  };

  const lines = text.split('\n');
  for (let i = 0; i < lines.length; i++) {
    const line = i + 1;
    const plain = plainLine(lines[i]!);
    const bdf = ADDRESS.exec(plain)?.[1];
    if (bdf !== undefined) {
      finish();
      current = { bdf: formatBdf(parseBdf(bdf)!), line, bytes: [], broken: false };
      continue;
    }
    const start = LOOKS_LIKE_ROW.exec(plain)?.[1];
    if (start === undefined) continue;
    const offset = Number.parseInt(start, 16);
    const row = readRow(plain.slice(start.length + 1).trim(), lines[i + 1]);
    if (row?.joined) i++;
    // A row 00 after other rows begins another function, whose address was cut away.
    if (!current || (offset === 0 && current.bytes.length > 0)) {
      finish();
      current = { bdf: undefined, line, bytes: [], broken: false };
    }
    if (current.broken) continue;
    if (!row) {
      find('malformed', line, `the row at ${start} is not 1 to ${ROW_BYTES} bytes of two hexadecimal digits`);
      current.broken = true;
    } else if (offset !== current.bytes.length || offset % ROW_BYTES !== 0) {
      const expected = current.bytes.length.toString(16).padStart(2, '0');
      find('out-of-order', line, `the row at ${start} stands where ${expected} should be: what follows is left out`);
      current.broken = true;
    } else {
      current.bytes.push(...row.bytes);
      if (row.bytes.length < ROW_BYTES)
        find('short-row', line, `the row at ${start} has ${row.bytes.length} bytes, not ${ROW_BYTES}`);
    }
  }
  finish();
  return { functions, findings };
}

function plainLine(line: string): string {
  return line.replace(QUOTE, '').trim();
}

/** The bytes of a row, with the end that a mail program moved to the next line. Undefined when it is no row. */
function readRow(text: string, next: string | undefined): { bytes: number[]; joined: boolean } | undefined {
  if (!BYTES.test(text)) return undefined;
  const bytes = bytesOf(text);
  if (bytes.length < ROW_BYTES && next !== undefined) {
    const rest = plainLine(next);
    const more = BYTES.test(rest) ? bytesOf(rest) : [];
    if (bytes.length + more.length === ROW_BYTES) return { bytes: [...bytes, ...more], joined: true };
  }
  return { bytes, joined: false };
}

function bytesOf(text: string): number[] {
  return text.split(/[ \t]+/).map((digits) => Number.parseInt(digits, 16));
}
