import type { RegisterMap } from './register-map.ts';
import type { ProtectedRegions } from './register-state.ts';

/** Bits below this one are 0 in a base and 1 in a limit: regions are counted in MiB. */
const GRAIN = 0xfffff;

/**
 * Whether a DMA request may not go to this address because it is in a protected memory region. Nothing is recorded for
 * it; the unit's own reads are not subject to it. VT-d 5.10 §11.4.8.
 */
export function isProtected({ can }: RegisterMap, regions: ProtectedRegions, lo: number, hi: number): boolean {
  if (!regions.on) return false;
  const low = lo >>> 0;
  if (can.PLMR && hi === 0 && low >= regions.plmBase >>> 0 && low <= (regions.plmLimit | GRAIN) >>> 0) return true;
  return (
    can.PHMR === 1 &&
    !isBelow(lo, hi, regions.phmBaseLo, regions.phmBaseHi) &&
    !isBelow(regions.phmLimitLo | GRAIN, regions.phmLimitHi, lo, hi)
  );
}

function isBelow(lo: number, hi: number, otherLo: number, otherHi: number): boolean {
  return hi === otherHi ? lo >>> 0 < otherLo >>> 0 : hi >>> 0 < otherHi >>> 0;
}
