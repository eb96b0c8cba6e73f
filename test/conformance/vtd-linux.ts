import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { READ, WRITE } from '../../src/iommu/vtd/translate.ts';
import { VtdUnit } from '../../src/iommu/vtd/unit.ts';
import { LINEAR, Memory, type MemoryOptions } from '../../src/memory/memory.ts';
import { type ConformanceSet, partOf, Tally } from './set.ts';
import { hex, highHalf, joined, lowHalf, readWord, writeWords } from './vtd-cases.ts';
import { askInterrupt, FRCD_REG, FSTS_REG } from './vtd-driver.ts';
import { interruptDiffers } from './vtd-interrupts.ts';

// A driver's life replayed: what a kernel wrote to registers and submitted to the queue, in order, then what its devices did.

const GSTS_REG = 0x1c;
const RTADDR_REG = 0x20;
const IQH_REG = 0x80;
const IQT_REG = 0x88;
const IQA_REG = 0x90;
const IRTA_REG = 0xb8;
const GCMD_REG = 0x18;
/** TE, QIE and IRE of GCMD_REG, and their status. */
const TES_QIES_IRES = (1n << 31n) | (1n << 26n) | (1n << 25n);

/** A capture of a kernel. Numbers in strings are hexadecimal. */
export interface Capture {
  rtaddr: string;
  /** Absent when interrupts are not remapped. */
  irta?: string;
  iqa: string;
  memBytes: number;
  /** Lines of the kernel's log; one names the version and capabilities of the unit, another the host address width. */
  dmar: string[];
  /** In one order with the descriptors; of those the first few thousand. */
  regWrites: [offset: number, size: 4 | 8, value: string, order: number][];
  descriptors: [type: string, high: string, low: string, order: number][];
  pages: [at: string, words: [index: number, word: string][]][];
  translations: { sid: number; iova: string; pte: string; hpa: string; level: number; read: boolean; write: boolean }[];
  /** Where the tables of each requester are: of legacy mode with `tt`, else with `pgtt`. */
  contexts: {
    sid: number;
    tt?: number;
    pgtt?: number;
    did: number;
    levels: number;
    ptr: string;
    fs: boolean;
    pt: boolean;
  }[];
  /** Leaves of the tables. */
  mapped: [sid: number, iova: string, entry: string, level: number][];
  irtes: [index: number, low: string, high: string][];
  interrupts: { index: number; vector: number; delivery: number; dest: number; destMode: number; trigger: number; sid: number }[];
}

/** Bits 51:12 of a table or page entry. */
const ADDRESS = 0xf_ffff_ffff_f000n;
/** Accessed and dirty flags of a first-stage entry. */
const FLAGS = 0x60n;
const WAIT_WITH_FENCE = ['0x45', '0x0', '0x0', '0x0'];

/** A unit as the kernel found it, over the memory that it left. @throws Error when its log does not tell what unit that was */
export function unitOf({ dmar, memBytes, pages }: Capture, options: MemoryOptions = {}): VtdUnit {
  const log = dmar.join('\n');
  const found = /ver (\d+):(\d+) cap ([0-9a-f]+) ecap ([0-9a-f]+)/.exec(log);
  const width = /Host address width (\d+)/.exec(log);
  if (!found || !width) throw new Error('the capture does not tell the capabilities of the unit');
  const [, major, minor, cap, ecap] = found;
  const highest = Math.max(...pages.map(([at]) => Number(at) + 4096));
  const memory = new Memory([{ start: 0, end: Math.max(memBytes, highest) }], options);
  for (const [at, words] of pages)
    for (const [index, word] of words) writeWords(memory, `0x${(BigInt(at) + BigInt(index) * 8n).toString(16)}`, [word]);
  const ver = Number(major) * 16 + Number(minor);
  // It was QEMU's, which has these.
  const deviations = { gatedPasidFields: true, unsnoopedFlags: true };
  return new VtdUnit({ cap: BigInt(`0x${cap}`), ecap: BigInt(`0x${ecap}`), ver, haw: Number(width[1]), memory, deviations });
}

/** Writes every register in order; before the tail moves, what the kernel had put into the queue is put there. */
function replay(unit: VtdUnit, { regWrites, descriptors }: Capture, name: string, tally: Tally): void {
  let next = 0;
  for (const [at, [offset, size, value]] of regWrites.entries()) {
    if (offset === IQT_REG) {
      const until = regWrites[at + 1]?.[3] ?? Infinity;
      const submitted: Capture['descriptors'] = [];
      for (let one = descriptors[next]; one && one[3] < until; one = descriptors[next]) {
        submitted.push(one);
        next++;
      }
      submit(unit, Number(value), submitted);
    }
    unit.write(offset, size, BigInt(value));
    if (offset !== IQT_REG) continue;
    const head = unit.read(IQH_REG, 8);
    const fsts = unit.read(FSTS_REG, 4);
    const why = head === BigInt(value) && fsts === 0n ? undefined : `head is 0x${head.toString(16)}, FSTS 0x${fsts.toString(16)}`;
    tally.add(`${name}, write ${at} to the tail`, why);
  }
}

/** Fills the queue from the head to the tail. Where the capture has no descriptor any more, one that does nothing is put. */
function submit(unit: VtdUnit, tail: number, descriptors: Capture['descriptors']): void {
  const iqa = unit.read(IQA_REG, 8);
  const wide = (iqa & 0x800n) !== 0n;
  const bytes = 4096 << Number(iqa & 7n);
  const width = wide ? 32 : 16;
  let given = 0;
  for (let head = Number(unit.read(IQH_REG, 8)); head !== tail; head = (head + width) % bytes) {
    const one = descriptors[given++];
    const words = one ? [one[2], one[1], '0x0', '0x0'] : WAIT_WITH_FENCE;
    writeWords(unit.memory, `0x${((iqa & ~0xfffn) + BigInt(head)).toString(16)}`, words.slice(0, width / 8));
  }
}

/** Where a request goes, or why it does not. */
function goesTo(unit: VtdUnit, sid: number, iova: bigint, access: number): string {
  const refused = unit.translate(sid, lowHalf(iova), highHalf(iova), access, -1);
  if (refused !== 0) return 'refused';
  return hex(joined(unit.out.lo, unit.out.hi));
}

function same(what: string, ours: string, theirs: string): string | undefined {
  return ours === theirs ? undefined : `${what} is ${ours}, not ${theirs}`;
}

/**
 * Judges one capture: the queue as it moves, registers at the end, then every translation and interrupt. With a kernel all comes
 * out the same; what does not is counted on top.
 */
export function judgeCapture(capture: Capture, name: string, tally: Tally): void {
  judgeUnit(unitOf(capture), capture, name, tally);
  const fast = new Tally();
  judgeUnit(unitOf(capture, { linear: LINEAR }), capture, `${name} with a kernel`, fast);
  const known = new Set(tally.disagreements);
  for (const each of fast.disagreements) if (!known.has(each.replace(' with a kernel', ''))) tally.add(each, 'without it agrees');
}

function judgeUnit(unit: VtdUnit, capture: Capture, name: string, tally: Tally): void {
  replay(unit, capture, name, tally);
  const registers = { rtaddr: RTADDR_REG, irta: IRTA_REG, iqa: IQA_REG } as const;
  for (const [field, offset] of Object.entries(registers))
    tally.add(
      `${name}, ${field}`,
      same(field, `0x${unit.read(offset, 8).toString(16)}`, capture[field as keyof typeof registers] ?? '0x0'),
    );
  const on = unit.read(GSTS_REG, 4) & TES_QIES_IRES;
  const asked = capture.regWrites.findLast(([offset]) => offset === GCMD_REG)?.[2] ?? '0x0';
  tally.add(`${name}, status`, same('what is on', hex(on), hex(BigInt(asked) & TES_QIES_IRES)));

  for (const context of capture.contexts) tally.add(`${name}, context ${context.sid}`, contextDiffers(unit, context));
  clearFaults(unit);
  for (const { sid, iova, pte, hpa, level, read, write } of capture.translations) {
    const what = `${name}, ${sid} at ${iova}`;
    unit.flush();
    const reads = readsOf(unit, () => goesTo(unit, sid, BigInt(iova), read ? READ : WRITE));
    const entry = readWord(unit.memory, reads.at(-1)?.[1] ?? 0n) ?? 0n;
    tally.add(`${what}, entry`, same('it', hex(entry & ~FLAGS), hex(BigInt(pte) & ~FLAGS)));
    if (read) tally.add(`${what}, read`, same('it', goesTo(unit, sid, BigInt(iova), READ), hpa));
    if (write) tally.add(`${what}, write`, same('it', goesTo(unit, sid, BigInt(iova), WRITE), hpa));
    tally.add(`${what}, rights`, same('it', `${unit.out.read}${unit.out.write}`, `${Number(read)}${Number(write)}`));
    tally.add(`${what}, level`, same('it', `${unit.out.level}`, `${level}`));
  }
  tally.add(`${name}, faults`, same('FSTS', `${unit.read(FSTS_REG, 4)}`, '0'));

  for (const [sid, iova, entry, level] of capture.mapped) {
    const rights = Number(BigInt(entry) & 3n);
    const page = hex(BigInt(entry) & ADDRESS & (-1n << BigInt(3 + 9 * level)));
    for (const access of [READ, WRITE]) {
      const goes = goesTo(unit, sid, BigInt(iova), access);
      const why = rights & access ? same('it', `${goes} of level ${unit.out.level}`, `${page} of level ${level}`) : undefined;
      tally.add(
        `${name}, mapped ${sid} at ${iova}`,
        why ?? (rights & access || goes === 'refused' ? undefined : `goes to ${goes}`),
      );
    }
  }
  clearFaults(unit);
  for (const { sid, index, ...fields } of capture.interrupts) {
    const expect = { r: 'irq', remapped: true, irq: { index, ...fields } };
    const why = interruptDiffers({ expect }, askInterrupt(unit, requestOf(sid, index)), { log: false, older: false });
    tally.add(`${name}, interrupt ${index}`, why);
  }
  unit.flush();
  for (const [index, low, high] of capture.irtes) {
    let r = '';
    const reads = readsOf(unit, () => {
      ({ r } = askInterrupt(unit, requestOf(Number(BigInt(high) & 0xffffn), index)));
    });
    const words = [0n, 8n].map((word) => hex(readWord(unit.memory, reads[0]![1] + word) ?? 0n)).join(':');
    const why = same('the answer to its own source', r, 'irq') ?? same('it', words, `${hex(BigInt(low))}:${hex(BigInt(high))}`);
    tally.add(`${name}, entry ${index}`, why);
  }
  tally.add(`${name}, faults`, same('FSTS', `${unit.read(FSTS_REG, 4)}`, '0'));
}

/** The entries that a unit reads meanwhile. */
function readsOf(unit: VtdUnit, during: () => void): [kind: string, address: bigint][] {
  const reads: [string, bigint][] = [];
  unit.trail = { push: ([kind, lo, hi]) => reads.push([kind, joined(lo, hi)]) };
  during();
  unit.trail = undefined;
  return reads;
}

/** What the unit reads for a requester that it knows nothing of is what the capture says of it. */
function contextDiffers(
  unit: VtdUnit,
  { sid, tt, pgtt, did, levels, ptr, fs, pt }: Capture['contexts'][number],
): string | undefined {
  unit.flush();
  let went = '';
  const reads = readsOf(unit, () => {
    went = goesTo(unit, sid, 0x1000n, READ);
  });
  const at = reads.find(([kind]) => kind === (tt === undefined ? 'pasid' : 'ctx'))?.[1];
  if (at === undefined) return 'no entry is read';
  const words = [0n, 8n, 16n].map((word) => readWord(unit.memory, at + word) ?? 0n) as [bigint, bigint, bigint];
  const bits = (word: 0 | 1 | 2, from: number, count: number) =>
    Number((words[word] >> BigInt(from)) & ((1n << BigInt(count)) - 1n));
  const type = tt === undefined ? bits(0, 6, 3) : bits(0, 2, 2);
  const domain = tt === undefined ? bits(1, 0, 16) : bits(1, 8, 16);
  const width = fs ? 4 + bits(2, 2, 2) : 2 + (tt === undefined ? bits(0, 2, 3) : bits(1, 0, 3));
  const why = same('type', `${type}`, `${tt ?? pgtt}`) ?? same('domain', `${domain}`, `${did}`);
  if (why !== undefined || pt) return why ?? same('pass-through', went, '0x1000');
  return same('levels', `${width}`, `${levels}`) ?? same('tables', hex(words[fs ? 2 : 0] & ADDRESS), ptr);
}

function clearFaults(unit: VtdUnit): void {
  unit.write(FRCD_REG + 12, 4, 0x80000000n);
  unit.write(FSTS_REG, 4, 1n);
}

/** The write of a device that asks for the interrupt of an index. */
function requestOf(sid: number, index: number): Parameters<typeof askInterrupt>[1] {
  return { sid, addr: hex(0xfee00010 + (index & 0x7fff) * 32 + (index >> 15) * 4), data: 0 };
}

export const VTD_LINUX: ConformanceSet = {
  name: 'linux',
  run(folder) {
    const path = partOf(folder, 'linux');
    if (path === undefined) return undefined;
    const tally = new Tally();
    for (const file of readdirSync(path)
      .filter((each) => each.endsWith('.json.gz'))
      .sort())
      judgeCapture(
        JSON.parse(gunzipSync(readFileSync(join(path, file))).toString()) as Capture,
        basename(file, '.json.gz'),
        tally,
      );
    return tally.total ? tally : undefined;
  },
};
