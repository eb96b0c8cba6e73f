import type { Memory } from '../../memory/memory.ts';
import type { Abilities } from './abilities.ts';
import { type Caches, DOMAIN, type Iotlb, LEVEL_AT, OUT_HI, OUT_LO, PAGE, SNOOP } from './caches.ts';
import { BLOCKED, numberOf, PAGE_REQUEST, TRANSLATED, TRANSLATION, UNTRANSLATED } from './faults.ts';
import { ContextEntry, PasidTableEntry, RootEntry, ScalableContextEntry } from './formats.ts';
import { fieldWords } from './masks.ts';
import { type Active, LEGACY, SCALABLE } from './state.ts';
import { PageWalk, READ, RW, type Trail, US, WRITE } from './walk.ts';

// From a request to its page tables: root, context, PASID directory and table, and what is checked on the way.
// VT-d 5.10 §3.4, §3.9, §3.14, §3.15, §4.2, §7.1.3. The order of checks is that of Table 30 where the text gives none.

/** What a request asks for. An atomic request is `ATOMIC | READ | WRITE`. */
export { READ, WRITE };
export const EXEC = 4;
export const PRIV = 8;
/** A read of no bytes, with READ. */
export const ZERO_LENGTH = 16;
export const ATOMIC = 32;
/** Translation requests: the NW flag. */
export const NO_WRITE = 64;

/** Where a request goes that was not refused. */
export class Translation {
  lo = 0;
  hi = 0;
  /** Rights, level and snoop as the IOTLB holds them. */
  info = 0;

  /** The page that both addresses share: 1 is 4 KiB, 2 is 2 MiB, 3 is 1 GiB. */
  get level(): number {
    return (this.info >>> LEVEL_AT) & 3;
  }
  /** 1 when the same requester may read there. */
  get read(): number {
    return this.info & READ;
  }
  /** 1 when it may write there. A dirty flag may have to be set for it, so do not skip the request. */
  get write(): number {
    return (this.info & WRITE) >>> 1;
  }
  /** Whether accesses must snoop: PGSNP, or SNP of the second-stage leaf. */
  get snoop(): number {
    return this.info & SNOOP ? 1 : 0;
  }
}

const code = numberOf;
const LRT_1 = code('LRT.1');
const LRT_2 = code('LRT.2');
const LRT_3 = code('LRT.3');
const LCT_1 = code('LCT.1');
const LCT_2 = code('LCT.2');
const LCT_3 = code('LCT.3');
const LCT_4_1 = code('LCT.4.1');
const LCT_4_2 = code('LCT.4.2');
const LCT_4_3 = code('LCT.4.3');
const LCT_5 = code('LCT.5');
const LSS_1 = code('LSS.1');
const LSS_2 = code('LSS.2');
const LGN_1_1 = code('LGN.1.1');
const LGN_1_2 = code('LGN.1.2');
const LGN_1_3 = code('LGN.1.3');
const LGN_2 = code('LGN.2');
const LGN_3 = code('LGN.3');
const LGN_4 = code('LGN.4');
const RTA_1_1 = code('RTA.1.1');
const RTA_1_2 = code('RTA.1.2');
const RTA_1_3 = code('RTA.1.3');
const RTA_1_4 = code('RTA.1.4');
const RTA_2 = code('RTA.2');
const RTA_3 = code('RTA.3');
const RTA_4 = code('RTA.4');
const RTA_5 = code('RTA.5');
const SRT_1 = code('SRT.1');
const SRT_2 = code('SRT.2');
const SRT_3 = code('SRT.3');
const SCT_1 = code('SCT.1');
const SCT_2 = code('SCT.2');
const SCT_3 = code('SCT.3');
const SCT_4_1 = code('SCT.4.1');
const SCT_4_2 = code('SCT.4.2');
const SCT_4_3 = code('SCT.4.3');
const SCT_5 = code('SCT.5');
const SCT_6 = code('SCT.6');
const SCT_7 = code('SCT.7');
const SCT_8 = code('SCT.8');
const SCT_9 = code('SCT.9');
const SCT_10 = code('SCT.10');
const SPD_1 = code('SPD.1');
const SPD_2 = code('SPD.2');
const SPD_3 = code('SPD.3');
const SPT_1 = code('SPT.1');
const SPT_2 = code('SPT.2');
const SPT_3 = code('SPT.3');
const SPT_4_1 = code('SPT.4.1');
const SPT_4_2 = code('SPT.4.2');
const SPT_4_3 = code('SPT.4.3');
const SPT_4_4 = code('SPT.4.4');
const SPT_5 = code('SPT.5');
const SPT_6 = code('SPT.6');
const SSS_1 = code('SSS.1');
const SSS_2 = code('SSS.2');
const SSS_3 = code('SSS.3');
const SSS_4 = code('SSS.4');
const SGN_1 = code('SGN.1');
const SGN_2 = code('SGN.2');
const SGN_4_1 = code('SGN.4.1');
const SGN_4_2 = code('SGN.4.2');
const SGN_5 = code('SGN.5');
const SGN_6 = code('SGN.6');
const SGN_7 = code('SGN.7');
const SGN_8_1 = code('SGN.8.1');
const SGN_8_2 = code('SGN.8.2');
const SGN_8_3 = code('SGN.8.3');
const SGN_10 = code('SGN.10');
const S_1 = code('S.1');
const S_2 = code('S.2');
const NO_INTERRUPT = code('29h');

/** Bits of entries, each in the word that the comment of its group names. */
const P = fieldWords(RootEntry, 'P')[0]!;
const FPD = fieldWords(ContextEntry, 'FPD')[0]!;
// Scalable-mode context entry, word 0; RID_PRIV and RID_PASID are in word 2.
const DTE = fieldWords(ScalableContextEntry, 'DTE')[0]!;
const PASIDE = fieldWords(ScalableContextEntry, 'PASIDE')[0]!;
const PRE = fieldWords(ScalableContextEntry, 'PRE')[0]!;
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
const { passThrough, deviceTlb } = ContextEntry.values.TT;
const PGTT = PasidTableEntry.values.PGTT;

const ALL = READ | WRITE;
/** A pass-through page is as large as the largest that there is. */
const LARGEST = 3;

/**
 * Finds out where requests go. Functions return 0, BLOCKED, or the number of a condition; `fpd` says whether an entry that
 * was read silences qualified faults. Nothing is allocated, and no number leaves the integers.
 */
export class Translator {
  /** Where the last request goes that 0 was returned for. */
  readonly out: Translation = new Translation();
  /** Whether an entry with FPD was met: 0, or not. */
  fpd = 0;
  readonly walk: PageWalk;
  private readonly memory: Memory;
  private readonly can: Abilities;
  private readonly active: Active;
  private readonly caches: Caches;
  /** The IOTLB and its words, which hits need at once. */
  private readonly iotlb: Iotlb;
  private readonly held: Int32Array;
  /** The kind of the request: a column of Table 30. */
  private kind = UNTRANSLATED;
  // The scalable-mode context entry of the request, and its PASID-table entry.
  private context0 = 0;
  private context1 = 0;
  private context2 = 0;
  private pasidWord0 = 0;
  private pasidWord1 = 0;
  private pasidWord2 = 0;
  private pasidWord4 = 0;
  private pasidWord5 = 0;
  /** The PASID whose tables the last page request asks about. */
  private effective = 0;

  constructor(memory: Memory, can: Abilities, active: Active, caches: Caches) {
    this.memory = memory;
    this.can = can;
    this.active = active;
    this.caches = caches;
    this.iotlb = caches.iotlb;
    this.held = caches.iotlb.words;
    this.walk = new PageWalk(memory, can, caches);
  }

  set trail(trail: Trail | undefined) {
    this.walk.trail = trail;
  }

  get trail(): Trail | undefined {
    return this.walk.trail;
  }

  /**
   * A memory request with an untranslated address (AT = 00b).
   *
   * @param sid    requester-id
   * @param access READ, WRITE, and what else holds of it
   * @param pasid  -1 for a request without PASID; then it is privileged only if RID_PRIV says so
   */
  untranslated(sid: number, lo: number, hi: number, access: number, pasid: number): number {
    if (this.active.TES) {
      const at = this.iotlb.find(sid, lo, hi, access, pasid);
      if (at >= 0) {
        const { out, held } = this;
        const word = held[at + OUT_LO]!;
        out.lo = (word & ~0xfff) | (lo & 0xfff);
        out.hi = held[at + OUT_HI]!;
        out.info = word & 0xfff;
        return 0;
      }
    }
    return this.missed(sid, lo, hi, access, pasid);
  }

  private missed(sid: number, lo: number, hi: number, access: number, pasid: number): number {
    this.fpd = 0;
    // §3.15; single writes of 4 bytes are interrupts and do not come here.
    if (pasid < 0 && inInterruptRange(lo, hi)) {
      if ((access & ZERO_LENGTH) === 0) return NO_INTERRUPT;
      return this.straight(lo, hi, 1, 0);
    }
    // §3.1: without remapping the PASID is ignored.
    if (!this.active.TES) return this.straight(lo, hi, LARGEST, 0);
    return this.translate(UNTRANSLATED, sid, lo, hi, access, pasid);
  }

  /**
   * A translation request (AT = 01b) for one page. §4.2.3. `out` has the rights that are granted; without any, 0 is not
   * returned but the condition.
   *
   * @param access PRIV, EXEC, NO_WRITE
   */
  translation(sid: number, lo: number, hi: number, access: number, pasid: number): number {
    this.fpd = 0;
    // §4.2.3.1: without NW it is read and write.
    const readOnly = access & NO_WRITE && this.can.NWFS;
    const asks = (access & (PRIV | EXEC)) | (readOnly ? READ | NO_WRITE : ALL);
    return this.translate(TRANSLATION, sid, lo, hi, asks, pasid);
  }

  /** A memory request with a translated address (AT = 10b). §4.2.5. */
  translated(sid: number, lo: number, hi: number, access: number, pasid: number): number {
    this.fpd = 0;
    return this.translate(TRANSLATED, sid, lo, hi, access, pasid);
  }

  /** A page request: whether it may be queued. Table 30, the last columns. */
  page(sid: number, pasid: number): number {
    this.fpd = 0;
    this.kind = PAGE_REQUEST;
    const fault = this.admit(0, pasid);
    if (fault !== 0) return fault;
    const context = this.scalableContext(sid);
    if (context !== 0) return context;
    const refused = this.refusedByContext(this.context0, this.context2, pasid);
    if (refused !== 0) return refused;
    this.effective = pasid >= 0 ? pasid : this.context2 & RID_PASID;
    return this.addressSpace(sid, this.context0, this.context1, this.effective);
  }

  /** Drops what caches hold of a page, for the request that `page` let through last. §6.5.3.1, Table 27. */
  forgetPage(lo: number, hi: number): void {
    const { caches } = this;
    const did = this.pasidWord2 & 0xffff;
    const type = (this.pasidWord0 >>> 6) & 7;
    if (type === PGTT.firstStage) caches.invalidatePasidIotlb(PAGE, did, this.effective, lo, hi, 0, 0);
    else caches.invalidateIotlb(type === PGTT.nested ? DOMAIN : PAGE, did, lo, hi, 0, 0);
  }

  private translate(kind: number, sid: number, lo: number, hi: number, access: number, pasid: number): number {
    this.kind = kind;
    this.walk.begin();
    const fault = this.admit(access, pasid);
    if (fault !== 0) return fault;
    return this.active.TTM === LEGACY ? this.legacy(sid, lo, hi, access) : this.scalable(sid, lo, hi, access, pasid);
  }

  /** What RTADDR_REG alone decides. Table 30, RTA and SGN.10. */
  private admit(access: number, pasid: number): number {
    const { can } = this;
    const { TTM } = this.active;
    if (TTM === LEGACY) {
      if (this.kind === PAGE_REQUEST) return RTA_3;
      if (pasid >= 0) return RTA_2;
      return this.active.SSIRWE ? RTA_1_4 : 0;
    }
    if (TTM === SCALABLE) {
      if (!can.SMTS) return RTA_1_3;
    } else {
      if (TTM === 2) return RTA_1_2;
      return can.ADMS ? RTA_4 : RTA_1_1;
    }
    if (pasid >= 0) {
      if (access & EXEC && can.major >= 8) return RTA_5;
      if (pasid & can.beyondPss && this.kind !== PAGE_REQUEST) return SGN_10;
    }
    return 0;
  }

  // ---- legacy mode: §3.4.2

  private legacy(sid: number, lo: number, hi: number, access: number): number {
    const { can, caches, kind, walk } = this;
    let words = caches.context.words;
    let at = caches.context.find(sid, LEGACY);
    if (at < 0) {
      const fault = this.readLegacyContext(sid);
      if (fault !== 0) return fault;
      words = this.memory.words;
      at = this.found;
    }
    const word0 = words[at]!;
    const word2 = words[at + 2]!;
    this.fpd |= word0 & FPD;
    const TT = (word0 >>> 2) & 3;
    if (kind !== UNTRANSLATED) {
      if (TT !== deviceTlb) return LCT_5;
      if (kind === TRANSLATED) {
        if (hi & can.beyondHaw) return LGN_1_2;
        return inInterruptRange(lo, hi) ? LGN_4 : this.straight(lo, hi, LARGEST, 0);
      }
      if (inInterruptRange(lo, hi)) return access & NO_WRITE ? S_2 : S_1;
    }
    const did = (word2 >>> 8) & 0xffff;
    if (TT === passThrough) {
      if (hi & can.beyondHaw) return LGN_1_3;
      this.straight(lo, hi, LARGEST, 0);
      this.remember(sid, lo, hi, access, -1, did, 0, 0);
      return 0;
    }
    const AW = word2 & 7;
    if (hi & can.beyondWidth[AW]!) return LGN_1_1;
    walk.ssLo = word0 & ~0xfff;
    walk.ssHi = words[at + 1]!;
    walk.ssLevels = AW + 2;
    walk.SSIRWE = 0;
    walk.SSADE = 0;
    walk.did = did;
    const fault = walk.secondStage(lo, hi, false, this.needs(access));
    if (fault !== 0) return this.legacyFault(fault, access);
    const rights = walk.ssRights;
    if (kind === UNTRANSLATED) {
      const lacks = this.lacks(access, rights, LGN_2, LGN_3);
      // §9.8: R of an entry does not matter to a zero-length read when its W is set, entry by entry.
      if (lacks !== 0 && !(access & ZERO_LENGTH && can.ZLR)) return lacks;
      if (inInterruptRange(walk.lo, walk.hi)) return LGN_4;
    } else {
      if ((rights & access) === 0) return LGN_3;
      if (overlapsInterruptRange(walk.lo, walk.hi, walk.level)) return LGN_4;
    }
    this.arrive(rights, walk.level, walk.SNP);
    this.remember(sid, lo, hi, access, -1, did, 0, 0);
    return 0;
  }

  private legacyFault(fault: number, access: number): number {
    switch (fault) {
      case SSS_4:
        return LCT_4_3;
      case SSS_1:
        return LSS_1;
      case SSS_3:
        return LSS_2;
      default:
        // An entry with R = W = 0: a matter of permission in legacy mode.
        return access & WRITE ? LGN_2 : LGN_3;
    }
  }

  /** Where a context or PASID-table entry is in `memory.words` that was just read. */
  private found = -1;

  private readLegacyContext(sid: number): number {
    const { memory, can, active } = this;
    const { trail } = this.walk;
    const rootLo = active.rootLo | ((sid >>> 8) << 4);
    if (trail !== undefined) trail.push(['root', rootLo, active.rootHi]);
    const root = memory.locate(rootLo, active.rootHi);
    if (root < 0) return LRT_1;
    const { words } = memory;
    if ((words[root]! & P) === 0) return LRT_2;
    if (anyReserved(words, root, can.rootReserved, 0, 4)) return LRT_3;

    const lo = (words[root]! & ~0xfff) | ((sid & 0xff) << 4);
    const hi = words[root + 1]!;
    if (trail !== undefined) trail.push(['ctx', lo, hi]);
    const at = memory.locate(lo, hi);
    if (at < 0) return LCT_1;
    const word0 = words[at]!;
    this.fpd |= word0 & FPD;
    if ((word0 & P) === 0) return LCT_2;
    if (anyReserved(words, at, can.contextReserved, 0, 4)) return LCT_3;
    // §9.3: pass-through needs a width too.
    if ((can.widths & (1 << (words[at + 2]! & 7))) === 0) return LCT_4_1;
    const TT = (word0 >>> 2) & 3;
    if (TT === 3 || (TT === deviceTlb && !can.DT) || (TT === passThrough && !can.PT)) return LCT_4_2;
    this.found = at;
    this.caches.context.put(sid, LEGACY, word0, words[at + 1]!, words[at + 2]!, words[at + 3]!);
    return 0;
  }

  // ---- scalable mode: §3.4.3

  private scalable(sid: number, lo: number, hi: number, access: number, pasid: number): number {
    const { can, kind, walk } = this;
    const context = this.scalableContext(sid);
    if (context !== 0) return context;
    const { context0: word0, context1: word1, context2: word2 } = this;
    const refused = this.refusedByContext(word0, word2, pasid);
    if (refused !== 0) return refused;
    if (kind === TRANSLATED) {
      if (hi & can.beyondHaw) return SGN_4_1;
      return inInterruptRange(lo, hi) ? SGN_8_3 : this.straight(lo, hi, LARGEST, 0);
    }

    const effective = pasid >= 0 ? pasid : word2 & RID_PASID;
    const privileged = pasid >= 0 ? access & PRIV : word2 & RID_PRIV;
    const fault = this.addressSpace(sid, word0, word1, effective);
    if (fault !== 0) return fault;
    if (pasid >= 0 && access & EXEC && can.major < 8 && !can.ERS) return SPT_5;
    if (privileged && (this.pasidWord4 & SRE) === 0) return SPT_6;
    if (kind === TRANSLATION && pasid < 0 && inInterruptRange(lo, hi)) return access & NO_WRITE ? S_2 : S_1;

    const did = this.pasidWord2 & 0xffff;
    const type = (this.pasidWord0 >>> 6) & 7;
    const pgsnp = this.pasidWord2 & PGSNP ? 1 : 0;
    if (type === PGTT.passThrough) {
      if (hi & can.beyondHaw) return SGN_4_2;
      if (inInterruptRange(lo, hi)) return kind === UNTRANSLATED ? SGN_8_1 : SGN_8_2;
      this.straight(lo, hi, overlapsInterruptRange(lo, hi, LARGEST) ? 1 : LARGEST, pgsnp);
      this.remember(sid, lo, hi, access, pasid, did, type, effective);
      return 0;
    }

    walk.did = did;
    walk.SSIRWE = this.active.SSIRWE;
    walk.SSADE = this.pasidWord0 & SSADE ? 1 : 0;
    walk.snooped = can.unsnoopedFlags || (can.SMPWC && this.pasidWord2 & PWSNP) ? 1 : 0;
    if (type !== PGTT.firstStage) {
      const AW = (this.pasidWord0 >>> 2) & 7;
      walk.ssLo = this.pasidWord0 & ~0xfff;
      walk.ssHi = this.pasidWord1;
      walk.ssLevels = AW + 2;
      walk.ssBeyond = can.beyondWidth[AW]!;
    }
    const lacking =
      type === PGTT.secondStage
        ? this.secondStageOnly(lo, hi, access)
        : this.withFirstStage(lo, hi, access, privileged, effective);
    if (lacking !== 0) return lacking;
    const rights = this.rights(type);
    if (kind === UNTRANSLATED) {
      const lacks = this.lacks(access, rights, SGN_6, SGN_7);
      if (lacks !== 0) return lacks;
      if (inInterruptRange(walk.lo, walk.hi)) return SGN_8_1;
    } else {
      if ((rights & access & ALL) === 0) return SGN_7;
      if (overlapsInterruptRange(walk.lo, walk.hi, walk.level)) return SGN_8_2;
    }
    const flags = walk.setFlags();
    if (flags !== 0) return flags;
    const snoop = pgsnp | (type === PGTT.firstStage ? 0 : walk.SNP);
    this.arrive(rights, walk.level, snoop);
    this.remember(sid, lo, hi, access, pasid, did, type, effective);
    return 0;
  }

  /** Finds the context entry of a requester, held or in memory. */
  private scalableContext(sid: number): number {
    const { caches } = this;
    let words = caches.context.words;
    let at = caches.context.find(sid, SCALABLE);
    if (at < 0) {
      const fault = this.readScalableContext(sid);
      if (fault !== 0) return fault;
      words = this.memory.words;
      at = this.found;
    }
    this.context0 = words[at]!;
    this.context1 = words[at + 1]!;
    this.context2 = words[at + 2]!;
    this.fpd |= this.context0 & FPD;
    return 0;
  }

  private readScalableContext(sid: number): number {
    const { memory, can, active } = this;
    const { trail } = this.walk;
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
    this.fpd |= word0 & FPD;
    if ((word0 & P) === 0) return SCT_2;
    if (anyReserved(words, at, can.scalableContextReserved, 0, 8)) return SCT_3;
    if (word0 & PRE && (word0 & DTE) === 0) return SCT_4_1;
    if ((words[at + 2]! & RID_PASID) >>> pasidBits(word0)) return SCT_4_2;
    this.found = at;
    // EPTR without PASIDE is a fault of some requests only, so it keeps the entry out of the cache.
    if ((word0 & EPTR) === 0 || word0 & PASIDE)
      this.caches.context.put(sid, SCALABLE, word0, words[at + 1]!, words[at + 2]!, words[at + 3]!);
    return 0;
  }

  /** What a context entry that is good in itself says to this request. Table 30, SCT.4.3 to SCT.10. */
  private refusedByContext(word0: number, word2: number, pasid: number): number {
    const { kind } = this;
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

  /** Finds the PASID-table entry. Table 30, SPD and SPT.1 to SPT.4. */
  private addressSpace(sid: number, context0: number, context1: number, pasid: number): number {
    const { caches, memory, can } = this;
    const { trail } = this.walk;
    const held = caches.pasid.find(sid, pasid);
    if (held >= 0) {
      const { words } = caches.pasid;
      this.fpd |= words[held]! | (words[held + 1]! & FPD);
      this.take(words, held + 1);
      return 0;
    }
    const directoryLo = ((context0 & ~0xfff) + ((pasid >>> 6) << 3)) | 0;
    // The directory may be larger than a page.
    const directoryHi = directoryLo >>> 0 < (context0 & ~0xfff) >>> 0 ? context1 + 1 : context1;
    if (trail !== undefined) trail.push(['pdir', directoryLo, directoryHi]);
    const directory = memory.locate(directoryLo, directoryHi);
    if (directory < 0) return SPD_1;
    const { words } = memory;
    const directoryFpd = words[directory]! & FPD;
    this.fpd |= directoryFpd;
    if ((words[directory]! & P) === 0) return SPD_2;
    if (anyReserved(words, directory, can.directoryReserved, 0, 2)) return SPD_3;

    const lo = (words[directory]! & ~0xfff) | ((pasid & 0x3f) << 6);
    const hi = words[directory + 1]!;
    if (trail !== undefined) trail.push(['pasid', lo, hi]);
    const at = memory.locate(lo, hi);
    if (at < 0) return SPT_1;
    const word0 = words[at]!;
    this.fpd |= word0 & FPD;
    if ((word0 & P) === 0) return SPT_2;
    if (anyReserved(words, at, can.pasidReserved, 0, 16)) return SPT_3;
    const fault = this.invalidEntry(word0, words[at + 4]!, words[at + 5]!);
    if (fault !== 0) return fault;
    caches.pasid.put(sid, pasid, directoryFpd, words, at);
    this.take(words, at);
    return 0;
  }

  /** §9.6: a PASID-table entry with values that this unit does not have. Fields that the type does not use do not count. */
  private invalidEntry(word0: number, word4: number, word5: number): number {
    const { can } = this;
    const type = (word0 >>> 6) & 7;
    const known =
      type === PGTT.firstStage
        ? can.FSTS
        : type === PGTT.secondStage
          ? can.SSTS
          : type === PGTT.nested
            ? can.NEST
            : type === PGTT.passThrough && can.PT;
    const AW = (word0 >>> 2) & 7;
    const usesSecond = type === PGTT.secondStage || type === PGTT.nested;
    if (known && usesSecond && (can.widths & (1 << AW)) === 0) return SPT_4_1;
    if (!known) return SPT_4_2;
    const FSPM = (word4 >>> 2) & 3;
    const usesFirst = type === PGTT.firstStage || type === PGTT.nested;
    if (usesFirst && FSPM > can.FS5LP) return SPT_4_3;
    if (type === PGTT.nested && word5 & can.beyondWidth[AW]!) return SPT_4_4;
    return 0;
  }

  private take(words: Int32Array, at: number): void {
    this.pasidWord0 = words[at]!;
    this.pasidWord1 = words[at + 1]!;
    this.pasidWord2 = words[at + 2]!;
    this.pasidWord4 = words[at + 4]!;
    this.pasidWord5 = words[at + 5]!;
  }

  private secondStageOnly(lo: number, hi: number, access: number): number {
    const { walk } = this;
    if (hi & walk.ssBeyond) return SGN_5;
    const fault = walk.secondStage(lo, hi, (access & WRITE) !== 0, this.needs(access));
    if (fault !== 0) return fault;
    return walk.ssRights === 0 ? SSS_2 : 0;
  }

  /** First stage, alone or nested. */
  private withFirstStage(lo: number, hi: number, access: number, privileged: number, pasid: number): number {
    const { walk, kind } = this;
    const FSPM = (this.pasidWord4 >>> 2) & 3;
    // Bits 63:47, or 63:56, are all the same.
    const sign = FSPM ? hi >> 24 : hi >> 15;
    if (sign !== 0 && sign !== -1) return SGN_1;
    walk.fsLo = this.pasidWord4 & ~0xfff;
    walk.fsHi = this.pasidWord5;
    walk.fsLevels = 4 + FSPM;
    walk.nested = ((this.pasidWord0 >>> 6) & 7) === PGTT.nested ? 1 : 0;
    walk.EAFE = this.pasidWord4 & EAFE ? 1 : 0;
    walk.pasid = pasid;
    walk.writesAnyway = privileged !== 0 && (this.pasidWord4 & WPE) === 0 ? RW : 0;
    let writes = (access & WRITE) !== 0;
    const fault = walk.firstStage(lo, hi, writes);
    if (fault !== 0) return fault;
    if (!privileged && (walk.fsRights & US) === 0) return SGN_2;
    if (writes && !this.firstStageWrites()) {
      if (kind === UNTRANSLATED) return SGN_6;
      writes = false;
    }
    if (!walk.nested) return 0;
    const { level } = walk;
    const nestedFault = walk.secondStage(walk.lo, walk.hi, writes, this.needs(access));
    if (nestedFault !== 0) return nestedFault;
    if (walk.ssRights === 0) return SSS_2;
    if (walk.level > level) walk.level = level;
    return 0;
  }

  /** §3.6.1: a supervisor writes to read-only pages unless WPE forbids it. */
  private firstStageWrites(): boolean {
    return ((this.walk.fsRights | this.walk.writesAnyway) & RW) !== 0;
  }

  /** Rights that a request must have; a translation request takes what there is. */
  private needs(access: number): number {
    return this.kind === UNTRANSLATED && (access & ZERO_LENGTH) === 0 ? access & ALL : 0;
  }

  /** READ and WRITE as the walk gives them to this request. */
  private rights(type: number): number {
    if (type === PGTT.secondStage) return this.walk.ssRights;
    const first = this.firstStageWrites() ? ALL : READ;
    return type === PGTT.nested ? first & this.walk.ssRights : first;
  }

  /** 0, or the condition for the permission that is missing. §3.14 for zero-length reads. */
  private lacks(access: number, rights: number, noWrite: number, noRead: number): number {
    if (access & WRITE && (rights & WRITE) === 0) return noWrite;
    if (access & READ && (rights & READ) === 0 && !(access & ZERO_LENGTH && this.can.ZLR && rights & WRITE)) return noRead;
    return 0;
  }

  /** The output address is the input address. */
  private straight(lo: number, hi: number, level: number, snoop: number): number {
    this.out.lo = lo;
    this.out.hi = hi;
    this.out.info = ALL | (level << LEVEL_AT) | (snoop ? SNOOP : 0);
    return 0;
  }

  private arrive(rights: number, level: number, snoop: number): void {
    this.out.lo = this.walk.lo;
    this.out.hi = this.walk.hi;
    this.out.info = rights | (level << LEVEL_AT) | (snoop ? SNOOP : 0);
  }

  /** Into the IOTLB, and without write permission when a write has a dirty flag to set. */
  private remember(
    sid: number,
    lo: number,
    hi: number,
    access: number,
    pasid: number,
    did: number,
    type: number,
    effective: number,
  ): void {
    const { out } = this;
    const info = this.walk.dirty ? out.info : out.info & ~WRITE;
    this.caches.iotlb.put(sid, lo, hi, access, pasid, (out.lo & ~0xfff) | info, out.hi, did, type, effective);
  }
}

/** FEEx_xxxxh. §3.15. */
export function inInterruptRange(lo: number, hi: number): boolean {
  return hi === 0 && lo >>> 20 === 0xfee;
}

/** Whether the page of a level around an address has part of FEEx_xxxxh. */
export function overlapsInterruptRange(lo: number, hi: number, level: number): boolean {
  const bits = level === 1 ? 20 : level === 2 ? 21 : 30;
  return hi === 0 && lo >>> bits === 0xfee00000 >>> bits;
}

function anyReserved(words: Int32Array, at: number, reserved: Int32Array, from: number, to: number): boolean {
  let set = 0;
  for (let word = from; word < to; word++) set |= words[at + word]! & reserved[word]!;
  return set !== 0;
}

/** How wide the PASIDs are that a directory of PDTS reaches. */
function pasidBits(context0: number): number {
  return 13 + ((context0 >>> 9) & 7);
}
