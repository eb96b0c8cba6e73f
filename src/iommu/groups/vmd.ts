import { parseBdf } from '../../pci/index.ts';
import type { TopologyFunction } from './topology.ts';

// Intel VMD puts what is behind it on a root bus of its own, in a domain above those of firmware, and the DMA from there carries
// the requester ID of the VMD function. Linux drivers/pci/controller/vmd.c; arch/x86/pci/common.c, pci_real_dma_dev().

/** Domains of firmware have 16 bits; VMD takes the next free one above. vmd_find_free_domain(). */
export const FIRST_VMD_DOMAIN = 0x10000;
const INTEL = 0x8086;
const RAID = 0x0104;
/** vmd_ids of Linux 6.12. */
const DEVICES = new Set([0x201d, 0x28c0, 0x467f, 0x4c3d, 0xa77f, 0x7d0b, 0xad0b, 0x9a0b, 0xb60b, 0xb06f]);

/** The VMD function in the way to a function of that domain, from the root on; undefined when it is not behind one. */
export function vmdOnWay(way: readonly { bdf: string; domain: number }[], domain: number): string | undefined {
  return domain < FIRST_VMD_DOMAIN ? undefined : way.findLast((one) => one.domain !== domain)?.bdf;
}

/** Whether it is a VMD function, by its number or, in a listing without numbers, by its name. */
export function isVmd({ bdf, vendor, device, name, class: code }: TopologyFunction): boolean {
  if (vendor !== INTEL || domainOf(bdf) >= FIRST_VMD_DOMAIN) return false;
  if (device !== undefined) return DEVICES.has(device);
  return (code === undefined || code >> 8 === RAID) && /\bVolume Management\b/.test(name ?? '');
}

/**
 * Functions without a place in a tree, with the VMD that they are behind: the k-th VMD made the k-th of these domains. Where there
 * are not as many VMDs as domains, `realDma` is null: one may have no driver, or may be missing in the listing.
 */
export function behindVmd(functions: readonly TopologyFunction[]): readonly TopologyFunction[] {
  const domains = [...new Set(functions.map(({ bdf }) => domainOf(bdf)))]
    .filter((domain) => domain >= FIRST_VMD_DOMAIN)
    .sort((a, b) => a - b);
  if (domains.length === 0) return functions;
  const vmds = functions.filter(isVmd).map(({ bdf }) => bdf);
  return functions.map((f) => {
    const at = domains.indexOf(domainOf(f.bdf));
    if (at < 0 || f.above !== undefined || f.realDma !== undefined) return f;
    return { ...f, realDma: vmds.length === domains.length ? vmds[at]! : null };
  });
}

function domainOf(bdf: string): number {
  return parseBdf(bdf)?.domain ?? 0;
}
