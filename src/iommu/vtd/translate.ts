import type { Memory } from '../../memory/memory.ts';
import type { Abilities } from './abilities.ts';
import { type AddressSpace, FIRST_STAGE, NESTED, PASS_THROUGH, SECOND_STAGE } from './address-space.ts';
import type { Batch } from './batch.ts';
import type { Caches } from './caches.ts';
import { SecondStage } from './caching-mode.ts';
import { numberOf, PAGE_REQUEST, TRANSLATED, TRANSLATION, UNTRANSLATED } from './faults.ts';
import { DOMAIN, PAGE } from './granularity.ts';
import { HostPermissions } from './host-permission.ts';
import { inInterruptRange, overlapsInterruptRange } from './interrupt-range.ts';
import type { Iotlb } from './iotlb.ts';
import { Kernel } from './kernel/kernel.ts';
import { LegacyTables } from './legacy.ts';
import { ALL, EXEC, LEVEL_AT, NO_WRITE, needs, PRIV, READ, SNOOP, Translation, WRITE, ZERO_LENGTH } from './request.ts';
import { ScalableTables } from './scalable.ts';
import { type Active, LEGACY, SCALABLE } from './state.ts';
import { PageWalk, RW, type Trail, US } from './walk.ts';

export * from './request.ts';

// From a request to where it goes: what its address space says to it, and what the walk gives. VT-d 5.10 §3.9, §3.14, §3.15,
// §4.2, §7.1.3. The order of checks is that of Table 30 where the text gives none.

const LCT_4_3 = numberOf('LCT.4.3');
const LCT_5 = numberOf('LCT.5');
const LSS_1 = numberOf('LSS.1');
const LSS_2 = numberOf('LSS.2');
const LGN_1_1 = numberOf('LGN.1.1');
const LGN_1_2 = numberOf('LGN.1.2');
const LGN_1_3 = numberOf('LGN.1.3');
const LGN_2 = numberOf('LGN.2');
const LGN_3 = numberOf('LGN.3');
const LGN_4 = numberOf('LGN.4');
const RTA_1_1 = numberOf('RTA.1.1');
const RTA_1_2 = numberOf('RTA.1.2');
const RTA_1_3 = numberOf('RTA.1.3');
const RTA_1_4 = numberOf('RTA.1.4');
const RTA_2 = numberOf('RTA.2');
const RTA_3 = numberOf('RTA.3');
const RTA_4 = numberOf('RTA.4');
const RTA_5 = numberOf('RTA.5');
const SPT_5 = numberOf('SPT.5');
const SPT_6 = numberOf('SPT.6');
const SSS_1 = numberOf('SSS.1');
const SSS_2 = numberOf('SSS.2');
const SSS_3 = numberOf('SSS.3');
const SSS_4 = numberOf('SSS.4');
const SGN_1 = numberOf('SGN.1');
const SGN_2 = numberOf('SGN.2');
const SGN_4_1 = numberOf('SGN.4.1');
const SGN_4_2 = numberOf('SGN.4.2');
const SGN_5 = numberOf('SGN.5');
const SGN_6 = numberOf('SGN.6');
const SGN_7 = numberOf('SGN.7');
const SGN_8_1 = numberOf('SGN.8.1');
const SGN_8_2 = numberOf('SGN.8.2');
const SGN_8_3 = numberOf('SGN.8.3');
const SGN_10 = numberOf('SGN.10');
const S_1 = numberOf('S.1');
const S_2 = numberOf('S.2');
const NO_INTERRUPT = numberOf('29h');

/**
 * Finds out where requests go. Functions return 0, BLOCKED, or the number of a condition; `fpd` says whether an entry that
 * was read silences qualified faults. Nothing is allocated, and no number leaves the integers.
 */
export class Translator {
  /** Where the last request goes that 0 was returned for. */
  readonly out: Translation;
  /** Whether an entry with FPD was met: 0, or not. */
  fpd = 0;
  private readonly can: Abilities;
  private readonly active: Active;
  private readonly caches: Caches;
  private readonly iotlb: Iotlb;
  private readonly legacyTables: LegacyTables;
  private readonly scalableTables: ScalableTables;
  private readonly walk: PageWalk;
  private readonly secondStage: SecondStage;
  private readonly permissions: HostPermissions;
  /** Answers the usual requests, where there is one; not while somebody follows what is read. */
  private kernel: Kernel | undefined;
  private readonly ownKernel: Kernel | undefined;

  constructor(memory: Memory, can: Abilities, active: Active, caches: Caches) {
    this.can = can;
    this.active = active;
    this.caches = caches;
    this.iotlb = caches.iotlb;
    this.legacyTables = new LegacyTables(memory, can, active, caches);
    this.scalableTables = new ScalableTables(memory, can, active, caches);
    this.walk = new PageWalk(memory, can, caches);
    this.secondStage = new SecondStage(this.walk, memory, can, caches);
    this.permissions = new HostPermissions(memory, can, caches.hostPermission);
    this.ownKernel = Kernel.over(memory, can, caches);
    this.kernel = this.ownKernel;
    this.out = new Translation(this.ownKernel?.answered);
  }

  set trail(trail: Trail | undefined) {
    this.legacyTables.trail = trail;
    this.scalableTables.trail = trail;
    this.walk.trail = trail;
    this.permissions.trail = trail;
    this.kernel = trail === undefined ? this.ownKernel : undefined;
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
    if (this.active.TES === 0) return this.judge(sid, lo, hi, access, pasid);
    const { kernel } = this;
    if (kernel !== undefined) {
      if (kernel.passes(sid, lo, hi, access, pasid)) return 0;
      kernel.settle();
    }
    return this.iotlb.answers(sid, lo, hi, access, pasid, this.out) ? 0 : this.judge(sid, lo, hi, access, pasid);
  }

  /** Requests of a batch, from one on. @returns the first that is to be looked at by itself */
  answer(batch: Batch, from: number): number {
    return this.kernel === undefined ? from : this.kernel.answer(batch, from);
  }

  private judge(sid: number, lo: number, hi: number, access: number, pasid: number): number {
    this.fpd = 0;
    // §3.15; single writes of 4 bytes are interrupts and do not come here. §3.1: without remapping the PASID is ignored.
    if ((pasid < 0 || !this.active.TES) && inInterruptRange(lo, hi)) {
      if ((access & ZERO_LENGTH) === 0) return NO_INTERRUPT;
      return this.straight(lo, hi, 1, 0);
    }
    if (!this.active.TES) return this.straight(lo, hi, this.can.largestPage, 0);
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
    const fault = this.admit(PAGE_REQUEST, 0, pasid);
    if (fault !== 0) return fault;
    const { scalableTables } = this;
    const refused = scalableTables.resolve(this.caches.spaces.place(sid, pasid), PAGE_REQUEST, sid, pasid);
    this.fpd = scalableTables.FPD;
    return refused;
  }

  /** Drops what caches hold of a page, for the request that `page` let through last. §6.5.3.1, Table 27. */
  forgetPage(sid: number, pasid: number, lo: number, hi: number): void {
    const { caches } = this;
    const space = caches.spaces.place(sid, pasid);
    if (space.type === FIRST_STAGE) caches.invalidatePasidIotlb(PAGE, space.did, space.pasid, lo, hi, 0, 0);
    else caches.invalidateIotlb(space.type === NESTED ? DOMAIN : PAGE, space.did, lo, hi, 0, 0);
  }

  private translate(kind: number, sid: number, lo: number, hi: number, access: number, pasid: number): number {
    const fault = this.admit(kind, access, pasid);
    if (fault !== 0) return fault;
    return this.active.TTM === LEGACY ? this.legacy(kind, sid, lo, hi, access) : this.scalable(kind, sid, lo, hi, access, pasid);
  }

  /** What RTADDR_REG alone decides. Table 30, RTA and SGN.10. */
  private admit(kind: number, access: number, pasid: number): number {
    const { can } = this;
    const { TTM } = this.active;
    if (TTM === LEGACY) {
      if (kind === PAGE_REQUEST) return RTA_3;
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
      if (pasid & can.beyondPss && kind !== PAGE_REQUEST) return SGN_10;
    }
    return 0;
  }

  // ---- legacy mode: §3.4.2

  private legacy(kind: number, sid: number, lo: number, hi: number, access: number): number {
    const { can, walk } = this;
    const { spaces } = this.caches;
    const space = spaces.place(sid, -1);
    if (!spaces.has(space, sid, -1)) {
      const fault = this.legacyTables.resolve(space, sid);
      this.fpd = this.legacyTables.FPD;
      if (fault !== 0) return fault;
    }
    this.fpd = space.FPD;
    if (kind !== UNTRANSLATED) {
      if (!space.deviceTlb) return LCT_5;
      if (kind === TRANSLATED) {
        if (hi & can.beyondHaw) return LGN_1_2;
        return inInterruptRange(lo, hi) ? LGN_4 : this.straight(lo, hi, can.largestPage, 0);
      }
      if (inInterruptRange(lo, hi)) return access & NO_WRITE ? S_2 : S_1;
    }
    walk.begin();
    if (space.type === PASS_THROUGH) {
      if (hi & can.beyondHaw) return LGN_1_3;
      if (hi & space.ssBeyond) return LGN_1_1;
      this.straight(lo, hi, can.largestPage, 0);
      this.remember(space, sid, lo, hi, access, -1);
      return 0;
    }
    if (hi & space.ssBeyond) return LGN_1_1;
    const fault = this.secondStage.translate(space, kind, sid, lo, hi, access, -1, false);
    if (fault !== 0) return this.legacyFault(fault, access);
    const rights = walk.ssRights;
    if (kind === UNTRANSLATED) {
      const lacks = this.lacks(access, rights, LGN_2, LGN_3);
      // §9.8: R of an entry does not matter to a zero-length read when its W is set, entry by entry.
      if (lacks !== 0 && !(access & ZERO_LENGTH && can.ZLR))
        return this.secondStage.denied(lacks, space, sid, lo, hi, access, -1);
      if (inInterruptRange(walk.lo, walk.hi)) return LGN_4;
    } else {
      if ((rights & access) === 0) return LGN_3;
      if (overlapsInterruptRange(walk.lo, walk.hi, walk.level)) return LGN_4;
    }
    this.arrive(rights, walk.SNP);
    this.remember(space, sid, lo, hi, access, -1);
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
      case SSS_2:
        // An entry with R = W = 0: a matter of permission in legacy mode.
        return access & WRITE ? LGN_2 : LGN_3;
      default:
        return fault;
    }
  }

  // ---- scalable mode: §3.4.3

  private scalable(kind: number, sid: number, lo: number, hi: number, access: number, pasid: number): number {
    const { can, walk, scalableTables } = this;
    const { spaces } = this.caches;
    const space = spaces.place(sid, pasid);
    if (kind === UNTRANSLATED && spaces.has(space, sid, pasid)) this.fpd = space.FPD;
    else {
      const fault = scalableTables.resolve(space, kind, sid, pasid);
      this.fpd = scalableTables.FPD;
      if (fault !== 0) return fault;
    }
    if (kind === TRANSLATED) {
      if (hi & can.beyondHaw) return SGN_4_1;
      if (inInterruptRange(lo, hi)) return SGN_8_3;
      const denied = scalableTables.HPTE ? this.permissions.check(space, sid, lo, hi, access, pasid) : 0;
      return denied || this.straight(lo, hi, can.largestPage, 0);
    }
    const privileged = pasid >= 0 ? access & PRIV : space.RID_PRIV;
    if (pasid >= 0 && access & EXEC && can.major < 8 && !can.ERS) return SPT_5;
    if (privileged && !space.SRE) return SPT_6;
    if (kind === TRANSLATION && pasid < 0 && inInterruptRange(lo, hi)) return access & NO_WRITE ? S_2 : S_1;

    walk.begin();
    const { type } = space;
    if (type === PASS_THROUGH) {
      if (hi & can.beyondHaw) return SGN_4_2;
      if (inInterruptRange(lo, hi)) return kind === UNTRANSLATED ? SGN_8_1 : SGN_8_2;
      this.straight(lo, hi, overlapsInterruptRange(lo, hi, can.largestPage) ? 1 : can.largestPage, space.PGSNP);
      this.remember(space, sid, lo, hi, access, pasid);
      return 0;
    }
    const writesAnyway = privileged && !space.WPE ? RW : 0;
    const lacking =
      type === SECOND_STAGE
        ? this.secondStageOnly(space, kind, sid, lo, hi, access, pasid)
        : this.withFirstStage(space, kind, lo, hi, access, privileged, writesAnyway);
    if (lacking !== 0) return lacking;
    // READ and WRITE as the walk gives them to this request.
    const first = type === SECOND_STAGE || (walk.fsRights | writesAnyway) & RW ? ALL : READ;
    const rights = type === FIRST_STAGE ? first : first & walk.ssRights;
    if (kind === UNTRANSLATED) {
      const lacks = this.lacks(access, rights, SGN_6, SGN_7);
      if (lacks !== 0) return type === SECOND_STAGE ? this.secondStage.denied(lacks, space, sid, lo, hi, access, pasid) : lacks;
      if (inInterruptRange(walk.lo, walk.hi)) return SGN_8_1;
    } else {
      if ((rights & access & ALL) === 0) return SGN_7;
      if (overlapsInterruptRange(walk.lo, walk.hi, walk.level)) return SGN_8_2;
    }
    const flags = walk.setFlags();
    if (flags !== 0) return flags;
    this.arrive(rights, space.PGSNP | (type === FIRST_STAGE ? 0 : walk.SNP));
    this.remember(space, sid, lo, hi, access, pasid);
    return 0;
  }

  private secondStageOnly(
    space: AddressSpace,
    kind: number,
    sid: number,
    lo: number,
    hi: number,
    access: number,
    pasid: number,
  ): number {
    if (hi & space.ssBeyond) return SGN_5;
    const fault = this.secondStage.translate(space, kind, sid, lo, hi, access, pasid, true);
    if (fault !== 0) return fault;
    return this.walk.ssRights === 0 ? SSS_2 : 0;
  }

  /**
   * First stage, alone or nested.
   * @param writesAnyway RW when pages that are read-only may be written: §3.6.1, a supervisor does so unless WPE forbids it
   */
  private withFirstStage(
    space: AddressSpace,
    kind: number,
    lo: number,
    hi: number,
    access: number,
    privileged: number,
    writesAnyway: number,
  ): number {
    const { walk } = this;
    // Bits 63:47, or 63:56, are all the same.
    const sign = space.fsLevels === 5 ? hi >> 24 : hi >> 15;
    if (sign !== 0 && sign !== -1) return SGN_1;
    let writes = (access & WRITE) !== 0;
    const fault = walk.firstStage(space, lo, hi, writes, writesAnyway);
    if (fault !== 0) return fault;
    if (!privileged && (walk.fsRights & US) === 0) return SGN_2;
    if (writes && ((walk.fsRights | writesAnyway) & RW) === 0) {
      if (kind === UNTRANSLATED) return SGN_6;
      writes = false;
    }
    if (space.type !== NESTED) return 0;
    const { level } = walk;
    const nestedFault = walk.secondStage(space, walk.lo, walk.hi, writes, needs(kind, access));
    if (nestedFault !== 0) return nestedFault;
    if (walk.ssRights === 0) return SSS_2;
    if (walk.level > level) walk.level = level;
    return 0;
  }

  /** 0, or the condition for the permission that is missing. §3.14: a zero-length read may go where the second stage lets write. */
  private lacks(access: number, rights: number, noWrite: number, noRead: number): number {
    const { can, walk } = this;
    if (access & WRITE && (rights & WRITE) === 0) return noWrite;
    if (access & READ && (rights & READ) === 0 && !(access & ZERO_LENGTH && can.ZLR && walk.ssRights & WRITE)) return noRead;
    return 0;
  }

  /** The output address is the input address. */
  private straight(lo: number, hi: number, level: number, snoop: number): number {
    this.out.lo = lo;
    this.out.hi = hi;
    this.out.info = ALL | (level << LEVEL_AT) | (snoop ? SNOOP : 0);
    return 0;
  }

  private arrive(rights: number, snoop: number): void {
    const { out, walk } = this;
    out.lo = walk.lo;
    out.hi = walk.hi;
    out.info = rights | (walk.level << LEVEL_AT) | (snoop ? SNOOP : 0);
  }

  /** Into the IOTLB, and without write permission when a write has a dirty flag to set. */
  private remember(space: AddressSpace, sid: number, lo: number, hi: number, access: number, pasid: number): void {
    const { out, caches } = this;
    const info = this.walk.dirty ? out.info : out.info & ~WRITE;
    caches.iotlb.put(sid, lo, hi, access, pasid, (out.lo & ~0xfff) | info, out.hi, space);
  }
}
