import type { Memory } from '../../memory/memory.ts';
import type { Abilities } from './abilities.ts';
import type { AddressSpace } from './address-space.ts';
import { numberOf } from './faults.ts';
import { HptL4Entry } from './formats-permission.ts';
import type { HostPermissionCache } from './host-permission-cache.ts';
import { fieldWords } from './masks.ts';
import { ALL, READ, WRITE, ZERO_LENGTH } from './request.ts';
import type { Trail } from './walk.ts';

// Host permission tables: which physical addresses a translated request may go to. VT-d 5.10 §4.2.4.

const SPT_9 = numberOf('SPT.9');
const HPT_1 = numberOf('HPT.1');
const HPT_2 = numberOf('HPT.2');
const HPT_3 = numberOf('HPT.3');
const HPT_4 = numberOf('HPT.4');
const HPT_5 = numberOf('HPT.5');
const HPT_6 = numberOf('HPT.6');

const KIND = ['hpt1', 'hpt1', 'hpt2', 'hpt3', 'hpt4'] as const;
const AV = fieldWords(HptL4Entry, 'AV')[2]!;

/** Decides whether translated requests may go where they want to. */
export class HostPermissions {
  /** When set, takes every entry that is read. */
  trail: Trail | undefined;
  private readonly memory: Memory;
  private readonly can: Abilities;
  private readonly cache: HostPermissionCache;
  /** What the last walk found: READ and WRITE. */
  private rights = 0;

  constructor(memory: Memory, can: Abilities, cache: HostPermissionCache) {
    this.memory = memory;
    this.can = can;
    this.cache = cache;
  }

  /**
   * @param space  whose PASID-table entry tells of the table
   * @param lo     a host physical address, within the host address width
   * @param access READ, WRITE, and ZERO_LENGTH with READ
   * @param pasid  of the request, -1 for none
   * @returns 0, or the number of the condition
   */
  check(space: AddressSpace, sid: number, lo: number, hi: number, access: number, pasid: number): number {
    if (hi >>> (17 + space.HPTSZ)) return SPT_9;
    const held = this.cache.find(sid, lo, hi, pasid);
    if (held >= 0) this.rights = held;
    else {
      const fault = this.walk(space, sid, lo, hi, pasid);
      if (fault !== 0) return fault;
    }
    // Table 48: any permission will do.
    if (access & ZERO_LENGTH && this.can.ZLR) return this.rights === 0 ? HPT_4 : 0;
    const lacks = access & ALL & ~this.rights;
    if (lacks & WRITE) return HPT_5;
    return lacks & READ ? HPT_6 : 0;
  }

  private walk(space: AddressSpace, sid: number, lo: number, hi: number, pasid: number): number {
    const { memory, can, trail } = this;
    // Bits 51:41 of the address select the first entry, in a table of up to eight pages.
    const first = (space.hptLo >>> 0) + ((hi >>> 9) << 4);
    let entryLo = first | 0;
    let entryHi = space.hptHi + (first > 0xffffffff ? 1 : 0);
    for (let level = 4; ; level--) {
      if (trail !== undefined) trail.push([KIND[level]!, entryLo, entryHi]);
      const at = memory.locate(entryLo, entryHi);
      if (at < 0) return level === 4 ? HPT_3 : HPT_1;
      const { words } = memory;
      const reserved = can.hptReserved[level]!;
      let set = 0;
      let any = 0;
      for (let word = 0; word < 4; word++) {
        set |= words[at + word]! & reserved[word]!;
        if (level === 1 || word < 2) any |= words[at + word]!;
      }
      if (set !== 0) return HPT_2;
      const page = pageOf(level, lo, hi);
      const rights = level === 4 ? 0 : (words[at + (page >>> 3)]! >>> ((page & 7) * 4)) & ALL;
      const next = level > 1 ? words[at + 2]! & AV : 0;
      if (rights !== 0 || !next) {
        this.rights = rights;
        // An entry that permits nothing at all and leads nowhere is not held.
        if (any | next) this.cache.put(sid, lo, hi, pasid, rights, level, space.HPTDID);
        return 0;
      }
      entryLo = (words[at + 2]! & ~0xfff) | (indexOf(level - 1, lo, hi) << 4);
      entryHi = words[at + 3]! & 0xfffff;
    }
  }
}

/** The address bits that select an entry, of levels 3 to 1: 40:33, 32:25, 24:17. Table 11. */
function indexOf(level: number, lo: number, hi: number): number {
  if (level === 1) return (lo >>> 17) & 0xff;
  return level === 2 ? ((hi & 1) << 7) | (lo >>> 25) : (hi >>> 1) & 0xff;
}

/** The address bits that select PPi, of levels 3 to 1: 32:30, 24:21, 16:12. */
function pageOf(level: number, lo: number, hi: number): number {
  if (level === 1) return (lo >>> 12) & 0x1f;
  return level === 2 ? (lo >>> 21) & 0xf : ((hi & 1) << 2) | (lo >>> 30);
}
