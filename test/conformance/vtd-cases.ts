import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { Memory, type MemoryOptions } from '../../src/memory/memory.ts';
import type { InterruptExpect } from './vtd-interrupts.ts';
import type { AtsOp, DmaOp, RequestExpect } from './vtd-requests.ts';

/** One case of a vector file: memory, what software and devices do in order, and what came of it. Numbers in strings are hexadecimal. */
export interface VtdCase {
  id: string;
  /** Who answered; undefined when it is the specification. */
  qemu?: string;
  /** Host address width; without it `aw` is one. */
  haw?: number;
  aw: number;
  ver?: string;
  cap: string;
  ecap: string;
  kind: string;
  tags: string[];
  quirks: string[];
  mem: [at: string, ...words: string[]][];
  ops: VtdOp[];
  memAfter: [at: string, word: string][];
  memLoose?: [at: string, mask: string][];
}

/** A message that the unit itself sent. */
export interface Event {
  addr: string;
  data: string;
}

export interface WriteOp {
  op: 'w32' | 'w64';
  off: number;
  val: string;
  expect?: { events?: Event[] };
}

/** A write of 4 bytes; inside FEEx_xxxxh an interrupt request. */
export interface MsiOp {
  op: 'msi';
  sid: number;
  addr: string;
  data: number;
  clear: boolean;
  expect: InterruptExpect & RequestExpect;
  expectFresh?: InterruptExpect & RequestExpect;
  accept?: (InterruptExpect & RequestExpect)[];
}

export type VtdOp =
  | WriteOp
  | { op: 'r32' | 'r64'; off: number; expect: { val: string } }
  | { op: 'mem'; at: string; q: string[] }
  | { op: 'flush' }
  | MsiOp
  | DmaOp
  | AtsOp;

/** What there is behind physical addresses in every case. */
const RAM = [
  { start: 0, end: 0xa0000 },
  { start: 0x100000, end: 0x80000000 },
  { start: 0x1_0000_0000, end: 0x2_8000_0000 },
];
/** Room for a queue that the case does not know of; see `Driver.submit`. */
export const SCRATCH = 0x3_fff0_0000;

export const lowHalf = (value: bigint): number => Number(BigInt.asIntN(32, value));
export const highHalf = (value: bigint): number => Number(BigInt.asIntN(32, value >> 32n));
export const joined = (lo: number, hi: number): bigint => (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0);
export const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

/** The files of cases in a folder. */
export function caseFiles(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.jsonl.gz'))
    .sort()
    .map((name) => join(folder, name));
}

export function* casesOf(file: string): Generator<VtdCase> {
  for (const [at, line] of gunzipSync(readFileSync(file)).toString().split('\n').entries()) {
    if (line === '') continue;
    try {
      yield JSON.parse(line) as VtdCase;
    } catch (error) {
      throw new Error(`${basename(file)}, line ${at + 1} is no case: ${String(error)}`);
    }
  }
}

/** Memory as a case has it at its beginning. */
export function memoryOf({ mem }: VtdCase, options: MemoryOptions = {}): Memory {
  const memory = new Memory([...RAM, { start: SCRATCH, end: SCRATCH + 0x100000 }], options);
  for (const [at, ...words] of mem) writeWords(memory, at, words);
  return memory;
}

/** Writes 64-bit words from an address on. */
export function writeWords(memory: Memory, at: string, words: readonly string[]): void {
  let address = BigInt(at);
  for (const word of words) {
    writeWord(memory, address, BigInt(word));
    address += 8n;
  }
}

export function writeWord(memory: Memory, address: bigint, word: bigint): void {
  memory.write64(lowHalf(address), highHalf(address), word);
}

export function readWord(memory: Memory, address: bigint): bigint | undefined {
  return memory.read64(lowHalf(address), highHalf(address));
}
