import type { Memory } from '../../memory/memory.ts';
import type { Abilities } from './abilities.ts';
import { type AddressSpace, PASS_THROUGH, SECOND_STAGE } from './address-space.ts';
import type { Caches } from './caches.ts';
import { numberOf } from './faults.ts';
import { ContextEntry, RootEntry } from './formats.ts';
import { fieldWords } from './masks.ts';
import { type Active, LEGACY } from './state.ts';
import type { Trail } from './walk.ts';

// Legacy mode: from a requester to its second stage. VT-d 5.10 §3.4.2, §9.1, §9.3; Table 30, LRT and LCT.

const LRT_1 = numberOf('LRT.1');
const LRT_2 = numberOf('LRT.2');
const LRT_3 = numberOf('LRT.3');
const LCT_1 = numberOf('LCT.1');
const LCT_2 = numberOf('LCT.2');
const LCT_3 = numberOf('LCT.3');
const LCT_4_1 = numberOf('LCT.4.1');
const LCT_4_2 = numberOf('LCT.4.2');

const P = fieldWords(RootEntry, 'P')[0]!;
const FPD = fieldWords(ContextEntry, 'FPD')[0]!;
const { passThrough, deviceTlb } = ContextEntry.values.TT;

/** Finds context entries of legacy mode, held or in memory. */
export class LegacyTables {
  /** Whether FPD was met in the last search: 0, or not. */
  FPD = 0;
  /** When set, takes every entry that is read. */
  trail: Trail | undefined;
  private readonly memory: Memory;
  private readonly can: Abilities;
  private readonly active: Active;
  private readonly caches: Caches;

  constructor(memory: Memory, can: Abilities, active: Active, caches: Caches) {
    this.memory = memory;
    this.can = can;
    this.active = active;
    this.caches = caches;
  }

  /**
   * Decodes what a requester's requests walk.
   *
   * @param space is written, and held if the context entry is
   * @returns 0 or the number of a condition
   */
  resolve(space: AddressSpace, sid: number): number {
    const { context, spaces } = this.caches;
    this.FPD = 0;
    let { words } = context;
    let at = context.find(sid, LEGACY);
    if (at < 0) {
      const fault = this.can.CM ? this.readOrHeld(sid) : this.read(sid);
      if (fault !== 0) return fault;
      words = this.memory.words;
      at = this.found;
    }
    spaces.release(space);
    this.decode(space, words, at);
    if (context.find(sid, LEGACY) >= 0) spaces.hold(space, sid, -1);
    return 0;
  }

  private decode(space: AddressSpace, words: Int32Array, at: number): void {
    const { can } = this;
    const word0 = words[at]!;
    const word2 = words[at + 2]!;
    const TT = (word0 >>> 2) & 3;
    const AW = word2 & 7;
    this.FPD = word0 & FPD;
    space.FPD = this.FPD;
    space.type = TT === passThrough ? PASS_THROUGH : SECOND_STAGE;
    space.deviceTlb = TT === deviceTlb ? 1 : 0;
    space.did = (word2 >>> 8) & 0xffff;
    space.pasid = 0;
    space.PGSNP = 0;
    space.ssLo = word0 & ~0xfff;
    space.ssHi = words[at + 1]!;
    space.ssLevels = AW + 2;
    space.ssBeyond = can.beyondWidth[AW]!;
    space.SSIRWE = 0;
    space.ssReservedHi = can.ssReservedHi;
    space.SSADE = 0;
    space.fsLevels = 0;
    space.usual = space.type === SECOND_STAGE && !can.CM ? 1 : 0;
    this.caches.number(space);
  }

  /** Where the entry is in `memory.words` that was just read. */
  private found = -1;

  /** With CM = 1: §6.2.2. */
  private readOrHeld(sid: number): number {
    const { fault } = this.caches;
    const held = fault.context(sid, LEGACY);
    if (held !== 0) {
      this.FPD = fault.FPD;
      return held;
    }
    const number = this.read(sid);
    if (number !== 0) fault.holdContext(sid, LEGACY, number, this.FPD);
    return number;
  }

  private read(sid: number): number {
    const { memory, can, active, trail } = this;
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
    this.FPD = word0 & FPD;
    if ((word0 & P) === 0) return LCT_2;
    if (anyReserved(words, at, can.contextReserved, 0, 4)) return LCT_3;
    // §9.3: pass-through needs a width too.
    if ((can.widths & (1 << (words[at + 2]! & 7))) === 0) return LCT_4_1;
    const TT = (word0 >>> 2) & 3;
    if (TT === 3 || (TT === deviceTlb && !can.DT) || (TT === passThrough && !can.PT)) return LCT_4_2;
    this.found = at;
    // §6.2.2: an entry that leads to a fault is not held, and LCT.4.3 is one of the entry. It is met where the tables are walked.
    if (TT !== passThrough && memory.locate(word0 & ~0xfff, words[at + 1]!) < 0) return 0;
    this.caches.context.put(sid, LEGACY, word0, words[at + 1]!, words[at + 2]!, words[at + 3]!);
    this.caches.spaces.forget();
    return 0;
  }
}

/** Whether one of the words `from` up to `to` of an entry has a bit that is reserved. */
export function anyReserved(words: Int32Array, at: number, reserved: Int32Array, from: number, to: number): boolean {
  let set = 0;
  for (let word = from; word < to; word++) set |= words[at + word]! & reserved[word]!;
  return set !== 0;
}
