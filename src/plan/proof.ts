import type { Evidence } from '../check/check.ts';

/** One thing that verify looked for, and what it saw. */
export interface Proof {
  /** Where it was seen: on the host, through Sluice's own VFIO calls before the guest had the device, or in the guest. */
  level: 'host' | 'vfio' | 'guest';
  /** The function, as the host names it; absent when it is about the guest as a whole. */
  bdf?: string;
  claim: string;
  is: 'proved' | 'disproved' | 'unknown';
  because: string;
  seen: Evidence[];
}

/** What verify found out about one applied VM. */
export interface Verification {
  schema: 'sluice/verify/1';
  name: string;
  /** `proved` only when every proof is. */
  is: Proof['is'];
  proofs: Proof[];
}

/** The worst of the proofs: one disproof disproves, one unknown leaves open. */
export function judge(proofs: readonly Proof[]): Proof['is'] {
  if (proofs.some((proof) => proof.is === 'disproved')) return 'disproved';
  return proofs.length === 0 || proofs.some((proof) => proof.is === 'unknown') ? 'unknown' : 'proved';
}
