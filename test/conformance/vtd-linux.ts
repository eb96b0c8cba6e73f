import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { REMAPPED } from '../../src/iommu/vtd/remap.ts';
import { READ, WRITE } from '../../src/iommu/vtd/translate.ts';
import { VtdUnit } from '../../src/iommu/vtd/unit.ts';
import { Memory } from '../../src/memory/memory.ts';
import { type ConformanceSet, partOf, Tally } from './set.ts';
import { highHalf, lowHalf, writeWords } from './vtd-cases.ts';
import { judgeInterrupt } from './vtd-interrupts.ts';

// A driver's life replayed: what a kernel wrote to registers and submitted to the queue, in order, then what its devices did.

const GSTS_REG = 0x1c;
const RTADDR_REG = 0x20;
const FSTS_REG = 0x34;
const IQH_REG = 0x80;
const IQT_REG = 0x88;
const IQA_REG = 0x90;
const IRTA_REG = 0xb8;
const TES_QIES_IRES = (1n << 31n) | (1n << 26n) | (1n << 25n);

/** A capture of a kernel. Numbers in strings are hexadecimal. */
export interface Capture {
  rtaddr: string;
  irta: string;
  iqa: string;
  memBytes: number;
  /** Lines of the kernel's log; one names the version and capabilities of the unit, another the host address width. */
  dmar: string[];
  /** In one order with the descriptors; of those the first few thousand. */
  regWrites: [offset: number, size: 4 | 8, value: string, order: number][];
  descriptors: [type: string, high: string, low: string, order: number][];
  pages: [at: string, words: [index: number, word: string][]][];
  translations: { sid: number; iova: string; hpa: string; level: number; read: boolean; write: boolean }[];
  /** Leaves of the tables. */
  mapped: [sid: number, iova: string, entry: string, level: number][];
  irtes: [index: number, low: string, high: string][];
  interrupts: { index: number; vector: number; delivery: number; dest: number; destMode: number; trigger: number; sid: number }[];
}

/** Bits 51:12 of a second-stage entry. */
const ADDRESS = 0xf_ffff_ffff_f000n;
const WAIT_WITH_FENCE = ['0x45', '0x0', '0x0', '0x0'];

/** A unit as the kernel found it, over the memory that it left. @throws Error when its log does not tell what unit that was */
export function unitOf({ dmar, memBytes, pages }: Capture): VtdUnit {
  const log = dmar.join('\n');
  const found = /ver (\d+):(\d+) cap ([0-9a-f]+) ecap ([0-9a-f]+)/.exec(log);
  const width = /Host address width (\d+)/.exec(log);
  if (!found || !width) throw new Error('the capture does not tell the capabilities of the unit');
  const [, major, minor, cap, ecap] = found;
  const memory = new Memory([{ start: 0, end: memBytes }]);
  for (const [at, words] of pages)
    for (const [index, word] of words) writeWords(memory, `0x${(BigInt(at) + BigInt(index) * 8n).toString(16)}`, [word]);
  const ver = Number(major) * 16 + Number(minor);
  return new VtdUnit({ cap: BigInt(`0x${cap}`), ecap: BigInt(`0x${ecap}`), ver, haw: Number(width[1]), memory });
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
  if (refused !== 0) return `refused (${refused})`;
  return `0x${((BigInt(unit.out.hi >>> 0) << 32n) | BigInt(unit.out.lo >>> 0)).toString(16)}`;
}

function same(what: string, ours: string, theirs: string): string | undefined {
  return ours === theirs ? undefined : `${what} is ${ours}, not ${theirs}`;
}

/** Judges one capture: the queue as it moves, registers at the end, then every translation and interrupt. */
export function judgeCapture(capture: Capture, name: string, tally: Tally): void {
  const unit = unitOf(capture);
  replay(unit, capture, name, tally);
  const registers = { rtaddr: RTADDR_REG, irta: IRTA_REG, iqa: IQA_REG } as const;
  for (const [field, offset] of Object.entries(registers))
    tally.add(
      `${name}, ${field}`,
      same(field, `0x${unit.read(offset, 8).toString(16)}`, capture[field as keyof typeof registers]),
    );
  const on = unit.read(GSTS_REG, 4) & TES_QIES_IRES;
  tally.add(`${name}, status`, on === TES_QIES_IRES ? undefined : `GSTS is 0x${unit.read(GSTS_REG, 4).toString(16)}`);

  for (const { sid, iova, hpa, level, read, write } of capture.translations) {
    const what = `${name}, ${sid} at ${iova}`;
    if (read) tally.add(`${what}, read`, same('it', goesTo(unit, sid, BigInt(iova), READ), hpa));
    if (write) tally.add(`${what}, write`, same('it', goesTo(unit, sid, BigInt(iova), WRITE), hpa));
    tally.add(`${what}, rights`, same('it', `${unit.out.read}${unit.out.write}`, `${Number(read)}${Number(write)}`));
    tally.add(`${what}, level`, same('it', `${unit.out.level}`, `${level}`));
  }
  for (const [sid, iova, entry] of capture.mapped) {
    const access = Number(BigInt(entry) & 3n) === WRITE ? WRITE : READ;
    const page = `0x${(BigInt(entry) & ADDRESS).toString(16)}`;
    tally.add(`${name}, mapped ${sid} at ${iova}`, same('it', goesTo(unit, sid, BigInt(iova), access), page));
  }
  for (const { sid, index, ...fields } of capture.interrupts) {
    const answer = interrupt(unit, sid, index);
    const expect = { r: 'irq', remapped: true, irq: { index, ...fields } };
    tally.add(`${name}, interrupt ${index}`, judgeInterrupt({ sid, addr: '0xfee00010', expect }, [], answer));
  }
  for (const [index, , high] of capture.irtes) {
    const { r } = interrupt(unit, Number(BigInt(high) & 0xffffn), index);
    tally.add(`${name}, entry ${index}`, same('the answer to its own source', r, 'irq'));
  }
  tally.add(`${name}, faults`, same('FSTS', `${unit.read(FSTS_REG, 4)}`, '0'));
}

function interrupt(unit: VtdUnit, sid: number, index: number): Parameters<typeof judgeInterrupt>[2] {
  const kind = unit.interrupt(sid, 0xfee00010 | ((index & 0x7fff) << 5) | ((index >> 15) << 2), 0);
  const { message, lo, hi, data, reason } = unit.interrupted;
  return {
    r: kind === REMAPPED ? 'irq' : 'dropped',
    remapped: kind === REMAPPED,
    index,
    message: message ? { lo, hi, data } : undefined,
    vector: 0,
    pid: 0n,
    reason,
    fault: undefined,
    reads: [],
    irte: undefined,
  };
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
