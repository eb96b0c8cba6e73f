import { maskOf, type RegisterUnit, wordOf } from './register-state.ts';
import { FECTL_REG, IECTL_REG, PECTL_REG } from './registers-fault.ts';

// Interrupts of the unit itself: faults, completed invalidations, page requests. VT-d 5.10 §6.5.2.10, §7.3, §7.5.
// Data, address and upper address follow each control register. None of these messages is remapped.

export const FECTL = wordOf(FECTL_REG);
export const IECTL = wordOf(IECTL_REG);
export const PECTL = wordOf(PECTL_REG);

const IM = maskOf(FECTL_REG, 'IM');
const IP = maskOf(FECTL_REG, 'IP');
const DATA = 1;
const ADDRESS = 2;
const UPPER_ADDRESS = 3;

/** A condition came up while none was left to be serviced. */
export function raiseEvent(unit: RegisterUnit, control: number): void {
  unit.registers.words[control]! |= IP;
  sendPending(unit, control);
}

/** Sends what is pending, unless it is masked: when the condition comes up and when software clears IM. */
export function sendPending(unit: RegisterUnit, control: number): void {
  const { words } = unit.registers;
  if ((words[control]! & (IP | IM)) !== IP) return;
  words[control]! &= ~IP;
  unit.send(words[control + ADDRESS]!, words[control + UPPER_ADDRESS]!, words[control + DATA]!);
}

/** Software serviced every condition: what was held back is not sent any more. */
export function dropPending(unit: RegisterUnit, control: number): void {
  unit.registers.words[control]! &= ~IP;
}
