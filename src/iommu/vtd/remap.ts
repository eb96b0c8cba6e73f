import type { Memory } from '../../memory/memory.ts';
import { INTERRUPT_CONDITIONS } from './faults-interrupt.ts';
import {
  CompatibilityData,
  PostedInterruptDescriptor,
  PostedIrte,
  RemappableAddress,
  RemappedIrte,
} from './formats-interrupt.ts';
import type { InterruptEntryCache } from './interrupt-cache.ts';
import { fieldWords, reservedWords } from './masks.ts';
import { CAP_REG, ECAP_REG, registerView } from './registers.ts';

// Interrupt requests: remapped, posted, let through or blocked. VT-d 5.10 chapter 5.

/** What becomes of a request. */
export const BLOCKED = 0;
export const PASSED = 1;
export const REMAPPED = 2;
export const POSTED = 3;

/** What the unit has latched and what it can do, as interrupt requests meet it. Plain numbers; flags are 0 or 1. */
export interface InterruptRules {
  /** GSTS_REG: interrupt remapping is on; compatibility format passes. */
  IRES: number;
  CFIS: number;
  /** IRTA_REG as latched by GCMD_REG.SIRTP: x2APIC mode, base of the table, how many entries it has. */
  EIME: number;
  tableLo: number;
  tableHi: number;
  entries: number;
  /** CAP_REG and ECAP_REG. */
  PI: number;
  CM: number;
  EIMER: number;
  IRREQ: number;
  /** Bits of the upper half of an address from the host address width on. */
  beyondHaw: number;
}

/**
 * The rules of a unit after reset.
 *
 * @param cap  CAP_REG
 * @param ecap ECAP_REG
 * @param haw  host address width, 32 to 63
 */
export function newInterruptRules(cap: bigint, ecap: bigint, haw: number): InterruptRules {
  const { PI, CM } = CAP_REG.decode(registerView(cap));
  const { EIMER, IRREQ } = ECAP_REG.decode(registerView(ecap));
  const beyondHaw = -1 << (haw - 32);
  return { IRES: 0, CFIS: 0, EIME: 0, tableLo: 0, tableHi: 0, entries: 2, PI, CM, EIMER, IRREQ, beyondHaw };
}

/** Takes over IRTA_REG, as GCMD_REG.SIRTP does. VT-d 5.10 §11.4.10. */
export function latchInterruptTable(rules: InterruptRules, irtaLo: number, irtaHi: number): void {
  rules.EIME = (irtaLo >>> 11) & 1;
  rules.tableLo = irtaLo & ~0xfff;
  rules.tableHi = irtaHi;
  rules.entries = 2 << (irtaLo & 0xf);
}

/** The answer to the last request. */
export interface InterruptResult {
  /** BLOCKED, PASSED, REMAPPED or POSTED. */
  kind: number;
  /** Why it is blocked: a fault reason of Table 15; else 0. */
  reason: number;
  /** The interrupt_index (its low 16 bits), or -1 for a request that has none. */
  index: number;
  /** 1 when IRTE.FPD was set, so that a qualified fault is not reported. */
  FPD: number;
  /** 1 when there is a message to the processors: the interrupt, or the notification of a posted one. */
  message: number;
  /** That message in compatibility format; `hi` holds bits 31:8 of the destination in x2APIC mode. */
  lo: number;
  hi: number;
  data: number;
  /** When posted: the bit set in PIR, and the address of the descriptor. */
  vector: number;
  pidLo: number;
  pidHi: number;
}

/** Takes every table entry that is read, in order: `irte` and `pid` with its address. */
export interface InterruptTrail {
  push(read: [kind: 'irte' | 'pid', lo: number, hi: number]): unknown;
}

const reasonOf = (code: keyof typeof INTERRUPT_CONDITIONS): number => INTERRUPT_CONDITIONS[code].reason;
const REQUEST_RESERVED = reasonOf('20h');
const INDEX = reasonOf('21h');
const NOT_PRESENT = reasonOf('22h');
const TABLE = reasonOf('23h');
const IRTE_RESERVED = reasonOf('24h');
const COMPATIBILITY = reasonOf('25h');
const SOURCE = reasonOf('26h');
const DESCRIPTOR = reasonOf('27h');
const DESCRIPTOR_RESERVED = reasonOf('28h');
const NO_EIME = reasonOf('2Ah');
const NO_REMAPPING = reasonOf('2Bh');

const HANDLE_15 = fieldWords(RemappableAddress, 'HANDLE_15')[0]!;
const SHV = fieldWords(RemappableAddress, 'SHV')[0]!;
const FORMAT = fieldWords(RemappableAddress, 'FORMAT')[0]!;
const P = fieldWords(RemappedIrte, 'P')[0]!;
const FPD = fieldWords(RemappedIrte, 'FPD')[0]!;
/** In the same place in a message. */
const RH_DM = fieldWords(RemappedIrte, 'RH', 'DM')[0]!;
const IM = fieldWords(RemappedIrte, 'IM')[0]!;
const URG = fieldWords(PostedIrte, 'URG')[0]!;
/** The words of the descriptor after PIR: flags and NV, then NDST. */
const PID_FLAGS = 8;
const PID_NDST = 9;
const ON = fieldWords(PostedInterruptDescriptor, 'ON')[PID_FLAGS]!;
const SN = fieldWords(PostedInterruptDescriptor, 'SN')[PID_FLAGS]!;
const ASSERTED = fieldWords(CompatibilityData, 'LEVEL')[0]!;

const FEE = 0xfee00000 | 0;
/** What xAPIC mode reserves of a destination: all but APIC ID bits 7:0, which are in bits 15:8. */
const XAPIC_RESERVED = ~0xff00;
/** Bits of a requester-id that count for each SQ. */
const SQ_MASK = Uint16Array.of(0xffff, 0xfffb, 0xfff9, 0xfff8);

const REMAPPED_RESERVED = reservedWords(RemappedIrte);
const POSTED_RESERVED = reservedWords(PostedIrte);
const PID_RESERVED = reservedWords(PostedInterruptDescriptor);
const PID_WORDS = PID_RESERVED.length;

function newInterruptResult(): InterruptResult {
  return { kind: BLOCKED, reason: 0, index: -1, FPD: 0, message: 0, lo: 0, hi: 0, data: 0, vector: 0, pidLo: 0, pidHi: 0 };
}

/**
 * Processes interrupt requests by the rules in force. Nothing is allocated, and explaining a request (`trail`) is the same
 * code as processing it.
 */
export class InterruptRemapper {
  /** The answer to the last request. */
  readonly out: InterruptResult = newInterruptResult();
  /** When set, every table entry read is appended. */
  trail: InterruptTrail | undefined;
  readonly rules: InterruptRules;
  readonly cache: InterruptEntryCache;
  private readonly memory: Memory;

  constructor(memory: Memory, rules: InterruptRules, cache: InterruptEntryCache) {
    this.memory = memory;
    this.rules = rules;
    this.cache = cache;
  }

  /**
   * A write of 4 bytes without PASID to FEEx_xxxxh. The checks are those of VT-d 5.10 §5.1.4 and §5.2.3. A posted interrupt
   * is in its descriptor when this returns.
   *
   * @param sid  requester-id
   * @param lo   the low half of the address; the upper is 0
   * @param data the 32 bits written
   * @returns 0, or the fault reason, which is reported unless it is qualified and `out.FPD` is 1
   */
  request(sid: number, lo: number, data: number): number {
    const { out } = this;
    out.kind = BLOCKED;
    out.index = -1;
    out.FPD = 0;
    out.message = 0;
    out.reason = this.decide(sid, lo, data);
    return out.reason;
  }

  private decide(sid: number, lo: number, data: number): number {
    const { out, rules } = this;
    if (rules.IRES === 0) return rules.IRREQ ? NO_REMAPPING : pass(out, lo, data);
    if (rules.EIMER && !rules.EIME) return NO_EIME;
    if ((lo & FORMAT) === 0) return rules.EIME || !rules.CFIS ? COMPATIBILITY : pass(out, lo, data);

    const subhandle = lo & SHV ? data : 0;
    if (subhandle >>> 16) return REQUEST_RESERVED;
    const index = (((lo >>> 5) & 0x7fff) | (lo & HANDLE_15 ? 0x8000 : 0)) + subhandle;
    out.index = index & 0xffff;
    if (index >= rules.entries) return INDEX;

    const held = this.cache.find(index);
    if (held >= 0) {
      const { words } = this.cache;
      return this.deliver(sid, words[held]!, words[held + 1]!, words[held + 2]!, words[held + 3]!);
    }
    return this.fetch(sid, index);
  }

  /** Reads the IRTE and goes on with it. */
  private fetch(sid: number, index: number): number {
    const { rules, memory, trail } = this;
    const low = (rules.tableLo >>> 0) + index * 16;
    const hi = low > 0xffffffff ? (rules.tableHi + 1) | 0 : rules.tableHi;
    const lo = low | 0;
    if (hi & rules.beyondHaw) return INDEX;
    if (trail !== undefined) trail.push(['irte', lo, hi]);
    const at = memory.locate(lo, hi);
    if (at < 0) return TABLE;
    const { words } = memory;
    const word0 = words[at]!;
    const word1 = words[at + 1]!;
    const word2 = words[at + 2]!;
    const word3 = words[at + 3]!;
    const reason = this.deliver(sid, word0, word1, word2, word3);
    // §6.4: with CM = 0 an entry that met a fault is not held.
    if (reason === 0 || rules.CM) this.cache.put(index, word0, word1, word2, word3);
    return reason;
  }

  /** Goes on with the words of an IRTE. */
  private deliver(sid: number, word0: number, word1: number, word2: number, word3: number): number {
    const { out, rules } = this;
    out.FPD = word0 & FPD ? 1 : 0;
    if ((word0 & P) === 0) return NOT_PRESENT;
    const posted = word0 & IM;
    // Without PI bit 15 is reserved.
    if (posted && !rules.PI) return IRTE_RESERVED;
    const reserved = posted ? POSTED_RESERVED : REMAPPED_RESERVED;
    if ((word0 & reserved[0]!) | (word1 & reserved[1]!) | (word2 & reserved[2]!) | (word3 & reserved[3]!)) return IRTE_RESERVED;
    if (posted ? word3 & rules.beyondHaw : !rules.EIME && word1 & XAPIC_RESERVED) return IRTE_RESERVED;
    // An entry may be wrong in both ways. §5.1.4 tells of the source check first and Table 15 orders nothing;
    // implementations report the reserved bits.
    if (!allowed(word2, sid)) return SOURCE;
    if (posted) return this.post(word0, word1, word3);

    out.kind = REMAPPED;
    const destination = rules.EIME ? word1 : (word1 >>> 8) & 0xff;
    interrupt(out, destination, word0 & RH_DM, (word0 >>> 16) & 0xff, (word0 >>> 5) & 7, (word0 >>> 4) & 1);
    return 0;
  }

  /** §5.2.3: notes the interrupt in the descriptor at `hi:lo`. */
  private post(word0: number, lo: number, hi: number): number {
    const { out, rules, memory, trail } = this;
    if (trail !== undefined) trail.push(['pid', lo, hi]);
    const read = memory.locate(lo, hi);
    if (read < 0 || !memory.isWritable(lo, hi)) return DESCRIPTOR;
    for (let word = PID_FLAGS; word < PID_WORDS; word++)
      if (memory.words[read + word]! & PID_RESERVED[word]!) return DESCRIPTOR_RESERVED;
    if (!rules.EIME && memory.words[read + PID_NDST]! & XAPIC_RESERVED) return DESCRIPTOR_RESERVED;

    // From here on the page is one of its own, and may be in another place.
    const at = memory.touch(lo, hi);
    const { words } = memory;
    const vector = (word0 >>> 16) & 0xff;
    words[at + (vector >>> 5)]! |= 1 << (vector & 31);
    out.kind = POSTED;
    out.vector = vector;
    out.pidLo = lo;
    out.pidHi = hi;
    const flags = words[at + PID_FLAGS]!;
    // X = (ON == 0) & (URG | (SN == 0))
    if (flags & ON || (flags & SN && (word0 & URG) === 0)) return 0;
    words[at + PID_FLAGS] = flags | ON;
    const NDST = words[at + PID_NDST]!;
    // Physical destination, fixed, edge.
    interrupt(out, rules.EIME ? NDST : (NDST >>> 8) & 0xff, 0, (flags >>> 16) & 0xff, 0, 0);
    return 0;
  }
}

/** §5.1.2.1: the request is the interrupt. */
function pass(out: InterruptResult, lo: number, data: number): number {
  out.kind = PASSED;
  send(out, lo, 0, data);
  return 0;
}

/** Whether the entry allows this requester: SVT, SQ and SID. §9.9. SVT = 11b is reserved, and allows none. */
function allowed(word2: number, sid: number): boolean {
  const SID = word2 & 0xffff;
  switch ((word2 >>> 18) & 3) {
    case 0:
      return true;
    case 1:
      return ((SID ^ sid) & SQ_MASK[(word2 >>> 16) & 3]!) === 0;
    case 2:
      return sid >>> 8 >= SID >>> 8 && sid >>> 8 <= (SID & 0xff);
    default:
      return false;
  }
}

/** A message in compatibility format. `hints` are RH and DM, in their place. The level is always asserted. §5.1.4, §5.2.3. */
function interrupt(
  out: InterruptResult,
  destination: number,
  hints: number,
  vector: number,
  delivery: number,
  trigger: number,
): void {
  const lo = FEE | ((destination & 0xff) << 12) | hints;
  send(out, lo, destination & ~0xff, (trigger << 15) | ASSERTED | (delivery << 8) | vector);
}

function send(out: InterruptResult, lo: number, hi: number, data: number): void {
  out.message = 1;
  out.lo = lo;
  out.hi = hi;
  out.data = data;
}
