import type { Entry, FieldInfo, Fields } from '../src/bits/entry.ts';
import { CONDITIONS } from '../src/iommu/vtd/faults.ts';
import { INTERRUPT_CONDITIONS } from '../src/iommu/vtd/faults-interrupt.ts';
import * as formats from '../src/iommu/vtd/formats.ts';
import * as interruptFormats from '../src/iommu/vtd/formats-interrupt.ts';
import * as pagingFormats from '../src/iommu/vtd/formats-paging.ts';
import * as permissionFormats from '../src/iommu/vtd/formats-permission.ts';
import * as queueFormats from '../src/iommu/vtd/formats-queue.ts';
import { REGISTERS, type RegisterInfo } from '../src/iommu/vtd/register-map.ts';

// The tables in docs/tables, made from the definitions that the program runs on.

const NOTICE = 'Made from the definitions in `src/iommu/vtd`; `npm run tables` writes it anew.';

/** Everything of a module that is an entry, in the order of definition. */
function entriesOf(module: object): Entry<Fields>[] {
  return Object.values(module).filter(
    (value): value is Entry<Fields> => typeof value === 'object' && value !== null && 'fields' in value,
  );
}

function bitsOf({ high, low }: FieldInfo): string {
  return high === low ? `${high}` : `${high}:${low}`;
}

function meaningOf(field: FieldInfo): string {
  const names = Object.entries(field.names).map(([name, value]) => `${value} ${name}`);
  return names.length ? `${field.label}: ${names.join(', ')}` : field.label;
}

const hex = (value: number): string => `0x${value.toString(16)}`;
const row = (...cells: string[]): string => `| ${cells.join(' | ')} |`;
const head = (...cells: string[]): string[] => [row(...cells), row(...cells.map(() => '---'))];

function fieldTable(entry: Entry<Fields>): string[] {
  const rows = entry.fields.map((field) => row(bitsOf(field), field.kind === 'reserved' ? '' : field.name, meaningOf(field)));
  return [`## ${entry.name}`, '', `${entry.bits} bits. ${entry.source}.`, '', ...head('bits', 'field', 'meaning'), ...rows, ''];
}

function registerTable({ name, layout, needs, stride, count, at, configured }: RegisterInfo): string[] {
  const where =
    layout.offset === undefined
      ? name === 'FRCD_REG'
        ? 'from CAP_REG.FRO × 16 on, CAP_REG.NFR + 1 of them'
        : `at ECAP_REG.IRO × 16${at(0n, 0n) ? ` + ${at(0n, 0n)}` : ''}`
      : `at ${hex(layout.offset)}${count(0n) > 1 ? `, ${count(0n)} of them, every ${stride} bytes` : ''}`;
  const only = needs.length ? ` Only with ${needs.join(' or ')}.` : '';
  const rows = layout.fields.map((field) =>
    row(
      bitsOf(field),
      field.kind === 'reserved' ? '' : field.name,
      field.kind === 'reserved' ? '' : (field.access ?? 'ro'),
      field.kind === 'reserved' ? '' : configured ? 'X' : `${field.reset ?? 0}`,
      meaningOf(field) + (field.needs ? ` (with ${field.needs.join(' or ')})` : ''),
    ),
  );
  return [
    `## ${name}`,
    '',
    `${layout.name}, ${layout.bits} bits, ${where}. ${layout.source}.${only}`,
    '',
    ...head('bits', 'field', 'access', 'reset', 'meaning'),
    ...rows,
    '',
  ];
}

function conditionTable(): string[] {
  const kinds = [
    'untranslated',
    'with PASID',
    'translation',
    'with PASID',
    'translated',
    'with PASID',
    'page request',
    'no response',
  ];
  const rows = CONDITIONS.map(({ code, reason, qualified, says, answers }) =>
    row(code, reason ? hex(reason) : '', qualified ? 'yes' : 'no', says, ...answers),
  );
  return [
    '## Address translation',
    '',
    'VT-d 5.10 Table 30. The last columns say what a request of each kind gets.',
    '',
    ...head('code', 'reason', 'FPD silences it', 'condition', ...kinds),
    ...rows,
    '',
  ];
}

function interruptConditionTable(): string[] {
  const rows = Object.values(INTERRUPT_CONDITIONS).map(({ reason, qualified, index, says }) =>
    row(hex(reason), qualified ? 'yes' : 'no', index ? 'yes' : 'no', says),
  );
  return [
    '## Interrupts',
    '',
    'VT-d 5.10 Table 15.',
    '',
    ...head('reason', 'FPD silences it', 'index recorded', 'condition'),
    ...rows,
    '',
  ];
}

/** What each file of docs/tables has to hold, by its name. */
export function tables(): ReadonlyMap<string, string> {
  const page = (title: string, lines: string[]): string => `# ${title}\n\n${NOTICE}\n\n${lines.join('\n').trimEnd()}\n`;
  const structures = [formats, pagingFormats, permissionFormats].flatMap(entriesOf);
  return new Map([
    ['vtd-registers.md', page('VT-d registers', REGISTERS.flatMap(registerTable))],
    ['vtd-faults.md', page('VT-d fault conditions', [...conditionTable(), ...interruptConditionTable()])],
    ['vtd-structures.md', page('VT-d translation structures', structures.flatMap(fieldTable))],
    ['vtd-queues.md', page('VT-d queue descriptors', entriesOf(queueFormats).flatMap(fieldTable))],
    ['vtd-interrupts.md', page('VT-d interrupt structures', entriesOf(interruptFormats).flatMap(fieldTable))],
  ]);
}
