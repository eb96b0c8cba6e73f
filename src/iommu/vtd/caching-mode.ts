import type { Memory } from '../../memory/memory.ts';
import type { Abilities } from './abilities.ts';
import type { AddressSpace } from './address-space.ts';
import type { Caches } from './caches.ts';
import { numberOf, UNTRANSLATED } from './faults.ts';
import { needs, WRITE } from './request.ts';
import type { PageWalk } from './walk.ts';

const SSS_2 = numberOf('SSS.2');
const SSS_3 = numberOf('SSS.3');

/**
 * Walks of the second stage alone. In a unit with CAP_REG.CM = 1 one that met a fault, or would meet an entry that was not
 * present, is not done again until that is invalidated. VT-d 5.10 §6.1, §6.2.4.1.
 */
export class SecondStage {
  private readonly walk: PageWalk;
  private readonly memory: Memory;
  private readonly can: Abilities;
  private readonly caches: Caches;

  constructor(walk: PageWalk, memory: Memory, can: Abilities, caches: Caches) {
    this.walk = walk;
    this.memory = memory;
    this.can = can;
    this.caches = caches;
  }

  /**
   * As `PageWalk.secondStage`; with CM = 1 the condition may be one of `denied`, too.
   *
   * @param kind    a column of Table 30
   * @param dirties whether a write may have to set the dirty flag of its page
   */
  translate(
    space: AddressSpace,
    kind: number,
    sid: number,
    lo: number,
    hi: number,
    access: number,
    pasid: number,
    dirties: boolean,
  ): number {
    const { walk, memory, can } = this;
    const { fault: faults, absent } = this.caches;
    const writes = dirties && (access & WRITE) !== 0;
    if (!can.CM) return walk.secondStage(space, lo, hi, writes, needs(kind, access));
    if (absent.has(space.ssLevels, sid, lo, hi, pasid)) return SSS_2;
    let number = faults.page(sid, lo, hi, pasid);
    if (number === 0 && kind === UNTRANSLATED) number = faults.denied(sid, lo, hi, access, pasid);
    if (number !== 0) return number;
    number = walk.secondStage(space, lo, hi, writes, needs(kind, access));
    absent.hold(memory, can, space, sid, lo, hi, pasid);
    // Whether reserved bits are met depends on what is asked for: the lack of a permission comes first.
    if (number === SSS_3) return kind === UNTRANSLATED ? this.denied(number, space, sid, lo, hi, access, pasid) : number;
    if (number !== 0 && number !== SSS_2) faults.holdPage(space, walk.faultLevel, sid, lo, hi, pasid, number);
    return number;
  }

  /** Holds a condition that an untranslated request met, and others for the page may not. @returns it */
  denied(number: number, space: AddressSpace, sid: number, lo: number, hi: number, access: number, pasid: number): number {
    if (this.can.CM) this.caches.fault.holdDenied(space, sid, lo, hi, access, pasid, number);
    return number;
  }
}
