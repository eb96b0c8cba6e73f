import { HostError } from './host.ts';

/**
 * A decimal count as sysfs prints it. Undefined stays undefined.
 * @throws HostError when the text is no count, naming `path`
 */
export function parseCount(text: string | undefined, path: string): number | undefined {
  if (text === undefined) return undefined;
  const trimmed = text.trim();
  if (!/^\d{1,15}$/.test(trimmed)) throw new HostError(path, `expected a count, found ${quote(trimmed)}`);
  return Number(trimmed);
}

/**
 * A hexadecimal number with or without `0x`, at most 52 bits.
 * @throws HostError when the text is none, naming `path`
 */
export function parseHex(text: string | undefined, path: string): number | undefined {
  if (text === undefined) return undefined;
  const trimmed = text.trim();
  if (!/^(0x)?[0-9a-f]{1,13}$/i.test(trimmed))
    throw new HostError(path, `expected a hexadecimal number, found ${quote(trimmed)}`);
  return Number.parseInt(trimmed.replace(/^0x/i, ''), 16);
}

/**
 * A 64-bit register as the kernel prints it, filled up to its 16 hexadecimal digits. Undefined stays undefined.
 * @throws HostError when the text is none, naming `path`
 */
export function parseRegister(text: string | undefined, path: string): string | undefined {
  if (text === undefined) return undefined;
  const trimmed = text.trim();
  if (!/^[0-9a-f]{1,16}$/i.test(trimmed))
    throw new HostError(path, `expected a register in hexadecimal, found ${quote(trimmed)}`);
  return trimmed.toLowerCase().padStart(16, '0');
}

/** The last component of a path. */
export function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

function quote(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}...` : text);
}
