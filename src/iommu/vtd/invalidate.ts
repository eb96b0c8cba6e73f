import { maskOf, type RegisterUnit, wordOf } from './register-state.ts';
import { GSTS_REG } from './registers-global.ts';
import { CCMD_REG, IOTLB_REG } from './registers-queue.ts';
import { LEGACY } from './state.ts';

// Register-based invalidation. VT-d 5.10 §6.5.1, §11.4.6. Every request is complete when the write returns.

const GSTS = wordOf(GSTS_REG);
const QIES = maskOf(GSTS_REG, 'QIES');
export const CCMD = wordOf(CCMD_REG);
const ICC = maskOf(CCMD_REG, 'ICC', 1);
const CAIG_SHIFT = 27;
const CIRG_SHIFT = 29;
const CAIG = maskOf(CCMD_REG, 'CAIG', 1);

const IVT = maskOf(IOTLB_REG, 'IVT', 1);
const IAIG_SHIFT = 25;
const IIRG_SHIFT = 28;
const IAIG = maskOf(IOTLB_REG, 'IAIG', 1);

const { error: ERROR, domain: DOMAIN, page: PAGE } = IOTLB_REG.values.IAIG;

/** Registers invalidate in legacy mode, in old versions, while the queue is off. */
function allowed({ map, registers, active }: RegisterUnit): boolean {
  return map.can.registerInvalidation && active.TTM === LEGACY && (registers.words[GSTS]! & QIES) === 0;
}

/** The upper half of CCMD_REG was written. */
export function contextCommand(unit: RegisterUnit): void {
  const { words } = unit.registers;
  const high = words[CCMD + 1]!;
  if ((high & ICC) === 0) return;
  const done = allowed(unit) ? invalidateContext(unit, words[CCMD]!, high) : ERROR;
  words[CCMD + 1] = (high & ~(ICC | CAIG)) | (done << CAIG_SHIFT);
}

function invalidateContext(unit: RegisterUnit, low: number, high: number): number {
  const CIRG = (high >>> CIRG_SHIFT) & 3;
  const DID = low & unit.map.can.domainMask;
  if (CIRG !== ERROR) unit.caches.invalidateContextCache(CIRG, DID, low >>> 16, high & 3);
  return CIRG;
}

/** The upper half of IOTLB_REG was written. */
export function iotlbCommand(unit: RegisterUnit): void {
  const { words } = unit.registers;
  const at = unit.map.IVA + 3;
  const high = words[at]!;
  if ((high & IVT) === 0) return;
  const done = allowed(unit) ? invalidateIotlb(unit, high) : ERROR;
  words[at] = (high & ~(IVT | IAIG)) | (done << IAIG_SHIFT);
}

function invalidateIotlb(unit: RegisterUnit, command: number): number {
  const { can, IVA } = unit.map;
  const asked = (command >>> IIRG_SHIFT) & 3;
  const DID = command & can.domainMask;
  const low = unit.registers.words[IVA]!;
  const AM = low & 0x3f;
  if (asked === ERROR || (asked === PAGE && can.PSI && AM > can.MAMV)) return ERROR;
  const done = asked === PAGE && !can.PSI ? DOMAIN : asked;
  const high = unit.registers.words[IVA + 1]! & ~can.beyondMgaw;
  unit.caches.invalidateIotlb(done, DID, low & ~0xfff, high, AM, (low >>> 6) & 1);
  return done;
}
