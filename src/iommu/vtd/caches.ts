// What a unit may remember of tables in memory, and how software makes it forget. VT-d 5.10 §6.2, §6.5. Each cache is one
// array of numbers: a copy of it is a snapshot.

/** How many entries each cache holds, rounded down to a power of two (but for interrupts); 0 for a unit without one. */
export interface CacheSizes {
  readonly context: number;
  readonly pasid: number;
  /** Four ways when there is room for them. */
  readonly iotlb: number;
  /** Paging structures: first-stage (and nested), second-stage. */
  readonly firstStage: number;
  readonly secondStage: number;
  /** Interrupt entries. */
  readonly interrupt: number;
}

export const CACHE_SIZES: CacheSizes = {
  context: 256,
  pasid: 256,
  iotlb: 2048,
  firstStage: 1024,
  secondStage: 4096,
  interrupt: 256,
};
export const NO_CACHES: CacheSizes = { context: 0, pasid: 0, iotlb: 0, firstStage: 0, secondStage: 0, interrupt: 0 };

/** Granularity of IOTLB_REG.IIRG and of IOTLB invalidate descriptors; CCMD_REG.CIRG has the same of the context cache. */
export const GLOBAL = 1;
export const DOMAIN = 2;
/** A range of pages of a domain; one device of the context cache. */
export const PAGE = 3;
export const DEVICE = 3;
/** Granularity of PASID-based IOTLB invalidate descriptors; pages of a PASID are 3 as well. */
export const PASID = 2;
/** Granularity of PASID-cache invalidate descriptors. */
export const PASID_CACHE_DOMAIN = 0;
export const PASID_CACHE_PASID = 1;
export const PASID_CACHE_GLOBAL = 3;

/** What an IOTLB entry was made of: PGTT, and 0 for legacy mode. */
export const FIRST_STAGE = 1;
export const NESTED = 3;

/** The rights in an IOTLB entry are those of an access: READ and WRITE. The rest of its low 12 bits: */
export const SNOOP = 1 << 8;
export const LEVEL_AT = 9;
/** Bits of an access that an entry has to have; execution and zero length it never has. */
const NEEDED = 0b10111;
const PRIV = 1 << 3;

/** One array of entries that are found by a hash of their tags. */
class Table {
  readonly size: number;
  readonly words: Int32Array;
  protected readonly mask: number;
  protected readonly stride: number;

  constructor(size: number, stride: number) {
    this.size = size > 0 ? 2 ** Math.floor(Math.log2(size)) : 0;
    this.mask = this.size - 1;
    this.stride = stride;
    this.words = new Int32Array(this.size * stride);
  }

  flush(): void {
    this.words.fill(0);
  }

  /** Drops entries in use (first word not 0) for which `gone` holds. */
  protected drop(gone: (at: number) => boolean): void {
    for (let at = 0; at < this.words.length; at += this.stride) if (this.words[at] !== 0 && gone(at)) this.words[at] = 0;
  }
}

/**
 * Context entries by requester. Words: the tag, then the first 128 bits of the entry. The mode of the tables is part of the
 * tag, so that an entry of one format is never taken for one of the other.
 */
export class ContextCache extends Table {
  constructor(size: number) {
    super(size, 5);
  }

  /** Where in `words` the entry begins, or -1. */
  find(sid: number, TTM: number): number {
    if (this.size === 0) return -1;
    const at = this.slot(sid);
    return this.words[at] === contextTag(sid, TTM) ? at + 1 : -1;
  }

  put(sid: number, TTM: number, word0: number, word1: number, word2: number, word3: number): void {
    if (this.size === 0) return;
    const at = this.slot(sid);
    this.words[at] = contextTag(sid, TTM);
    this.words[at + 1] = word0;
    this.words[at + 2] = word1;
    this.words[at + 3] = word2;
    this.words[at + 4] = word3;
  }

  /**
   * VT-d 5.10 §6.5.2.1. Entries of scalable mode are not tagged with a domain: there DOMAIN is GLOBAL and a device is
   * dropped whatever its domain.
   */
  invalidate(granularity: number, did: number, sid: number, fm: number): void {
    const sidMask = 0xffff & ~[0, 4, 6, 7][fm & 3]!;
    this.drop((at) => {
      if (granularity === GLOBAL) return true;
      const tag = this.words[at]!;
      const legacy = tag >>> 16 === 1;
      if (granularity === DEVICE && ((tag ^ sid) & sidMask) !== 0) return false;
      return !legacy || ((this.words[at + 3]! >>> 8) & 0xffff) === did;
    });
  }

  private slot(sid: number): number {
    return ((sid ^ (sid >>> 8)) & this.mask) * this.stride;
  }
}

function contextTag(sid: number, TTM: number): number {
  return sid | ((TTM + 1) << 16);
}

/** PASID-table entries by requester and PASID. Words: two tags, FPD of the directory entry, the first 192 bits of the entry. */
export class PasidCache extends Table {
  constructor(size: number) {
    super(size, 9);
  }

  /** Where in `words` FPD of the directory entry is, with the entry behind it, or -1. */
  find(sid: number, pasid: number): number {
    if (this.size === 0) return -1;
    const at = this.slot(sid, pasid);
    return this.words[at] === sid + 1 && this.words[at + 1] === pasid ? at + 2 : -1;
  }

  put(sid: number, pasid: number, FPD: number, entry: Int32Array, from: number): void {
    if (this.size === 0) return;
    const at = this.slot(sid, pasid);
    this.words[at] = sid + 1;
    this.words[at + 1] = pasid;
    this.words[at + 2] = FPD;
    for (let word = 0; word < 6; word++) this.words[at + 3 + word] = entry[from + word]!;
  }

  /** VT-d 5.10 §6.5.2.2. */
  invalidate(granularity: number, did: number, pasid: number): void {
    this.drop((at) => {
      if (granularity === PASID_CACHE_GLOBAL) return true;
      if ((this.words[at + 5]! & 0xffff) !== did) return false;
      return granularity === PASID_CACHE_DOMAIN || this.words[at + 1] === pasid;
    });
  }

  private slot(sid: number, pasid: number): number {
    return ((pasid ^ sid ^ (sid >>> 8)) & this.mask) * this.stride;
  }
}

/** Words of an IOTLB entry; the first is the page. */
const KEY_HI = 1;
const KEY_PASID = 2;
export const OUT_LO = 3;
export const OUT_HI = 4;
const DID_PGTT = 5;
const EFFECTIVE_PASID = 6;
const IOTLB_STRIDE = 8;

/**
 * Translations by requester, PASID and page. Larger pages are held as the 4-KByte pieces that were asked for, as §6.2.4.1
 * allows. A request with PASID has entries for each privilege; one without has its own, which know the PASID they stand for.
 */
export class Iotlb extends Table {
  private readonly ways: number;
  private readonly sets: number;
  private readonly setShift: number;

  constructor(size: number) {
    super(size, IOTLB_STRIDE);
    this.ways = Math.min(4, this.size);
    this.sets = this.ways === 0 ? 0 : this.size / this.ways;
    this.setShift = Math.log2(Math.max(1, this.ways) * IOTLB_STRIDE);
  }

  /**
   * Where in `words` the entry for a request is, or -1 when there is none that grants it.
   *
   * @param access as of a request: what it needs, and whether it is privileged
   * @param pasid  -1 for none
   */
  find(sid: number, lo: number, hi: number, access: number, pasid: number): number {
    if (this.ways === 0) return -1;
    const { words } = this;
    const page = pageKey(sid, lo, access, pasid);
    const space = spaceKey(sid, pasid);
    let at = this.set(sid, lo, hi, pasid);
    const end = at + (1 << this.setShift);
    for (; at < end; at += IOTLB_STRIDE)
      if (words[at] === page && words[at + KEY_PASID] === space && words[at + KEY_HI] === hi)
        return (~words[at + OUT_LO]! & access & NEEDED) === 0 ? at : -1;
    return -1;
  }

  /**
   * Holds a translation, in place of an older one of the same page.
   *
   * @param outLo  low half of the output address, with the rights, SNOOP and level in its low 12 bits
   * @param pgtt   PGTT, or 0 in legacy mode
   * @param effective the PASID whose tables were used
   */
  put(
    sid: number,
    lo: number,
    hi: number,
    access: number,
    pasid: number,
    outLo: number,
    outHi: number,
    did: number,
    pgtt: number,
    effective: number,
  ): void {
    if (this.ways === 0) return;
    const { words } = this;
    const page = pageKey(sid, lo, access, pasid);
    const space = spaceKey(sid, pasid);
    const first = this.set(sid, lo, hi, pasid);
    let at = -1;
    for (let way = 0; way < this.ways; way++) {
      const each = first + way * IOTLB_STRIDE;
      if (words[each] === page && words[each + KEY_PASID] === space && words[each + KEY_HI] === hi) {
        at = each;
        break;
      }
      if (words[each] === 0 && at < 0) at = each;
    }
    if (at < 0) {
      // The last word of a set's first entry says which way goes next.
      const victim = words[first + IOTLB_STRIDE - 1]!;
      words[first + IOTLB_STRIDE - 1] = (victim + 1) % this.ways;
      at = first + victim * IOTLB_STRIDE;
    }
    words[at] = page;
    words[at + KEY_HI] = hi;
    words[at + KEY_PASID] = space;
    words[at + OUT_LO] = outLo;
    words[at + OUT_HI] = outHi;
    words[at + DID_PGTT] = did | (pgtt << 16);
    words[at + EFFECTIVE_PASID] = effective;
  }

  /** VT-d 5.10 §6.5.2.3, Table 23: an address selects second-stage, pass-through and legacy entries; others go by domain. */
  invalidate(granularity: number, did: number, lo: number, hi: number, am: number): void {
    if (granularity === GLOBAL) return this.flush();
    this.drop((at) => {
      const made = this.words[at + DID_PGTT]!;
      if ((made & 0xffff) !== did) return false;
      return granularity === DOMAIN || isFirstStage(made) || inRange(this.words, at, lo, hi, am, 12);
    });
  }

  /** VT-d 5.10 §6.5.2.4, Table 24. */
  invalidatePasid(granularity: number, did: number, pasid: number, lo: number, hi: number, am: number): void {
    this.drop((at) => {
      const made = this.words[at + DID_PGTT]!;
      if ((made & 0xffff) !== did || this.words[at + EFFECTIVE_PASID] !== pasid) return false;
      return granularity === PASID || (isFirstStage(made) && inRange(this.words, at, lo, hi, am, 12));
    });
  }

  private set(sid: number, lo: number, hi: number, pasid: number): number {
    const hash = (lo >>> 12) ^ (lo >>> 21) ^ hi ^ sid ^ pasid;
    return (hash & (this.sets - 1)) << this.setShift;
  }
}

/** The page, with bits 7:0 of the requester, whether there is a PASID and how privileged it is. Never 0. */
function pageKey(sid: number, lo: number, access: number, pasid: number): number {
  const space = pasid < 0 ? 1 : 3 | ((access & PRIV) >>> 1);
  return (lo & ~0xfff) | ((sid & 0xff) << 4) | space;
}

function spaceKey(sid: number, pasid: number): number {
  return (pasid & 0xfffff) | ((sid >>> 8) << 20);
}

function isFirstStage(made: number): boolean {
  const pgtt = made >>> 16;
  return pgtt === FIRST_STAGE || pgtt === NESTED;
}

/** Words of a paging-structure entry. The first has the address bits of its level, the domain and the level. */
const PSC_HI = 1;
const PSC_PASID = 2;
const PSC_ROOT = 3;
/** The table that the entry leads to, with the rights up to there in its low 12 bits. */
export const TABLE_LO = 4;
export const TABLE_HI = 5;
/** Where the table is in `Memory.words`, while `Memory.generation` is the same; -1 when it has no place of its own. */
const TABLE_AT = 6;
const GENERATION = 7;
const PSC_STRIDE = 8;

/** By level of the entry, 2 to 5: the address bits below those that select it. */
const SHIFT = Int32Array.of(0, 12, 21, 30, 39, 48);
const LO_MASK = Int32Array.of(0, 0, -1 << 21, -1 << 30, 0, 0);
const HI_MASK = Int32Array.of(0, 0, -1, -1, -1 << 7, -1 << 16);

/**
 * Entries that lead to a table, by domain (and PASID, for the first stage) and address: PML5-, PML4-, PDPE- and PDE-caches
 * in one array, the level being part of the tag. VT-d 5.10 §6.2.5. The root is part of it as well, so that tables which
 * software put under one domain against §6.2.2.1 do not mix.
 */
export class PagingStructureCache extends Table {
  constructor(size: number) {
    super(size, PSC_STRIDE);
  }

  /**
   * Where in `words` the entry of a level is that translates the address, or -1.
   *
   * @param pasid 0 in the second stage
   * @param root  a number of the tables that are walked
   */
  find(level: number, did: number, pasid: number, root: number, lo: number, hi: number): number {
    const { words } = this;
    const key = keyOf(level, did, lo);
    const keyHi = hi & HI_MASK[level]!;
    const at = this.slot(key, keyHi, pasid ^ root);
    if (words[at] === key && words[at + PSC_HI] === keyHi && words[at + PSC_PASID] === pasid && words[at + PSC_ROOT] === root)
      return at;
    return -1;
  }

  /** @param tableLo with the rights in its low 12 bits */
  put(
    level: number,
    did: number,
    pasid: number,
    root: number,
    lo: number,
    hi: number,
    tableLo: number,
    tableHi: number,
    tableAt: number,
    generation: number,
  ): void {
    const { words } = this;
    const key = keyOf(level, did, lo);
    const keyHi = hi & HI_MASK[level]!;
    const at = this.slot(key, keyHi, pasid ^ root);
    words[at] = key;
    words[at + PSC_HI] = keyHi;
    words[at + PSC_PASID] = pasid;
    words[at + PSC_ROOT] = root;
    words[at + TABLE_LO] = tableLo;
    words[at + TABLE_HI] = tableHi;
    words[at + TABLE_AT] = tableAt;
    words[at + GENERATION] = generation;
  }

  /** Where the table of an entry is in `Memory.words`, or -1 when that must be found anew. */
  place(at: number, generation: number): number {
    return this.words[at + GENERATION] === generation ? this.words[at + TABLE_AT]! : -1;
  }

  /** Makes places of another life of the memory unknown. */
  forgetPlaces(): void {
    for (let at = 0; at < this.words.length; at += PSC_STRIDE) this.words[at + TABLE_AT] = -1;
  }

  invalidateDomain(did: number): void {
    this.drop((at) => this.didAt(at) === did);
  }

  invalidatePasid(did: number, pasid: number): void {
    this.drop((at) => this.didAt(at) === did && this.words[at + PSC_PASID] === pasid);
  }

  /** Entries that translate an address of the range. @param pasid 0 in the second stage */
  invalidateRange(did: number, pasid: number, lo: number, hi: number, am: number): void {
    this.drop(
      (at) =>
        this.didAt(at) === did &&
        this.words[at + PSC_PASID] === pasid &&
        inRange(this.words, at, lo, hi, am, SHIFT[this.words[at]! & 7]!),
    );
  }

  private didAt(at: number): number {
    return (this.words[at]! >>> 3) & 0xffff;
  }

  private slot(key: number, keyHi: number, space: number): number {
    const hash = (key >>> 21) ^ (keyHi << 11) ^ (keyHi >>> 5) ^ Math.imul(key & 0x7ffff, 0x9e5) ^ Math.imul(space, 0x85eb);
    return (hash & this.mask) * PSC_STRIDE;
  }
}

/** Bits 31:21 of the address as far as they count, the domain and the level. Never 0. */
function keyOf(level: number, did: number, lo: number): number {
  return (lo & LO_MASK[level]!) | (did << 3) | level;
}

/** Whether the `1 << bits` bytes from the address in `words` on share one with the `1 << 12 + am` bytes around `hi:lo`. */
function inRange(words: Int32Array, at: number, lo: number, hi: number, am: number, bits: number): boolean {
  const ignored = Math.max(12 + am, bits);
  const loMask = ignored >= 32 ? 0 : -1 << ignored;
  const hiMask = ignored <= 32 ? -1 : ignored >= 64 ? 0 : -1 << (ignored - 32);
  return ((words[at]! ^ lo) & loMask) === 0 && ((words[at + 1]! ^ hi) & hiMask) === 0;
}

/** All translation caches of a unit. */
export class Caches {
  readonly context: ContextCache;
  readonly pasid: PasidCache;
  readonly iotlb: Iotlb;
  readonly firstStage: PagingStructureCache;
  readonly secondStage: PagingStructureCache;

  constructor(sizes: CacheSizes) {
    this.context = new ContextCache(sizes.context);
    this.pasid = new PasidCache(sizes.pasid);
    this.iotlb = new Iotlb(sizes.iotlb);
    this.firstStage = new PagingStructureCache(sizes.firstStage);
    this.secondStage = new PagingStructureCache(sizes.secondStage);
  }

  /** Drops everything. */
  flush(): void {
    for (const each of this.all()) each.flush();
  }

  /**
   * Context-cache invalidation. VT-d 5.10 §6.5.1.1, §6.5.2.1.
   *
   * @param granularity GLOBAL, DOMAIN or DEVICE
   * @param fm          function mask: how many of bits 2:0 of the source-id do not count, as Table 21 has it
   */
  invalidateContextCache(granularity: number, did: number, sid: number, fm: number): void {
    this.context.invalidate(granularity, did, sid, fm);
  }

  /** PASID-cache invalidation. VT-d 5.10 §6.5.2.2. @param granularity PASID_CACHE_DOMAIN, PASID_CACHE_PASID or PASID_CACHE_GLOBAL */
  invalidatePasidCache(granularity: number, did: number, pasid: number): void {
    this.pasid.invalidate(granularity, did, pasid);
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
    this.iotlb.invalidatePasid(granularity, did, pasid, lo, hi, am);
    if (granularity === PASID) this.firstStage.invalidatePasid(did, pasid);
    else if (!ih) this.firstStage.invalidateRange(did, pasid, lo, hi, am);
  }

  /** The content of every cache, in a fixed order. */
  snapshot(): Int32Array[] {
    return this.all().map(({ words }) => words.slice());
  }

  /** @throws RangeError when the snapshot is of caches of other sizes */
  restore(snapshot: readonly Int32Array[]): void {
    const all = this.all();
    if (snapshot.length !== all.length || !all.every(({ words }, i) => words.length === snapshot[i]!.length))
      throw new RangeError('the snapshot is of caches of other sizes');
    all.forEach(({ words }, i) => {
      words.set(snapshot[i]!);
    });
    this.firstStage.forgetPlaces();
    this.secondStage.forgetPlaces();
  }

  private all(): Table[] {
    return [this.context, this.pasid, this.iotlb, this.firstStage, this.secondStage];
  }
}
