import type { Memory } from '../../memory/memory.ts';
import * as layout from './kernel/layout.ts';

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

  /**
   * @param memory of the unit that translates them: in a linear one they take room, where a kernel reads them
   * @throws RangeError when the capacity is no length of an array
   */
  constructor(capacity: number, memory?: Memory) {
    this.capacity = capacity;
    const words = layout.BATCH_COLUMNS * capacity;
    this.words = memory?.room(words) ?? new Int32Array(words);
    const column = (number: number): Int32Array => this.words.subarray(number * capacity, (number + 1) * capacity);
    this.sid = column(layout.BATCH_SID);
    this.lo = column(layout.BATCH_LO);
    this.hi = column(layout.BATCH_HI);
    this.access = column(layout.BATCH_ACCESS);
    this.pasid = column(layout.BATCH_PASID).fill(-1);
    this.condition = column(layout.BATCH_CONDITION);
    this.outLo = column(layout.BATCH_OUT_LO);
    this.outHi = column(layout.BATCH_OUT_HI);
    this.info = column(layout.BATCH_INFO);
  }
}
