/**
 * Memory requests that are translated together, and their answers: what a request and its answer have is in the same place of
 * each array. Traces of many requests go through a unit so, without an object for each.
 */
export class Batch {
  /** How many requests there are: at most the capacity. */
  length = 0;
  readonly capacity: number;
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
    this.sid = new Int32Array(capacity);
    this.lo = new Int32Array(capacity);
    this.hi = new Int32Array(capacity);
    this.access = new Int32Array(capacity);
    this.pasid = new Int32Array(capacity).fill(-1);
    this.condition = new Int32Array(capacity);
    this.outLo = new Int32Array(capacity);
    this.outHi = new Int32Array(capacity);
    this.info = new Int32Array(capacity);
  }
}
