import {
  type Dmar,
  type Ivrs,
  type Mcfg,
  readDmar,
  readIvrs,
  readMcfg,
  readViot,
  type TableFinding,
  TableHeader,
  type Viot,
  type ViotNode,
  windowOf,
} from '../acpi/index.ts';
import { hex, viewOf } from '../bits/index.ts';
import type { Run } from './command.ts';
import type { Context } from './context.ts';
import { dmarLines, dmarSays } from './dmar-words.ts';
import { EXIT, UsageError } from './exit.ts';
import { readInput } from './input.ts';
import { address, ivrsLines, ivrsSays } from './ivrs-words.ts';
import { harmless, indent, type Page, showBytes, table, wrap } from './output.ts';
import type { TableLine, TableReport } from './table-reports.ts';

export const dmar: Run<'decode dmar'> = ({ file }, cx) =>
  decode('DMAR', file, cx, readDmar, (read) => ({
    schema: 'sluice/decode-dmar/1',
    says: dmarSays(read),
    lines: dmarLines(read),
  }));

export const ivrs: Run<'decode ivrs'> = ({ file }, cx) =>
  decode('IVRS', file, cx, readIvrs, (read) => ({
    schema: 'sluice/decode-ivrs/1',
    says: ivrsSays(read),
    lines: ivrsLines(read),
  }));

export const mcfg: Run<'decode mcfg'> = ({ file }, cx) =>
  decode('MCFG', file, cx, readMcfg, (read) => ({ schema: 'sluice/decode-mcfg/1', says: [], lines: mcfgLines(read) }));

export const viot: Run<'decode viot'> = ({ file }, cx) =>
  decode('VIOT', file, cx, readViot, (read) => ({ schema: 'sluice/decode-viot/1', says: [], lines: viotLines(read) }));

/** The tables that have a verb. */
const VERBS = ['DMAR', 'IVRS', 'MCFG', 'VIOT'];

/** Reads a file, tells it in words, and ends with 1 when the table is broken. */
async function decode<T extends Dmar | Ivrs | Mcfg | Viot>(
  signature: string,
  file: string,
  cx: Context,
  read: (bytes: Uint8Array) => T | undefined,
  words: (read: T) => Pick<TableReport, 'schema' | 'says' | 'lines'>,
): Promise<number> {
  const bytes = await readInput(file);
  const name = file === '-' ? 'standard input' : file;
  refuseOthers(signature, name, bytes);
  const found = read(bytes);
  if (found === undefined)
    throw new UsageError(`${name} has ${bytes.length} bytes: the start of a ${signature} table, and not enough to read it`);
  const { findings, ...fields } = found;
  const report = { ...words(found), file: name, bytes: bytes.length, table: fields, findings } as unknown as TableReport;
  cx.print(report, render);
  return findings.some(({ is }) => is === 'broken') ? EXIT.findings : EXIT.ok;
}

/** @throws UsageError when the bytes are not a table with this signature */
function refuseOthers(signature: string, name: string, bytes: Uint8Array): void {
  if (bytes.length === 0) throw new UsageError(`${name} is empty`);
  const own = String.fromCharCode(...bytes.subarray(0, 4));
  if (own === signature) {
    if (bytes.length < TableHeader.bytes)
      throw new UsageError(
        `${name} has ${bytes.length} bytes; the header of a ${signature} table alone has ${TableHeader.bytes}`,
      );
    return;
  }
  const shown = JSON.stringify(own);
  if (VERBS.includes(own))
    throw new UsageError(
      `${name} is a ${own} table, not ${signature}`,
      `'sluice decode ${own.toLowerCase()}' tells what stands in it.`,
    );
  if (looksLikeTable(bytes))
    throw new UsageError(
      `${name} is no ${signature} table: its signature is ${shown}`,
      `There are verbs for ${VERBS.join(', ')}.`,
    );
  throw new UsageError(
    `${name} is no ${signature} table: it begins with ${shown}`,
    `A raw table is needed, such as /sys/firmware/acpi/tables/${signature}; acpixtract makes one of the text of acpidump.`,
  );
}

/** A signature in capitals, and a length that is about that of the file. */
function looksLikeTable(bytes: Uint8Array): boolean {
  const view = viewOf(bytes);
  if (!TableHeader.fits(view)) return false;
  const { Signature, Length } = TableHeader.decode(view);
  return /^[A-Z][A-Z0-9_!@#]{3}$/.test(Signature) && Length >= TableHeader.bytes && Length <= 2 * bytes.length;
}

function render(report: TableReport, page: Page): string {
  const { style } = page;
  const { header } = report.table;
  const quoted = (text: string) => harmless(JSON.stringify(text.trimEnd()));
  const maker = `made by ${quoted(header.OEMID)} as ${quoted(header.OEMTableID)} ${hex(header.OEMRevision)}, with ${quoted(header.CreatorID)} ${hex(header.CreatorRevision)}`;
  const parts = [
    `${style.bold(`${header.Signature} table`)} of ${header.Length} bytes, revision ${header.Revision}`,
    ...[maker, ...report.says].map((line) => indent(wrap(line, page.width - 2).join('\n'))),
  ].join('\n');
  const room = page.width - 9 - Math.max(0, ...report.lines.map(({ name }) => name.length));
  const lines = table(
    page,
    [],
    report.lines.map(({ offset, name, says: [first = '', ...more] }) => [
      String(offset).padStart(5),
      style.bold(name),
      [harmless(first), ...more.map((line) => indent(wrap(harmless(line), room - 2).join('\n')))].join('\n'),
    ]),
  );
  return [parts, ...(lines === '' ? [] : [lines]), renderFindings(report.findings, page)].join('\n\n');
}

function renderFindings(findings: readonly TableFinding[], page: Page): string {
  const { style } = page;
  if (findings.length === 0) return 'Nothing is wrong with it.';
  const rows = findings.map(({ offset, is, says }) => [
    String(offset).padStart(5),
    is === 'broken' ? style.red(is) : style.yellow(is),
    harmless(says),
  ]);
  return `${style.bold('What is wrong, by byte offset')}\n${table(page, [], rows)}`;
}

function mcfgLines({ allocations }: Mcfg): TableLine[] {
  return allocations.map((one) => {
    const { offset, segment, startBus, endBus } = one;
    const { start, end } = windowOf(one);
    const size = end >= start ? ` (${showBytes(Number(end - start) + 1)})` : '';
    return {
      offset,
      name: 'allocation',
      says: [`buses ${hex(startBus, 2)} to ${hex(endBus, 2)} of segment ${segment} at ${hex(start)} to ${hex(end)}${size}`],
    };
  });
}

function viotLines({ nodes }: Viot): TableLine[] {
  return nodes.map(viotLine);
}

function viotLine(node: ViotNode): TableLine {
  const { offset } = node;
  switch (node.type) {
    case 'pciRange': {
      const range = `${address(node.segmentStart, node.bdfStart)} to ${address(node.segmentEnd, node.bdfEnd)}`;
      const ids = `endpoint IDs from ${hex(node.endpointStart)}`;
      return {
        offset,
        name: 'PCI range',
        says: [`functions ${range} with ${ids}, behind the unit at byte ${node.outputNode}`],
      };
    }
    case 'mmioEndpoint':
      return {
        offset,
        name: 'MMIO endpoint',
        says: [`device at ${hex(node.base)} with endpoint ID ${hex(node.endpoint)}, behind the unit at byte ${node.outputNode}`],
      };
    case 'virtioIommuPci':
      return { offset, name: 'virtio-iommu', says: [`PCI device ${address(node.segment, node.bdf)}`] };
    case 'virtioIommuMmio':
      return { offset, name: 'virtio-iommu', says: [`virtio-mmio device at ${hex(node.base)}`] };
    case 'unknown':
      return {
        offset,
        name: `type ${node.typeNumber}`,
        says: [`${node.data.length} bytes of a type that ACPI 6.5 does not have`],
      };
  }
}
