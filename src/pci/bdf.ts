/** Address of a function. `domain` may need more than four hexadecimal digits (VMD); with ARI the device is 0 to 31 all the same. */
export interface Bdf {
  readonly domain: number;
  readonly bus: number;
  readonly device: number;
  readonly function: number;
}

const ADDRESS = /^(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}):([01][0-9a-f])\.([0-7])$/i;

/** What was read so far: thousands of functions are named again and again. */
const known = new Map<string, Bdf>();
const MOST_KNOWN = 20_000;

/** Reads `0000:3b:00.0`, or `3b:00.0` of domain 0; undefined when the text is no such address. */
export function parseBdf(text: string): Bdf | undefined {
  const bdf = known.get(text);
  if (bdf !== undefined) return bdf;
  const read = readBdf(text);
  if (read !== undefined && known.size < MOST_KNOWN) known.set(text, read);
  return read;
}

function readBdf(text: string): Bdf | undefined {
  const match = ADDRESS.exec(text);
  if (!match) return undefined;
  const [, domain = '0', bus = '', device = '', fn = ''] = match;
  return {
    domain: Number.parseInt(domain, 16),
    bus: Number.parseInt(bus, 16),
    device: Number.parseInt(device, 16),
    function: Number(fn),
  };
}

/** The address as the kernel writes it: `0000:3b:00.0`. */
export function formatBdf({ domain, bus, device, function: fn }: Bdf): string {
  return `${digits(domain, 4)}:${digits(bus, 2)}:${digits(device, 2)}.${fn}`;
}

function digits(value: number, count: number): string {
  return value.toString(16).padStart(count, '0');
}

/** Bus in bits 15:8, device in 7:3, function in 2:0: the Requester ID of a DMA. PCIe 6.0 §2.2.6.2. */
export function routingId({ bus, device, function: fn }: Bdf): number {
  return (bus << 8) | (device << 3) | fn;
}

/** The function with that routing ID. The domain is no part of it. */
export function bdfOf(domain: number, routingId: number): Bdf {
  return { domain, bus: (routingId >> 8) & 0xff, device: (routingId >> 3) & 0x1f, function: routingId & 7 };
}

/** Orders addresses by domain, bus, device and function. */
export function compareBdf(a: Bdf, b: Bdf): number {
  return a.domain - b.domain || routingId(a) - routingId(b);
}
