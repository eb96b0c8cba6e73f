import type { KernelLine } from '../host/host.ts';
import { parseFault, type VtdFault } from '../iommu/index.ts';

/** A DMA that a VT-d unit refused, with the line of the kernel that says so. */
export interface DmarFault {
  line: KernelLine;
  fault: VtdFault;
}

/** The refused DMA that a line of the kernel log reports, or undefined when it reports none. */
export function parseDmarFault(line: KernelLine): DmarFault | undefined {
  const fault = parseFault(line.text);
  return fault?.unit === 'vtd' && fault.kind === 'dma' ? { line, fault } : undefined;
}

/**
 * The first line that reports a refused DMA of this function to the page of this IOVA; undefined when there is none.
 * The kernel prints no PCI segment, so a function of another segment with the same bus, device and function matches as well.
 *
 * @param lines the kernel log since the DMA was asked for
 * @param of.bdf `0000:02:00.1`
 */
export function matchDmarFault(lines: readonly KernelLine[], of: { bdf: string; iova: number }): DmarFault | undefined {
  const requester = of.bdf.slice(of.bdf.indexOf(':') + 1).toLowerCase();
  const page = BigInt(of.iova) >> 12n;
  return lines
    .map(parseDmarFault)
    .find(
      (found) => found?.fault.requester === requester && found.fault.address !== undefined && found.fault.address >> 12n === page,
    );
}
