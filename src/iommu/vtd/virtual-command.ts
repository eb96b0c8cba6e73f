import { type RegisterUnit, wordOf } from './register-state.ts';
import { VCMD_REG, VCRSP_REG } from './registers-global.ts';

// Virtual commands: how a guest gets PASIDs of whoever emulates its unit. VT-d 5.10 §11.4.16, Tables 54 and 55.

const VCMD = wordOf(VCMD_REG);
const VCRSP = wordOf(VCRSP_REG);
const COMMANDS = VCMD_REG.values.CMD;
const STATUS = VCRSP_REG.values.SC;

/** The low half of VCMD_REG was written. The response is there at once. */
export function virtualCommand(unit: RegisterUnit): void {
  const { words } = unit.registers;
  const command = words[VCMD]! & 0xff;
  // Operand A is bits 63:16; the PASID is bits 35:16.
  const pasid = (words[VCMD]! >>> 16) | ((words[VCMD + 1]! & 0xf) << 16);
  if (command === COMMANDS.null) return respond(words, STATUS.success, 0);
  if (!unit.map.can.PASID) return respond(words, STATUS.undefinedCommand, 0);
  if (command === COMMANDS.allocatePasid) {
    const free = allocate(unit);
    return free < 0 ? respond(words, STATUS.refused, 0) : respond(words, STATUS.success, free);
  }
  if (command === COMMANDS.freePasid) return respond(words, release(unit, pasid) ? STATUS.success : STATUS.refused, 0);
  return respond(words, STATUS.undefinedCommand, 0);
}

function respond(words: Int32Array, status: number, pasid: number): void {
  words[VCRSP] = (status << 1) | (pasid << 16);
  words[VCRSP + 1] = pasid >>> 16;
}

/** The lowest PASID that is free, from 1 on (0 is what requests without PASID may use), or -1. */
function allocate({ registers: { pasids }, map: { can } }: RegisterUnit): number {
  for (let word = 0; word < pasids.length; word++) {
    const free = ~pasids[word]! & (word === 0 ? ~1 : -1);
    if (free === 0) continue;
    const bit = 31 - Math.clz32(free & -free);
    const pasid = word * 32 + bit;
    if (pasid >= can.pasids) return -1;
    pasids[word]! |= 1 << bit;
    return pasid;
  }
  return -1;
}

function release({ registers: { pasids } }: RegisterUnit, pasid: number): boolean {
  const word = pasid >>> 5;
  const bit = 1 << (pasid & 31);
  if ((pasids[word]! & bit) === 0) return false;
  pasids[word]! &= ~bit;
  return true;
}
