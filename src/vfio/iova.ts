import { addressWidths, CAP_REG, registerView } from '../iommu/index.ts';
import type { CalculationLine } from './calculation.ts';

/** Addresses from `start` to `end`, the last one included. */
export interface AddressRange {
  start: bigint;
  end: bigint;
}

/** A line of `reserved_regions` of a group. */
export interface ReservedRegion extends AddressRange {
  /** `msi`, `reserved`, `direct`, `direct-relaxable` ... */
  type: string;
}

/** A unit as far as the width of addresses goes. */
export interface TranslatingUnit {
  name: string;
  /** CAP_REG of a VT-d unit as hexadecimal digits. */
  cap?: string;
  /** Whether it is an AMD-Vi unit. */
  amd: boolean;
}

/** What a unit can be asked to map. */
export interface Aperture {
  /** Bits of an address that the unit translates. */
  bits: number;
  /** The last address of which the kernel says that it can be mapped. */
  end: bigint;
  lines: CalculationLine[];
}

/** Widest tables that the kernel's drivers build for an AMD guest-format (v2) domain with four levels. */
const AMD_V2_BITS = 48;
/** Before 6.12 the kernel promised this width, whatever the unit could: DEFAULT_DOMAIN_ADDRESS_WIDTH. */
const PROMISED_BITS = 57;

/**
 * How far the domain reaches that VFIO gets from a unit, with second-stage tables. Undefined when CAP_REG could not be read or
 * has no width at all. A unit that is neither VT-d nor AMD-Vi is taken for a virtio-iommu without a limit.
 * Source: VT-d 5.10 §11.4.2; Linux drivers/iommu/intel/iommu.c paging_domain_alloc(), drivers/iommu/amd/iommu.c
 * dma_max_address().
 *
 * @param kernel.release such as `6.12.9-amd64`
 * @param kernel.cmdline for `amd_iommu=pgtbl_v2`
 */
export function apertureOf(unit: TranslatingUnit, kernel: { release: string; cmdline: string }): Aperture | undefined {
  if (unit.amd) {
    const guestFormat = /(^|[ ,=])pgtbl_v2($|[ ,])/.test(kernel.cmdline) && atLeast612(kernel.release);
    const bits = guestFormat ? AMD_V2_BITS : 64;
    return {
      bits,
      end: lastOf(bits),
      lines: [
        {
          text: `${unit.name}: AMD-Vi tables ${guestFormat ? 'of format v2' : 'of up to six levels'}: ${bits} bits`,
          source: 'Linux drivers/iommu/amd/iommu.c',
        },
      ],
    };
  }
  if (unit.name.startsWith('dmar')) return unit.cap === undefined ? undefined : vtdAperture(unit.name, unit.cap, kernel.release);
  return {
    bits: 64,
    end: lastOf(64),
    lines: [
      {
        text: `${unit.name}: the input range of a virtio-iommu is all 64 bits unless its device says less`,
        source: 'virtio 1.3 §5.13.4',
      },
    ],
  };
}

function vtdAperture(name: string, digits: string, release: string): Aperture | undefined {
  const cap = CAP_REG.decode(registerView(BigInt(`0x${digits}`)));
  const widths = addressWidths(cap.SAGAW);
  if (widths.length === 0) return undefined;
  const [tables, guest] = [Math.max(...widths), cap.MGAW + 1];
  const bits = Math.min(tables, guest);
  const lines = [
    {
      text: `${name}: SAGAW=${cap.SAGAW}: tables for ${widths.join(', ')} bits, of which the kernel takes ${tables}`,
      source: 'VT-d 5.10 §11.4.2',
    },
    { text: `${name}: MGAW=${cap.MGAW}: ${guest} bits`, source: 'VT-d 5.10 §11.4.2' },
    {
      text: `min(${tables}, ${guest}) = ${bits} bits, up to ${hex(lastOf(bits))}`,
      source: 'Linux drivers/iommu/intel/iommu.c paging_domain_alloc()',
    },
  ];
  if (atLeast612(release)) return { bits, end: lastOf(bits), lines };
  lines.push({
    text: `this kernel promises ${PROMISED_BITS} bits all the same, and refuses what is above ${bits} only when it is mapped`,
    source: 'Linux 6.1 drivers/iommu/intel/iommu.c intel_iommu_domain_alloc()',
  });
  return { bits, end: lastOf(PROMISED_BITS), lines };
}

/**
 * Ranges that can be mapped in a container: what every aperture holds, less what is reserved. Regions that are direct but
 * relaxable are no obstacle for VFIO. Source: Linux drivers/vfio/vfio_iommu_type1.c vfio_iommu_resv_exclude().
 *
 * @param ends     last address of each unit's aperture
 * @param reserved of all groups in the container, in any order
 */
export function iovaRanges(ends: readonly bigint[], reserved: readonly ReservedRegion[]): AddressRange[] {
  const last = ends.reduce((least, end) => (end < least ? end : least));
  const holes = reserved.filter(({ type }) => type !== 'direct-relaxable').sort((a, b) => (a.start < b.start ? -1 : 1));
  const ranges: AddressRange[] = [];
  let next = 0n;
  for (const { start, end } of holes) {
    if (start > last) break;
    if (start > next) ranges.push({ start: next, end: start - 1n });
    if (end >= next) next = end + 1n;
  }
  if (next <= last) ranges.push({ start: next, end: last });
  return ranges;
}

/** The regions of a guest that no range holds as a whole. */
export function outside(regions: readonly AddressRange[], ranges: readonly AddressRange[]): AddressRange[] {
  return regions.filter(({ start, end }) => !ranges.some((range) => range.start <= start && end <= range.end));
}

/** Lines of `reserved_regions`. Source: Linux Documentation/ABI/testing/sysfs-kernel-iommu_groups. */
export function parseReserved(text: string): ReservedRegion[] {
  return [...text.matchAll(/^(0x[0-9a-f]{1,16}) (0x[0-9a-f]{1,16}) (\S+)$/gim)].map(([, start, end, type]) => ({
    start: BigInt(start!),
    end: BigInt(end!),
    type: type!,
  }));
}

function lastOf(bits: number): bigint {
  return (1n << BigInt(bits)) - 1n;
}

function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}

function atLeast612(release: string): boolean {
  const [, major = '0', minor = '0'] = /^(\d+)\.(\d+)/.exec(release) ?? [];
  return Number(major) > 6 || (Number(major) === 6 && Number(minor) >= 12);
}
