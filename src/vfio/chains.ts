import { viewOf } from '../bits/index.ts';
import {
  CapHeader,
  IovaRange,
  RegionInfo,
  SparseArea,
  Type1Info,
  VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE,
  VFIO_REGION_INFO_CAP_SPARSE_MMAP,
} from './structures.ts';

/** A range of IOVAs that the IOMMU takes, both ends included. */
export interface IovaSpan {
  start: bigint;
  end: bigint;
}

/** Where a part of a region lies that can be mapped, in bytes. */
export interface RegionArea {
  offset: number;
  size: number;
}

/**
 * Offsets of the capabilities behind an answer, in the order of the chain.
 * @throws RangeError when the chain leaves the answer or turns back on itself
 */
export function* capabilities(answer: Uint8Array, first: number): Generator<{ id: number; at: number }> {
  const view = viewOf(answer);
  const seen = new Set<number>();
  for (let at = first; at !== 0; at = CapHeader.get.next(view, at)) {
    if (!CapHeader.fits(view, at)) throw new RangeError(`a capability at ${at} lies outside ${answer.length} bytes`);
    if (seen.has(at)) throw new RangeError(`the capability chain returns to ${at}`);
    seen.add(at);
    yield { id: CapHeader.get.id(view, at), at };
  }
}

/** A counted list behind a capability: the count after the header and eight bytes on, the elements. */
function listIn<T>(answer: Uint8Array, at: number, bytes: number, read: (view: DataView, at: number) => T): T[] {
  const view = viewOf(answer);
  const count = view.getUint32(at + CapHeader.bytes, true);
  const from = at + CapHeader.bytes + 8;
  if (from + count * bytes > answer.length)
    throw new RangeError(`${count} elements at ${from} lie outside ${answer.length} bytes`);
  return Array.from({ length: count }, (_, i) => read(view, from + i * bytes));
}

/**
 * What VFIO_IOMMU_GET_INFO answered. A kernel before 5.4 names no ranges: the list is empty then, which says nothing.
 * @param answer the whole answer, `argsz` bytes of it
 */
export function parseIommuInfo(answer: Uint8Array): { pageSizes: bigint; iovaRanges: IovaSpan[]; argsz: number } {
  const info = Type1Info.decode(viewOf(answer));
  const iovaRanges: IovaSpan[] = [];
  if (info.CAPS && info.cap_offset + CapHeader.bytes <= answer.length)
    for (const { id, at } of capabilities(answer, info.cap_offset))
      if (id === VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE)
        iovaRanges.push(...listIn(answer, at, IovaRange.bytes, (view, where) => IovaRange.decode(view, where)));
  return { pageSizes: info.PGSIZES ? info.iova_pgsizes : 0n, iovaRanges, argsz: info.argsz };
}

/**
 * What VFIO_DEVICE_GET_REGION_INFO answered. `areas` are the parts that can be mapped: the whole region, some parts of it
 * (older kernels keep the MSI-X table out), or none.
 */
export function parseRegionInfo(answer: Uint8Array): {
  argsz: number;
  bytes: number;
  offset: number;
  writable: boolean;
  areas: RegionArea[];
} {
  const info = RegionInfo.decode(viewOf(answer));
  const bytes = Number(info.size);
  let areas: RegionArea[] = info.MMAP && bytes > 0 ? [{ offset: 0, size: bytes }] : [];
  if (info.MMAP && info.CAPS && info.cap_offset + CapHeader.bytes <= answer.length)
    for (const { id, at } of capabilities(answer, info.cap_offset))
      if (id === VFIO_REGION_INFO_CAP_SPARSE_MMAP)
        areas = listIn(answer, at, SparseArea.bytes, (view, where) => ({
          offset: Number(SparseArea.get.offset(view, where)),
          size: Number(SparseArea.get.size(view, where)),
        }));
  return { argsz: info.argsz, bytes, offset: Number(info.offset), writable: info.WRITE === 1, areas };
}

/** Whether a map of `bytes` at `iova` lies in one of the ranges; undefined when the kernel named none. */
export function insideRanges(ranges: readonly IovaSpan[], iova: number, bytes: number): boolean | undefined {
  if (ranges.length === 0) return undefined;
  const first = BigInt(iova);
  const last = first + BigInt(bytes) - 1n;
  return ranges.some(({ start, end }) => first >= start && last <= end);
}
