import { PECTL, raiseEvent } from './events.ts';
import { PageRequest } from './formats-queue.ts';
import { maskOf, type RegisterUnit, wordOf } from './register-state.ts';
import { PQA_REG, PQH_REG, PQT_REG, PRS_REG } from './registers-queue.ts';

// Page requests of devices, and the queue in which software finds them. VT-d 5.10 §7.4, §7.5, §11.4.11.
// The responses are descriptors of the invalidation queue.

const PQH = wordOf(PQH_REG);
const PQT = wordOf(PQT_REG);
const PQA = wordOf(PQA_REG);
export const PRS = wordOf(PRS_REG);
const PPR = maskOf(PRS_REG, 'PPR');
const PRO = maskOf(PRS_REG, 'PRO');
const PQS = maskOf(PQA_REG, 'PQS');
const WIDTH = PageRequest.bytes;

const SUCCESS = 0;
const INVALID_REQUEST = 1;

/** A Page Request Message. */
export interface PageRequestMessage {
  sid: number;
  /** -1 for a request without PASID. */
  pasid: number;
  /** Bits 63:12 of the address, as two halves. */
  lo: number;
  hi: number;
  /** Each 0 or 1, as the descriptor has them. */
  RDR: number;
  WRR: number;
  EXR: number;
  PMR: number;
  LPIG: number;
  PRGI: number;
}

/** What becomes of a page request: it is in the queue, or why not. */
export type PageRequestOutcome = 'queued' | 'fault' | 'overflow' | 'full';

/**
 * Receives a page request. The last one of a group gets its response here when it does not reach the queue (Table 31).
 *
 * @param admit  finds the PASID-table entry of the request, and records the fault if there is one; it tells whether the
 *               request may be queued
 * @param forget drops what caches hold of the page, before software gets to see the request (§6.5.3.1)
 */
export function receivePageRequest(
  unit: RegisterUnit,
  request: PageRequestMessage,
  admit: () => boolean,
  forget: () => void,
): PageRequestOutcome {
  const { words } = unit.registers;
  if (!unit.map.can.PRS || !admit()) return refuse(unit, request, 'fault', INVALID_REQUEST);
  if (words[PRS]! & PRO) return refuse(unit, request, 'overflow', SUCCESS);
  const bytes = 4096 << (words[PQA]! & PQS);
  const tail = words[PQT]! & (bytes - 1);
  const next = (tail + WIDTH) & (bytes - 1);
  if (next === (words[PQH]! & (bytes - 1))) {
    if (!unit.map.can.SMS || !isStopMarker(request)) setStatus(unit, PRO);
    return refuse(unit, request, 'full', SUCCESS);
  }
  forget();
  write(unit, request, tail);
  words[PQT] = next;
  setStatus(unit, PPR);
  return 'queued';
}

/** A stop marker asks for nothing and has no response; what cannot be queued is dropped, silently with ECAP_REG.SMS. */
function isStopMarker({ RDR, WRR, LPIG }: PageRequestMessage): boolean {
  return LPIG === 1 && RDR === 0 && WRR === 0;
}

function refuse(unit: RegisterUnit, request: PageRequestMessage, outcome: PageRequestOutcome, RC: number): PageRequestOutcome {
  const { sid, pasid, PRGI, LPIG } = request;
  if (LPIG && !isStopMarker(request)) unit.devices.respond({ sid, pasid, PRGI, RC });
  return outcome;
}

/** Sets a status, and raises the page request event when none was set. */
function setStatus(unit: RegisterUnit, status: number): void {
  const { words } = unit.registers;
  const before = words[PRS]! & (PPR | PRO);
  words[PRS]! |= status;
  if (before === 0) raiseEvent(unit, PECTL);
}

/** A queue outside memory is an error of software; what is written to it is lost. */
function write(unit: RegisterUnit, request: PageRequestMessage, tail: number): void {
  const { memory, map, registers } = unit;
  const { pasid, lo, hi, PRGI, RDR, WRR, EXR, PMR, LPIG, sid } = request;
  const low = ((registers.words[PQA]! & ~0xfff) >>> 0) + tail;
  const high = (registers.words[PQA + 1]! + (low > 0xffffffff ? 1 : 0)) & ~map.can.beyondHaw;
  const at = memory.touch(low | 0, high);
  if (at < 0) return;
  const { words } = memory;
  words.fill(0, at, at + WIDTH / 4);
  words[at] = PageRequest.values.TYPE.pageRequest | (pasid >= 0 ? 1 << 8 : 0) | (sid << 16);
  words[at + 1] = (pasid >= 0 ? pasid : 0) | (EXR << 20) | (PMR << 21);
  words[at + 2] = RDR | (WRR << 1) | (LPIG << 2) | (PRGI << 3) | (lo & ~0xfff);
  words[at + 3] = hi;
}
