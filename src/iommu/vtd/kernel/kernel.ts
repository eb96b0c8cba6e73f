import type { Memory } from '../../../memory/memory.ts';
import { compile, webAssembly } from '../../../memory/web-assembly.ts';
import type { Abilities } from '../abilities.ts';
import type { Batch } from '../batch.ts';
import type { Caches } from '../caches.ts';
import { CODE } from './code.ts';
import * as layout from './layout.ts';

/** What assembly/index.ts exports. Places are in words of `Memory.words`. */
interface Exports {
  readonly translate: (unit: number, sid: number, lo: number, hi: number, ask: number) => number;
  readonly translateMany: (unit: number, batch: number, capacity: number, from: number, length: number) => number;
}

let compiled: object | undefined;
/** One for all units of a memory: calls of one function cost less than calls of several. */
const instances = new WeakMap<Memory, Exports>();

function instanceOf(memory: Memory): Exports {
  let exports = instances.get(memory);
  if (exports === undefined) {
    compiled ??= compile(CODE);
    exports = new webAssembly.Instance(compiled, { env: { memory: memory.linear! } }).exports as Exports;
    instances.set(memory, exports);
  }
  return exports;
}

/**
 * The usual way of requests in WebAssembly, for a unit whose memory is linear. It answers what it can and leaves the rest to the
 * model; what it changes is what the model would have changed, so nobody can tell who answered.
 */
export class Kernel {
  /** The words of a `Translation`: where the last request goes that it let through. */
  readonly answered: Int32Array;
  private readonly memory: Memory;
  private readonly caches: Caches;
  private readonly setup: Int32Array;
  private readonly unit: number;
  private readonly translate: Exports['translate'];
  private readonly translateMany: Exports['translateMany'];

  /** @returns undefined when memory and caches are not where WebAssembly can read them */
  static over(memory: Memory, can: Abilities, caches: Caches): Kernel | undefined {
    const { linear } = memory;
    if (linear === undefined) return undefined;
    const setup = memory.room(layout.SETUP_WORDS);
    const shared = [setup, caches.spaces.words, caches.iotlb.words, caches.firstStage.words, caches.secondStage.words];
    if (setup === undefined || shared.some((words) => words?.buffer !== linear.buffer)) return undefined;
    return new Kernel(memory, can, caches, setup);
  }

  private constructor(memory: Memory, can: Abilities, caches: Caches, setup: Int32Array) {
    this.memory = memory;
    this.caches = caches;
    this.setup = setup;
    this.unit = wordOf(setup);
    this.answered = setup.subarray(layout.SETUP_ANSWER, layout.SETUP_ANSWER + 3);
    const { iotlb, firstStage, secondStage, spaces } = caches;
    setup[layout.SETUP_MEMORY] = wordOf(memory.index!);
    setup[layout.SETUP_SPACES] = wordOf(spaces.words!);
    setup[layout.SETUP_IOTLB] = wordOf(iotlb.words);
    setup[layout.SETUP_IOTLB_MASK] = iotlb.mask;
    setup[layout.SETUP_HAS_IOTLB] = iotlb.size === 0 ? 0 : 1;
    setup[layout.SETUP_SS] = wordOf(secondStage.words);
    setup[layout.SETUP_SS_MASK] = secondStage.mask;
    setup[layout.SETUP_FS] = wordOf(firstStage.words);
    setup[layout.SETUP_FS_MASK] = firstStage.mask;
    setup.set(can.ssPageLo.subarray(0, 4), layout.SETUP_SS_PAGE);
    setup.set(can.ssTableLo.subarray(0, 4), layout.SETUP_SS_TABLE);
    setup.set(can.fsPageLo.subarray(0, 4), layout.SETUP_FS_PAGE);
    setup.set(can.fsTableLo.subarray(0, 4), layout.SETUP_FS_TABLE);
    setup[layout.SETUP_ADDRESS_RESERVED] = can.addressReserved;
    setup[layout.SETUP_GENERATION] = -1;
    const exports = instanceOf(memory);
    this.translate = exports.translate;
    this.translateMany = exports.translateMany;
  }

  /**
   * @param pasid -1 for none, otherwise of 20 bits
   * @returns whether a request goes to `answered`; otherwise it is to be looked at by the model
   */
  passes(sid: number, lo: number, hi: number, access: number, pasid: number): boolean {
    return this.translate(this.unit, sid, lo, hi, access | (pasid << 8)) !== 0;
  }

  /** Requests of a batch, from one on. @returns the first that is to be looked at by itself */
  answer({ words, capacity, length }: Batch, from: number): number {
    if (words.buffer !== this.setup.buffer) return from;
    return this.translateMany(this.unit, wordOf(words), capacity, from, length);
  }

  /** Finds the places of tables anew when the memory lives another life. To be called when a request was left to the model. */
  settle(): void {
    const { memory, setup } = this;
    if (setup[layout.SETUP_GENERATION] === memory.generation && this.caches.secondStage.generation === memory.generation) return;
    this.caches.secondStage.settle(memory);
    this.caches.firstStage.settle(memory);
    setup[layout.SETUP_GENERATION] = memory.generation;
  }
}

/** Where in `Memory.words` an array begins that is a part of it. */
function wordOf(words: Int32Array): number {
  return words.byteOffset >>> 2;
}
