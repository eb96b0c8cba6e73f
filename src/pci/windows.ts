import type { Config } from './config.ts';
import { Type1Header } from './header.ts';

/** A range of addresses that a bridge passes down. */
export interface Window {
  space: 'io' | 'memory' | 'prefetchable';
  /** Bits of address that it can hold; absent when base and limit name different types, or one that is not defined. */
  width?: 16 | 32 | 64;
  base: number;
  /** The last address. Below `base` when the window is closed. */
  limit: number;
}

/**
 * The three windows of a bridge; none for what is no bridge. A bridge without an I/O or a prefetchable window reads as zero
 * there, which is also what an open window of the lowest addresses looks like.
 * Addresses above 2^53 are not exact. Source: PCIe 6.0 §7.5.1.3.6 to §7.5.1.3.9; PCI-to-PCI Bridge 1.2 §3.2.5.
 */
export function windowsOf({ view, layout }: Config): Window[] {
  if (layout !== 'type1') return [];
  const { get } = Type1Header;
  const [ioBase, ioLimit] = [get.IOBase(view, 0), get.IOLimit(view, 0)];
  const io32 = (ioBase & 15) === 1;
  const [memoryBase, memoryLimit] = [get.MemoryBase(view, 0), get.MemoryLimit(view, 0)];
  const [prefetchBase, prefetchLimit] = [get.PrefetchableMemoryBase(view, 0), get.PrefetchableMemoryLimit(view, 0)];
  const prefetch64 = (prefetchBase & 15) === 1;
  const typesAgree = (base: number, limit: number, most: number): boolean => (base & 15) === (limit & 15) && (base & 15) <= most;
  return [
    {
      space: 'io',
      ...(typesAgree(ioBase, ioLimit, 1) && { width: io32 ? 32 : 16 }),
      base: (ioBase & 0xf0) * 0x100 + (io32 ? get.IOBaseUpper16(view, 0) * 0x10000 : 0),
      limit: (ioLimit & 0xf0) * 0x100 + 0xfff + (io32 ? get.IOLimitUpper16(view, 0) * 0x10000 : 0),
    },
    {
      space: 'memory',
      ...(typesAgree(memoryBase, memoryLimit, 0) && { width: 32 }),
      base: (memoryBase & 0xfff0) * 0x10000,
      limit: (memoryLimit & 0xfff0) * 0x10000 + 0xfffff,
    },
    {
      space: 'prefetchable',
      ...(typesAgree(prefetchBase, prefetchLimit, 1) && { width: prefetch64 ? 64 : 32 }),
      base: (prefetchBase & 0xfff0) * 0x10000 + (prefetch64 ? get.PrefetchableBaseUpper32(view, 0) * 2 ** 32 : 0),
      limit: (prefetchLimit & 0xfff0) * 0x10000 + 0xfffff + (prefetch64 ? get.PrefetchableLimitUpper32(view, 0) * 2 ** 32 : 0),
    },
  ];
}
