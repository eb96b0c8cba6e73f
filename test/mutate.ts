// Broken input for every parser: the same seed gives the same bytes.

/** How many mutations a test tries of each format; SLUICE_MUTATIONS asks for more than the few hundred of every day. */
export function mutationRuns(usual = 300): number {
  const asked = Number(process.env.SLUICE_MUTATIONS);
  return Number.isInteger(asked) && asked > 0 ? asked : usual;
}

/** Bytes that length, count and offset fields are most easily upset by. */
const NASTY = [0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 63, 64, 127, 128, 254, 255];

/**
 * Samples with bytes flipped, set, inserted, removed, repeated, moved or cut off at the end; one to eight such edits each.
 * Deterministic. Every result is a new array.
 */
export function* mutations(seed: number, count: number, samples: readonly Uint8Array[]): Generator<Uint8Array> {
  if (samples.length === 0) throw new RangeError('there is nothing to mutate');
  const random = generator(seed);
  const below = (limit: number): number => Math.floor(random() * limit);
  for (let i = 0; i < count; i++) {
    let bytes = samples[below(samples.length)]!.slice();
    for (let edits = 1 + below(8); edits > 0; edits--) bytes = edit(bytes, below);
    yield bytes;
  }
}

function edit(bytes: Uint8Array<ArrayBuffer>, below: (limit: number) => number): Uint8Array<ArrayBuffer> {
  const at = below(bytes.length + 1);
  const few = Math.min(1 + below(16), bytes.length - at);
  switch (below(8)) {
    case 0: // one bit
      if (at < bytes.length) bytes[at]! ^= 1 << below(8);
      return bytes;
    case 1: // one byte, of those that matter
    case 2:
      if (at < bytes.length) bytes[at] = NASTY[below(NASTY.length)]!;
      return bytes;
    case 3: // a few bytes of anything
      for (let i = 0; i < few; i++) bytes[at + i] = below(256);
      return bytes;
    case 4: // inserted
      return joined(
        bytes.subarray(0, at),
        Uint8Array.from({ length: 1 + below(16) }, () => below(256)),
        bytes.subarray(at),
      );
    case 5: // removed
      return joined(bytes.subarray(0, at), bytes.subarray(at + few));
    case 6: // repeated
      return joined(bytes.subarray(0, at + few), bytes.subarray(at));
    default: // cut off
      return bytes.slice(0, at);
  }
}

function joined(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Numbers in [0, 1): the mulberry32 generator, which is small and the same everywhere. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
