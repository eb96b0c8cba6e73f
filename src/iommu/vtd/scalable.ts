import type { Memory } from '../../memory/memory.ts';
import type { Abilities } from './abilities.ts';
import { type AddressSpace, FIRST_STAGE, NESTED, PASS_THROUGH, SECOND_STAGE } from './address-space.ts';
import type { Caches } from './caches.ts';
import { BLOCKED, numberOf, PAGE_REQUEST, TRANSLATED, TRANSLATION } from './faults.ts';
import { PasidTableEntry, RootEntry, ScalableContextEntry } from './formats.ts';
import { anyReserved } from './legacy.ts';
import { fieldWords } from './masks.ts';
import { type Active, SCALABLE } from './state.ts';
import type { Trail } from './walk.ts';

// Scalable mode: from a requester and its PASID to page tables. VT-d 5.10 §3.4.3, §9.2, §9.4 to §9.6; Table 30, SRT, SCT, SPD
// and SPT.1 to SPT.4.

const SRT_1 = numberOf('SRT.1');
const SRT_2 = numberOf('SRT.2');
const SRT_3 = numberOf('SRT.3');
const SCT_1 = numberOf('SCT.1');
const SCT_2 = numberOf('SCT.2');
const SCT_3 = numberOf('SCT.3');
const SCT_4_1 = numberOf('SCT.4.1');
const SCT_4_2 = numberOf('SCT.4.2');
const SCT_4_3 = numberOf('SCT.4.3');
const SCT_5 = numberOf('SCT.5');
const SCT_6 = numberOf('SCT.6');
const SCT_7 = numberOf('SCT.7');
const SCT_8 = numberOf('SCT.8');
const SCT_9 = numberOf('SCT.9');
const SCT_10 = numberOf('SCT.10');
const SPD_1 = numberOf('SPD.1');
const SPD_2 = numberOf('SPD.2');
const SPD_3 = numberOf('SPD.3');
const SPT_1 = numberOf('SPT.1');
const SPT_2 = numberOf('SPT.2');
const SPT_3 = numberOf('SPT.3');
const SPT_4_1 = numberOf('SPT.4.1');
const SPT_4_2 = numberOf('SPT.4.2');
const SPT_4_3 = numberOf('SPT.4.3');
const SPT_4_4 = numberOf('SPT.4.4');

/** Bits of entries, each in the word that the comment of its group names. */
const P = fieldWords(RootEntry, 'P')[0]!;
// Context entry, word 0; RID_PRIV and RID_PASID are in word 2.
const FPD = fieldWords(ScalableContextEntry, 'FPD')[0]!;
const DTE = fieldWords(ScalableContextEntry, 'DTE')[0]!;
const PASIDE = fieldWords(ScalableContextEntry, 'PASIDE')[0]!;
const PRE = fieldWords(ScalableContextEntry, 'PRE')[0]!;
const HPTE = fieldWords(ScalableContextEntry, 'HPTE')[0]!;
const EPTR = fieldWords(ScalableContextEntry, 'EPTR')[0]!;
const RID_PRIV = fieldWords(ScalableContextEntry, 'RID_PRIV')[2]!;
const RID_PASID = fieldWords(ScalableContextEntry, 'RID_PASID')[2]!;
// PASID-table entry: SSADE in word 0, PWSNP and PGSNP in word 2, the rest in word 4.
const SSADE = fieldWords(PasidTableEntry, 'SSADE')[0]!;
const PWSNP = fieldWords(PasidTableEntry, 'PWSNP')[2]!;
const PGSNP = fieldWords(PasidTableEntry, 'PGSNP')[2]!;
const SRE = fieldWords(PasidTableEntry, 'SRE')[4]!;
const WPE = fieldWords(PasidTableEntry, 'WPE')[4]!;
const EAFE = fieldWords(PasidTableEntry, 'EAFE')[4]!;

/** Finds context entries and PASID-table entries of scalable mode, held or in memory. */
export class ScalableTables {
  /** Whether FPD was met in the last search: 0, or not. */
  FPD = 0;
  /** Whether translated requests of the last requester are checked by a host permission table: 0, or not. */
  HPTE = 0;
  /** When set, takes every entry that is read. */
  trail: Trail | undefined;
  private readonly memory: Memory;
  private readonly can: Abilities;
  private readonly active: Active;
  private readonly caches: Caches;
  /** The context entry of the requester. */
  private context0 = 0;
  private context1 = 0;
  private context2 = 0;

  constructor(memory: Memory, can: Abilities, active: Active, caches: Caches) {
    this.memory = memory;
    this.can = can;
    this.active = active;
    this.caches = caches;
  }

  /**
   * Finds out whether a request may be what it is, and decodes what it walks.
   *
   * @param kind  a column of Table 30
   * @param pasid -1 for none
   * @param space is written, and held if the entries are; not for translated requests without `HPTE`, which need no
   *              PASID-table entry
   * @returns 0, BLOCKED or the number of a condition
   */
  resolve(space: AddressSpace, kind: number, sid: number, pasid: number): number {
    this.FPD = 0;
    const fault = this.context(sid);
    if (fault !== 0) return fault;
    const refused = this.refused(kind, pasid);
    this.HPTE = this.context0 & HPTE;
    if (refused !== 0 || (kind === TRANSLATED && this.HPTE === 0)) return refused;

    const { can } = this;
    const { context, pasid: pasids, spaces } = this.caches;
    spaces.release(space);
    const effective = pasid >= 0 ? pasid : this.context2 & RID_PASID;
    const missing = can.CM ? this.addressSpaceOrHeld(space, sid, effective) : this.addressSpace(space, sid, effective);
    if (missing !== 0) return missing;
    space.FPD = this.FPD;
    if (context.find(sid, SCALABLE) >= 0 && pasids.find(sid, effective) >= 0) spaces.hold(space, sid, pasid);
    return 0;
  }

  /** Finds the context entry of a requester. */
  private context(sid: number): number {
    const { context } = this.caches;
    let { words } = context;
    let at = context.find(sid, SCALABLE);
    if (at < 0) {
      const fault = this.can.CM ? this.contextOrHeld(sid) : this.readContext(sid);
      if (fault !== 0) return fault;
      words = this.memory.words;
      at = this.found;
    }
    this.context0 = words[at]!;
    this.context1 = words[at + 1]!;
    this.context2 = words[at + 2]!;
    this.FPD |= this.context0 & FPD;
    return 0;
  }

  /** Where the entry is in `memory.words` that was just read. */
  private found = -1;

  /** With CM = 1: §6.2.2. */
  private contextOrHeld(sid: number): number {
    const { fault } = this.caches;
    const held = fault.context(sid, SCALABLE);
    if (held !== 0) {
      this.FPD = fault.FPD;
      return held;
    }
    const number = this.readContext(sid);
    if (number !== 0) fault.holdContext(sid, SCALABLE, number, this.FPD);
    return number;
  }

  private readContext(sid: number): number {
    const { memory, can, active, trail } = this;
    const rootLo = active.rootLo | ((sid >>> 8) << 4);
    if (trail !== undefined) trail.push(['root', rootLo, active.rootHi]);
    const root = memory.locate(rootLo, active.rootHi);
    if (root < 0) return SRT_1;
    const { words } = memory;
    // Devices 16 to 31 are in the upper half.
    const half = (sid & 0x80) >>> 6;
    if ((words[root + half]! & P) === 0) return SRT_2;
    // Of either half that is present.
    for (let each = 0; each <= 2; each += 2)
      if (words[root + each]! & P && anyReserved(words, root, can.scalableRootReserved, each, each + 2)) return SRT_3;

    const lo = (words[root + half]! & ~0xfff) | ((sid & 0x7f) << 5);
    const hi = words[root + half + 1]!;
    if (trail !== undefined) trail.push(['ctx', lo, hi]);
    const at = memory.locate(lo, hi);
    if (at < 0) return SCT_1;
    const word0 = words[at]!;
    this.FPD |= word0 & FPD;
    if ((word0 & P) === 0) return SCT_2;
    if (anyReserved(words, at, can.scalableContextReserved, 0, 8)) return SCT_3;
    if (word0 & PRE && (word0 & DTE) === 0) return SCT_4_1;
    if ((words[at + 2]! & RID_PASID) >>> pasidBits(word0)) return SCT_4_2;
    this.found = at;
    // EPTR without PASIDE is a fault of some requests only, so it keeps the entry out of the cache.
    if ((word0 & EPTR) === 0 || word0 & PASIDE) {
      this.caches.context.put(sid, SCALABLE, word0, words[at + 1]!, words[at + 2]!, words[at + 3]!);
      this.caches.spaces.forget();
    }
    return 0;
  }

  /** What a context entry that is good in itself says to this request. Table 30, SCT.4.3 to SCT.10. */
  private refused(kind: number, pasid: number): number {
    const { context0: word0, context2: word2 } = this;
    // Requests with PASID that are not translated meet SCT.6 in its place.
    const inconsistent = word0 & EPTR && (word0 & PASIDE) === 0;
    if (inconsistent && (pasid < 0 || kind === TRANSLATED || kind === PAGE_REQUEST)) return SCT_4_3;
    if ((kind === TRANSLATION || kind === TRANSLATED) && (word0 & DTE) === 0) return SCT_5;
    if (pasid >= 0) {
      // §4.2.5: the root complex blocks what the unit does not support.
      if (kind === TRANSLATED && !this.can.PTRS) return BLOCKED;
      if (kind !== TRANSLATED && (word0 & PASIDE) === 0) return SCT_6;
      if (pasid >>> pasidBits(word0)) return SCT_7;
    }
    if (kind === PAGE_REQUEST && (word0 & PRE) === 0) return SCT_8;
    if (pasid >= 0 && pasid === (word2 & RID_PASID)) return SCT_9;
    return kind === TRANSLATED && pasid >= 0 && (word0 & EPTR) === 0 ? SCT_10 : 0;
  }

  /** With CM = 1: §6.2.3. */
  private addressSpaceOrHeld(space: AddressSpace, sid: number, pasid: number): number {
    const { fault } = this.caches;
    const held = fault.pasidEntry(sid, pasid);
    if (held !== 0) {
      this.FPD |= fault.FPD;
      return held;
    }
    const number = this.addressSpace(space, sid, pasid);
    if (number !== 0) fault.holdPasidEntry(sid, pasid, number, this.FPD);
    return number;
  }

  /** Finds the PASID-table entry. Table 30, SPD and SPT.1 to SPT.4. */
  private addressSpace(space: AddressSpace, sid: number, pasid: number): number {
    const { caches, memory, can, trail, context0, context1 } = this;
    const held = caches.pasid.find(sid, pasid);
    if (held >= 0) {
      const { words } = caches.pasid;
      this.FPD |= words[held]! | (words[held + 1]! & FPD);
      this.decode(space, words, held + 1, held + 7, pasid);
      return 0;
    }
    const directoryLo = ((context0 & ~0xfff) + ((pasid >>> 6) << 3)) | 0;
    // The directory may be larger than a page.
    const directoryHi = directoryLo >>> 0 < (context0 & ~0xfff) >>> 0 ? context1 + 1 : context1;
    if (trail !== undefined) trail.push(['pdir', directoryLo, directoryHi]);
    const directory = memory.locate(directoryLo, directoryHi);
    if (directory < 0) return SPD_1;
    const { words } = memory;
    const directoryFPD = words[directory]! & FPD;
    this.FPD |= directoryFPD;
    if ((words[directory]! & P) === 0) return SPD_2;
    if (anyReserved(words, directory, can.directoryReserved, 0, 2)) return SPD_3;

    const lo = (words[directory]! & ~0xfff) | ((pasid & 0x3f) << 6);
    const hi = words[directory + 1]!;
    if (trail !== undefined) trail.push(['pasid', lo, hi]);
    const at = memory.locate(lo, hi);
    if (at < 0) return SPT_1;
    const word0 = words[at]!;
    this.FPD |= word0 & FPD;
    if ((word0 & P) === 0) return SPT_2;
    if (anyReserved(words, at, can.pasidReserved, 0, 16)) return SPT_3;
    const fault = this.invalidEntry(word0, words[at + 4]!, words[at + 5]!);
    if (fault !== 0) return fault;
    caches.pasid.put(sid, pasid, directoryFPD, words, at);
    caches.spaces.forget();
    this.decode(space, words, at, at + 8, pasid);
    return 0;
  }

  /** §9.6: a PASID-table entry with values that this unit does not have. Fields that the type does not use do not count. */
  private invalidEntry(word0: number, word4: number, word5: number): number {
    const { can } = this;
    const type = (word0 >>> 6) & 7;
    const known =
      type === FIRST_STAGE
        ? can.FSTS
        : type === SECOND_STAGE
          ? can.SSTS
          : type === NESTED
            ? can.NEST
            : type === PASS_THROUGH && can.PT;
    const AW = (word0 >>> 2) & 7;
    const usesSecond = type === SECOND_STAGE || type === NESTED;
    if (known && usesSecond && (can.widths & (1 << AW)) === 0) return SPT_4_1;
    if (!known) return SPT_4_2;
    const FSPM = (word4 >>> 2) & 3;
    const usesFirst = type === FIRST_STAGE || type === NESTED;
    if (usesFirst && FSPM > can.FS5LP) return SPT_4_3;
    if (type === NESTED && word5 & can.beyondWidth[AW]!) return SPT_4_4;
    return 0;
  }

  /**
   * Of a PASID-table entry and the context entry above it.
   * @param hptAt where the words are that tell of the host permission table
   */
  private decode(space: AddressSpace, words: Int32Array, at: number, hptAt: number, pasid: number): void {
    const { can, active, context2 } = this;
    const word0 = words[at]!;
    const word2 = words[at + 2]!;
    const word4 = words[at + 4]!;
    const type = (word0 >>> 6) & 7;
    const AW = (word0 >>> 2) & 7;
    space.type = type;
    space.did = word2 & 0xffff;
    space.pasid = pasid;
    space.RID_PRIV = context2 & RID_PRIV ? 1 : 0;
    // Without their capability these are reserved, or ignored: see `Deviations`.
    space.SRE = can.SRS && word4 & SRE ? 1 : 0;
    space.PGSNP = can.SC && word2 & PGSNP ? 1 : 0;
    space.SSIRWE = active.SSIRWE;
    space.ssReservedHi = active.SSIRWE ? can.addressReserved : can.ssReservedHi;
    space.SSADE = can.SSADS && word0 & SSADE ? 1 : 0;
    space.ssLo = word0 & ~0xfff;
    space.ssHi = words[at + 1]!;
    space.ssLevels = type === SECOND_STAGE || type === NESTED ? AW + 2 : 0;
    space.ssBeyond = can.beyondWidth[AW]!;
    space.fsLo = word4 & ~0xfff;
    space.fsHi = words[at + 5]!;
    space.fsLevels = type === FIRST_STAGE || type === NESTED ? 4 + ((word4 >>> 2) & 3) : 0;
    space.nested = type === NESTED ? 1 : 0;
    space.EAFE = can.EAFS && word4 & EAFE ? 1 : 0;
    space.WPE = word4 & WPE ? 1 : 0;
    space.snooped = can.unsnoopedFlags || (can.SMPWC && word2 & PWSNP) ? 1 : 0;
    space.hptLo = words[hptAt]! & ~0xfff;
    space.hptHi = words[hptAt + 1]!;
    space.HPTSZ = words[hptAt]! & 3;
    space.HPTDID = words[hptAt + 2]! & 0xffff;
    space.usual = this.isUsual(space, pasid) ? 1 : 0;
    this.caches.number(space);
  }

  /** With CM = 1 faults are held as well. Pages of a supervisor have rules of their own: §3.6.1. */
  private isUsual({ type, SSADE, RID_PRIV }: AddressSpace, pasid: number): boolean {
    const { CM, beyondPss } = this.can;
    return type !== PASS_THROUGH && !CM && !SSADE && !RID_PRIV && (pasid & beyondPss) === 0;
  }
}

/** How wide the PASIDs are that a directory of PDTS reaches. */
function pasidBits(context0: number): number {
  return 13 + ((context0 >>> 9) & 7);
}
