import { COMPLETER_ABORT, UNSUPPORTED_REQUEST } from './ats.ts';
import { DeviceTlbEntries } from './device-tlb-entries.ts';
import { completeDeviceTlb } from './queue.ts';
import { type Devices, type DeviceTlbAnswer, type DeviceTlbRequest, ITAGS, type PageGroupAnswer } from './register-state.ts';
import { EXEC, NO_WRITE, PRIV, READ, WRITE } from './request.ts';
import type { VtdUnit } from './unit.ts';

// Devices with a Device-TLB, as a unit meets them: the address translation caches (ATC) of PCI Express ATS, and its page
// requests (PRI). VT-d 5.10 §4.1, §4.3, §6.3, §7.1.2, §7.7 to §7.9.

/** What a device is. */
export interface DeviceTlbConfig {
  /** Requester-id. */
  readonly sid: number;
  /** How many translations it holds; 64 when not given, 0 for a device that asks each time. */
  readonly size?: number;
  /** Whether it asks for read-only translations (NW) when it only reads. */
  readonly noWrite?: boolean;
  /** Whether its translated requests carry the PASID. */
  readonly pasidInTranslated?: boolean;
  /** How many page requests may wait for their response: 32 when not given, up to 512. */
  readonly groups?: number;
}

/** How a device answers invalidations: at once, when `completeInvalidations` is called, or never. */
export type Answering = 'at once' | 'later' | 'never';

/**
 * What became of an access. `fault` is a recoverable one: the translation has no permission for it, so nothing was sent, and
 * the device may ask for the page and try again. `aborted`: the translation request was completed with Completer Abort.
 * `refused`: a request was sent and the unit refused it, as `number` tells.
 */
export type DeviceAccess = 'translated' | 'untranslated' | 'fault' | 'aborted' | 'refused';

/** A page request group: not used yet, not answered yet, or what the response was. Table 32. */
export type PageGroup = 'unused' | 'pending' | 'success' | 'invalid request' | 'response failure';

/** All that a device holds. Plain data. */
export interface DeviceTlbSnapshot {
  readonly ats: boolean;
  readonly pri: boolean;
  readonly answering: Answering;
  readonly next: number;
  readonly nextGroup: number;
  readonly entries: Int32Array;
  readonly waiting: Int32Array;
  readonly groups: Int32Array;
}

const GROUP_STATES: readonly PageGroup[] = ['unused', 'pending', 'success', 'invalid request', 'response failure'];
const PENDING = 1;
/** Response codes of Table 32. What is reserved counts as a failure. */
const SUCCESS = 0;
const INVALID_REQUEST = 1;
/** Words of an invalidation that waits, by ITag: flags, PASID, address. */
const WAITING_STRIDE = 4;
const WAITS = 1;
const GLOBAL = 2;
const SIZE = 4;
/** Words of a page request group: its state, address and PASID. */
const GROUP_STRIDE = 4;

/**
 * A device with a Device-TLB behind a unit: it asks for translations, keeps them, and accesses memory with what they say.
 * Attach it to the `DeviceTlbs` of the unit, which bring it invalidations and page group responses.
 */
export class DeviceTlb {
  readonly unit: VtdUnit;
  readonly config: DeviceTlbConfig;
  /** ATS Control.E. Without it every access is untranslated. An Unsupported Request turns it off: §7.1.3, second note. */
  ats = true;
  /** PRI Control.E. A Response Failure turns it off: §7.1.3, third note. */
  pri = true;
  answering: Answering = 'at once';
  /** Where the last access went that was not refused. */
  lo = 0;
  hi = 0;
  /** Whether the last translated request had to clear its No Snoop attribute. */
  snooped = false;
  /** What the unit returned for the last request that was sent: 0 when it went through. */
  number = 0;
  private readonly entries: DeviceTlbEntries;
  private readonly waiting = new Int32Array(ITAGS * WAITING_STRIDE);
  private readonly groups: Int32Array;
  private nextGroup = 0;

  constructor(unit: VtdUnit, config: DeviceTlbConfig) {
    const { size = 64, groups = 32 } = config;
    this.unit = unit;
    this.config = config;
    this.entries = new DeviceTlbEntries(size);
    this.groups = new Int32Array(groups * GROUP_STRIDE);
  }

  /**
   * Accesses memory: with a translation that is held or asked for, or untranslated where it must be.
   *
   * @param access READ, WRITE, and what else holds of the request
   * @param pasid  -1 for none
   */
  access(lo: number, hi: number, access: number, pasid: number): DeviceAccess {
    const { entries } = this;
    if (!this.ats) return this.untranslated(lo, hi, access, pasid);
    let at = entries.find(lo, hi, access, pasid);
    if (at < 0) {
      const { completion } = this.unit;
      this.ask(lo, hi, access, pasid);
      if (completion.status === COMPLETER_ABORT) return 'aborted';
      if (completion.status === UNSUPPORTED_REQUEST) {
        this.disableAts();
        return this.untranslated(lo, hi, access, pasid);
      }
      // §7.1.2: what has no permission is asked for again, and so never used when the access is tried again.
      if (!(completion.R | completion.W | completion.U)) return 'fault';
      at = entries.put(lo, hi, access, pasid, completion);
      if (!entries.grants(at, access)) return 'fault';
    }
    if (entries.untranslatedOnly(at)) return this.untranslated(lo, hi, access, pasid);
    return this.translated(entries.outLo(at, lo), entries.outHi(at), entries.snooped(at), access, pasid);
  }

  /** Whether a translation is held that grants the access, so that no other has to be asked for. */
  holds(lo: number, hi: number, access: number, pasid: number): boolean {
    return this.entries.find(lo, hi, access, pasid) >= 0;
  }

  /** ATS Control.E is cleared, as by software: nothing that was held is used any more. */
  disableAts(): void {
    this.ats = false;
    this.entries.flush();
  }

  /**
   * Sends a page request, a group of its own.
   *
   * @param access READ, WRITE, PRIV and EXEC
   * @returns the Page Request Group Index, or -1 when page requests are off or all groups wait for a response
   */
  requestPage(lo: number, hi: number, access: number, pasid: number): number {
    const { groups } = this;
    const count = groups.length / GROUP_STRIDE;
    if (!this.pri) return -1;
    for (let tried = 0; tried < count; tried++) {
      const PRGI = this.nextGroup;
      this.nextGroup = (PRGI + 1) % count;
      const at = PRGI * GROUP_STRIDE;
      if (groups[at] === PENDING) continue;
      groups.set([PENDING, lo, hi, pasid], at);
      const EXR = pasid >= 0 && access & EXEC && access & READ ? 1 : 0;
      const PMR = pasid >= 0 && access & PRIV ? 1 : 0;
      const rights = { RDR: access & READ ? 1 : 0, WRR: access & WRITE ? 1 : 0, EXR, PMR };
      this.unit.requestPage({ sid: this.config.sid, pasid, lo: lo & ~0xfff, hi, ...rights, LPIG: 1, PRGI });
      return PRGI;
    }
    return -1;
  }

  /** Tells by a Stop Marker that all page requests of a PASID were sent. ECAP_REG.SMS. */
  markStop(pasid: number): void {
    const rights = { RDR: 0, WRR: 0, EXR: 0, PMR: 0 };
    this.unit.requestPage({ sid: this.config.sid, pasid, lo: 0, hi: 0, ...rights, LPIG: 1, PRGI: 0 });
  }

  /** What became of a page request group. Its index may be used again for another once it is answered. */
  group(PRGI: number): PageGroup {
    return GROUP_STATES[this.groups[PRGI * GROUP_STRIDE]!]!;
  }

  /** Takes an ATS Invalidate Request. It is answered whatever ATS Control.E says: §4.5.2. */
  invalidate({ pasid, global, lo, hi, S, ITag }: DeviceTlbRequest): DeviceTlbAnswer {
    if (this.answering === 'never') return 'timed out';
    if (this.answering === 'later') {
      this.waiting.set([WAITS | (global ? GLOBAL : 0) | (S ? SIZE : 0), pasid, lo, hi], ITag * WAITING_STRIDE);
      return 'pending';
    }
    this.entries.invalidate(pasid, global, lo, hi, S);
    return 'completed';
  }

  /** Carries out the invalidations that wait, and completes all of them in one message. */
  completeInvalidations(): void {
    const { waiting } = this;
    let vector = 0;
    for (let ITag = 0; ITag < ITAGS; ITag++) {
      const at = ITag * WAITING_STRIDE;
      const flags = waiting[at]!;
      if (flags === 0) continue;
      waiting[at] = 0;
      vector |= 1 << ITag;
      const S = flags & SIZE ? 1 : 0;
      this.entries.invalidate(waiting[at + 1]!, (flags & GLOBAL) !== 0, waiting[at + 2]!, waiting[at + 3]!, S);
    }
    if (vector !== 0) completeDeviceTlb(this.unit, this.config.sid, vector, 1);
  }

  /** Takes a PRG Response. One that no request waits for, with this PASID, is discarded: §7.9. */
  respond({ pasid, PRGI, RC }: PageGroupAnswer): void {
    const { groups } = this;
    const at = PRGI * GROUP_STRIDE;
    if (groups[at] !== PENDING || groups[at + 3] !== pasid) return;
    const state = RC === SUCCESS ? 'success' : RC === INVALID_REQUEST ? 'invalid request' : 'response failure';
    groups[at] = GROUP_STATES.indexOf(state);
    if (state === 'response failure') this.pri = false;
  }

  snapshot(): DeviceTlbSnapshot {
    const { ats, pri, answering, nextGroup, entries, waiting, groups } = this;
    const { words, next } = entries;
    return {
      ...{ ats, pri, answering, next, nextGroup },
      entries: words.slice(),
      waiting: waiting.slice(),
      groups: groups.slice(),
    };
  }

  /** @throws RangeError when the snapshot is of a device of another size */
  restore({ ats, pri, answering, next, nextGroup, entries, waiting, groups }: DeviceTlbSnapshot): void {
    if (entries.length !== this.entries.words.length || groups.length !== this.groups.length)
      throw new RangeError('the snapshot is of a device of another size');
    Object.assign(this, { ats, pri, answering, nextGroup });
    this.entries.next = next;
    this.entries.words.set(entries);
    this.waiting.set(waiting);
    this.groups.set(groups);
  }

  /** Sends a translation request; the answer is in `unit.completion`. */
  private ask(lo: number, hi: number, access: number, pasid: number): void {
    const { sid, noWrite } = this.config;
    const flags = (access & WRITE) === 0 && noWrite ? NO_WRITE : 0;
    this.unit.translateAts(sid, lo, hi, flags | (access & (PRIV | EXEC)), pasid);
  }

  private untranslated(lo: number, hi: number, access: number, pasid: number): DeviceAccess {
    this.number = this.unit.translate(this.config.sid, lo, hi, access, pasid);
    return this.arrived('untranslated');
  }

  private translated(lo: number, hi: number, snooped: boolean, access: number, pasid: number): DeviceAccess {
    const { sid, pasidInTranslated } = this.config;
    this.snooped = snooped;
    this.number = this.unit.translated(sid, lo, hi, access, pasidInTranslated ? pasid : -1);
    return this.arrived('translated');
  }

  private arrived(how: DeviceAccess): DeviceAccess {
    if (this.number !== 0) return 'refused';
    this.lo = this.unit.out.lo;
    this.hi = this.unit.out.hi;
    return how;
  }
}

/** The devices with a Device-TLB behind a unit, by requester-id. What is sent to any other is never answered. */
export class DeviceTlbs implements Devices {
  private readonly bySid = new Map<number, DeviceTlb>();

  /** @throws Error when there is a device with this requester-id */
  attach(device: DeviceTlb): DeviceTlb {
    const { sid } = device.config;
    if (this.bySid.has(sid)) throw new Error(`there is a device with requester-id ${sid}`);
    this.bySid.set(sid, device);
    return device;
  }

  invalidate(request: DeviceTlbRequest): DeviceTlbAnswer {
    return this.bySid.get(request.sid)?.invalidate(request) ?? 'timed out';
  }

  respond(answer: PageGroupAnswer): void {
    this.bySid.get(answer.sid)?.respond(answer);
  }
}
