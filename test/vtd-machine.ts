import { type UnitConfig, VtdUnit } from '../src/iommu/vtd/unit.ts';
import { Memory, type MemoryOptions } from '../src/memory/memory.ts';

/** 4-level and 5-level tables, nested, ATS, page requests, PASIDs of 20 bits; 46-bit host addresses. */
export const CAP = 0x19d2008c22780e06n;
export const ECAP = 0x133e99ea4f00fdfn;

export const ROOT = 0x1000;
export const CONTEXT = 0x2000;
export const DIRECTORY = 0x3000;
export const PASIDS = 0x4000;
/** Tables of the second stage: level 4, and level 3 with pages of 1 GiB that map 4 GiB to themselves. */
export const SS4 = 0x10000;
export const SS3 = 0x11000;
/** Tables of the first stage, levels 4 to 1. */
export const FS4 = 0x20000;
export const FS3 = 0x21000;
export const FS2 = 0x22000;
export const FS1 = 0x23000;
/** An address that both stages map, and where the first stage leads. */
export const IOVA = 0x400000;
export const PAGE = 0x50000;
/** An address that the memory has nothing behind, and that no stage maps. */
export const NOWHERE = 0x7f_0000_0000;

export const SID = 0x100;
/** The PASID of requests with one. */
export const ONE = 5;

/** The PASID-table entry of `ONE` is at this place, that of RID_PASID 0 at `PASIDS`. */
export const PASID_ENTRY = PASIDS + ONE * 64;

export const FIRST_STAGE = 1n;
export const SECOND_STAGE = 2n;
export const NESTED = 3n;
export const PASS_THROUGH = 4n;

/** A unit with tables that let every request through, and ways to spoil them. */
export class Machine {
  readonly memory: Memory;
  readonly unit: VtdUnit;

  /** @param pgtt undefined for legacy mode */
  constructor(pgtt: bigint | undefined, { linear, ...config }: Partial<UnitConfig> & MemoryOptions = {}) {
    const ranges = [
      { start: 0, end: 2 ** 30 },
      { start: 3 * 2 ** 30, end: 4 * 2 ** 30 + 2 ** 20 },
    ];
    this.memory = new Memory(ranges, linear && { linear });
    this.unit = new VtdUnit({ cap: CAP, ecap: ECAP, ver: 0x60, haw: 46, memory: this.memory, ...config });
    this.write(SS4, BigInt(SS3) | 3n);
    for (let gib = 0n; gib < 4n; gib++) this.write(SS3 + Number(gib) * 8, (gib << 30n) | 0x83n);
    this.write(FS4, BigInt(FS3) | 0x27n);
    this.write(FS3, BigInt(FS2) | 0x27n);
    this.write(FS2 + 2 * 8, BigInt(FS1) | 0x27n);
    this.write(FS1, BigInt(PAGE) | 0x67n);
    this.write(ROOT + 16, BigInt(CONTEXT) | 1n);
    if (pgtt === undefined) {
      this.write(CONTEXT, BigInt(SS4) | 1n, 2n | (1n << 8n));
    } else {
      // DTE and PASIDE.
      this.write(CONTEXT, BigInt(DIRECTORY) | 0xdn);
      this.write(DIRECTORY, BigInt(PASIDS) | 1n);
      for (const at of [PASIDS, PASID_ENTRY])
        this.write(at, BigInt(SS4) | (2n << 2n) | (pgtt << 6n) | 1n, 1n | (1n << 23n), BigInt(FS4) | 1n);
    }
    this.program(BigInt(ROOT) | (pgtt === undefined ? 0n : 1n << 10n));
  }

  /** Takes a value of RTADDR_REG over and turns translation on. */
  program(rtaddr: bigint): void {
    this.unit.write(0x20, 8, rtaddr);
    this.unit.write(0x18, 4, 1 << 30);
    this.unit.write(0x18, 4, 0x80000000);
  }

  write(at: number, ...words: bigint[]): void {
    words.forEach((word, i) => {
      this.memory.write64(at + i * 8, 0, word);
    });
  }

  read(at: number): bigint {
    return this.memory.read64(at, 0)!;
  }

  /** Changes a word. */
  flip(at: number, bits: bigint): void {
    this.write(at, this.read(at) ^ bits);
  }
}
