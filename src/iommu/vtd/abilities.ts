import {
  ContextEntry,
  PasidDirectoryEntry,
  PasidTableEntry,
  RootEntry,
  ScalableContextEntry,
  ScalableRootEntry,
} from './formats.ts';
import {
  FirstStagePage1G,
  FirstStagePage2M,
  FirstStagePage4K,
  FirstStageTable,
  SecondStagePage1G,
  SecondStagePage2M,
  SecondStagePage4K,
  SecondStageTable,
} from './formats-paging.ts';
import { HptL1Entry, HptL2Entry, HptL3Entry, HptL4Entry } from './formats-permission.ts';
import { fieldWords, reservedWords } from './masks.ts';
import { CAP_REG, ECAP_REG, registerView } from './registers.ts';

/** Where a unit may differ from the specification as QEMU's does; all off when not given. */
export interface Deviations {
  /** Fields of a PASID-table entry that a missing capability makes reserved are ignored: AW, SRE, FSPM, WPE, EAFE and the like. §9.6. */
  readonly gatedPasidFields?: boolean;
  /** Flags of page-table entries are set although page walks do not snoop, in place of the faults 90h and 7Ch. §3.10. */
  readonly unsnoopedFlags?: boolean;
}

/** How a unit is built. */
export interface UnitModel {
  readonly deviations?: Deviations | undefined;
  /** CAP_REG and ECAP_REG as software reads them. */
  readonly cap: bigint;
  readonly ecap: bigint;
  /** VER_REG: major version in bits 7:4, minor in bits 3:0. */
  readonly ver: number;
  /** Host address width in bits. */
  readonly haw: number;
}

/**
 * What a unit can do, in the numbers that requests are judged by: flags are 0 or 1, and what is reserved is a mask for each
 * word of an entry. A feature that is off makes its fields reserved.
 */
export type Abilities = ReturnType<typeof abilitiesOf>;

/**
 * @throws RangeError when the host address width is not from 32 to 52 bits, or MGAW from 32 to 64
 */
export function abilitiesOf({ cap, ecap, ver, haw, deviations = {} }: UnitModel) {
  if (!(haw >= 32 && haw <= 52)) throw new RangeError(`host address width is from 32 to 52 bits, not ${haw}`);
  const can = CAP_REG.decode(registerView(cap));
  const ext = ECAP_REG.decode(registerView(ecap));
  const mgaw = can.MGAW + 1;
  if (mgaw < 32) throw new RangeError(`the maximum guest address width is at least 32 bits, not ${mgaw}`);
  /** Bits of the upper half of an address from the host address width on. */
  const beyondHaw = -1 << (haw - 32);
  const didBits = 4 + 2 * can.ND;

  const rootReserved = reservedWords(RootEntry);
  rootReserved[1]! |= beyondHaw;
  const scalableRootReserved = reservedWords(ScalableRootEntry);
  scalableRootReserved[1]! |= beyondHaw;
  scalableRootReserved[3]! |= beyondHaw;

  const contextReserved = reservedWords(ContextEntry);
  contextReserved[1]! |= beyondHaw;
  contextReserved[2]! |= beyondDid(didBits, 8);

  const scalableContextReserved = reservedWords(ScalableContextEntry);
  scalableContextReserved[1]! |= beyondHaw;
  const unlessContext = (able: number, ...names: (keyof typeof ScalableContextEntry.get)[]) =>
    able || merge(scalableContextReserved, fieldWords(ScalableContextEntry, ...names));
  unlessContext(ext.DT, 'DTE');
  unlessContext(ext.PASID, 'PASIDE');
  unlessContext(ext.PRS, 'PRE');
  unlessContext(ext.HPTS, 'HPTE');
  unlessContext(ext.PTRS, 'EPTR');
  unlessContext(ext.RPS, 'RID_PASID');
  unlessContext(ext.RPRIVS, 'RID_PRIV');

  const directoryReserved = reservedWords(PasidDirectoryEntry);
  directoryReserved[1]! |= beyondHaw;

  const pasidReserved = reservedWords(PasidTableEntry);
  pasidReserved[1]! |= beyondHaw;
  pasidReserved[5]! |= beyondHaw;
  pasidReserved[9]! |= beyondHaw;
  pasidReserved[2]! |= beyondDid(didBits, 0);
  const unlessPasid = (able: number, ...names: (keyof typeof PasidTableEntry.get)[]) =>
    able || deviations.gatedPasidFields || merge(pasidReserved, fieldWords(PasidTableEntry, ...names));
  unlessPasid(ext.SSTS, 'AW', 'SSADE', 'SSPTPTR');
  unlessPasid(ext.SSADS, 'SSADE');
  unlessPasid(ext.SMPWCS, 'PWSNP');
  unlessPasid(ext.SC, 'PGSNP');
  unlessPasid(ext.MTS, 'CD', 'EMTE', 'PAT');
  unlessPasid(ext.SRS, 'SRE');
  unlessPasid(ext.FSTS, 'FSPM', 'WPE', 'FSPTPTR');
  unlessPasid(ext.EAFS, 'EAFE');
  unlessPasid(ext.HPTS, 'HPTSZ', 'HPTPFD', 'HPTPTR', 'HPTDID');
  if (ext.HPTS) pasidReserved[10]! |= beyondDid(didBits, 0);

  // Page table entries: the low word by level, 1 to 5, for entries that lead to a table and for those that map a page.
  const PS = fieldWords(FirstStageTable, 'PS')[0]!;
  const low = (definition: Parameters<typeof reservedWords>[0]): number => reservedWords(definition)[0]!;
  const fsTable = low(FirstStageTable);
  const fsPage = [low(FirstStagePage4K), low(FirstStagePage2M), low(FirstStagePage1G) | (can.FS1GP ? 0 : PS)];
  const ssTable = low(SecondStageTable);
  const SNP = ext.SC ? 0 : fieldWords(SecondStagePage4K, 'SNP')[0]!;
  const ssPage = [
    low(SecondStagePage4K) | SNP,
    low(SecondStagePage2M) | SNP | (can.SSLPS & 1 ? 0 : PS),
    low(SecondStagePage1G) | SNP | (can.SSLPS & 2 ? 0 : PS),
  ];
  /** Bits 51:HAW of an entry, in its high word. */
  const addressReserved = beyondHaw & 0xfffff;

  /** Entries of host permission tables by level, 1 to 4. */
  const hptReserved = [HptL1Entry, HptL1Entry, HptL2Entry, HptL3Entry, HptL4Entry].map(reservedWords);
  for (const reserved of hptReserved.slice(2)) reserved[3]! |= addressReserved;
  if (!ext.HPT1GPS) hptReserved[3]![0] = -1;

  return {
    major: (ver >>> 4) & 0xf,
    haw,
    beyondHaw,
    ZLR: can.ZLR,
    CM: can.CM,
    PSI: can.PSI,
    FS5LP: can.FS5LP,
    DT: ext.DT,
    PT: ext.PT,
    SC: ext.SC,
    NEST: ext.NEST,
    ERS: ext.ERS,
    NWFS: ext.NWFS,
    PASID: ext.PASID,
    SMTS: ext.SMTS,
    SSTS: ext.SSTS,
    FSTS: ext.FSTS,
    SMPWC: ext.SMPWCS,
    unsnoopedFlags: deviations.unsnoopedFlags ? 1 : 0,
    RPS: ext.RPS,
    RPRIVS: ext.RPRIVS,
    SRS: ext.SRS,
    EAFS: ext.EAFS,
    SSADS: ext.SSADS,
    ADMS: ext.ADMS,
    PTRS: ext.PTRS,
    SSIRWS: ext.SSIRWS,
    IR: ext.IR,
    HPTS: ext.HPTS,
    /** The level of the largest page that there is: pass-through has it. §4.2.3 */
    largestPage: can.FS1GP || can.SSLPS & 2 ? 3 : ext.FSTS || can.SSLPS & 1 ? 2 : 1,
    /** Which values of an AW field this unit has: bit 1 for 39 bits, 2 for 48, 3 for 57. */
    widths: can.SAGAW & 0b1110,
    /** By AW: bits of the upper half of an address that is beyond the least of MGAW and the width. */
    beyondWidth: Int32Array.from([0, 39, 48, 57, 0, 0, 0, 0], (width) => (width ? -1 << (Math.min(width, mgaw) - 32) : -1)),
    /** Bits of a PASID beyond PSS. */
    beyondPss: ext.PASID ? -1 << (ext.PSS + 1) : 0,
    rootReserved,
    scalableRootReserved,
    contextReserved,
    scalableContextReserved,
    directoryReserved,
    pasidReserved,
    fsTableLo: Int32Array.of(0, fsTable, fsTable, fsTable, fsTable | PS, fsTable | PS),
    fsPageLo: Int32Array.of(0, fsPage[0]!, fsPage[1]!, fsPage[2]!, 0, 0),
    ssTableLo: Int32Array.of(0, ssTable, ssTable, ssTable, ssTable | PS, ssTable | PS),
    ssPageLo: Int32Array.of(0, ssPage[0]!, ssPage[1]!, ssPage[2]!, 0, 0),
    addressReserved,
    hptReserved,
    /** The same of a second-stage entry while IW does not count. */
    ssReservedHi: addressReserved | fieldWords(SecondStageTable, 'IW')[1]!,
  };
}

/** Bits of a 16-bit domain-id field, beginning at bit `at` of its word, beyond the width that the unit has. */
function beyondDid(width: number, at: number): number {
  return width >= 16 ? 0 : ((0xffff << width) & 0xffff) << at;
}

function merge(into: Int32Array, more: Int32Array): void {
  for (let i = 0; i < into.length; i++) into[i]! |= more[i]!;
}
