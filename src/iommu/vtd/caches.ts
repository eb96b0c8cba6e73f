import type { Memory } from '../../memory/memory.ts';
import { AbsentEntries } from './absent-entries.ts';
import { type AddressSpace, AddressSpaces, NESTED } from './address-space.ts';
import type { CacheTable } from './cache-table.ts';
import { ContextCache, sidMaskOf } from './context-cache.ts';
import { FaultCache } from './fault-cache.ts';
import { DOMAIN, GLOBAL, PAGE, PASID } from './granularity.ts';
import { HostPermissionCache } from './host-permission-cache.ts';
import { Iotlb } from './iotlb.ts';
import { PagingStructureCache } from './paging-structure-cache.ts';
import { PasidCache } from './pasid-cache.ts';

// What a unit may remember of tables in memory, and how software makes it forget. VT-d 5.10 §6.2, §6.5.

/** How many entries each cache holds, rounded down to a power of two (but for interrupts); 0 for a unit without one. */
export interface CacheSizes {
  readonly context: number;
  readonly pasid: number;
  readonly iotlb: number;
  /** Paging structures: first-stage (and nested), second-stage. */
  readonly firstStage: number;
  readonly secondStage: number;
  /** Permissions of host physical pages. */
  readonly hostPermission: number;
  /** Entries that met a fault, in a unit with CAP_REG.CM = 1; and a quarter as many tables, for entries that are not present. */
  readonly fault: number;
  /** Interrupt entries. */
  readonly interrupt: number;
}

/**
 * Measured with `npm run bench vtd`. An IOTLB of 1,024 to 8,192 entries makes no difference to requests that miss; the rings of
 * 1,024 pages that a driver reuses want 2,048, where each page has one place. Entries that lead to tables for less than the
 * memory that is used multiply the cost of a random request: these reach 64 GiB of 4-KByte pages, and take 1 MiB.
 */
export const CACHE_SIZES: CacheSizes = {
  context: 256,
  pasid: 256,
  iotlb: 2048,
  firstStage: 2 ** 15,
  secondStage: 2 ** 15,
  hostPermission: 256,
  fault: 1024,
  interrupt: 256,
};
export const NO_CACHES: CacheSizes = {
  context: 0,
  pasid: 0,
  iotlb: 0,
  firstStage: 0,
  secondStage: 0,
  hostPermission: 0,
  fault: 0,
  interrupt: 0,
};

/** All translation caches of a unit. */
export class Caches {
  readonly context: ContextCache;
  readonly pasid: PasidCache;
  readonly iotlb: Iotlb;
  readonly firstStage: PagingStructureCache;
  readonly secondStage: PagingStructureCache;
  readonly hostPermission: HostPermissionCache;
  readonly fault: FaultCache;
  readonly absent: AbsentEntries;
  /** What was made of entries of the first two. */
  readonly spaces: AddressSpaces;

  /** @param memory beside whose pages the caches are to be that kernels read */
  constructor(sizes: CacheSizes, memory?: Memory) {
    this.spaces = new AddressSpaces(memory);
    this.context = new ContextCache(sizes.context);
    this.pasid = new PasidCache(sizes.pasid);
    this.iotlb = new Iotlb(sizes.iotlb, memory);
    this.firstStage = new PagingStructureCache(sizes.firstStage, memory);
    this.secondStage = new PagingStructureCache(sizes.secondStage, memory);
    this.hostPermission = new HostPermissionCache(sizes.hostPermission);
    this.fault = new FaultCache(sizes.fault);
    this.absent = new AbsentEntries(sizes.fault / 4);
  }

  /** Gives the tables of an address space the numbers by which paging structures are held. */
  number(space: AddressSpace): void {
    const { did, pasid, ssHi, fsHi } = space;
    const ss = space.ssLo | space.ssLevels | (space.SSIRWE << 3) | (space.SSADE << 4);
    const fs = space.fsLo | space.fsLevels | (space.EAFE << 3);
    if (space.ssLevels !== 0) space.ssNumber = this.numberIn(this.secondStage, did, 0, ss, ssHi, 0, 0);
    if (space.fsLevels === 0) return;
    const nested = space.type === NESTED;
    space.fsNumber = this.numberIn(this.firstStage, did, pasid, fs, fsHi, nested ? ss : 0, nested ? ssHi : 0);
  }

  private numberIn(
    cache: PagingStructureCache,
    did: number,
    pasid: number,
    lo: number,
    hi: number,
    underLo: number,
    underHi: number,
  ): number {
    const number = cache.number(did, pasid, lo, hi, underLo, underHi);
    if (number >= 0) return number;
    cache.renumber();
    this.spaces.forget();
    return cache.number(did, pasid, lo, hi, underLo, underHi);
  }

  /** Forgets what was made of entries, as RTADDR_REG may say otherwise how they are read. */
  forgetSpaces(): void {
    this.spaces.forget();
  }

  /** Drops everything. */
  flush(): void {
    for (const each of this.all()) each.flush();
    this.spaces.forget();
  }

  /**
   * Context-cache invalidation. VT-d 5.10 §6.5.1.1, §6.5.2.1.
   *
   * @param granularity GLOBAL, DOMAIN or DEVICE
   * @param fm          function mask: how many of bits 2:0 of the source-id do not count, as Table 21 has it
   */
  invalidateContextCache(granularity: number, did: number, sid: number, fm: number): void {
    this.context.invalidate(granularity, did, sid, fm);
    this.fault.invalidateContext(granularity, did, sid, sidMaskOf(fm));
    this.spaces.forget();
  }

  /** PASID-cache invalidation. VT-d 5.10 §6.5.2.2. @param granularity PASID_CACHE_DOMAIN, PASID_CACHE_PASID or PASID_CACHE_GLOBAL */
  invalidatePasidCache(granularity: number, did: number, pasid: number): void {
    this.pasid.invalidate(granularity, did, pasid);
    this.fault.invalidatePasidEntries(granularity, pasid);
    this.spaces.forget();
  }

  /**
   * IOTLB invalidation, after a change of second-stage tables. VT-d 5.10 §6.5.1.2, §6.5.2.3.
   *
   * @param granularity GLOBAL, DOMAIN or PAGE
   * @param am          for PAGE: 2 to the power of this many 4-KByte pages around `hi:lo`
   * @param ih          for PAGE, 1: only leaf entries changed, so cached second-stage tables stay
   */
  invalidateIotlb(granularity: number, did: number, lo: number, hi: number, am: number, ih: number): void {
    this.iotlb.invalidate(granularity, did, lo, hi, am);
    this.fault.invalidatePages(granularity, did, lo, hi, am, ih);
    this.absent.invalidate(granularity, did, lo, hi, am, ih);
    if (granularity === GLOBAL) {
      this.firstStage.flush();
      this.secondStage.flush();
      return;
    }
    this.firstStage.invalidateDomain(did);
    if (granularity === DOMAIN) this.secondStage.invalidateDomain(did);
    else if (!ih) this.secondStage.invalidateRange(did, 0, lo, hi, am);
  }

  /**
   * PASID-based IOTLB invalidation, after a change of first-stage tables. VT-d 5.10 §6.5.2.4.
   *
   * @param granularity PASID or PAGE; the rest as of `invalidateIotlb`
   */
  invalidatePasidIotlb(granularity: number, did: number, pasid: number, lo: number, hi: number, am: number, ih: number): void {
    if (granularity === PASID) {
      this.iotlb.invalidatePasid(granularity, did, pasid, lo, hi, am);
      this.firstStage.invalidatePasid(did, pasid);
      this.fault.invalidatePasidPages(did, pasid);
      this.absent.invalidatePasid(did, pasid);
      return;
    }
    // Tags end with bit 47 in tables of 4 levels and with bit 56 in those of 5 (Tables 18 and 19), and addresses are canonical.
    const four = (hi << 16) >> 16;
    const five = (hi << 7) >> 7;
    this.invalidatePasidPages(did, pasid, lo, four, am, ih);
    if (five !== four) this.invalidatePasidPages(did, pasid, lo, five, am, ih);
  }

  private invalidatePasidPages(did: number, pasid: number, lo: number, hi: number, am: number, ih: number): void {
    this.iotlb.invalidatePasid(PAGE, did, pasid, lo, hi, am);
    if (!ih) this.firstStage.invalidateRange(did, pasid, lo, hi, am);
  }

  /** HPT cache invalidation. VT-d 5.10 §6.5.2.7. @param ih 0 to 3: up to which level, less 1 */
  invalidateHostPermissions(granularity: number, did: number, lo: number, hi: number, am: number, ih: number): void {
    this.hostPermission.invalidate(granularity, did, lo, hi, am, ih);
  }

  /** The content of every cache, in a fixed order. */
  snapshot(): Int32Array[] {
    return this.held().map((words) => words.slice());
  }

  /** @throws RangeError when the snapshot is of caches of other sizes */
  restore(snapshot: readonly Int32Array[]): void {
    const held = this.held();
    if (snapshot.length !== held.length || !held.every((words, i) => words.length === snapshot[i]!.length))
      throw new RangeError('the snapshot is of caches of other sizes');
    held.forEach((words, i) => {
      words.set(snapshot[i]!);
    });
    this.firstStage.unsettle();
    this.secondStage.unsettle();
    this.spaces.forget();
  }

  private held(): Int32Array[] {
    return this.all().flatMap((each) => each.held());
  }

  private all(): CacheTable[] {
    return [
      this.context,
      this.pasid,
      this.iotlb,
      this.firstStage,
      this.secondStage,
      this.hostPermission,
      this.fault,
      this.absent,
    ];
  }
}
