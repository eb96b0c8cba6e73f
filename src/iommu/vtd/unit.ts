import type { Memory } from '../../memory/memory.ts';
import { type Abilities, abilitiesOf, type Deviations } from './abilities.ts';
import { Completion } from './ats.ts';
import type { Batch } from './batch.ts';
import { CACHE_SIZES, type CacheSizes, Caches } from './caches.ts';
import { recordFault, recordInterruptFault } from './faultlog.ts';
import { BLOCKED, CONDITIONS, isFault, PAGE_REQUEST, TRANSLATED, TRANSLATION, UNTRANSLATED } from './faults.ts';
import { interruptCondition } from './faults-interrupt.ts';
import { InterruptEntryCache } from './interrupt-cache.ts';
import { readWord, writePair, writeWord } from './mmio.ts';
import { type PageRequestMessage, type PageRequestOutcome, receivePageRequest } from './pages.ts';
import { isProtected } from './protected-memory.ts';
import { mapRegisters, type RegisterMap } from './register-map.ts';
import { type Devices, newRegisterState, type RegisterState, type RegisterUnit } from './register-state.ts';
import { FAULT_TYPES } from './registers-fault.ts';
import { InterruptRemapper, type InterruptResult, type InterruptRules, newInterruptRules } from './remap.ts';
import { ATOMIC, EXEC, NO_WRITE, PRIV, type Translation, WRITE } from './request.ts';
import { type Active, newActive } from './state.ts';
import { Translator } from './translate.ts';
import type { Trail } from './walk.ts';

/** How a unit is built and what it is connected to. */
export interface UnitConfig {
  /** CAP_REG and ECAP_REG: features that are off here behave as off. */
  readonly cap: bigint;
  readonly ecap: bigint;
  /** VER_REG; 0x10 when not given. */
  readonly ver?: number;
  /** Host address width, 32 to 52. */
  readonly haw: number;
  readonly memory: Memory;
  readonly caches?: Partial<CacheSizes>;
  readonly deviations?: Deviations;
  /** Takes the interrupt messages that the unit itself sends. */
  readonly send?: (lo: number, hi: number, data: number) => void;
  /** Takes ATS invalidations and page group responses; without, all are completed at once. */
  readonly devices?: Devices;
}

/** All that a unit holds besides memory. Plain data. */
export interface UnitSnapshot {
  readonly active: Active;
  readonly interruptRules: InterruptRules;
  readonly registers: RegisterState;
  readonly caches: readonly Int32Array[];
  readonly interruptEntries: Int32Array;
}

const NO_DEVICES: Devices = { invalidate: () => 'completed', respond: () => {} };

/** A remapping unit: software programs it through `read` and `write`, devices send requests through the other functions. */
export class VtdUnit implements RegisterUnit {
  readonly config: UnitConfig;
  readonly memory: Memory;
  readonly can: Abilities;
  readonly map: RegisterMap;
  readonly registers: RegisterState;
  /** What requests are judged by. */
  readonly active: Active;
  readonly interruptRules: InterruptRules;
  readonly caches: Caches;
  readonly interruptEntries: InterruptEntryCache;
  readonly devices: Devices;
  /** Where the last memory request went that was let through; not of a batch, which has its own answers and leaves this undefined. */
  readonly out: Translation;
  /** The answer to the last translation request. */
  readonly completion: Completion = new Completion();
  /** The answer to the last interrupt request: what became of it, and its message. */
  readonly interrupted: InterruptResult;
  /** Whether the last request that was refused was reported as a fault. */
  reported = false;
  private readonly translator: Translator;
  private readonly regions: RegisterState['regions'];
  private readonly remapper: InterruptRemapper;

  /** @throws RangeError when CAP, ECAP and the address width make no unit */
  constructor(config: UnitConfig) {
    const { cap, ecap, ver = 0x10, haw, memory, deviations, devices = NO_DEVICES } = config;
    this.config = config;
    this.memory = memory;
    this.can = abilitiesOf({ cap, ecap, ver, haw, deviations });
    this.map = mapRegisters(cap, ecap, ver, haw);
    this.registers = newRegisterState(this.map);
    this.regions = this.registers.regions;
    this.active = newActive();
    this.interruptRules = newInterruptRules(cap, ecap, haw);
    const sizes = { ...CACHE_SIZES, ...config.caches };
    const { CM, HPTS } = this.can;
    const own = { ...sizes, fault: CM ? sizes.fault : 0, hostPermission: HPTS ? sizes.hostPermission : 0 };
    this.caches = new Caches(own, memory);
    this.interruptEntries = new InterruptEntryCache(sizes.interrupt);
    this.devices = devices;
    this.translator = new Translator(memory, this.can, this.active, this.caches);
    this.remapper = new InterruptRemapper(memory, this.interruptRules, this.interruptEntries);
    this.out = this.translator.out;
    this.interrupted = this.remapper.out;
  }

  /** Takes every table entry that is read from now on, in order; undefined to stop. */
  set trail(trail: Trail | undefined) {
    this.translator.trail = trail;
    this.remapper.trail = trail;
  }

  get trail(): Trail | undefined {
    return this.translator.trail;
  }

  /**
   * A memory request with an untranslated address.
   *
   * @param sid    requester-id
   * @param access READ, WRITE, and what else holds of it
   * @param pasid  -1 for none, otherwise of 20 bits
   * @returns 0 when it goes to `out`; BLOCKED; or the number of the condition that refused it, which is reported unless an
   *   FPD silences it
   */
  translate(sid: number, lo: number, hi: number, access: number, pasid: number): number {
    const { translator, out } = this;
    const number = translator.untranslated(sid, lo, hi, access, pasid);
    // §3.1: without remapping the PASID is ignored.
    if (number !== 0) return this.refused(number, UNTRANSLATED, sid, lo, hi, access, this.active.TES === 0 ? -1 : pasid);
    return this.regions.on === 0 ? 0 : this.kept(out.lo, out.hi);
  }

  /**
   * Memory requests with untranslated addresses, one after the other: each as by `translate`, with its answer in the batch.
   */
  translateMany(batch: Batch): void {
    const { out, active, registers, translator } = this;
    const { length, sid, lo, hi, access, pasid, condition, outLo, outHi, info } = batch;
    condition.fill(0, 0, length);
    for (let i = 0; ; i++) {
      // Whoever gets the interrupt of a fault may write registers.
      for (let next = i; active.TES === 1 && registers.regions.on === 0 && i < length; next = i) {
        i = translator.answer(batch, next);
        if (i === next) break;
      }
      if (i >= length) return;
      const number = this.translate(sid[i]!, lo[i]!, hi[i]!, access[i]!, pasid[i]!);
      condition[i] = number;
      if (number !== 0) continue;
      outLo[i] = out.lo;
      outHi[i] = out.hi;
      info[i] = out.info;
    }
  }

  /**
   * A translation request. The answer is in `completion`.
   *
   * @param access PRIV, EXEC and NO_WRITE
   * @returns 0 when something is granted; BLOCKED; or the number of the condition that decided the answer
   */
  translateAts(sid: number, lo: number, hi: number, access: number, pasid: number): number {
    if (!this.active.TES) {
      // §4.2.1
      this.reported = false;
      this.completion.refuse();
      return BLOCKED;
    }
    const number = this.translator.translation(sid, lo, hi, access, pasid);
    this.completion.answer(number, this.out, this.can.NWFS ? access : access & ~NO_WRITE, pasid);
    return number === 0 ? 0 : this.refused(number, TRANSLATION, sid, lo, hi, access, pasid);
  }

  /** A memory request with a translated address; otherwise as `translate`. */
  translated(sid: number, lo: number, hi: number, access: number, pasid: number): number {
    this.reported = false;
    if (!this.active.TES) return BLOCKED;
    const number = this.translator.translated(sid, lo, hi, access, pasid);
    return number === 0 ? this.kept(lo, hi) : this.refused(number, TRANSLATED, sid, lo, hi, access, pasid);
  }

  /** A page request message of a device. What the unit answers goes to `devices`. VT-d 5.10 §7.4. */
  requestPage(request: PageRequestMessage): PageRequestOutcome {
    const { sid, pasid, lo, hi, EXR, PMR } = request;
    const { translator } = this;
    const admit = () => {
      const number = this.active.TES ? translator.page(sid, pasid) : BLOCKED;
      const access = (EXR ? EXEC : 0) | (PMR ? PRIV : 0);
      if (number !== 0) this.refused(number, PAGE_REQUEST, sid, lo, hi, access, pasid);
      return number === 0;
    };
    return receivePageRequest(this, request, admit, () => translator.forgetPage(sid, pasid, lo, hi));
  }

  /**
   * An interrupt request: a write of 4 bytes without PASID to FEEx_xxxxh. The answer is in `interrupted`.
   *
   * @param lo the low half of the address; the upper is 0
   * @returns what becomes of it: `BLOCKED`, `PASSED`, `REMAPPED` or `POSTED` of remap.ts
   */
  interrupt(sid: number, lo: number, data: number): number {
    const { interrupted } = this;
    this.reported = false;
    const reason = this.remapper.request(sid, lo, data);
    if (reason === 0) return interrupted.kind;
    const condition = interruptCondition(reason);
    if (condition?.qualified && interrupted.FPD) return interrupted.kind;
    this.reported = true;
    recordInterruptFault(this, reason, sid, condition?.index ? interrupted.index : -1);
    return interrupted.kind;
  }

  /** Reads a register of 4 or 8 bytes. Where there is none it reads as 0. */
  read(offset: number, size: 4 | 8): bigint {
    const low = BigInt(readWord(this, offset) >>> 0);
    return size === 4 ? low : low | (BigInt(readWord(this, offset + 4) >>> 0) << 32n);
  }

  /** Writes a register, with all that it sets off. */
  write(offset: number, size: 4 | 8, value: bigint | number): void {
    const wide = BigInt(value);
    const lo = Number(BigInt.asIntN(32, wide));
    if (size === 4) writeWord(this, offset, lo);
    else writePair(this, offset, lo, Number(BigInt.asIntN(32, wide >> 32n)));
  }

  send(lo: number, hi: number, data: number): void {
    this.config.send?.(lo, hi, data);
  }

  /** Drops all caches. */
  flush(): void {
    this.caches.flush();
    this.interruptEntries.invalidateAll();
  }

  snapshot(): UnitSnapshot {
    return {
      active: { ...this.active },
      interruptRules: { ...this.interruptRules },
      registers: copyOf(this.registers),
      caches: this.caches.snapshot(),
      interruptEntries: this.interruptEntries.words.slice(),
    };
  }

  /**
   * A unit that is exactly as another was.
   * @throws RangeError when the configuration is of a unit with other registers or caches
   */
  static restore(config: UnitConfig, snapshot: UnitSnapshot): VtdUnit {
    const unit = new VtdUnit(config);
    const { words, regions, nextFault, itags, pasids } = snapshot.registers;
    if (
      unit.registers.words.length !== words.length ||
      unit.registers.pasids.length !== pasids.length ||
      unit.interruptEntries.words.length !== snapshot.interruptEntries.length
    )
      throw new RangeError('the snapshot is of a unit with other capabilities');
    unit.caches.restore(snapshot.caches);
    unit.interruptEntries.words.set(snapshot.interruptEntries);
    Object.assign(unit.active, snapshot.active);
    Object.assign(unit.interruptRules, snapshot.interruptRules);
    unit.registers.words.set(words);
    Object.assign(unit.registers.regions, regions);
    unit.registers.nextFault = nextFault;
    unit.registers.itags.set(itags);
    unit.registers.pasids.set(pasids);
    return unit;
  }

  /** BLOCKED when the address is in a protected memory region, else 0. §11.4.8.1. */
  private kept(lo: number, hi: number): number {
    this.reported = false;
    return isProtected(this.map, this.registers.regions, lo, hi) ? BLOCKED : 0;
  }

  private refused(number: number, kind: number, sid: number, lo: number, hi: number, access: number, pasid: number): number {
    this.reported = false;
    const condition = CONDITIONS[number - 1];
    if (condition === undefined || !isFault(condition, kind + (pasid < 0 ? 0 : 1))) return number;
    if (condition.qualified && this.translator.fpd !== 0) return number;
    this.reported = true;
    const flags = (access & PRIV ? 1 : 0) | (access & EXEC ? 2 : 0);
    recordFault(this, condition.reason, sid, lo, hi, typeOf(kind, access), (kind >>> 1) % 3, pasid, flags);
    return number;
  }
}

function typeOf(kind: number, access: number): number {
  if (kind === PAGE_REQUEST) return FAULT_TYPES.pageRequest;
  if (access & ATOMIC) return FAULT_TYPES.atomicOp;
  return access & WRITE ? FAULT_TYPES.write : FAULT_TYPES.read;
}

function copyOf({ words, regions, nextFault, itags, pasids }: RegisterState): RegisterState {
  return { words: words.slice(), regions: { ...regions }, nextFault, itags: itags.slice(), pasids: pasids.slice() };
}
