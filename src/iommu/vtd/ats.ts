import { type Condition, conditionOf, TRANSLATION } from './faults.ts';
import { NO_WRITE, PRIV, type Translation } from './translate.ts';

// Answers to translation requests of devices with a Device-TLB. VT-d 5.10 §4.1.2, §4.2.3.

export const SUCCESS = 0;
export const UNSUPPORTED_REQUEST = 1;
export const COMPLETER_ABORT = 2;

/** A translation completion. Flags are 0 or 1; all are 0 unless the status is SUCCESS. EXE and G are never set. */
export class Completion {
  status = UNSUPPORTED_REQUEST;
  R = 0;
  W = 0;
  /** The range may only be used untranslated. */
  U = 0;
  PRIV = 0;
  /** Translated requests must snoop. */
  N = 0;
  /** The range is larger than 4 KiB. */
  S = 0;
  /** When R or W and not U: the base of the range, and how large it is: 1 is 4 KiB, 2 is 2 MiB, 3 is 1 GiB. */
  lo = 0;
  hi = 0;
  level = 1;

  /** The request has nothing behind it: translation is off, or the type of address is blocked. */
  refuse(): void {
    this.clear(UNSUPPORTED_REQUEST);
  }

  /**
   * @param number what `Translator.translation` returned
   * @param where  its output when that was 0
   * @param access PRIV and NO_WRITE of the request; NO_WRITE only when the unit has NWFS
   */
  answer(number: number, where: Translation, access: number, pasid: number): void {
    const condition = conditionOf(number);
    if (condition !== undefined) return this.answerCondition(condition, access, pasid);
    this.clear(SUCCESS);
    this.PRIV = privilege(access, pasid);
    this.R = where.read;
    this.W = access & NO_WRITE ? 0 : where.write;
    this.N = where.snoop;
    this.level = where.level;
    this.S = this.level > 1 ? 1 : 0;
    const mask = this.level === 3 ? -1 << 30 : this.level === 2 ? -1 << 21 : -1 << 12;
    this.lo = where.lo & mask;
    this.hi = where.hi;
  }

  private answerCondition(condition: Condition, access: number, pasid: number): void {
    switch (condition.answers[TRANSLATION + (pasid < 0 ? 0 : 1)]) {
      case 'CA':
        return this.clear(COMPLETER_ABORT);
      case 'none':
      case 'none+report':
      case 'effective':
        this.clear(SUCCESS);
        this.PRIV = privilege(access, pasid);
        return;
      case 'untranslated':
        this.clear(SUCCESS);
        this.W = 1;
        this.U = 1;
        return;
      case 'UR':
      case 'NA':
      case 'IR':
      case 'drop':
      case undefined:
        return this.clear(UNSUPPORTED_REQUEST);
    }
  }

  private clear(status: number): void {
    this.status = status;
    this.R = 0;
    this.W = 0;
    this.U = 0;
    this.PRIV = 0;
    this.N = 0;
    this.S = 0;
    this.lo = 0;
    this.hi = 0;
    this.level = 1;
  }
}

function privilege(access: number, pasid: number): number {
  return pasid >= 0 && access & PRIV ? 1 : 0;
}
