// What the sets of ACPI tables share: where tables and iasl's reading of them are, and how two readings are compared.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { readListing } from './iasl.ts';
import { type ConformanceSet, partOf, Tally } from './set.ts';

/** One table as the index has it: the header, and what iasl made of the rest. */
export interface Oracle {
  /** Below the folder of the index. */
  file: string;
  bytes: number;
  header: { [field: string]: string | number };
  lengthMatches: boolean;
  checksumOk: boolean;
  iasl: { [field: string]: unknown };
}

/** The tables of one kind with their oracles; undefined when the folder has none of them. */
export function oraclesIn(folder: string, kind: string): { path: string; oracle: Oracle }[] | undefined {
  const tables = partOf(folder, `acpi/${kind}`);
  if (tables === undefined) return undefined;
  const index = join(dirname(tables), `${kind}.json`);
  if (!existsSync(index)) return listingsIn(tables, kind);
  const oracles = JSON.parse(readFileSync(index, 'utf8')) as Oracle[];
  const there = new Set(readdirSync(tables));
  return oracles
    .filter(({ file }) => there.has(basename(file)))
    .map((oracle) => ({ path: join(tables, basename(oracle.file)), oracle }));
}

/** The same from what iasl printed, which lies beside each table: for a folder without an index. */
export function listingsIn(tables: string, kind: string): { path: string; oracle: Oracle }[] {
  return readdirSync(tables)
    .filter((file) => file.endsWith('.bin'))
    .flatMap((file) => {
      const path = join(tables, file);
      const listing = path.replace(/bin$/, 'dsl');
      if (!existsSync(listing)) return [];
      const dsl = readFileSync(listing, 'latin1');
      const { header, iasl } = readListing(kind, dsl);
      const bytes = statSync(path).size;
      const checksumOk = !/Incorrect checksum/i.test(dsl);
      return [
        { path, oracle: { file: `${kind}/${file}`, bytes, header, iasl, lengthMatches: header.length === bytes, checksumOk } },
      ];
    });
}

/** The header as the oracle writes it. */
export function headerAsIasl(header: {
  Signature: string;
  Length: number;
  Revision: number;
  Checksum: number;
  OEMID: string;
  OEMTableID: string;
  OEMRevision: number;
  CreatorID: string;
  CreatorRevision: number;
}): Oracle['header'] {
  return {
    signature: header.Signature,
    length: header.Length,
    revision: header.Revision,
    checksum: header.Checksum,
    oemId: header.OEMID.padEnd(6, '\0'),
    oemTableId: header.OEMTableID.padEnd(8, '\0'),
    oemRevision: header.OEMRevision,
    creatorId: header.CreatorID.padEnd(4, '\0'),
    creatorRevision: header.CreatorRevision,
  };
}

export function hex16(value: bigint): string {
  return `0x${value.toString(16).toUpperCase().padStart(16, '0')}`;
}

/** Words of iasl's own: the name of a structure follows from its type, and notes are about its work. */
const NOT_COMPARED = new Set(['name', 'notes']);

/** Every place where what is expected is not found. What is found beyond that is not looked at, but for the length of lists. */
export function differences(expected: unknown, found: unknown, at = ''): string[] {
  if (Array.isArray(expected)) {
    if (!Array.isArray(found)) return [`${at} is missing`];
    const count = expected.length === found.length ? [] : [`${at} has ${found.length} members, not ${expected.length}`];
    return [...count, ...expected.flatMap((one, i) => (i < found.length ? differences(one, found[i], `${at}[${i}]`) : []))];
  }
  if (typeof expected === 'object' && expected !== null) {
    if (typeof found !== 'object' || found === null) return [`${at} is missing`];
    return Object.entries(expected).flatMap(([key, value]) =>
      NOT_COMPARED.has(key)
        ? []
        : differences(value, (found as { [key: string]: unknown })[key], at === '' ? key : `${at}.${key}`),
    );
  }
  return Object.is(expected, found) ? [] : [`${at} is ${JSON.stringify(found)}, not ${JSON.stringify(expected)}`];
}

/** A reading of ours in the oracle's words, and the places of what is wrong with length and checksum. */
export interface Reading {
  header: Oracle['header'];
  iasl: { [field: string]: unknown };
  findings: readonly { offset: number; is: string; says: string }[];
  /** What builds the same table again; undefined when it cannot be expected to. */
  rebuilt: Uint8Array | undefined;
}

/** Why a table is not read as iasl reads it, or does not come out of the builder as it was; undefined when all is well. */
export function disagreement(oracle: Oracle, bytes: Uint8Array, reading: Reading | undefined): string | undefined {
  if (!reading) return 'not read at all';
  const { header, iasl, findings, rebuilt } = reading;
  const told = (offset: number) => findings.some((finding) => finding.offset === offset && finding.is === 'broken');
  const all = [
    ...differences(oracle.header, header, 'header'),
    ...differences(oracle.iasl, iasl),
    ...differences(oracle.bytes, bytes.length, 'bytes'),
    ...differences(oracle.checksumOk, !told(9), 'checksumOk'),
    ...differences(oracle.lengthMatches, !told(4) && !findings.some(({ offset }) => offset === header.length), 'lengthMatches'),
  ];
  if (rebuilt && oracle.checksumOk && oracle.lengthMatches && !Buffer.from(rebuilt).equals(bytes))
    all.push(`built again it differs at byte ${bytes.findIndex((byte, i) => rebuilt[i] !== byte)}`);
  return all.length > 0 ? all.slice(0, 5).join('; ') : undefined;
}

/** A set over all tables of one kind. */
export function tableSet(kind: string, read: (bytes: Uint8Array, oracle: Oracle) => Reading | undefined): ConformanceSet {
  return {
    name: `acpi/${kind}`,
    run(folder) {
      const oracles = oraclesIn(folder, kind);
      if (!oracles) return undefined;
      const tally = new Tally();
      for (const { path, oracle } of oracles) {
        const bytes = Uint8Array.from(readFileSync(path));
        tally.add(oracle.file, disagreement(oracle, bytes, read(bytes, oracle)));
      }
      return tally;
    },
  };
}
