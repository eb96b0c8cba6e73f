import type { Config } from './config.ts';
import { Type0Header, Type1Header } from './header.ts';

/** A base address register, as far as its own bits tell. Its size is not in it. */
export interface Bar {
  /** Register number; a 64-bit BAR takes two. */
  index: number;
  space: 'memory' | 'io';
  /** Bits of address that it decodes. */
  width: 32 | 64;
  prefetchable: boolean;
  /** Address in bytes; 0 when not assigned. PCI addresses above 2^53 are not exact. */
  base: number;
}

/** One line of sysfs `resource`: a BAR, ROM or window with the size that the kernel found. */
export interface Resource {
  /** Line number: 0-5 BARs, 6 ROM, 7-12 VF BARs (with SR-IOV), then the windows of a bridge. */
  index: number;
  start: number;
  /** Bytes; 0 when the line is empty. */
  size: number;
  space: 'memory' | 'io' | 'none';
  width: 32 | 64;
  prefetchable: boolean;
  /** The kernel has not placed it. */
  unset: boolean;
}

/** Registers read in the order of the header: two at a time when the first says 64 bits. PCIe 6.0 §7.5.1.2.1. */
export function decodeBars(registers: readonly number[]): Bar[] {
  const bars: Bar[] = [];
  for (let index = 0; index < registers.length; index++) {
    const low = registers[index] ?? 0;
    // All ones is what nobody answers with.
    if (low === 0 || low === 0xffffffff) continue;
    if (low & 1) {
      bars.push({ index, space: 'io', width: 32, prefetchable: false, base: (low & ~3) >>> 0 });
      continue;
    }
    const width = (low & 6) === 4 ? 64 : 32;
    const base = (low & ~15) >>> 0;
    const prefetchable = (low & 8) !== 0;
    if (width === 32) bars.push({ index, space: 'memory', width, prefetchable, base });
    else bars.push({ index: index++, space: 'memory', width, prefetchable, base: base + (registers[index] ?? 0) * 2 ** 32 });
  }
  return bars;
}

/** The BARs of a function: six of an endpoint, two of a bridge. Those that read as zero or as all ones are left out. */
export function barsOf(config: Config): Bar[] {
  const { view, layout } = config;
  if (layout === 'type0') {
    const { BAR0, BAR1, BAR2, BAR3, BAR4, BAR5 } = Type0Header.get;
    return decodeBars([BAR0, BAR1, BAR2, BAR3, BAR4, BAR5].map((read) => read(view, 0)));
  }
  return layout === 'type1' ? decodeBars([Type1Header.get.BAR0(view, 0), Type1Header.get.BAR1(view, 0)]) : [];
}

/** Place of the expansion ROM; undefined when the register reads as zero or all ones, or the layout has none. PCIe 6.0 §7.5.1.2.4. */
export function romOf({ view, layout }: Config): { base: number; enabled: boolean } | undefined {
  if (layout !== 'type0' && layout !== 'type1') return undefined;
  const { get } = layout === 'type0' ? Type0Header : Type1Header;
  const register = get.ExpansionROMBaseAddress(view, 0);
  return register === 0 || register === 0xffffffff
    ? undefined
    : { base: (register & ~0x7ff) >>> 0, enabled: (register & 1) === 1 };
}

// Linux include/linux/ioport.h
const IORESOURCE_IO = 0x100;
const IORESOURCE_MEM = 0x200;
const IORESOURCE_PREFETCH = 0x2000;
const IORESOURCE_MEM_64 = 0x100000;
const IORESOURCE_UNSET = 0x20000000;

/** Most lines say this; a host with thousands of functions has a hundred thousand of them, so they share their result. */
const NOTHING = '0x0000000000000000 0x0000000000000000 0x0000000000000000\n';
const noResources = new Map<number, Resource>();

function noResource(index: number): Resource {
  const known = noResources.get(index);
  if (known !== undefined) return known;
  const made: Resource = { index, start: 0, size: 0, space: 'none', width: 32, prefetchable: false, unset: false };
  noResources.set(index, made);
  return made;
}

/**
 * Reads sysfs `resource`: three hexadecimal numbers a line (first address, last address, flags).
 * Undefined when a line is something else. Source: ABI/testing/sysfs-bus-pci.
 */
export function parseResources(text: string): Resource[] | undefined {
  const out: Resource[] = [];
  const length = text.trimEnd().length;
  for (let at = 0; at < length; ) {
    if (text.startsWith(NOTHING, at)) {
      out.push(noResource(out.length));
      at += NOTHING.length;
      continue;
    }
    const end = text.indexOf('\n', at);
    const resource = parseResource(out.length, end < 0 ? text.slice(at) : text.slice(at, end));
    if (resource === undefined) return undefined;
    out.push(resource);
    at = end < 0 ? text.length : end + 1;
  }
  return out.length === 0 ? undefined : out;
}

function parseResource(index: number, line: string): Resource | undefined {
  const words = /^(0x[0-9a-f]{1,16}) (0x[0-9a-f]{1,16}) (0x[0-9a-f]{1,16})$/i.exec(line.trim());
  if (words === null) return undefined;
  const [start, end, flags] = [Number(words[1]), Number(words[2]), Number(words[3])];
  const low = flags % 2 ** 32;
  return {
    index,
    start,
    size: end > start ? end - start + 1 : 0,
    space: low & IORESOURCE_MEM ? 'memory' : low & IORESOURCE_IO ? 'io' : 'none',
    width: low & IORESOURCE_MEM_64 ? 64 : 32,
    prefetchable: (low & IORESOURCE_PREFETCH) !== 0,
    unset: (low & IORESOURCE_UNSET) !== 0,
  };
}
