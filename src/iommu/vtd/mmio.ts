import { dropPending, FECTL, IECTL, PECTL, sendPending } from './events.ts';
import { FSTS, faultStatusCleared, IQE } from './faultlog.ts';
import { ContextCacheInvalidate, HptCacheInvalidate, IotlbInvalidate, PasidCacheInvalidate } from './formats-queue.ts';
import { CCMD, contextCommand, iotlbCommand } from './invalidate.ts';
import { PRS } from './pages.ts';
import { ICS, IQH, IQT, runQueue } from './queue.ts';
import { maskOf, type RegisterUnit, wordOf } from './register-state.ts';
import * as registers from './registers-global.ts';
import { latchInterruptTable } from './remap.ts';
import { latchRootTable } from './state.ts';
import { virtualCommand } from './virtual-command.ts';

// Reads and writes of registers, and what a write sets off. VT-d 5.10 §11.2, §11.4.4, §11.4.8.1.

const GCMD = wordOf(registers.GCMD_REG);
const GSTS = wordOf(registers.GSTS_REG);
const RTADDR = wordOf(registers.RTADDR_REG);
const IRTA = wordOf(registers.IRTA_REG);
const PMEN = wordOf(registers.PMEN_REG);
const PLMBASE = wordOf(registers.PLMBASE_REG);
const PLMLIMIT = wordOf(registers.PLMLIMIT_REG);
const PHMBASE = wordOf(registers.PHMBASE_REG);
const PHMLIMIT = wordOf(registers.PHMLIMIT_REG);
const ECMD = wordOf(registers.ECMD_REG);
const ECRSP = wordOf(registers.ECRSP_REG);
const VCMD = wordOf(registers.VCMD_REG);

const { GCMD_REG, GSTS_REG } = registers;
const [TE, QIE, IRE, CFI] = (['TE', 'QIE', 'IRE', 'CFI'] as const).map((name) => maskOf(GCMD_REG, name)) as [
  number,
  number,
  number,
  number,
];
const SRTP = maskOf(GCMD_REG, 'SRTP');
const SIRTP = maskOf(GCMD_REG, 'SIRTP');
const RTPS = maskOf(GSTS_REG, 'RTPS');
const IRTPS = maskOf(GSTS_REG, 'IRTPS');
const EPM = maskOf(registers.PMEN_REG, 'EPM');
const UNDEFINED_COMMAND = registers.ECRSP_REG.values.SC.undefinedCommand << 1;

/** Reads 32 bits. Offsets without a register, and those that are not a multiple of 4, read 0. */
export function readWord({ map, registers: { words } }: RegisterUnit, offset: number): number {
  const at = offset / 4;
  // An offset that is not a multiple of 4 finds no word.
  return (words[at] ?? 0) & (map.readable[at] ?? 0);
}

/** Writes 32 bits. Offsets without a register, and those that are not a multiple of 4, ignore it. */
export function writeWord(unit: RegisterUnit, offset: number, value: number): void {
  const at = offset / 4;
  const before = unit.registers.words[at]!;
  if (store(unit, at, value)) act(unit, at, before);
}

/** Writes 64 bits: both halves are there before either one acts, the low one first (§11.2). */
export function writePair(unit: RegisterUnit, offset: number, lo: number, hi: number): void {
  const at = offset / 4;
  const { words } = unit.registers;
  const before = words[at]!;
  const highBefore = words[at + 1]!;
  const low = store(unit, at, lo);
  const high = store(unit, at + 1, hi);
  if (low) act(unit, at, before);
  if (high) act(unit, at + 1, highBefore);
}

/** Changes what software may change, and tells whether there is anything at that place. */
function store({ map, registers: { words } }: RegisterUnit, at: number, value: number): boolean {
  const writable = map.writable[at];
  if (writable === undefined) return false;
  words[at] = ((words[at]! & ~writable) | (value & writable)) & ~(value & map.clearable[at]!);
  return (writable | map.clearable[at]!) !== 0;
}

/** What a write to a word sets off. @param before what the word was */
function act(unit: RegisterUnit, at: number, before: number): void {
  const { words } = unit.registers;
  const { IVA, FRCD, records } = unit.map;
  // These two may lie where a unit with more capabilities has other registers.
  if (at >= FRCD && at < FRCD + records * 4) return faultStatusCleared(unit);
  if (at >= IVA && at < IVA + 4) return at === IVA + 3 ? iotlbCommand(unit) : undefined;
  switch (at) {
    case GCMD:
      return globalCommand(unit);
    case CCMD + 1:
      return contextCommand(unit);
    case FSTS:
      faultStatusCleared(unit);
      return runQueue(unit, (before & IQE) !== 0);
    case FECTL:
    case IECTL:
    case PECTL:
      return sendPending(unit, at);
    case PMEN:
      return protectMemory(unit);
    case IQT:
      return runQueue(unit);
    case ICS:
      if (words[ICS] === 0) dropPending(unit, IECTL);
      return;
    case PRS:
      if (words[PRS] === 0) dropPending(unit, PECTL);
      return;
    case ECMD:
      // ECCAP_REG tells of no command.
      words[ECRSP] = UNDEFINED_COMMAND;
      return;
    case VCMD:
      return virtualCommand(unit);
  }
}

/**
 * GCMD_REG. One-shot commands act when their bit is written as 1; the others compare with GSTS_REG. Software changes one
 * thing at a time; when it does not, pointers are taken over first, then what is turned on or off from the highest bit on.
 */
function globalCommand(unit: RegisterUnit): void {
  const { active, interruptRules: rules } = unit;
  const { words } = unit.registers;
  const { can } = unit.map;
  const command = words[GCMD]!;
  words[GCMD] = 0;
  const changed = command ^ words[GSTS]!;
  if (command & SRTP) {
    latchRootTable(active, words[RTADDR]!, words[RTADDR + 1]! & ~can.beyondHaw, can.SSIRWS);
    unit.caches.forgetSpaces();
    words[GSTS]! |= RTPS;
    if (can.ESRTPS) dropDmaCaches(unit);
  }
  if (command & SIRTP) {
    latchInterruptTable(rules, words[IRTA]!, words[IRTA + 1]! & ~can.beyondHaw);
    words[GSTS]! |= IRTPS;
    if (can.ESIRTPS) unit.interruptEntries.invalidateAll();
  }
  // WBF is done as soon as it is asked for: memory has no write buffers here.
  words[GSTS]! ^= changed & (TE | QIE | IRE | CFI);
  active.TES = words[GSTS]! & TE ? 1 : 0;
  rules.IRES = words[GSTS]! & IRE ? 1 : 0;
  rules.CFIS = words[GSTS]! & CFI ? 1 : 0;
  if (changed & TE && !active.TES && can.SMTS) dropDmaCaches(unit);
  if (changed & IRE && !rules.IRES && can.ESIRTPS) unit.interruptEntries.invalidateAll();
  if (changed & (TE | IRE) && !active.TES && !rules.IRES) unit.registers.nextFault = 0;
  if ((words[GSTS]! & QIE) === 0) words[IQH] = 0;
  runQueue(unit, (changed & QIE) === 0);
}

/** Global invalidation of all DMA remapping caches, as SRTP and turning translation off do it. */
function dropDmaCaches({ caches }: RegisterUnit): void {
  caches.invalidateContextCache(ContextCacheInvalidate.values.G.global, 0, 0, 0);
  caches.invalidatePasidCache(PasidCacheInvalidate.values.G.global, 0, 0);
  caches.invalidateIotlb(IotlbInvalidate.values.G.global, 0, 0, 0, 0, 0);
  caches.invalidateHostPermissions(HptCacheInvalidate.values.G.global, 0, 0, 0, 0, 0);
}

/** PMEN_REG was written: the regions are taken over when protection is turned on. */
function protectMemory(unit: RegisterUnit): void {
  const { words, regions } = unit.registers;
  const on = words[PMEN]! & EPM ? 1 : 0;
  if (on && !regions.on) {
    regions.plmBase = words[PLMBASE]!;
    regions.plmLimit = words[PLMLIMIT]!;
    regions.phmBaseLo = words[PHMBASE]!;
    regions.phmBaseHi = words[PHMBASE + 1]!;
    regions.phmLimitLo = words[PHMLIMIT]!;
    regions.phmLimitHi = words[PHMLIMIT + 1]!;
  }
  regions.on = on;
  words[PMEN] = (words[PMEN]! & ~1) | on;
}
