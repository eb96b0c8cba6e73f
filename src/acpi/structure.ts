import type { Entry, Fields, Value, Values } from '../bits/index.ts';
import type { Findings } from './findings.ts';

/** Reserved fields that are set all the same, by name: kept, so that a table is built again as it was. */
export type Reserved = { [field: string]: Value };

/** What all structures of a table have. */
export interface Structure {
  /** Bytes from the start of the table. */
  offset: number;
  /** As the structure states it. */
  length: number;
  reserved?: Reserved;
  /** Bytes after the known fields, for which the specification has no meaning. */
  rest?: Uint8Array;
}

/** A structure as its maker describes it: where it comes to lie and how long it is follow from the rest. */
export type Described<S> = S extends Structure ? Omit<S, 'offset' | 'length'> & { offset?: number; length?: number } : never;

/** A stretch of a table that states its own length. */
export interface Piece {
  offset: number;
  /** As stated. */
  length: number;
  /** Where it ends: what it states, or the end of the table when that comes first. */
  end: number;
}

/**
 * Walks structures that lie one after the other and have their length in the second 16-bit word, as those of DMAR, IVRS and
 * VIOT. One that runs over the end is given as far as it goes; after one that is too short for its header nothing more can be
 * found, as nobody knows where the next begins.
 *
 * @param nameAt what to call the structure at this offset
 */
export function* pieces(view: DataView, start: number, nameAt: (offset: number) => string, findings: Findings): Generator<Piece> {
  for (let offset = start; offset < view.byteLength; ) {
    const left = view.byteLength - offset;
    if (left < 4) {
      findings.broken(offset, `${left} bytes at the end are too few for a structure`);
      return;
    }
    const length = view.getUint16(offset + 2, true);
    if (length < 4) {
      findings.broken(offset, `${nameAt(offset)} has Length ${length}: nothing after it can be read`);
      return;
    }
    if (length > left)
      findings.broken(offset, `${nameAt(offset)} has Length ${length} and runs ${length - left} bytes over the end of the table`);
    yield { offset, length, end: offset + Math.min(length, left) };
    offset += length;
  }
}

/**
 * The fields that a structure begins with. Undefined, and a finding, when it is too short for them; one that runs over the end
 * of the table has its finding already.
 */
export function fixedPart<F extends Fields>(
  shape: Entry<F>,
  view: DataView,
  piece: Piece,
  findings: Findings,
): Values<F> | undefined {
  if (piece.offset + shape.bytes <= piece.end) return shape.decode(view, piece.offset);
  if (piece.length < shape.bytes)
    findings.broken(piece.offset, `${shape.name} has Length ${piece.length}, less than its ${shape.bytes} bytes`);
  return undefined;
}

/**
 * Reserved fields that are not zero, as a member to spread into a record. Each is a finding.
 * @param offset of the structure in the table
 */
export function keepReserved<F extends Fields>(
  shape: Entry<F>,
  values: Values<F>,
  offset: number,
  findings: Findings,
): { reserved?: Reserved } {
  const reserved: Reserved = {};
  for (const { name, kind, low } of shape.fields) {
    const value = values[name] as Value;
    if (kind !== 'reserved' || !isSet(value)) continue;
    reserved[name] = value;
    findings.odd(offset + (low >> 3), `${shape.name} has reserved bits set: ${name} is ${show(value)}`);
  }
  return Object.keys(reserved).length > 0 ? { reserved } : {};
}

/** Bytes that no field describes, as a member to spread into a record. */
export function keepRest(view: DataView, start: number, end: number): { rest?: Uint8Array } {
  return start < end ? { rest: bytesAt(view, start, end) } : {};
}

export function bytesAt(view: DataView, start: number, end: number): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset + start, end - start).slice();
}

function isSet(value: Value): boolean {
  if (value instanceof Uint8Array) return value.some((byte) => byte !== 0);
  return value !== 0 && value !== 0n && value !== '';
}

function show(value: Value): string {
  if (value instanceof Uint8Array) return [...value].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return typeof value === 'string' ? JSON.stringify(value) : `0x${value.toString(16)}`;
}
