import type { Entry, Fields } from '../../bits/entry.ts';
import type { Memory } from '../../memory/memory.ts';
import type { InterruptEntryCache } from './interrupt-cache.ts';
import { fieldWords } from './masks.ts';
import type { RegisterMap } from './register-map.ts';
import type { InterruptRules } from './remap.ts';
import type { Active } from './state.ts';

// The registers of a unit as data, and what acting on them needs of the unit around them.

/** Protected memory as PMEN_REG.EPM took it over: whether it is on, and the registers as they were when it was turned on. */
export interface ProtectedRegions {
  on: number;
  plmBase: number;
  plmLimit: number;
  phmBaseLo: number;
  phmBaseHi: number;
  phmLimitLo: number;
  phmLimitHi: number;
}

/** How many device-TLB invalidations may be under way: the ITags of ATS. */
export const ITAGS = 32;
/** Bits of an ITag's word: one more than the requester-id, and how many completions came for it (InvCmpCnt). */
export const ITAG_SID = 0x1ffff;
export const ITAG_COUNT_SHIFT = 17;
export const ITAG_COUNT = 1 << ITAG_COUNT_SHIFT;

/** All that the registers of a unit hold. Plain data: a structured clone of it is a snapshot. */
export interface RegisterState {
  /** What is behind each offset, 32 bits a word; fields that cannot be read hold what was written last. */
  readonly words: Int32Array;
  readonly regions: ProtectedRegions;
  /** The fault recording register that the next fault goes to. */
  nextFault: number;
  /** By ITag: the device-TLB invalidation that is under way, as `ITAG_SID` and `ITAG_COUNT` say; 0 for a free ITag. */
  readonly itags: Int32Array;
  /** One bit for each PASID that VCMD_REG allocated; empty without ECAP_REG.VCS. */
  readonly pasids: Int32Array;
}

/** The translation caches of a unit, as invalidations reach them. Granularities are those of the descriptors' G. */
export interface Invalidations {
  /** Forgets what was made of entries: how these are read has changed. */
  forgetSpaces(): void;
  /** `fm` is 0 to 3, as Table 21 has it. */
  invalidateContextCache(granularity: number, did: number, sid: number, fm: number): void;
  invalidatePasidCache(granularity: number, did: number, pasid: number): void;
  /** Bits of the address below `am + 12` do not count; with `ih` 1 second-stage paging-structure entries stay. */
  invalidateIotlb(granularity: number, did: number, lo: number, hi: number, am: number, ih: number): void;
  invalidatePasidIotlb(granularity: number, did: number, pasid: number, lo: number, hi: number, am: number, ih: number): void;
  /** `ih` is 0 to 3: entries of levels up to `ih + 1` are dropped. */
  invalidateHostPermissions(granularity: number, did: number, lo: number, hi: number, am: number, ih: number): void;
}

/** An ATS Invalidate Request. */
export interface DeviceTlbRequest {
  sid: number;
  /** -1 for a request without PASID. */
  pasid: number;
  /** The Global Invalidate bit: all PASIDs. */
  global: boolean;
  /** Address bits 63:12 as two halves; with `S` the lowest 0 bit from bit 12 on tells the size, as ATS has it. */
  lo: number;
  hi: number;
  S: number;
  ITag: number;
}

/** What a device answers to an Invalidate Request; `pending` if it will complete later (`completeDeviceTlb`). */
export type DeviceTlbAnswer = 'completed' | 'pending' | 'timed out';

/** A PRG Response. */
export interface PageGroupAnswer {
  sid: number;
  /** -1 for a response without PASID. */
  pasid: number;
  PRGI: number;
  /** Table 32: 0 success, 1 invalid request, 15 response failure. */
  RC: number;
}

/** The devices behind a unit, as it sends messages to them. */
export interface Devices {
  invalidate(request: DeviceTlbRequest): DeviceTlbAnswer;
  respond(answer: PageGroupAnswer): void;
}

/** What the registers act on. `VtdUnit` is one. */
export interface RegisterUnit {
  readonly map: RegisterMap;
  readonly registers: RegisterState;
  readonly memory: Memory;
  /** What DMA and interrupt requests are judged by: commands take registers over into these. */
  readonly active: Active;
  readonly interruptRules: InterruptRules;
  readonly caches: Invalidations;
  readonly interruptEntries: Pick<InterruptEntryCache, 'invalidate' | 'invalidateAll'>;
  readonly devices: Devices;
  /** Writes an interrupt message of the unit itself; such messages are not remapped. */
  send(lo: number, hi: number, data: number): void;
}

/** The state after reset. */
export function newRegisterState(map: RegisterMap): RegisterState {
  return {
    words: map.reset.slice(),
    regions: { on: 0, plmBase: 0, plmLimit: 0, phmBaseLo: 0, phmBaseHi: 0, phmLimitLo: 0, phmLimitHi: 0 },
    nextFault: 0,
    itags: new Int32Array(ITAGS),
    pasids: new Int32Array(map.can.VCS ? (1 << 20) / 32 : 0),
  };
}

/** The index of a register's first word. @throws Error for a register whose place depends on capabilities */
export function wordOf(layout: { readonly name: string; readonly offset: number | undefined }): number {
  if (layout.offset === undefined) throw new Error(`${layout.name} has no place of its own`);
  return layout.offset / 4;
}

/** The bits of a field in one 32-bit word of the entry, which is the first one unless told. */
export function maskOf<F extends Fields>(layout: Entry<F>, field: keyof F & string, word = 0): number {
  return fieldWords(layout, field)[word]!;
}
