// The addresses that are interrupt requests: FEEx_xxxxh. VT-d 5.10 §3.15.

/** Whether an address is in the range. */
export function inInterruptRange(lo: number, hi: number): boolean {
  return hi === 0 && lo >>> 20 === 0xfee;
}

/** Whether the page of a level around an address has part of it. */
export function overlapsInterruptRange(lo: number, hi: number, level: number): boolean {
  const bits = level === 1 ? 20 : level === 2 ? 21 : 30;
  return hi === 0 && lo >>> bits === 0xfee00000 >>> bits;
}
