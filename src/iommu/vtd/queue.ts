import { IECTL, raiseEvent } from './events.ts';
import { FSTS, IQE, ITE, recordCompletionError, recordQueueError, recordTimeOut } from './faultlog.ts';
import * as formats from './formats-queue.ts';
import { reservedWords } from './masks.ts';
import { ITAG_COUNT, ITAG_COUNT_SHIFT, ITAG_SID, maskOf, type RegisterUnit, wordOf } from './register-state.ts';
import { GSTS_REG } from './registers-global.ts';
import { ICS_REG, IQA_REG, IQERCD_REG, IQH_REG, IQT_REG } from './registers-queue.ts';
import { ABORT, LEGACY, SCALABLE } from './state.ts';

// The invalidation queue. VT-d 5.10 §6.5.2, §11.4.9. Descriptors are executed one after another, each completely, so
// every ordering rule of §6.5.2.12 holds; only device-TLB invalidations may be under way when the next one begins.

export const IQH = wordOf(IQH_REG);
export const IQT = wordOf(IQT_REG);
const IQA = wordOf(IQA_REG);
export const ICS = wordOf(ICS_REG);
const IWC = maskOf(ICS_REG, 'IWC');
const DW = maskOf(IQA_REG, 'DW');
const QS = maskOf(IQA_REG, 'QS');

const ERRORS = IQERCD_REG.values.IQEI;
const TYPE = formats.DESCRIPTOR_TYPES;
const GSTS = wordOf(GSTS_REG);
const QIES = maskOf(GSTS_REG, 'QIES');

/** Types up to the wait descriptor are known to every unit and in every mode. */
const LAST_LEGACY_TYPE = TYPE.wait;
const CONTEXT = formats.ContextCacheInvalidate.values.G;
const IOTLB = formats.IotlbInvalidate.values.G;
const PASID_CACHE = formats.PasidCacheInvalidate.values.G;
const PASID_IOTLB = formats.PasidIotlbInvalidate.values.G;
/** Reserved bits of the first 128 bits of each type; the second half is reserved in all of them. */
const RESERVED: readonly (Int32Array | undefined)[] = [
  undefined,
  reservedWords(formats.ContextCacheInvalidate),
  reservedWords(formats.IotlbInvalidate),
  reservedWords(formats.DeviceTlbInvalidate),
  reservedWords(formats.InterruptEntryCacheInvalidate),
  reservedWords(formats.InvalidationWait),
  reservedWords(formats.PasidIotlbInvalidate),
  reservedWords(formats.PasidCacheInvalidate),
  reservedWords(formats.PasidDeviceTlbInvalidate),
  reservedWords(formats.PageGroupResponse),
  reservedWords(formats.HptCacheInvalidate),
];
/** PFSID: bits 15:12 of word 0 and 31:20 of word 1, in both descriptors that have it. */
const PFSID_0 = maskOf(formats.DeviceTlbInvalidate, 'PFSID_0');
const PFSID_4 = maskOf(formats.DeviceTlbInvalidate, 'PFSID_4', 1);
const PD = maskOf(formats.InvalidationWait, 'PD');
const IF = maskOf(formats.InvalidationWait, 'IF');
const SW = maskOf(formats.InvalidationWait, 'SW');

/** Bytes of the queue. */
function queueBytes(iqa: number): number {
  return 4096 << (iqa & QS);
}

/**
 * Fetches and executes descriptors until the queue is empty, has an error, or has to wait for a device.
 * Each step moves the head towards the tail, so a write does no more work than the queue has entries.
 *
 * @param reported the error of the descriptor at the head was reported and cleared: if it is still there, that is left for the next
 *                 write of IQT_REG. Software that clears IQE without mending the descriptor finds IQE clear; the specification
 *                 does not say how soon hardware looks again
 */
export function runQueue(unit: RegisterUnit, reported = false): void {
  const { words } = unit.registers;
  let quiet = reported;
  while (words[GSTS]! & QIES && (words[FSTS]! & (IQE | ITE)) === 0) {
    const iqa = words[IQA]!;
    const width = iqa & DW ? 32 : 16;
    const head = words[IQH]! & -width;
    if (head === words[IQT]) return;
    const problem = queueProblem(unit, iqa) || step(unit, iqa, head, width);
    if (problem === WAIT) return;
    if (problem > 0) {
      if (!quiet) recordQueueError(unit, problem);
      return;
    }
    quiet = false;
  }
}

/** Not an error: the descriptor stays at the head until a device has answered. */
const WAIT = -1;

/** What is wrong with the registers of the queue: a value of IQEI, or 0. §11.4.9.9. */
function queueProblem({ map: { can }, registers, active: { TTM } }: RegisterUnit, iqa: number): number {
  const known = TTM === LEGACY || (TTM === SCALABLE && can.SMTS) || (TTM === ABORT && can.ADMS);
  if (!known) return ERRORS.mode;
  if (iqa & DW ? !can.SMTS && !can.ADMS : TTM !== LEGACY) return ERRORS.width;
  const tail = registers.words[IQT]!;
  if (iqa & DW && tail & 16) return ERRORS.alignment;
  return tail >= queueBytes(iqa) ? ERRORS.tail : 0;
}

/** One descriptor: fetched, checked, the head moved on, executed. */
function step(unit: RegisterUnit, iqa: number, head: number, width: number): number {
  const { registers, map, memory } = unit;
  // The base is a page and a queue has at most 128 of them: the low half may carry into the upper one.
  const low = ((iqa & ~0xfff) >>> 0) + head;
  const hi = (registers.words[IQA + 1]! + (low > 0xffffffff ? 1 : 0)) & ~map.can.beyondHaw;
  const at = memory.locate(low | 0, hi);
  if (at < 0) return ERRORS.fetch;
  const { words } = memory;
  const word0 = words[at]!;
  const word1 = words[at + 1]!;
  const word2 = words[at + 2]!;
  const word3 = words[at + 3]!;
  const type = (word0 & 0xf) | ((word0 >>> 5) & 0x70);
  if (!typeIsValid(unit, type)) return ERRORS.type;
  const rest = width === 32 ? words[at + 4]! | words[at + 5]! | words[at + 6]! | words[at + 7]! : 0;
  if (rest || !fieldsAreValid(unit, type, word0, word1, word2, word3)) return ERRORS.reserved;

  const devices = registers.itags;
  if (type === TYPE.wait && devices.some((one) => one !== 0)) return WAIT;
  const needsITag = type === TYPE.deviceTlb || type === TYPE.pasidDeviceTlb;
  if (needsITag && devices.every((one) => one !== 0)) return WAIT;
  // The head is moved first: whoever receives a message of this descriptor may write registers.
  registers.words[IQH] = head + width >= queueBytes(iqa) ? 0 : head + width;
  execute(unit, type, word0, word1, word2, word3);
  return 0;
}

/** §6.5.2.11, Table 26, and what each descriptor says of capabilities. */
function typeIsValid({ map: { can }, active }: RegisterUnit, type: number): boolean {
  if (RESERVED[type] === undefined) return false;
  if (type > LAST_LEGACY_TYPE && active.TTM === LEGACY) return false;
  if (type === TYPE.deviceTlb || type === TYPE.pasidDeviceTlb) return can.DT === 1;
  if (type === TYPE.pageGroupResponse) return can.PRS === 1;
  if (type === TYPE.hptCache) return can.HPTS === 1;
  return true;
}

/** Whether reserved bits are zero and the granularity is one that there is. */
function fieldsAreValid(
  { map: { can } }: RegisterUnit,
  type: number,
  word0: number,
  word1: number,
  word2: number,
  word3: number,
): boolean {
  const reserved = RESERVED[type]!;
  if ((word0 & reserved[0]!) | (word1 & reserved[1]!) | (word2 & reserved[2]!) | (word3 & reserved[3]!)) return false;
  const G = (word0 >>> 4) & 3;
  switch (type) {
    case TYPE.contextCache:
      return G === CONTEXT.global || G === CONTEXT.domain || G === CONTEXT.device;
    case TYPE.hptCache:
      return G !== 0;
    case TYPE.iotlb:
      return G === IOTLB.page ? can.PSI === 1 && (word2 & 0x3f) <= can.MAMV : G === IOTLB.global || G === IOTLB.domain;
    case TYPE.pasidIotlb:
      return G === PASID_IOTLB.pasid || G === PASID_IOTLB.page;
    case TYPE.pasidCache:
      return G === PASID_CACHE.domain || G === PASID_CACHE.pasid || G === PASID_CACHE.global;
    case TYPE.deviceTlb:
    case TYPE.pasidDeviceTlb:
      return can.DIT === 1 || ((word0 & PFSID_0) | (word1 & PFSID_4)) === 0;
    case TYPE.wait:
      return can.PDS === 1 || (word0 & PD) === 0;
    default:
      return true;
  }
}

function execute(unit: RegisterUnit, type: number, word0: number, word1: number, word2: number, word3: number): void {
  const { caches, interruptEntries, devices, map } = unit;
  const G = (word0 >>> 4) & 3;
  const high = word0 >>> 16;
  const DID = high & map.can.domainMask;
  const pasid = word1 & 0xfffff;
  const lo = word2 & ~0xfff;
  const AM = word2 & 0x3f;
  const IH = (word2 >>> 6) & 1;
  switch (type) {
    case TYPE.contextCache:
      return caches.invalidateContextCache(G, DID, word1 & 0xffff, (word1 >>> 16) & 3);
    case TYPE.iotlb:
      return caches.invalidateIotlb(G, DID, lo, word3 & ~map.can.beyondMgaw, AM, IH);
    case TYPE.pasidCache:
      return caches.invalidatePasidCache(G, DID, pasid);
    case TYPE.pasidIotlb:
      return caches.invalidatePasidIotlb(G, DID, pasid, lo, word3, AM, IH);
    case TYPE.interruptEntryCache:
      if (word0 & 16) interruptEntries.invalidate(word1 & 0xffff, word0 >>> 27);
      else interruptEntries.invalidateAll();
      return;
    case TYPE.deviceTlb:
      return invalidateDevice(unit, word1 & 0xffff, -1, false, lo, word3, word2 & 1);
    case TYPE.pasidDeviceTlb:
      return invalidateDevice(unit, high, pasid, (word2 & 1) === 1, lo, word3, (word2 >>> 11) & 1);
    case TYPE.pageGroupResponse:
      return devices.respond({
        sid: high,
        pasid: word0 & 16 ? pasid : -1,
        PRGI: (word2 >>> 3) & 0x1ff,
        RC: (word0 >>> 12) & 0xf,
      });
    case TYPE.hptCache:
      return caches.invalidateHostPermissions(G, DID, lo, word3 & ~map.can.beyondHaw, AM, (word2 >>> 6) & 3);
    case TYPE.wait:
      return completeWait(unit, word0, word1, word2 & ~3, word3);
  }
}

/** §6.5.2.9, §6.5.2.10. A status address without memory behind it is undefined; here nothing is written. */
function completeWait(unit: RegisterUnit, flags: number, data: number, lo: number, hi: number): void {
  const { memory, map, registers } = unit;
  if (flags & SW) {
    const at = memory.touch(lo, hi & ~map.can.beyondHaw);
    if (at >= 0) memory.words[at] = data;
  }
  if (flags & IF && (registers.words[ICS]! & IWC) === 0) {
    registers.words[ICS]! |= IWC;
    raiseEvent(unit, IECTL);
  }
}

/** Sends an Invalidate Request with a free ITag. §4.3. While translation is off its completion is refused (§4.2.1). */
function invalidateDevice(
  unit: RegisterUnit,
  sid: number,
  pasid: number,
  global: boolean,
  lo: number,
  hi: number,
  S: number,
): void {
  const { registers, devices, active } = unit;
  const { itags } = registers;
  const ITag = itags.indexOf(0);
  itags[ITag] = sid + 1;
  const answer = devices.invalidate({ sid, pasid, global, lo, hi, S, ITag });
  if (answer === 'pending') return;
  if (answer === 'completed' && active.TES) itags[ITag] = 0;
  else timeOutDeviceTlb(unit, ITag);
}

/**
 * An ATS Invalidate Completion arrived. §4.3. An ITag in it that nothing waits for is an Invalidation Completion Error, after
 * the valid ones are processed.
 *
 * @param vector the ITag Vector: one bit for each ITag
 * @param count  the Completion Count: how many completions there are for each of them; 0 is 8
 */
export function completeDeviceTlb(unit: RegisterUnit, sid: number, vector: number, count: number): void {
  const { itags } = unit.registers;
  if (!unit.map.can.DT || !unit.active.TES) return;
  let invalid = false;
  for (let ITag = 0; ITag < itags.length; ITag++) {
    if ((vector & (1 << ITag)) === 0) continue;
    const word = itags[ITag]!;
    if ((word & ITAG_SID) !== sid + 1) invalid = true;
    else itags[ITag] = (word >>> ITAG_COUNT_SHIFT) + 1 === (count || 8) ? 0 : word + ITAG_COUNT;
  }
  if (invalid) recordCompletionError(unit, sid);
  runQueue(unit);
}

/** A device did not answer in time: its ITag is free again, and the queue stands until software clears ITE. */
export function timeOutDeviceTlb(unit: RegisterUnit, ITag: number): void {
  const { itags } = unit.registers;
  const requester = itags[ITag]! & ITAG_SID;
  if (requester === 0) return;
  itags[ITag] = 0;
  recordTimeOut(unit, requester - 1);
}
