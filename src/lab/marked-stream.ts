/**
 * Passes a byte stream on up to a mark that ends it; whatever comes after is not the stream's. A part of the mark at the end
 * of a piece is held back until it is known to be none.
 */
export class MarkedStream {
  readonly #mark: Buffer;
  readonly #out: (piece: Buffer) => void;
  #held: Buffer = Buffer.alloc(0);
  ended = false;

  constructor(mark: string, out: (piece: Buffer) => void) {
    this.#mark = Buffer.from(mark);
    this.#out = out;
  }

  push(piece: Buffer): void {
    if (this.ended) return;
    const all = this.#held.length === 0 ? piece : Buffer.concat([this.#held, piece]);
    const at = all.indexOf(this.#mark);
    this.ended = at >= 0;
    const upTo = this.ended ? at : all.length - this.#overlap(all);
    this.#held = all.subarray(this.ended ? all.length : upTo);
    if (upTo > 0) this.#out(all.subarray(0, upTo));
  }

  /** What was held back, when the stream ended without its mark. */
  flush(): void {
    if (!this.ended && this.#held.length > 0) this.#out(this.#held);
    this.ended = true;
  }

  /** Length of the longest beginning of the mark that `all` ends with. */
  #overlap(all: Buffer): number {
    for (let length = Math.min(this.#mark.length - 1, all.length); length > 0; length--)
      if (all.subarray(all.length - length).equals(this.#mark.subarray(0, length))) return length;
    return 0;
  }
}
