import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { Memory } from '../../src/memory/memory.ts';
import type { InterruptExpect } from './vtd-interrupts.ts';
import type { AtsOp, DmaOp } from './vtd-requests.ts';

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

/** As far as interrupts need them. */
export type VtdOp =
  | { op: 'w32' | 'w64'; off: number; val: string }
  | { op: 'r32' | 'r64'; off: number; expect: { val: string } }
  | { op: 'mem'; at: string; q: string[] }
  | { op: 'msi'; sid: number; addr: string; data: number; clear: boolean; expect: InterruptExpect; accept?: InterruptExpect[] }
  | { op: 'flush' }
  | DmaOp
  | AtsOp;

/** What there is behind physical addresses in every case. */
const RAM = [
  { start: 0, end: 0xa0000 },
  { start: 0x100000, end: 0x80000000 },
  { start: 0x1_0000_0000, end: 0x2_8000_0000 },
];

export const lowHalf = (value: bigint): number => Number(BigInt.asIntN(32, value));
export const highHalf = (value: bigint): number => Number(BigInt.asIntN(32, value >> 32n));

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
export function memoryOf({ mem }: VtdCase): Memory {
  const memory = new Memory(RAM);
  for (const [at, ...words] of mem) writeWords(memory, at, words);
  return memory;
}

/** Writes 64-bit words from an address on. */
export function writeWords(memory: Memory, at: string, words: readonly string[]): void {
  let address = BigInt(at);
  for (const word of words) {
    memory.write64(lowHalf(address), highHalf(address), BigInt(word));
    address += 8n;
  }
}

export function readWord(memory: Memory, address: bigint): bigint | undefined {
  return memory.read64(lowHalf(address), highHalf(address));
}
