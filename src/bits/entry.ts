import { type Field, type Names, type Value, WIDEST } from './fields.ts';
import { load, type Piece, piecesOf, readPiece, writePiece } from './pieces.ts';

export * from './fields.ts';

export type Fields = { readonly [name: string]: Field };
/** The values of all fields of an entry. */
export type Values<F extends Fields> = { -readonly [K in keyof F]: F[K]['zero'] };
/** The values that `entry.decode` gives, as in `Decoded<typeof ContextEntry>`. */
export type Decoded<E> = E extends Entry<infer F> ? Values<F> : never;

/** A field with its name, for whoever prints or tabulates a definition. */
export interface FieldInfo extends Field {
  readonly name: string;
}

/** An in-memory structure or register, little-endian, described once. */
export interface Entry<F extends Fields> {
  readonly name: string;
  /** The clause that defines it, with the revision. */
  readonly source: string;
  readonly bits: number;
  readonly bytes: number;
  /** Where a register lies in its block, in bytes. */
  readonly offset: number | undefined;
  /** All fields, lowest bit first. */
  readonly fields: readonly FieldInfo[];
  /** The numbers behind the names of each field: `values.TT.passThrough`. */
  readonly values: { readonly [K in keyof F]: F[K]['names'] };
  /** One reader per field. Those of numbers neither allocate nor use BigInt. @throws RangeError beyond the end of the view */
  readonly get: { readonly [K in keyof F]: (view: DataView, at: number) => F[K]['zero'] };
  /** One writer per field; leaves every other bit as it is. @throws RangeError when the value does not fit the field */
  readonly set: { readonly [K in keyof F]: (view: DataView, at: number, value: F[K]['zero']) => void };
  /** Whether the whole entry lies inside the view. */
  fits(view: DataView, at?: number): boolean;
  /** All fields, the reserved ones included, so that `encode(decode(x))` is `x`. */
  decode(view: DataView, at?: number): Values<F>;
  /** The bytes of an entry; fields that are not given are zero. */
  encode(values: Partial<Values<F>>): Uint8Array<ArrayBuffer>;
  /** Whether all reserved bits are zero. */
  reservedClear(view: DataView, at: number): boolean;
  /** The name of a value of a field, if it has one. */
  nameOf(field: keyof F, value: Value): string | undefined;
  /** One line: `P=1 TT=untranslated SSPTPTR=0x28cf`. Reserved and ignored fields appear only when they are not zero. */
  format(view: DataView, at?: number): string;
}

/**
 * Describes a structure once; everything else follows from it.
 *
 * @param about.source clause of the specification, such as `VT-d 5.10 §9.3`
 * @param about.bits   its length, a multiple of 8
 * @param about.offset for a register, its place in the block in bytes
 * @throws Error naming the bit when the fields leave a gap or overlap
 */
export function entry<const F extends Fields>(
  name: string,
  about: { source: string; bits: number; offset?: number },
  definition: F,
): Entry<F> {
  const { bits } = about;
  if (!(bits > 0 && bits % 8 === 0)) throw new Error(`${name}: ${bits} bits are no whole number of bytes`);
  const size = bits / 8;
  const fields: FieldInfo[] = Object.entries(definition).map(([field, spec]) => ({ name: field, ...spec }));
  fields.sort((a, b) => a.low - b.low);
  checkTiling(name, bits, fields);

  const codecs = new Map(fields.map((field) => [field.name, codecOf(name, field, size)]));
  const codecList = [...codecs];
  const guards = fields.filter((field) => field.kind === 'reserved').flatMap((field) => piecesOf(field.high, field.low, size));
  const each = <T>(pick: (field: FieldInfo, codec: Codec) => T) =>
    Object.fromEntries(fields.map((field) => [field.name, pick(field, codecs.get(field.name)!)]));
  // The keys of these records are those of the definition, each with the type that its field carries in `zero`.
  const get = each((_, codec) => codec.get) as Entry<F>['get'];
  const set = each((_, codec) => codec.set) as Entry<F>['set'];
  const values = each((field) => field.names) as Entry<F>['values'];

  const nameOf = (field: keyof F, value: Value): string | undefined => {
    for (const known in definition[field]?.names) if (definition[field]?.names[known] === value) return known;
    return undefined;
  };
  return {
    name,
    source: about.source,
    bits,
    bytes: size,
    offset: about.offset,
    fields,
    values,
    get,
    set,
    nameOf,
    fits: (view, at = 0) => at >= 0 && at + size <= view.byteLength,
    decode(view, at = 0) {
      const out: { [name: string]: Value } = {};
      for (const [field, codec] of codecList) out[field] = codec.get(view, at);
      return out as Values<F>;
    },
    encode(given) {
      const out = new Uint8Array(size);
      const view = new DataView(out.buffer);
      for (const [field, value] of Object.entries(given)) {
        const codec = codecs.get(field);
        if (!codec) throw new RangeError(`${name} has no field ${field}`);
        if (value !== undefined) codec.set(view, 0, value as Value);
      }
      return out;
    },
    reservedClear(view, at) {
      for (const piece of guards) if (readPiece(view, at, piece) !== 0) return false;
      return true;
    },
    format(view, at = 0) {
      const parts: string[] = [];
      for (const field of fields) {
        const value = codecs.get(field.name)!.get(view, at);
        if ((field.kind === 'reserved' || field.kind === 'ignored') && isZero(value)) continue;
        parts.push(`${field.name}=${nameOf(field.name, value) ?? show(field, value)}`);
      }
      return parts.join(' ');
    },
  };
}

function checkTiling(name: string, bits: number, fields: readonly FieldInfo[]): void {
  let next = 0;
  let before = '';
  for (const field of fields) {
    const { low, high } = field;
    if (!(Number.isInteger(low) && Number.isInteger(high) && low >= 0 && high >= low))
      throw new Error(`${name}: ${field.name} has no bits ${high}:${low}`);
    if (high >= bits) throw new Error(`${name}: bit ${high} of ${field.name} lies beyond the last bit ${bits - 1}`);
    if (low > next) throw new Error(`${name}: bit ${next} belongs to no field`);
    if (low < next) throw new Error(`${name}: bit ${low} belongs to ${before} and ${field.name}`);
    if (typeof field.zero === 'number' && high - low >= WIDEST)
      throw new Error(`${name}: ${field.name} ends at bit ${high} with more than ${WIDEST} bits, which a number cannot hold`);
    next = high + 1;
    before = field.name;
  }
  if (next < bits) throw new Error(`${name}: bit ${next} belongs to no field`);
}

interface Codec {
  get: (view: DataView, at: number) => Value;
  set: (view: DataView, at: number, value: Value) => void;
}

function codecOf(owner: string, field: FieldInfo, entryBytes: number): Codec {
  const refuse = (value: unknown): never => {
    const shown = typeof value === 'number' || typeof value === 'bigint' || typeof value === 'string' ? `${value}` : typeof value;
    throw new RangeError(`${owner}: ${field.name} (bits ${field.high}:${field.low}) cannot hold ${shown}`);
  };
  if (field.zero instanceof Uint8Array || typeof field.zero === 'string') return byteCodec(field, refuse);
  const pieces = piecesOf(field.high, field.low, entryBytes);
  return typeof field.zero === 'bigint' ? bigCodec(field, pieces, refuse) : numberCodec(field, pieces, refuse);
}

function numberCodec(field: FieldInfo, pieces: readonly Piece[], refuse: (value: unknown) => never): Codec {
  const most = 2 ** (field.high - field.low + 1) - 1;
  return {
    get: numberGetter(pieces),
    set(view, at, value) {
      if (!(typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= most)) return refuse(value);
      for (const piece of pieces) writePiece(view, at, piece, Math.floor(value / piece.scale) % 2 ** piece.width);
    },
  };
}

/** The shape of the reader is chosen here, once: most fields lie in one load, few in two, and none under 54 bits in more than three. */
function numberGetter(pieces: readonly Piece[]): (view: DataView, at: number) => number {
  const [first, second, third] = pieces;
  if (!first) throw new Error('a field has at least one bit');
  const { offset, size, shift, mask } = first;
  if (!second) {
    if (size === 4) return (view, at) => ((view.getUint32(at + offset, true) >>> shift) & mask) >>> 0;
    return (view, at) => (load(view, at + offset, size) >>> shift) & mask;
  }
  if (!third) return (view, at) => readPiece(view, at, first) + readPiece(view, at, second) * second.scale;
  return (view, at) => {
    let value = 0;
    for (let i = 0; i < pieces.length; i++) value += readPiece(view, at, pieces[i]!) * pieces[i]!.scale;
    return value;
  };
}

function bigCodec(field: FieldInfo, pieces: readonly Piece[], refuse: (value: unknown) => never): Codec {
  const width = BigInt(field.high - field.low + 1);
  return {
    get(view, at) {
      let value = 0n;
      let from = 0n;
      for (const piece of pieces) {
        value |= BigInt(readPiece(view, at, piece)) << from;
        from += BigInt(piece.width);
      }
      return value;
    },
    set(view, at, value) {
      if (!(typeof value === 'bigint' && value >= 0n && value >> width === 0n)) return refuse(value);
      let rest = value;
      for (const piece of pieces) {
        writePiece(view, at, piece, Number(rest & BigInt(piece.mask)));
        rest >>= BigInt(piece.width);
      }
    },
  };
}

function byteCodec(field: FieldInfo, refuse: (value: unknown) => never): Codec {
  if (field.low % 8 || field.high % 8 !== 7)
    throw new Error(`${field.name} (bits ${field.high}:${field.low}) is not made of whole bytes`);
  const from = field.low / 8;
  const length = (field.high + 1) / 8 - from;
  const raw = (view: DataView, at: number) => {
    // A view may begin anywhere in its buffer, and the buffer may go on after it: the end is checked by hand.
    if (at < 0 || at + from + length > view.byteLength) throw new RangeError('Offset is outside the bounds of the DataView');
    return new Uint8Array(view.buffer, view.byteOffset + at + from, length);
  };
  if (field.kind !== 'text') {
    return {
      get: (view, at) => raw(view, at).slice(),
      set(view, at, value) {
        if (!(value instanceof Uint8Array && value.length === length)) return refuse(value);
        raw(view, at).set(value);
      },
    };
  }
  const pad = field.pad ?? '\0';
  return {
    get(view, at) {
      const data = raw(view, at);
      let end = length;
      while (end > 0 && data[end - 1] === pad.charCodeAt(0)) end--;
      return String.fromCharCode(...data.subarray(0, end));
    },
    set(view, at, value) {
      if (typeof value !== 'string' || value.length > length) return refuse(value);
      const data = raw(view, at);
      for (let i = 0; i < length; i++) {
        const code = (i < value.length ? value : pad).charCodeAt(i < value.length ? i : 0);
        if (code > 255) return refuse(value);
        data[i] = code;
      }
    },
  };
}

function isZero(value: Value): boolean {
  if (value instanceof Uint8Array) return value.every((byte) => byte === 0);
  return value === 0 || value === 0n || value === '';
}

function show(field: Field<Value, Names>, value: Value): string {
  if (value instanceof Uint8Array) return [...value].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  if (typeof value === 'string') return JSON.stringify(value);
  return typeof value === 'bigint' || field.kind === 'frame' || field.kind === 'hex' ? `0x${value.toString(16)}` : `${value}`;
}
