/** TTM: which tables the root-table address leads to. */
export const LEGACY = 0;
export const SCALABLE = 1;
export const ABORT = 3;

/**
 * What hardware uses of the registers for DMA requests: latched by commands, not what software wrote last. Plain data; a
 * copy of it is a snapshot. Flags are 0 or 1.
 */
export interface Active {
  /** GSTS_REG.TES: requests are translated. */
  TES: number;
  /** RTADDR_REG as of the last GCMD_REG.SRTP. */
  TTM: number;
  SSIRWE: number;
  rootLo: number;
  rootHi: number;
}

export function newActive(): Active {
  return { TES: 0, TTM: LEGACY, SSIRWE: 0, rootLo: 0, rootHi: 0 };
}

/** Takes over RTADDR_REG, as GCMD_REG.SRTP does. Bits from the host address width on are not implemented. VT-d 5.10 §11.4.5. */
export function latchRootTable(active: Active, lo: number, hi: number, SSIRWS: number): void {
  active.TTM = (lo >>> 10) & 3;
  active.SSIRWE = SSIRWS & (lo >>> 7);
  active.rootLo = lo & ~0xfff;
  active.rootHi = hi;
}
