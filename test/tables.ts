/** A DMAR table of given flags and units, with its length and checksum as they should be. VT-d 5.10 §8. */
export function buildDmar({
  flags,
  drhd = [],
}: {
  flags: number;
  drhd?: readonly {
    base: number;
    /** INCLUDE_PCI_ALL. */
    all: boolean;
    /** Type 1 endpoint, 2 bridge; device and function of each step. */
    scopes: readonly { type: number; startBus: number; path: readonly (readonly [number, number])[] }[];
  }[];
}): Uint8Array {
  const body = drhd.flatMap(({ base, all, scopes }) => {
    const entries = scopes.flatMap(({ type, startBus, path }) => [type, 6 + 2 * path.length, 0, 0, 0, startBus, ...path.flat()]);
    return [
      0,
      0,
      16 + entries.length,
      0,
      all ? 1 : 0,
      0,
      0,
      0,
      ...[0, 8, 16, 24].map((at) => (base >>> at) & 0xff),
      0,
      0,
      0,
      0,
      ...entries,
    ];
  });
  const bytes = new Uint8Array(48 + body.length);
  bytes.set([...'DMAR'].map((letter) => letter.charCodeAt(0)));
  new DataView(bytes.buffer).setUint32(4, bytes.length, true);
  bytes.set(
    [1, 0, ...'SLUICE'].map((one) => (typeof one === 'string' ? one.charCodeAt(0) : one)),
    8,
  );
  bytes.set([45, flags], 36);
  bytes.set(body, 48);
  bytes[9] = -bytes.reduce((sum, byte) => sum + byte, 0) & 0xff;
  return bytes;
}
