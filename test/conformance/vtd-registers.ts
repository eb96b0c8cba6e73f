// Which bits of a register that software reads are decided by a recording.

export const GCMD_REG = 0x18;
export const GSTS_REG = 0x1c;
export const CCMD_REG = 0x28;
export const FSTS_REG = 0x34;
export const IQH_REG = 0x80;
export const IQT_REG = 0x88;
export const IQA_REG = 0x90;
export const FRCD_REG = 0x220;
/** Where ECAP_REG.IRO puts them: the address is 8 bytes before. */
export const iotlbReg = (ecap: string): number => Number((BigInt(ecap) >> 8n) & 0x3ffn) * 16 + 8;

/** GCMD_REG, and GSTS_REG in the same places. */
const SRTP = 1n << 30n;
const CFI = 1n << 23n;
const PFO_PPF = 0b11n;
const CAIG = 3n << 59n;
const IAIG = 3n << 57n;
/** FRCD_REG, upper half. */
const PP = 1n << 31n;
const PASID = 0xfffffn << 40n;
const REASON = 0xffn << 32n;

/** What of the past decides how a register reads. */
export interface Past {
  ecap: string;
  /** GCMD_REG.SRTP was written: QEMU does not clear RTPS at reset. */
  pointed: boolean;
  /** GCMD_REG.CFI was written as 1: QEMU has no CFIS (§11.4.4.2). */
  compatibility: boolean;
  /** A register-based invalidation was done: before that the granularity is left over. */
  context: boolean;
  iotlb: boolean;
  /** Fault records and FSTS_REG are as they were there. */
  log: boolean;
  quirks: ReadonlySet<string>;
  scalable: boolean;
}

/** How a register that was read differs, or undefined. */
export function registerDiffers(offset: number, theirs: bigint, ours: bigint, past: Past): string | undefined {
  const undecided = undecidedBits(offset, theirs, past);
  if ((theirs & ~undecided) !== (ours & ~undecided))
    return `register 0x${offset.toString(16)} is 0x${ours.toString(16)}, not 0x${theirs.toString(16)}`;
  // An invalidation may be coarser there than here, but no finer: 1 is global.
  const [actual, known] = offset === CCMD_REG ? [CAIG, past.context] : [IAIG, past.iotlb];
  if ((offset !== CCMD_REG && offset !== iotlbReg(past.ecap)) || !known) return undefined;
  const [their, our] = [theirs & actual, ours & actual];
  return (their === 0n) === (our === 0n) && our >= their
    ? undefined
    : `0x${our.toString(16)} is the granularity, not 0x${their.toString(16)}`;
}

function undecidedBits(offset: number, theirs: bigint, past: Past): bigint {
  const { quirks } = past;
  switch (offset) {
    case GSTS_REG:
      return (past.pointed ? 0n : SRTP) | (past.compatibility ? CFI : 0n);
    case CCMD_REG:
      return CAIG;
    case iotlbReg(past.ecap):
      return IAIG;
    case FSTS_REG:
      return past.log ? 0n : PFO_PPF;
    case FRCD_REG:
    case FRCD_REG + 4:
      return past.log ? 0n : -1n;
    case FRCD_REG + 8:
    case FRCD_REG + 12: {
      if (!past.log) return -1n;
      const upper = offset === FRCD_REG + 12;
      const undecided =
        // PV is undefined without PP, and a read of the last word alone does not tell PP.
        (upper || (theirs & PP) === 0n ? PASID : 0n) |
        (quirks.has('pp-set-for-request-without-pasid') ? PP | PASID : 0n) |
        (quirks.has('legacy-reasons-in-scalable-mode') && past.scalable ? REASON : 0n);
      return upper ? undecided >> 32n : undecided;
    }
    default:
      return 0n;
  }
}
