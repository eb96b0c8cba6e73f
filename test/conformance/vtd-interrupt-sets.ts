import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { interruptCondition } from '../../src/iommu/vtd/faults-interrupt.ts';
import { InterruptEntryCache } from '../../src/iommu/vtd/interrupt-cache.ts';
import { inInterruptRange } from '../../src/iommu/vtd/interrupt-range.ts';
import {
  BLOCKED,
  InterruptRemapper,
  latchInterruptTable,
  newInterruptRules,
  POSTED,
  REMAPPED,
} from '../../src/iommu/vtd/remap.ts';
import { Memory } from '../../src/memory/memory.ts';
import { type ConformanceSet, partOf, Tally } from './set.ts';
import { caseFiles, casesOf, highHalf, lowHalf, memoryOf, readWord, type VtdCase, writeWords } from './vtd-cases.ts';
import { type InterruptAnswer, judgeInterrupt } from './vtd-interrupts.ts';

const GCMD_REG = 0x18;
const IRTA_REG = 0xb8;
const CFI = 1 << 23;
const SIRTP = 1 << 24;
const IRE = 1 << 25;

/** The part of a unit that takes interrupt requests, set up by the two registers that matter to it. It has no cache. */
class Remapper {
  readonly memory: Memory;
  private readonly remapper: InterruptRemapper;
  private staged = 0n;

  constructor(memory: Memory, { cap, ecap, haw, aw }: Pick<VtdCase, 'cap' | 'ecap' | 'haw' | 'aw'>) {
    this.memory = memory;
    const rules = newInterruptRules(BigInt(cap), BigInt(ecap), haw ?? aw);
    this.remapper = new InterruptRemapper(memory, rules, new InterruptEntryCache(0));
  }

  write(offset: number, value: bigint): void {
    if (offset === IRTA_REG) this.staged = value;
    if (offset !== GCMD_REG) return;
    const { rules } = this.remapper;
    const command = Number(value);
    if (command & SIRTP) latchInterruptTable(rules, lowHalf(this.staged), highHalf(this.staged));
    rules.IRES = command & IRE ? 1 : 0;
    rules.CFIS = command & CFI ? 1 : 0;
  }

  request(sid: number, lo: number, data: number): InterruptAnswer {
    const { remapper, memory } = this;
    const { out } = remapper;
    const read: [string, number, number][] = [];
    remapper.trail = read;
    const reason = remapper.request(sid, lo, data);
    const reads = read.map(([kind, low, high]): [string, bigint] => [kind, joined(low, high)]);
    const at = reads.find(([kind]) => kind === 'irte')?.[1];
    const [low, high] = at === undefined ? [] : [readWord(memory, at), readWord(memory, at + 8n)];
    const condition = interruptCondition(reason);
    const silent = condition?.qualified === true && out.FPD === 1;
    const r = out.kind === BLOCKED ? (silent ? 'dropped' : 'fault') : out.kind === POSTED ? 'posted' : 'irq';
    return {
      r,
      remapped: out.kind === REMAPPED,
      index: out.index,
      message: out.message ? { lo: out.lo, hi: out.hi, data: out.data } : undefined,
      vector: out.vector,
      pid: joined(out.pidLo, out.pidHi),
      reason,
      fault: r === 'fault' ? { reason, sid, type: 0, info: condition?.index ? BigInt(out.index) << 48n : 0n } : undefined,
      reads,
      irte: low === undefined || high === undefined ? undefined : { low, high },
    };
  }
}

const joined = (lo: number, hi: number): bigint => (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0);

/** Judges the interrupt requests of one case, and the descriptors that they leave behind. */
function judgeCase(one: VtdCase, tally: Tally): void {
  const memory = memoryOf(one);
  const unit = new Remapper(memory, one);
  /** Memory as it would be if nobody but software wrote to it. */
  const software = memoryOf(one);
  const posted = new Set<bigint>();
  for (const [at, op] of one.ops.entries()) {
    if (op.op === 'mem') for (const each of [memory, software]) writeWords(each, op.at, op.q);
    if (op.op === 'w32' || op.op === 'w64') unit.write(op.off, BigInt(op.val));
    if (op.op !== 'msi') continue;
    const address = BigInt(op.addr);
    // Elsewhere it is an ordinary write.
    if (!inInterruptRange(lowHalf(address), highHalf(address))) continue;
    const answer = unit.request(op.sid, lowHalf(address), op.data);
    tally.add(`${one.id}, op ${at}`, judgeInterrupt(op, one.quirks, answer));
    if (answer.r === 'posted') posted.add(answer.pid);
  }
  const after = new Map(one.memAfter.map(([at, word]) => [BigInt(at), BigInt(word)]));
  for (const pid of posted)
    for (let at = pid; at < pid + 64n; at += 8n) {
      const expected = after.get(at) ?? readWord(software, at);
      const found = readWord(memory, at);
      const why = found === expected ? undefined : `holds 0x${found?.toString(16)}, not 0x${expected?.toString(16)}`;
      tally.add(`${one.id}, descriptor word 0x${at.toString(16)}`, why);
    }
}

/** Interrupt requests of the cases in one part of the collection. */
function requests(part: string): ConformanceSet {
  return {
    name: `${part}/interrupts`,
    run(folder) {
      const path = partOf(folder, part);
      if (path === undefined) return undefined;
      const tally = new Tally();
      for (const file of caseFiles(path)) for (const one of casesOf(file)) judgeCase(one, tally);
      return tally.total ? tally : undefined;
    },
  };
}

/** What a capture of a kernel says of interrupts. */
interface Capture {
  irta: string;
  pages: [at: string, words: [index: number, word: string][]][];
  irtes: [index: number, low: string, high: string][];
  interrupts: { index: number; vector: number; delivery: number; dest: number; destMode: number; trigger: number; sid: number }[];
}

/** A unit that can what QEMU's can: interrupt remapping with x2APIC mode. */
const QEMU = { cap: '0xd2008c222f0606', ecap: '0xf00f5a', aw: 48 };

/** Every entry of the kernel's table lets its own source through, and what was delivered is delivered again. */
const linuxInterrupts: ConformanceSet = {
  name: 'linux/interrupts',
  run(folder) {
    const path = partOf(folder, 'linux');
    if (path === undefined) return undefined;
    const tally = new Tally();
    for (const file of readdirSync(path).filter((name) => name.endsWith('.json.gz')))
      judgeCapture(
        basename(file, '.json.gz'),
        JSON.parse(gunzipSync(readFileSync(join(path, file))).toString()) as Capture,
        tally,
      );
    return tally.total ? tally : undefined;
  },
};

function judgeCapture(name: string, { irta, pages, irtes, interrupts }: Capture, tally: Tally): void {
  const memory = new Memory(pages.map(([at]) => ({ start: Number(at), end: Number(at) + 4096 })));
  for (const [at, words] of pages)
    for (const [index, word] of words) writeWords(memory, `0x${(BigInt(at) + BigInt(index) * 8n).toString(16)}`, [word]);
  const unit = new Remapper(memory, QEMU);
  unit.write(IRTA_REG, BigInt(irta));
  unit.write(GCMD_REG, BigInt(SIRTP));
  unit.write(GCMD_REG, BigInt(IRE));
  const ask = (sid: number, index: number) => unit.request(sid, 0xfee00010 | ((index & 0x7fff) << 5) | ((index >> 15) << 2), 0);
  for (const [index, low, high] of irtes) {
    const { r, irte } = ask(Number(BigInt(high) & 0xffffn), index);
    const same = irte !== undefined && irte.low === BigInt(low) && irte.high === BigInt(high);
    tally.add(
      `${name}, entry ${index}`,
      !same ? 'another entry was read' : r === 'irq' ? undefined : `its own source is answered with ${r}`,
    );
  }
  for (const { sid, index, ...fields } of interrupts) {
    const expect = { r: 'irq', remapped: true, irq: { index, ...fields } };
    tally.add(`${name}, interrupt ${index}`, judgeInterrupt({ sid, addr: '0xfee00010', expect }, [], ask(sid, index)));
  }
}

export const VTD_INTERRUPTS: readonly ConformanceSet[] = [requests('vtd'), requests('vtd-spec'), linuxInterrupts];
