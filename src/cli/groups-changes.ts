import type { Change } from '../iommu/index.ts';
import { formatBdf, parseBdf } from '../pci/index.ts';
import { UsageError } from './exit.ts';

const FORMS = 'vfs=BDF=N, acs=BDF=on|off, ari=off or move=BDF=BRIDGE; several with commas';

/**
 * Reads what `--if` supposes. A blank does for `=`, and `to` between the addresses of a move.
 * @throws UsageError which names the part that is no change
 */
export function parseChanges(text: string): { change: Change; words: string }[] {
  const parts = text
    .split(/[,;]/)
    .map((part) => part.trim())
    .filter((part) => part !== '');
  if (parts.length === 0) throw new UsageError('--if supposes nothing', `It takes ${FORMS}.`);
  const seen = new Map<string, string>();
  return parts.map((part) => {
    const change = parseChange(part);
    const about = change.is === 'ari' ? 'ari' : `${change.is} ${change.bdf}`;
    const before = seen.get(about);
    if (before !== undefined) throw new UsageError(`--if: ${part} and ${before} are about the same`, 'Leave one of them out.');
    seen.set(about, part);
    return { change, words: wordsOf(change) };
  });
}

function parseChange(part: string): Change {
  const [verb = '', ...rest] = part.split(/[\s=]+/);
  const operands = verb === 'move' ? rest.filter((word) => word !== 'to') : rest;
  const [first = '', second = ''] = operands;
  if (verb === 'vfs' && operands.length === 2 && /^\d{1,5}$/.test(second))
    return { is: 'vfs', bdf: addressIn(first, part), count: Number(second) };
  if (verb === 'acs' && operands.length === 2 && (second === 'on' || second === 'off'))
    return { is: 'acs', bdf: addressIn(first, part), on: second === 'on' };
  if (verb === 'ari' && operands.length === 1 && first === 'off') return { is: 'ari', on: false };
  if (verb === 'move' && operands.length === 2) return { is: 'move', bdf: addressIn(first, part), to: addressIn(second, part) };
  throw new UsageError(`--if: ${part} is no change that could be supposed`, `It takes ${FORMS}.`);
}

function addressIn(text: string, part: string): string {
  const address = parseBdf(text);
  if (!address)
    throw new UsageError(`--if: ${text} in ${part} is no address of a function`, 'Write it as 0000:3b:00.0 or 3b:00.0.');
  return formatBdf(address);
}

function wordsOf(change: Change): string {
  switch (change.is) {
    case 'vfs':
      return `vfs=${change.bdf}=${change.count}`;
    case 'acs':
      return `acs=${change.bdf}=${change.on ? 'on' : 'off'}`;
    case 'ari':
      return 'ari=off';
    case 'move':
      return `move=${change.bdf}=${change.to}`;
  }
}
