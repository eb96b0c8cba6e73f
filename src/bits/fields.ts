/** What a field may hold: a number up to 53 bits, a bigint above, text, or bytes as they are. */
export type Value = number | bigint | string | Uint8Array;

export type Kind = 'bit' | 'field' | 'hex' | 'frame' | 'wide' | 'text' | 'bytes' | 'reserved' | 'ignored';

/** What software may do to a field of a register: read it, write it, clear it by writing 1, or write it and read 0. */
export type Access = 'ro' | 'rw' | 'rw1c' | 'wo';

/** Names of a field's values, as `{ untranslated: 0 }`. */
export type Names = { readonly [name: string]: number };

/** One field of an entry: bits `high` to `low`, both included, bit 0 being the lowest of the first byte. */
export interface Field<V extends Value = Value, N extends Names = Names> {
  readonly kind: Kind;
  readonly high: number;
  readonly low: number;
  /** The name the specification spells out. */
  readonly label: string;
  readonly names: N;
  /** The value of the field when its bits are zero. It also carries the type of the value. */
  readonly zero: V;
  /** For text: the character that fills the rest, dropped at the end when read. */
  readonly pad?: string;
  /** For a field of a register; read-only when not given. */
  readonly access?: Access;
  /** For a field of a register: its value after reset when that is not zero. */
  readonly reset?: number;
  /** Capabilities of which one must be there, as `ECAP.IR`; without them the field is reserved. */
  readonly needs?: readonly string[];
}

const NONE: Record<never, number> = {};

/** The widest field that a number holds exactly. */
export const WIDEST = 53;

/** One bit. */
export function bit(at: number, label: string): Field<number, Record<never, number>> {
  return { kind: 'bit', high: at, low: at, label, names: NONE, zero: 0 };
}

/** A number of up to 53 bits, with names for its values where the specification gives some. */
export function field<const N extends Names = Record<never, number>>(
  high: number,
  low: number,
  label: string,
  names?: N,
): Field<number, N> {
  return { kind: 'field', high, low, label, names: names ?? (NONE as N), zero: 0 };
}

/** A number that people read in hexadecimal: an address, an identifier, a mask. */
export function hexField(high: number, low: number, label: string): Field<number, Record<never, number>> {
  return { kind: 'hex', high, low, label, names: NONE, zero: 0 };
}

/** A page number: an address without its low 12 bits. Printed in hexadecimal. */
export function frame(high: number, low: number, label: string): Field<number, Record<never, number>> {
  return { kind: 'frame', high, low, label, names: NONE, zero: 0 };
}

/** A number of more than 53 bits, or one that is only ever shown: a bigint. Printed in hexadecimal. */
export function wide(high: number, low: number, label: string): Field<bigint, Record<never, number>> {
  return { kind: 'wide', high, low, label, names: NONE, zero: 0n };
}

/** Bits that must be zero. They are kept by decode and encode, so that nothing is lost on the way. */
export function reserved(high: number, low: number = high): Field<number | bigint, Record<never, number>> {
  return { kind: 'reserved', high, low, label: 'Reserved', names: NONE, zero: high - low < WIDEST ? 0 : 0n };
}

/** Bits that hardware does not look at. */
export function ignored(high: number, low: number = high): Field<number | bigint, Record<never, number>> {
  return { kind: 'ignored', high, low, label: 'Ignored', names: NONE, zero: high - low < WIDEST ? 0 : 0n };
}

/** A field that software reads and writes. `reset` is its value before that. */
export function rw<F extends Field>(of: F, reset = 0): F {
  return { ...of, access: 'rw', reset };
}

/** A status that software clears by writing 1. */
export function rw1c<F extends Field>(of: F): F {
  return { ...of, access: 'rw1c' };
}

/** A field that software writes; a read gives 0. */
export function wo<F extends Field>(of: F): F {
  return { ...of, access: 'wo' };
}

/** A field that is there only with one of these capabilities, each as `ECAP.IR`. */
export function onlyWith<F extends Field>(needs: string | readonly string[], of: F): F {
  return { ...of, needs: typeof needs === 'string' ? [needs] : needs };
}

// Tables whose specification counts bytes (ACPI, NVMe, PCI capabilities, ioctl structures): offset and length in bytes.

export function u8<const N extends Names = Record<never, number>>(offset: number, label: string, names?: N): Field<number, N> {
  return field(offset * 8 + 7, offset * 8, label, names);
}

export function u16<const N extends Names = Record<never, number>>(offset: number, label: string, names?: N): Field<number, N> {
  return field(offset * 8 + 15, offset * 8, label, names);
}

export function u32<const N extends Names = Record<never, number>>(offset: number, label: string, names?: N): Field<number, N> {
  return field(offset * 8 + 31, offset * 8, label, names);
}

export function u64(offset: number, label: string): Field<bigint, Record<never, number>> {
  return wide(offset * 8 + 63, offset * 8, label);
}

/** Single-byte characters. A byte above 127 becomes the character of that code, so every value survives a round trip. */
export function text(offset: number, length: number, label: string, pad = '\0'): Field<string, Record<never, number>> {
  return { kind: 'text', high: (offset + length) * 8 - 1, low: offset * 8, label, names: NONE, zero: '', pad };
}

/** Bytes as they are. */
export function bytes(offset: number, length: number, label: string): Field<Uint8Array, Record<never, number>> {
  return { kind: 'bytes', high: (offset + length) * 8 - 1, low: offset * 8, label, names: NONE, zero: new Uint8Array(length) };
}

/** Whole bytes that must be zero. */
export function reservedBytes(offset: number, length: number): Field<Uint8Array, Record<never, number>> {
  return { ...bytes(offset, length, 'Reserved'), kind: 'reserved' };
}
