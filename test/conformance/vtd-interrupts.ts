import { interruptCondition } from '../../src/iommu/vtd/faults-interrupt.ts';

/** What a unit made of an interrupt request. */
export interface InterruptAnswer {
  /** `irq` went out, `posted` is in its descriptor, `fault` was blocked and recorded, `dropped` was blocked and not recorded. */
  r: 'irq' | 'posted' | 'fault' | 'dropped';
  /** Of `irq`: false when it passed unchanged. */
  remapped: boolean;
  index: number;
  /** The interrupt, or the notification of a posted one. */
  message: { lo: number; hi: number; data: number } | undefined;
  /** Of `posted`: the bit set, and the address of the descriptor. */
  vector: number;
  pid: bigint;
  /** Why it was blocked, recorded or not; else 0. */
  reason: number;
  /** The fault record after the request. */
  fault: { reason: number; sid: number; type: number; info: bigint } | undefined;
  fsts: number;
  /** Table entries read; undefined when some came from a cache. */
  reads: readonly (readonly [string, bigint])[] | undefined;
  /** The entry that decided, when one was read. */
  irte: { low: bigint; high: bigint } | undefined;
}

/** `expect` and each of `accept` of an `msi` operation inside FEEx_xxxxh, as far as this compares it. */
export interface InterruptExpect {
  r: string;
  msi?: [string, string];
  irq?: MessageFields & { index?: number };
  remapped?: boolean;
  index?: number;
  vector?: number;
  pid?: string;
  notify?: MessageFields | null;
  fault?: { reason: number; sid: number; type?: number; info?: string };
  /** Why it was blocked, when that was not recorded. */
  reason?: number;
  fsts?: string;
  reads?: [string, string][];
}
interface MessageFields {
  vector: number;
  dest: number;
  delivery: number;
  destMode: number;
  trigger: number;
  rh?: number;
}
export interface InterruptOp {
  sid: number;
  addr: string;
  expect: InterruptExpect;
  accept?: InterruptExpect[];
}

/**
 * Undefined when the answer is one of those that are right, else how it differs from the first.
 *
 * @param log   judge the fault record and FSTS_REG
 * @param older the fault record was there before the request
 */
export function interruptDiffers(
  { expect, accept }: Pick<InterruptOp, 'expect' | 'accept'>,
  answer: InterruptAnswer,
  { log, older } = { log: true, older: false },
): string | undefined {
  const why = difference(expect, answer, log, older);
  const unread = { ...answer, reads: undefined };
  return accept?.some((other) => difference(other, unread, log, older) === undefined) ? undefined : why;
}

function difference(expect: InterruptExpect, answer: InterruptAnswer, log: boolean, older: boolean): string | undefined {
  const differ = <T extends string | number | bigint | boolean>(what: string, theirs: T | undefined, ours: T | undefined) =>
    theirs === undefined || theirs === ours ? undefined : `${what} is ${ours}, not ${theirs}`;
  const { fault } = expect;
  const { message } = answer;
  const why = expect.r === 'fault' ? (expect.reason ?? (older ? undefined : fault?.reason)) : undefined;
  return (
    differ('answer', expect.r, answer.r) ??
    differ('reason', why, answer.reason) ??
    (log ? recordDiffers(fault, answer.fault) : undefined) ??
    differ('remapped', expect.remapped, answer.remapped) ??
    differ('index', expect.index ?? expect.irq?.index, answer.index) ??
    differ('vector in PIR', expect.vector, answer.vector) ??
    differ('descriptor', expect.pid === undefined ? undefined : BigInt(expect.pid), answer.pid) ??
    differ('notification', expect.notify === undefined ? undefined : expect.notify !== null, message !== undefined) ??
    (expect.msi
      ? (differ('address', BigInt(expect.msi[0]), message && addressOf(message)) ??
        differ('data', Number(expect.msi[1]), message?.data))
      : undefined) ??
    fieldsDiffer(expect.irq ?? expect.notify ?? undefined, message) ??
    (log ? differ('FSTS', expect.fsts === undefined ? undefined : Number(expect.fsts), answer.fsts) : undefined) ??
    (expect.reads && answer.reads ? differ('reads', shown(expect.reads), shown(answer.reads)) : undefined)
  );
}

function recordDiffers(theirs: InterruptExpect['fault'], ours: InterruptAnswer['fault']): string | undefined {
  if (theirs === undefined || ours === undefined) return theirs === ours ? undefined : `${ours ? 'a' : 'no'} fault is recorded`;
  const differ = <T extends number | bigint>(what: string, one: T | undefined, other: T) =>
    one === undefined || one === other ? undefined : `${what} is ${other}, not ${one}`;
  return (
    differ('recorded reason', theirs.reason, ours.reason) ??
    differ('sid', theirs.sid, ours.sid) ??
    differ('type', theirs.type, ours.type) ??
    // Which faults have an index there is said by the specification (§11.4.7.6); for the others QEMU writes something.
    (interruptCondition(theirs.reason)?.index && theirs.info !== undefined
      ? differ('info', BigInt(theirs.info), ours.info)
      : undefined)
  );
}

function fieldsDiffer(expect: MessageFields | undefined, message: InterruptAnswer['message']): string | undefined {
  if (expect === undefined) return undefined;
  if (message === undefined) return 'there is no message';
  const { lo, hi, data } = message;
  const ours: Record<keyof MessageFields, number> = {
    vector: data & 0xff,
    dest: (((lo >>> 12) & 0xff) | hi) >>> 0,
    delivery: (data >>> 8) & 7,
    destMode: (lo >>> 2) & 1,
    trigger: (data >>> 15) & 1,
    rh: (lo >>> 3) & 1,
  };
  for (const name of Object.keys(ours) as (keyof MessageFields)[])
    if (expect[name] !== undefined && expect[name] !== ours[name]) return `${name} is ${ours[name]}, not ${expect[name]}`;
  return undefined;
}

const addressOf = ({ lo, hi }: { lo: number; hi: number }): bigint => (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0);
const shown = (reads: readonly (readonly [string, string | bigint])[]): string =>
  reads.map(([kind, address]) => `${kind} 0x${BigInt(address).toString(16)}`).join(', ');

/** Whether QEMU is known to take a shortcut here, so that our answer may stand beside its own. */
export function interruptExcused(
  { sid, addr, expect }: InterruptOp,
  quirks: ReadonlySet<string>,
  answer: InterruptAnswer,
): boolean {
  const { irte, reason } = answer;
  const passed = expect.r === 'irq' && expect.remapped === false;
  // The specification blocks it: Table 15, 25h.
  if (quirks.has('compatibility-format-always-passes') && passed && (Number(addr) & 0x10) === 0 && reason === 0x25) return true;
  if (quirks.has('unreviewed-difference')) return true;
  // 7.2 drops what it should record: any fault will do.
  if (quirks.has('no-interrupt-fault-record') && expect.r === 'dropped' && answer.r === 'fault') return true;
  if (irte === undefined) return false;
  if (quirks.has('posted-interrupt-mode-ignored') && irte.low & 0x8000n) return true;
  // §9.9: AVAIL is ignored, bits 14:12 are reserved.
  if (quirks.has('irte-avail-bits') && irte.low & 0x7f00n) return ((irte.low & 0x7000n) !== 0n) === (reason === 0x24);
  if (quirks.has('svt2-bus-range-swapped') && ((irte.high >> 18n) & 3n) === 2n) {
    const [start, end] = [Number((irte.high >> 8n) & 0xffn), Number(irte.high & 0xffn)];
    const within = start <= sid >>> 8 && sid >>> 8 <= end;
    // §9.9 judges.
    return within === (reason !== 0x26);
  }
  return false;
}
