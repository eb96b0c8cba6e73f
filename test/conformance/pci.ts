import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Capability, type Config, formatBdf, parseBdf, readConfig, readHexDump } from '../../src/pci/index.ts';
import { CONVENTIONAL_WORDS, type Lines, type Words } from './pci-conventional.ts';
import { EXTENDED_WORDS } from './pci-extended.ts';
import { headerLines } from './pci-header.ts';
import { hex, NotRead } from './pci-words.ts';
import { type ConformanceSet, partOf, Tally } from './set.ts';

/** A function as dumped, and what lspci 3.15 -vvvnn printed of it. */
export interface Printed {
  where: string;
  bdf: string;
  config: Config;
  header: string[];
  /** The lines of each capability, the first one without what stands before its words. */
  capabilities: string[][];
}

const PARTS = ['pciutils', 'mail', 'libvirt-config'];
const CAPABILITY_LINE = /^\tCapabilities: /;

/** Every function of a folder that has both; undefined when the folder is no part of the collection. */
export function* printedFunctions(folder: string): Generator<Printed> {
  for (const part of PARTS) {
    const path = partOf(folder, `pci/${part}`);
    if (path === undefined) continue;
    for (const file of readdirSync(path)
      .filter((name) => name.endsWith('.hex'))
      .toSorted()) {
      const decoded = join(path, file.replace(/hex$/, 'lspci-3.15.txt'));
      if (!existsSync(decoded)) continue;
      const printed = functionsOf(readFileSync(decoded, 'utf8'));
      const { functions } = readHexDump(readFileSync(join(path, file), 'utf8'));
      for (const { bdf, bytes } of functions) {
        const config = readConfig(bytes);
        // lspci prints in the order of the addresses, where one may stand twice.
        const at = printed.findIndex((one) => one.bdf === bdf);
        const [lines] = at < 0 ? [] : printed.splice(at, 1);
        if (config && bdf !== undefined) yield { where: `${part}/${file} ${bdf}`, bdf, config, ...blocksOf(lines?.lines ?? []) };
      }
    }
  }
}

function functionsOf(text: string): { bdf: string; lines: string[] }[] {
  const out: { bdf: string; lines: string[] }[] = [];
  for (const line of text.split('\n').filter((one) => one !== '')) {
    const address = /^(\S+) /.exec(line)?.[1];
    const bdf = address && !line.startsWith('\t') ? parseBdf(address) : undefined;
    if (bdf) out.push({ bdf: formatBdf(bdf), lines: [line.slice(address!.length + 1)] });
    else out.at(-1)?.lines.push(line);
  }
  return out;
}

function blocksOf(lines: string[]): { header: string[]; capabilities: string[][] } {
  const header: string[] = [];
  const capabilities: string[][] = [];
  for (const line of lines) {
    if (CAPABILITY_LINE.test(line)) capabilities.push([line]);
    else (capabilities.at(-1) ?? header).push(line);
  }
  return { header, capabilities };
}

/** The windows and the socket of a CardBus bridge are not decoded. */
const CARDBUS_LINE = /^\t(?:Region|Memory window|I\/O window|Secondary status|BridgeCtl|16-bit legacy|<access denied)/;

/** Names of pci.ids and of the kernel are no part of configuration space: only the numbers beside them are compared. */
function plainTitle(line: string): string {
  const [, code, ids, rest = ''] = /(\[[0-9a-f]{4}\]): .*?(\[[0-9a-f]{4}:[0-9a-f]{4}\])(.*)$/.exec(line) ?? [];
  return `${code}: ${ids}${rest.replace(/ \(prog-if (..)(?: \[.*\])?\)/, (_, digits) => (digits === '00' ? '' : ` (prog-if ${digits})`))}`;
}

const plainSubsystem = (line: string) => line.replace(/Subsystem: .*(\[[0-9a-f]{4}:[0-9a-f]{4}\])$/, 'Subsystem: $1');

function plainHeader({ header, config }: Printed): string[] {
  const lines = header.map((line, i) => (i === 0 ? plainTitle(line) : plainSubsystem(line)));
  // Reading a file, lspci shows the upper half of a 64-bit BAR as one more BAR.
  const halves = new Set<number>();
  for (let i = 0; i < 6; i++) {
    const low = config.view.getUint32(0x10 + 4 * i, true);
    if ((low & 7) === 4) halves.add(++i);
  }
  return lines
    .map((line) => line.replace(/(Unknown .* range types) .*/, '$1'))
    .filter((line) => config.layout !== 'cardBus' || !CARDBUS_LINE.test(line))
    .filter((line) => !/^\t!!! Invalid class/.test(line) && !halves.has(Number(/^\tRegion (\d)/.exec(line)?.[1] ?? -1)));
}

function capabilityLines(config: Config, bdf: string, { id, extended, offset, version }: Capability): Lines {
  const place = extended ? `[${hex(offset, 3)} v${version}]` : `[${hex(offset, 2)}]`;
  const words = (extended ? EXTENDED_WORDS : CONVENTIONAL_WORDS)[id];
  const unknown = extended ? `Extended Capability ID ${id === 0 ? '00' : `0x${hex(id)}`}` : undefined;
  const [heading, ...lines] = words === undefined ? [unknown, undefined] : wordsOf(words, config, offset, bdf);
  return [
    `\tCapabilities: ${place}${heading === undefined ? '' : ` ${heading}`}`,
    ...(heading === undefined ? [undefined] : lines),
  ];
}

function wordsOf(words: Words, config: Config, offset: number, bdf: string): Lines {
  try {
    return words(config, offset, bdf);
  } catch (error) {
    if (error instanceof NotRead) return [undefined];
    throw error;
  }
}

/** Undefined when they agree. In `own`, undefined stands for any lines. */
function difference(own: Lines, printed: readonly string[]): string | undefined {
  for (const [i, line] of own.entries()) {
    if (line === undefined) return undefined;
    const theirs = printed[i];
    const open = own.length === i + 2 && own[i + 1] === undefined;
    if (theirs !== line && !(open && i === 0 && theirs?.startsWith(line))) return `lspci has ${show(theirs)}, we ${show(line)}`;
  }
  return printed.length > own.length ? `lspci has ${show(printed[own.length])} more` : undefined;
}

const show = (line: string | undefined) => (line === undefined ? 'nothing' : `"${line.trim().replaceAll('\t', ' ')}"`);

/** Chains that end badly: lspci says so in a line of its own, and we in a finding. */
const ENDS = /<(?:chain looped|chain broken|access denied)>/;

/** A null capability that stands for one that was hidden: lspci prints it, and we pass it over. */
const HIDDEN = /^\tCapabilities: \[\w{3} v\d+\] Null$/;

/** Compares one function. */
export function compareFunction(printed: Printed, header: Tally, capabilities: Tally): void {
  const { where, config, bdf } = printed;
  if (config.layout === 'unknown') {
    const told = printed.header.some((line) => line.includes('Unknown header type'));
    return header.add(where, told ? undefined : 'the header is of no type that we know');
  }
  header.add(where, difference(headerLines(config), plainHeader(printed)));
  const ends = printed.capabilities.filter(([line]) => ENDS.test(line!)).length;
  const blocks = printed.capabilities.filter(([line]) => !ENDS.test(line!) && !HIDDEN.test(line!));
  const found = config.findings.filter(({ is }) => ['short', 'loop', 'broken-chain', 'bad-pointer'].includes(is));
  if (ends > found.length) capabilities.add(where, 'lspci saw a chain end badly and we did not');
  for (let i = 0; i < Math.max(blocks.length, config.capabilities.length); i++) {
    const own = config.capabilities[i];
    const lines = blocks[i]?.map((line, n) => (n === 0 ? plainSubsystem(line) : line));
    if (!own || !lines)
      capabilities.add(where, own ? `lspci has no ${own.name} at 0x${hex(own.offset)}` : `we have no ${show(lines?.[0])}`);
    else capabilities.add(`${where} ${own.name}`, difference(capabilityLines(config, bdf, own), lines));
  }
}

/** One tally over all functions of a folder. */
function judge(folder: string, pick: 'header' | 'capabilities'): Tally | undefined {
  const tallies = { header: new Tally(), capabilities: new Tally() };
  for (const printed of printedFunctions(folder)) compareFunction(printed, tallies.header, tallies.capabilities);
  return tallies.header.total === 0 ? undefined : tallies[pick];
}

/** Headers, BARs and windows of bridges: one for each function. */
export const pciHeaders: ConformanceSet = { name: 'pci/header', run: (folder) => judge(folder, 'header') };
/** Every line of every capability: one for each capability of each function. */
export const pciCapabilities: ConformanceSet = { name: 'pci/capabilities', run: (folder) => judge(folder, 'capabilities') };
