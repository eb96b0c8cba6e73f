import type { Calculation, CalculationLine } from './calculation.ts';
import { type AddressRange, outside } from './iova.ts';

/** A guest as far as it decides where things are in its physical address space. Sizes are bytes, all below 2^53. */
export interface GuestLayout {
  machine: 'q35' | 'pc';
  firmware: 'ovmf' | 'seabios';
  memory: number;
  /** With memory hot-plug: `maxmem`, and `slots`. */
  maxMemory?: number;
  slots?: number;
  /** Bits of a physical address that the guest's processor shows and firmware may trust: host-phys-bits=on or phys-bits. */
  physBits?: number;
  /** Whether the processor shown is one of AMD, which keeps memory out of the HyperTransport hole below 1 TiB. */
  amd?: boolean;
  /** Size that OVMF is told by `opt/ovmf/X-PciMmio64Mb`. */
  mmio64?: number;
  /** 64-bit BARs of what is assigned; for a PF those of all its VFs too. */
  bars?: readonly BarSet[];
}

/** BARs of one size. */
export interface BarSet {
  size: number;
  count: number;
}

/** A part of the guest's address space; the last address is included. */
export interface GuestRegion extends AddressRange {
  what: string;
}

const GIB = 2 ** 30;
const PC = 'QEMU hw/i386/pc_q35.c, pc_piix.c';
const PC_MEMORY = 'QEMU hw/i386/pc.c pc_memory_init()';
const HT_START = 0xfd_0000_0000;
const TIB = 2 ** 40;
/** Room that QEMU keeps for 64-bit BARs unless told by pci-hole64-size. */
const HOLE64 = { q35: 32 * GIB, pc: 2 * GIB };
/** OVMF's PcdPciMmio64Size. */
const OVMF_WINDOW = 32 * GIB;
/** Neither firmware uses more bits than Linux of old could. */
const FIRMWARE_BITS = 46;

/**
 * Guest memory below 4 GiB. QEMU gives it less when there is more, so that the rest begins at a whole GiB and BARs have room.
 * Source: QEMU hw/i386/pc_q35.c pc_q35_init(), pc_piix.c pc_init1().
 */
export function lowMemory(machine: 'q35' | 'pc', memory: number): Calculation {
  const [threshold, low] = machine === 'q35' ? [0xb000_0000, 2 * GIB] : [0xe000_0000, 3 * GIB];
  const result = memory < threshold ? memory : low;
  const compared = `${memory} is ${memory < threshold ? 'below' : 'not below'} ${hex(threshold)}`;
  return { lines: [{ text: `${machine}: ${compared}: ${result} bytes below 4 GiB`, source: PC }], result, fits: true };
}

/** Memory of a guest, and the window in which its firmware puts 64-bit BARs. */
export function guestRegions(guest: GuestLayout): { lines: CalculationLine[]; regions: GuestRegion[] } {
  const { machine, memory, maxMemory = memory, slots = 0 } = guest;
  const low = lowMemory(machine, memory);
  const lines = [...low.lines];
  const regions: GuestRegion[] = [region('memory below 4 GiB', 0, low.result)];
  const above = memory - low.result;
  const hotplug = maxMemory > memory ? maxMemory - memory + slots * GIB : 0;
  const used = 4 * GIB + above + hotplug + HOLE64[machine];
  const moved = guest.amd === true && above > 0 && used >= HT_START;
  const start = moved ? TIB : 4 * GIB;
  if (moved)
    lines.push({
      text: `${hex(used)} reaches ${hex(HT_START)}, so an AMD guest has its memory from 1 TiB on`,
      source: PC_MEMORY,
    });
  let top = start + above;
  if (above > 0) {
    regions.push(region('memory above 4 GiB', start, above));
    lines.push({ text: `${memory} - ${low.result} = ${above} bytes from ${hex(start)}: top ${hex(top)}`, source: PC_MEMORY });
  }
  if (hotplug > 0) {
    const base = roundUp(top, GIB);
    lines.push({
      text: `${maxMemory} - ${memory} + ${slots} slots × 1 GiB = ${hotplug} bytes to plug, from ${hex(base)}: top ${hex(base + hotplug)}`,
      source: PC_MEMORY,
    });
    regions.push(region('memory to plug', base, hotplug));
    top = base + hotplug;
  }
  const window = guest.firmware === 'ovmf' ? ovmfWindow(guest, top) : seabiosWindow(guest, top);
  return { lines: [...lines, ...window.lines], regions: window.region === undefined ? regions : [...regions, window.region] };
}

interface Window {
  lines: CalculationLine[];
  /** Undefined when nothing is put there. */
  region?: GuestRegion;
}

/** Source: edk2 OvmfPkg/Library/PlatformInitLib/MemDetect.c, as of edk2-stable202302 and later. */
function ovmfWindow({ physBits, mmio64 = OVMF_WINDOW }: GuestLayout, top: number): Window {
  const source = 'edk2 OvmfPkg/Library/PlatformInitLib/MemDetect.c';
  const size = Math.max(OVMF_WINDOW, mmio64);
  // Aligned to its size, rounded down to a power of two.
  const base = roundUp(roundUp(top, GIB), 2 ** Math.floor(Math.log2(size)));
  if (physBits !== undefined) {
    const bits = Math.min(physBits, FIRMWARE_BITS);
    const [space, eighth] = [2 ** bits, 2 ** (bits - 3)];
    if (size < eighth && base + eighth < space)
      return {
        lines: [
          ...(bits < physBits ? [{ text: `${physBits} bits are taken as ${bits}`, source }] : []),
          { text: `OVMF: the last eighth of 2^${bits}: ${hex(space - eighth)} to ${hex(space)}`, source },
        ],
        region: region('64-bit PCI window', space - eighth, eighth),
      };
  }
  return {
    lines: [{ text: `OVMF: ${size} bytes above ${hex(top)}, aligned: ${hex(base)} to ${hex(base + size)}`, source }],
    region: region('64-bit PCI window', base, size),
  };
}

/** Source: SeaBIOS src/fw/pciinit.c pci_bios_map_devices(), src/fw/paravirt.c. */
function seabiosWindow({ physBits, bars = [], memory, machine }: GuestLayout, top: number): Window {
  const source = 'SeaBIOS src/fw/pciinit.c';
  const need = barWindow(bars).result;
  if (need === 0) return { lines: [] };
  const over4G = memory > lowMemory(machine, memory).result;
  // Since 1.16.3 it goes to the end, where a guest has memory above 4 GiB.
  const end = physBits !== undefined && over4G ? 2 ** Math.min(physBits, FIRMWARE_BITS) : undefined;
  const base = roundUp(top, GIB);
  const [from, to] = end === undefined || end - need < base ? [base, base + need] : [end - need, end];
  return {
    lines: [
      {
        text: `SeaBIOS: ${need} bytes ${from === base ? `above ${hex(top)}` : 'at the end'}: ${hex(from)} to ${hex(to)}`,
        source,
      },
    ],
    region: region('64-bit PCI window', from, to - from),
  };
}

/**
 * Room for 64-bit BARs: each is aligned to its size, and so is the window to the largest.
 * @param window size that there is; without it everything fits
 */
export function barWindow(bars: readonly BarSet[], window?: number): Calculation {
  const sets = bars.filter(({ size, count }) => size > 0 && count > 0);
  const sum = sets.reduce((total, { size, count }) => total + size * count, 0);
  const largest = Math.max(1, ...sets.map(({ size }) => size));
  const result = roundUp(sum, largest);
  const fits = window === undefined || result <= window;
  const source = 'PCIe 6.0 §7.5.1.2.1 Base Address Registers; §9.3.3.14 VF BARs';
  const terms = sets.map(({ size, count }) => (count === 1 ? `${size}` : `${count} × ${size}`)).join(' + ');
  const lines = sets.length === 0 ? [] : [{ text: `${terms} = ${sum} bytes of BARs, aligned to ${largest}: ${result}`, source }];
  if (window !== undefined)
    lines.push({
      text: `${result} ${fits ? 'is within' : 'is more than'} the window of ${window}`,
      source: 'the firmware of the guest',
    });
  return { lines, result, fits };
}

/**
 * The highest address that a guest has, held against what can be mapped for its devices. A BAR that cannot be mapped costs
 * only DMA between devices; memory that cannot be mapped keeps QEMU from starting.
 *
 * @param ranges  what the host can map, or the vIOMMU of the guest itself
 * @returns `result` is the first address above everything
 */
export function highestAddress(guest: GuestLayout, ranges: readonly AddressRange[]): Calculation & { outside: GuestRegion[] } {
  const { lines, regions } = guestRegions(guest);
  const result = Math.max(...regions.map(({ end }) => Number(end) + 1));
  const missed = outside(regions, ranges) as GuestRegion[];
  const shown = ranges.map(({ start, end }) => `0x${start.toString(16)} to 0x${end.toString(16)}`).join(', ');
  const verdict =
    missed.length === 0
      ? `all below ${hex(result)} can be mapped: ${shown}`
      : `${missed.map(({ what, start, end }) => `${what} (0x${start.toString(16)} to 0x${end.toString(16)})`).join(', ')} cannot all be mapped: ${shown}`;
  return {
    lines: [...lines, { text: verdict, source: 'VT-d 5.10 §11.4.2; VFIO_IOMMU_GET_INFO' }],
    result,
    fits: missed.length === 0,
    outside: missed,
  };
}

function region(what: string, start: number, size: number): GuestRegion {
  return { what, start: BigInt(start), end: BigInt(start + size - 1) };
}

function roundUp(value: number, to: number): number {
  return Math.ceil(value / to) * to;
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
