/** Columns of `Batch.words`, each as long as the capacity. */
export const SID = 0;
export const PASID = 1;
export const LO = 2;
export const HI = 3;
export const ACCESS = 4;
export const CONDITION = 5;
export const OUT_LO = 6;
export const OUT_HI = 7;
export const INFO = 8;
const COLUMNS = 9;

/**
 * Memory requests that are translated together, and their answers: what a request and its answer have is in the same place of
 * each array. Traces of many requests go through a unit so, without an object for each.
 */
export class Batch {
  /** How many requests there are: at most the capacity. */
  length = 0;
  readonly capacity: number;
  /** All of them, one column after the other: a loop over one array knows where it is. */
  readonly words: Int32Array;
  /** The requests: requester-id, address, access as of `VtdUnit.translate`, PASID or -1. */
  readonly sid: Int32Array;
  readonly lo: Int32Array;
  readonly hi: Int32Array;
  readonly access: Int32Array;
  readonly pasid: Int32Array;
  /** What `VtdUnit.translate` returned. */
  readonly condition: Int32Array;
  /** Of requests with condition 0, the fields of `Translation`; others leave what was there. */
  readonly outLo: Int32Array;
  readonly outHi: Int32Array;
  readonly info: Int32Array;

  /** @throws RangeError when the capacity is no length of an array */
  constructor(capacity: number) {
    this.capacity = capacity;
    this.words = new Int32Array(COLUMNS * capacity);
    const column = (number: number): Int32Array => this.words.subarray(number * capacity, (number + 1) * capacity);
    this.sid = column(SID);
    this.lo = column(LO);
    this.hi = column(HI);
    this.access = column(ACCESS);
    this.pasid = column(PASID).fill(-1);
    this.condition = column(CONDITION);
    this.outLo = column(OUT_LO);
    this.outHi = column(OUT_HI);
    this.info = column(INFO);
  }
}
