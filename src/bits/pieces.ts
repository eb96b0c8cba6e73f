/**
 * A field is read and written in pieces, each inside one load of 1, 2 or 4 bytes that stays within the entry. Loads are
 * 32-bit words counted from the start of the entry, and smaller only at an end that is no multiple of four bytes.
 */
export interface Piece {
  /** Bytes from the start of the entry. */
  readonly offset: number;
  readonly size: 1 | 2 | 4;
  readonly shift: number;
  readonly width: number;
  /** The piece's bits before the shift, all ones. */
  readonly mask: number;
  /** What the piece's lowest bit is worth in the value. */
  readonly scale: number;
}

export function piecesOf(high: number, low: number, entryBytes: number): Piece[] {
  const pieces: Piece[] = [];
  for (let at = low; at <= high; ) {
    const byte = at >> 3;
    const size = (byte & ~3) + 4 <= entryBytes ? 4 : (byte & ~1) + 2 <= entryBytes ? 2 : 1;
    const offset = byte & -size;
    const shift = at - offset * 8;
    const width = Math.min(high - at + 1, size * 8 - shift);
    pieces.push({ offset, size, shift, width, mask: 2 ** width - 1, scale: 2 ** (at - low) });
    at += width;
  }
  return pieces;
}

export function load(view: DataView, at: number, size: 1 | 2 | 4): number {
  return size === 4 ? view.getUint32(at, true) : size === 2 ? view.getUint16(at, true) : view.getUint8(at);
}

export function readPiece(view: DataView, at: number, piece: Piece): number {
  return ((load(view, at + piece.offset, piece.size) >>> piece.shift) & piece.mask) >>> 0;
}

/** Stores `part` (at most `width` bits) and leaves the neighbours as they are. */
export function writePiece(view: DataView, at: number, piece: Piece, part: number): void {
  const where = at + piece.offset;
  const kept = load(view, where, piece.size) & ~(piece.mask << piece.shift);
  const word = (kept | (part << piece.shift)) >>> 0;
  if (piece.size === 4) view.setUint32(where, word, true);
  else if (piece.size === 2) view.setUint16(where, word, true);
  else view.setUint8(where, word);
}
