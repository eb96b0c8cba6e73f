import type { KernelLine } from '../host/host.ts';

/** A DMA that a remapping unit refused, as the kernel printed it. */
export interface DmarFault {
  line: KernelLine;
  access: 'read' | 'write' | 'execute';
  /** `02:00.1`: the line carries no PCI segment. */
  requester: string;
  address: bigint;
  /** VT-d 5.10 Table 30; undefined where the kernel prints it on a line of its own. */
  reason: number | undefined;
  pasid: number | undefined;
}

// dmar_fault_do_one of drivers/iommu/intel/dmar.c, over the years:
//   until 4.x   DMAR:[DMA Write] Request device [02:00.1] fault addr 10002000 \nDMAR:[fault reason 05] PTE Write ...
//   until 5.13  DMAR: [DMA Write] Request device [02:00.1] PASID ffffffff fault addr 10002000 [fault reason 05] PTE ...
//   since 5.14  DMAR: [DMA Write NO_PASID] Request device [02:00.1] fault addr 0x10002000 [fault reason 0x05] PTE ...
// Addresses were always hexadecimal; the reason was decimal until it got its 0x.
const FAULT =
  /DMAR: ?\[DMA (Read|Write|Execute)(?: (NO_PASID|PASID 0x[0-9a-f]+))?\] Request device \[(?:0x)?([0-9a-f]{2}):(?:0x)?([0-9a-f]{2})\.([0-7])\] (?:PASID ([0-9a-f]+) )?fault addr (?:0x)?([0-9a-f]+)(?:\s*(?:DMAR: ?)?\[fault reason (0x[0-9a-f]+|\d+)\])?/i;

/** In a request without a PASID the older kernels print all ones. */
const NO_PASID = 0xffffffff;

/** The fault that a line of the kernel log reports, or undefined when it reports none of a DMA. */
export function parseDmarFault(line: KernelLine): DmarFault | undefined {
  const match = FAULT.exec(line.text);
  if (match === null) return undefined;
  const [, access = '', newPasid, bus, device, fn, oldPasid, address = '0', reason] = match;
  const printed = newPasid?.startsWith('PASID 0x') ? newPasid.slice('PASID 0x'.length) : oldPasid;
  const pasid = printed === undefined ? NO_PASID : Number.parseInt(printed, 16);
  return {
    line,
    access: access.toLowerCase() as DmarFault['access'],
    requester: `${bus}:${device}.${fn}`.toLowerCase(),
    address: BigInt(`0x${address}`),
    reason: reason === undefined ? undefined : Number(reason),
    pasid: pasid === NO_PASID ? undefined : pasid,
  };
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
    .find((fault) => fault !== undefined && fault.requester === requester && fault.address >> 12n === page);
}
