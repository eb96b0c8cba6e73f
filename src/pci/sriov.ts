import type { Decoded } from '../bits/index.ts';
import { decodeBars, type Resource } from './bars.ts';
import { type Bdf, bdfOf, routingId } from './bdf.ts';
import type { Sriov } from './isolation.ts';

/** What decides where the VFs are: registers of the capability, or the sysfs attributes of the same meaning. */
export interface VfLayout {
  FirstVFOffset: number;
  VFStride: number;
}

/**
 * The routing ID of a VF. It may lie on a later bus than its PF.
 *
 * Both numbers can change when NumVFs or ARI does, so read them again after a change.
 * Source: PCIe 6.0 §9.2.1.2 (arithmetic modulo 2^16), §9.3.3.9, §9.3.3.10.
 *
 * @param pf routing ID of the PF
 * @param n  counted from 0, as `virtfnN` in sysfs; the specification counts from 1
 */
export function vfRoutingId(pf: number, { FirstVFOffset, VFStride }: VfLayout, n: number): number {
  return (pf + FirstVFOffset + n * VFStride) & 0xffff;
}

/** The first `count` VFs of a PF. */
export function vfAddresses(pf: Bdf, layout: VfLayout, count: number): Bdf[] {
  return Array.from({ length: count }, (_, n) => bdfOf(pf.domain, vfRoutingId(routingId(pf), layout, n)));
}

/** The highest bus that `count` VFs need. The bridge above must reach it, or the kernel refuses with ENOMEM. */
export function lastVfBus(pf: Bdf, layout: VfLayout, count: number): number {
  return vfAddresses(pf, layout, count).reduce((last, vf) => Math.max(last, vf.bus), pf.bus);
}

/** A VF BAR: one register of the PF that places the BAR of every VF, side by side. */
export interface VfBar {
  index: number;
  width: 32 | 64;
  prefetchable: boolean;
  /** Of VF 0, in bytes; 0 when not assigned. */
  base: number;
  /** Bytes for one VF; undefined when no resource tells. */
  size: number | undefined;
}

/** sysfs `resource` has the VF BARs behind the six BARs and the ROM. Linux include/linux/pci.h, PCI_IOV_RESOURCES. */
const PCI_IOV_RESOURCES = 7;

/**
 * The VF BARs. The kernel keeps one resource per register for all VFs it made room for, which is `TotalVFs` of the
 * capability even when the driver allows fewer.
 *
 * @param resources lines of the PF's sysfs `resource`, for the sizes; without them sizes are undefined
 */
export function vfBars(sriov: Decoded<typeof Sriov>, resources: readonly Resource[] = []): VfBar[] {
  const { VFBAR0, VFBAR1, VFBAR2, VFBAR3, VFBAR4, VFBAR5, TotalVFs } = sriov;
  return decodeBars([VFBAR0, VFBAR1, VFBAR2, VFBAR3, VFBAR4, VFBAR5])
    .filter((bar) => bar.space === 'memory')
    .map(({ index, width, prefetchable, base }) => {
      const whole = resources[PCI_IOV_RESOURCES + index]?.size ?? 0;
      return { index, width, prefetchable, base, size: whole > 0 && TotalVFs > 0 ? whole / TotalVFs : undefined };
    });
}

/** Address of that BAR of VF `n`, counted from 0. PCIe 6.0 §9.2.1.1.1. Undefined when its size is unknown or nothing is assigned. */
export function vfBarAddress(bar: VfBar, n: number): number | undefined {
  return bar.size === undefined || bar.base === 0 ? undefined : bar.base + n * bar.size;
}
