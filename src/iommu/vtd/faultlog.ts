import { dropPending, FECTL, raiseEvent } from './events.ts';
import { maskOf, type RegisterUnit, wordOf } from './register-state.ts';
import { FRCD_REG, FSTS_REG } from './registers-fault.ts';
import { IQERCD_REG } from './registers-queue.ts';

// Fault recording and fault status. VT-d 5.10 §7.2, §7.3, §11.4.7. Whoever finds a fault looks at FPD; these record.

export const FSTS = wordOf(FSTS_REG);
const IQERCD = wordOf(IQERCD_REG);

const PFO = maskOf(FSTS_REG, 'PFO');
const PPF = maskOf(FSTS_REG, 'PPF');
export const IQE = maskOf(FSTS_REG, 'IQE');
const ICE = maskOf(FSTS_REG, 'ICE');
export const ITE = maskOf(FSTS_REG, 'ITE');
const FRI = maskOf(FSTS_REG, 'FRI');
const FRI_SHIFT = 8;
const CONDITIONS = PFO | PPF | IQE | ICE | ITE;

const F = maskOf(FRCD_REG, 'F', 3);
/** Fields of the words 2 and 3 of a record, by the bit they begin at. */
const T2_SHIFT = 28;
const PRIV_SHIFT = 29;
const PP = maskOf(FRCD_REG, 'PP', 2);
const PV_SHIFT = 8;
const AT_SHIFT = 28;
const T1_SHIFT = 30;

/**
 * Records an address translation fault.
 *
 * @param lo    the address of the request; bits 11:0 are dropped, and those from the largest AGAW on (§11.4.7.6)
 * @param type  one of `FAULT_TYPES`
 * @param AT    the address type of the request: 0 untranslated, 1 translation, 2 translated
 * @param PASID -1 for a request without one
 * @param flags bit 0: supervisor privilege was requested; bit 1: execute permission was. They count with a PASID
 */
export function recordFault(
  unit: RegisterUnit,
  reason: number,
  sid: number,
  lo: number,
  hi: number,
  type: number,
  AT: number,
  PASID: number,
  flags: number,
): void {
  const { can } = unit.map;
  let word2 = sid | ((type & 1) << T2_SHIFT);
  let word3 = reason | ((type >>> 1) << T1_SHIFT);
  if (can.DT) word3 |= AT << AT_SHIFT;
  if (can.PASID && PASID >= 0) {
    word2 |= PP | (flags << PRIV_SHIFT);
    word3 |= PASID << PV_SHIFT;
  }
  record(unit, lo & ~0xfff, hi & can.faultInfoHi, word2, word3);
}

/**
 * Records an interrupt fault.
 *
 * @param index the interrupt_index; -1 when the reason defines no fault information
 */
export function recordInterruptFault(unit: RegisterUnit, reason: number, sid: number, index: number): void {
  record(unit, 0, index < 0 ? 0 : index << 16, sid, reason);
}

/** §7.2.1. A requester that has a record pending gets no other one. */
function record(unit: RegisterUnit, word0: number, word1: number, word2: number, word3: number): void {
  const { registers, map } = unit;
  const { words } = registers;
  if (words[FSTS]! & PFO || hasRecord(unit, word2 & 0xffff)) return;
  const index = registers.nextFault;
  const at = map.FRCD + index * 4;
  if (words[at + 3]! & F) {
    words[FSTS]! |= PFO;
    return;
  }
  words[at] = word0;
  words[at + 1] = word1;
  words[at + 2] = word2;
  words[at + 3] = word3 | F;
  registers.nextFault = index + 1 === map.records ? 0 : index + 1;
  if (words[FSTS]! & PPF) return;
  words[FSTS] = (words[FSTS]! & ~FRI) | (index << FRI_SHIFT);
  setStatus(unit, PPF);
}

function hasRecord({ registers: { words }, map: { FRCD, records } }: RegisterUnit, sid: number): boolean {
  for (let index = 0; index < records; index++) {
    const at = FRCD + index * 4;
    if (words[at + 3]! & F && (words[at + 2]! & 0xffff) === sid) return true;
  }
  return false;
}

/** Sets a status, and raises the fault event when none was set. */
function setStatus(unit: RegisterUnit, status: number): void {
  const { words } = unit.registers;
  const before = words[FSTS]! & CONDITIONS;
  words[FSTS]! |= status;
  if (before === 0) raiseEvent(unit, FECTL);
}

/** The invalidation queue has an error; `IQEI` tells which. §6.5.2.11. */
export function recordQueueError(unit: RegisterUnit, IQEI: number): void {
  unit.registers.words[IQERCD] = IQEI;
  setStatus(unit, IQE);
}

/** A device did not complete a device-TLB invalidation in time. */
export function recordTimeOut(unit: RegisterUnit, sid: number): void {
  const { words } = unit.registers;
  if ((words[FSTS]! & ITE) === 0) words[IQERCD + 1] = (words[IQERCD + 1]! & ~0xffff) | sid;
  setStatus(unit, ITE);
}

/** A completion of a device-TLB invalidation came that nothing waits for. */
export function recordCompletionError(unit: RegisterUnit, sid: number): void {
  const { words } = unit.registers;
  if ((words[FSTS]! & ICE) === 0) words[IQERCD + 1] = (words[IQERCD + 1]! & 0xffff) | (sid << 16);
  setStatus(unit, ICE);
}

/** Software cleared bits of FSTS_REG, or F of a record: PPF is the OR of all F. FRI is undefined without PPF, and reads 0. */
export function faultStatusCleared(unit: RegisterUnit): void {
  const { words } = unit.registers;
  const { FRCD, records } = unit.map;
  let pending = 0;
  for (let index = 0; index < records; index++) pending |= words[FRCD + index * 4 + 3]! & F;
  if (pending === 0) words[FSTS]! &= ~(PPF | FRI);
  if ((words[FSTS]! & CONDITIONS) === 0) dropPending(unit, FECTL);
}
