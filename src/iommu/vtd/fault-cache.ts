import type { AddressSpace } from './address-space.ts';
import { CacheTable, inRange } from './cache-table.ts';
import { DEVICE, DOMAIN, GLOBAL, PASID_CACHE_PASID } from './granularity.ts';
import { LEGACY } from './state.ts';

/** What met the fault: a context entry, a PASID-table entry, or an entry of the second stage. */
const CONTEXT = 1;
const PASID_ENTRY = 2;
const PAGES = 3;

/** Words of an entry. The first is what it is, the level above it, and the address; the second the upper half. */
const HI = 1;
/** The requester, and above it the mode of its tables, or the access that was refused (0: any). */
const SID = 2;
const KIND_AT = 16;
const REQUEST_PASID = 3;
/** What invalidations select pages by. */
const DID = 4;
const PASID = 5;
const NUMBER = 6;
const FPD = 7;
const STRIDE = 8;
const LEVEL_AT = 2;
/** Levels of entries; one more is the root of five levels. */
const LEVELS = 6;

/**
 * Entries that led to a fault, with the fault: what a unit with CAP_REG.CM = 1 may hold, and this one does, so that software
 * has to invalidate after every change, as it has to for a unit that is virtual. VT-d 5.10 §6.1, §6.2.2, §6.2.3, §6.2.4.1. Nothing
 * is held of the first stage, and second-stage entries that are not present are `AbsentEntries`.
 */
export class FaultCache extends CacheTable {
  /** Whether FPD was met on the way to what was found last: 0, or not. */
  FPD = 0;

  constructor(size: number) {
    super(size, STRIDE);
  }

  /** The number of the condition that the context entry of a requester met, or 0. */
  context(sid: number, TTM: number): number {
    return this.find(CONTEXT, 0, sid | ((TTM + 1) << KIND_AT), 0);
  }

  holdContext(sid: number, TTM: number, number: number, FPD: number): void {
    this.hold(CONTEXT, 0, sid | ((TTM + 1) << KIND_AT), 0, 0, 0, number, FPD);
  }

  /** The same of a PASID-table entry, or the directory entry above it. */
  pasidEntry(sid: number, pasid: number): number {
    return this.find(PASID_ENTRY, 0, sid, pasid);
  }

  holdPasidEntry(sid: number, pasid: number, number: number, FPD: number): void {
    this.hold(PASID_ENTRY, 0, sid, pasid, 0, 0, number, FPD);
  }

  /** The same of the second-stage entries of a page, whatever is asked. @param pasid of the request, -1 for none */
  page(sid: number, lo: number, hi: number, pasid: number): number {
    for (let level = 1; level <= LEVELS; level++) {
      const found = this.find(keyOf(level, lo), hi & hiMask(level), sid, pasid);
      if (found !== 0) return found;
    }
    return 0;
  }

  /** @param level of the entry that is at fault; one more than there are for the root */
  holdPage(
    space: AddressSpace,
    level: number,
    sid: number,
    lo: number,
    hi: number,
    pasid: number,
    number: number,
    access = 0,
  ): void {
    const requester = sid | (access << KIND_AT);
    this.hold(keyOf(level, lo), hi & hiMask(level), requester, pasid, space.did, space.pasid, number, space.FPD);
  }

  /** The condition of a request for a page that others may not meet: held for those that ask the same. */
  denied(sid: number, lo: number, hi: number, access: number, pasid: number): number {
    return this.find(keyOf(1, lo), hi, sid | (access << KIND_AT), pasid);
  }

  holdDenied(space: AddressSpace, sid: number, lo: number, hi: number, access: number, pasid: number, number: number): void {
    this.holdPage(space, 1, sid, lo, hi, pasid, number, access);
  }

  /** Context-cache invalidation. Legacy entries have the reserved domain-id 0, those of scalable mode none: §6.2.2. */
  invalidateContext(granularity: number, did: number, sid: number, sidMask: number): void {
    this.drop((at) => {
      if (this.words[at] !== CONTEXT) return false;
      if (granularity === GLOBAL) return true;
      const requester = this.words[at + SID]!;
      if (granularity === DEVICE && ((requester ^ sid) & sidMask) !== 0) return false;
      return requester >>> KIND_AT !== LEGACY + 1 || did === 0;
    });
  }

  /**
   * PASID-cache invalidation. The domain does not count: entries at fault have the reserved domain-id 0 (§6.2.3), but drivers
   * name the domain of the entry that they made, and an invalidation may be coarser than asked for.
   */
  invalidatePasidEntries(granularity: number, pasid: number): void {
    this.drop(
      (at) => this.words[at] === PASID_ENTRY && (granularity !== PASID_CACHE_PASID || this.words[at + REQUEST_PASID] === pasid),
    );
  }

  /**
   * IOTLB invalidation.
   *
   * @param ih 1: entries that lead to tables did not change. What is at fault in an entry above a page is dropped if it may
   *           have become a page: when the range has all of it
   */
  invalidatePages(granularity: number, did: number, lo: number, hi: number, am: number, ih: number): void {
    this.drop((at) => {
      const key = this.words[at]!;
      if ((key & 3) !== PAGES) return false;
      if (granularity === GLOBAL) return true;
      if (this.words[at + DID] !== did) return false;
      const bits = bitsOf(levelOf(key));
      return granularity === DOMAIN || ((!ih || 12 + am >= bits) && inRange(key, this.words[at + HI]!, bits, lo, hi, am));
    });
  }

  /** PASID-selective PASID-based IOTLB invalidation; one of pages drops nothing of the second stage: Table 24. */
  invalidatePasidPages(did: number, pasid: number): void {
    this.drop((at) => (this.words[at]! & 3) === PAGES && this.words[at + DID] === did && this.words[at + PASID] === pasid);
  }

  private find(key: number, hi: number, requester: number, pasid: number): number {
    const { words } = this;
    const at = this.slot(key, hi, requester, pasid);
    const found =
      words[at] === key && words[at + HI] === hi && words[at + SID] === requester && words[at + REQUEST_PASID] === pasid;
    if (!found) return 0;
    this.FPD = words[at + FPD]!;
    return words[at + NUMBER]!;
  }

  private hold(
    key: number,
    hi: number,
    requester: number,
    requestPasid: number,
    did: number,
    pasid: number,
    number: number,
    FPD: number,
  ): void {
    if (this.size === 0) return;
    this.words.set([key, hi, requester, requestPasid, did, pasid, number, FPD], this.slot(key, hi, requester, requestPasid));
  }

  private slot(key: number, hi: number, requester: number, pasid: number): number {
    const hash = Math.imul(key ^ (key >>> 12), 0x9e3779b1) ^ Math.imul(hi ^ (requester << 8) ^ (pasid << 4), 0x85ebca6b);
    return ((hash >>> 16) & this.mask) * STRIDE;
  }
}

function keyOf(level: number, lo: number): number {
  return (lo & loMask(level)) | (level << LEVEL_AT) | PAGES;
}

function levelOf(key: number): number {
  return (key >>> LEVEL_AT) & 7;
}

/** The address bits below those that select an entry of a level. */
export function bitsOf(level: number): number {
  return 3 + 9 * level;
}

function loMask(level: number): number {
  return level > 3 ? 0 : -1 << bitsOf(level);
}

/** What of the upper half of an address is above those. */
export function hiMask(level: number): number {
  return level <= 3 ? -1 : -1 << (bitsOf(level) - 32);
}
