import type { DescribedStructure, Window } from '../pci/index.ts';
import { describeConfig, readConfig, readHexDump } from '../pci/index.ts';
import type { Run } from './command.ts';
import type { ConfigReport, DecodedFunction } from './config-report.ts';
import { EXIT, UsageError } from './exit.ts';
import { readInput } from './input.ts';
import { type Page, wrap } from './output.ts';

const HEADER = 64;
const MOST = 4096;

export const run: Run<'decode config'> = async ({ file }, cx) => {
  const report = decodeConfig(await readInput(file), file === '-' ? 'standard input' : file);
  cx.print(report, render);
  return isBroken(report) ? EXIT.findings : EXIT.ok;
};

/**
 * Decodes raw configuration space, or every function of a dump of lspci.
 * @throws UsageError when the input is neither
 */
export function decodeConfig(input: Uint8Array, file: string): ConfigReport {
  // Text has no byte of zero, and configuration space has rarely none.
  const dump = input.includes(0) ? undefined : readHexDump(new TextDecoder().decode(input));
  if (dump && dump.functions.length > 0) {
    const functions: DecodedFunction[] = [];
    const dumpFindings = dump.findings;
    for (const { bdf, bytes, line } of dump.functions) {
      const config = readConfig(bytes);
      if (config) functions.push({ ...(bdf !== undefined && { bdf }), line, ...describeConfig(config) });
      else
        dumpFindings.push({ is: 'incomplete', line, says: `only ${bytes.length} bytes can be used, and a header has ${HEADER}` });
    }
    return { schema: 'sluice/decode-config/1', file, form: 'dump', functions, dumpFindings };
  }
  const hint = `It takes ${HEADER} to ${MOST} raw bytes, as in /sys/bus/pci/devices/*/config, or what lspci -x, -xxx or -xxxx prints.`;
  if (input.every((byte) => (byte >= 0x20 ? byte < 0x7f : byte === 9 || byte === 10 || byte === 13)))
    throw new UsageError(`${file} is text without a row of bytes such as '00: 86 80 ...'`, hint);
  if (input.length < HEADER || input.length > MOST)
    throw new UsageError(`${file} has ${input.length} bytes, which is no configuration space`, hint);
  const functions = [describeConfig(readConfig(input)!)];
  return { schema: 'sluice/decode-config/1', file, form: 'raw', functions, dumpFindings: [] };
}

/** What was not read, and what is told twice, is no fault of a function. */
function isBroken({ functions, dumpFindings }: ConfigReport): boolean {
  return (
    functions.some(({ findings }) => findings.some(({ is }) => is !== 'short')) ||
    dumpFindings.some(({ is }) => is !== 'repeated')
  );
}

function render(report: ConfigReport, page: Page): string {
  const parts = report.functions.map((found) => renderFunction(found, page));
  const lines = report.dumpFindings.flatMap(({ line, says }) => wrap(`line ${line}: ${says}`, page.width));
  if (lines.length > 0) parts.push(page.style.yellow(lines.join('\n')));
  return parts.join('\n\n');
}

function renderFunction(found: DecodedFunction, page: Page): string {
  const { style } = page;
  const ids = (one: { vendor: number; device: number }) => `${hex(one.vendor, 4)}:${hex(one.device, 4)}`;
  // Flags of a function that does not answer would be noise.
  const absent = found.findings.some(({ is }) => is === 'absent');
  const title = `${found.bdf === undefined ? '' : `${found.bdf}  `}${ids(found)}  ${found.className}, revision ${hex(found.revision, 2)}`;
  const facts = [
    `class ${hex(found.classCode, 6)}`,
    { type0: 'type 0 header', type1: 'type 1 header', cardBus: 'CardBus header', unknown: 'unknown header' }[found.layout],
    ...(found.multiFunction ? ['one of several functions'] : []),
    ...(found.subsystem ? [`subsystem ${ids(found.subsystem)}`] : []),
    `${found.length} bytes read`,
  ];
  const lines = [style.bold(title)];
  if (!absent) lines.push(...indented(facts.join(', '), 2, page), ...fieldLines(found.header, 2, page));
  for (const { index, space, width, prefetchable, base } of found.bars) {
    const kind = space === 'io' ? 'I/O' : `memory of ${width} bits${prefetchable ? ', prefetchable' : ''}`;
    lines.push(`  BAR ${index}: ${base === 0 ? 'not assigned' : `at 0x${hex(base)}`}, ${kind}`);
  }
  if (found.rom) lines.push(`  expansion ROM: at 0x${hex(found.rom.base)}, ${found.rom.enabled ? 'on' : 'off'}`);
  if (found.bridge) {
    const { primary, secondary, subordinate, windows, registers } = found.bridge;
    lines.push(`  buses: primary ${hex(primary, 2)}, secondary ${hex(secondary, 2)}, subordinate ${hex(subordinate, 2)}`);
    lines.push(...windows.map((window) => `  ${windowWords(window)}`));
    if (registers) lines.push(...fieldLines(registers, 2, page));
  }
  for (const { name, offset, extended, version, summary, structures } of found.capabilities) {
    lines.push(`${style.cyan(`[${hex(offset, extended ? 3 : 2)}]`)} ${style.bold(name)}${extended ? ` v${version}` : ''}`);
    if (summary !== undefined) lines.push(...indented(summary, 4, page));
    for (const structure of structures) {
      const body = fieldLines(structure, structures.length > 1 ? 6 : 4, page);
      if (structures.length > 1)
        lines.push(...indented(`${structure.title}${body.length === 0 ? ': none set' : ''}`, 4, page).map(style.dim));
      lines.push(...body);
    }
  }
  for (const { is, offset, says } of found.findings) {
    const text = `${is === 'short' ? 'not read' : 'finding'}, offset 0x${hex(offset)}: ${says}`;
    lines.push(...indented(text, 2, page).map(is === 'short' ? style.yellow : style.red));
  }
  return lines.join('\n');
}

/** Flags are named when they are set; everything else has its value. */
function fieldLines({ fields }: DescribedStructure, spaces: number, page: Page): string[] {
  const words = fields
    .filter(({ text }) => text !== 'no')
    .map(({ label, text }) => (text === 'yes' ? label : `${label}: ${text}`));
  return words.length === 0 ? [] : indented(words.join('; '), spaces, page);
}

function indented(text: string, spaces: number, page: Page): string[] {
  return wrap(text, page.width - spaces).map((line) => ' '.repeat(spaces) + line);
}

function windowWords({ space, width, base, limit }: Window): string {
  const name = { io: 'I/O', memory: 'memory', prefetchable: 'prefetchable memory' }[space];
  if (width === undefined) return `${name} window: its base and limit are of different or unknown types`;
  return `${name} window: ${base > limit ? 'closed' : `0x${hex(base)} to 0x${hex(limit)}`}, ${width} bits`;
}

function hex(value: number, digits = 0): string {
  return value.toString(16).padStart(digits, '0');
}
