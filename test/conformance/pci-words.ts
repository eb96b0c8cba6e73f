import type { Value } from '../../src/bits/index.ts';
import type { Config, Structure } from '../../src/pci/index.ts';

export type Values = { readonly [field: string]: Value };

/**
 * A line in lspci's words, from our fields: `{Name}` is + or -, `{Name:d}` decimal, `{Name:x4}` at least four hexadecimal
 * digits, `{Name:s}` the value's name.
 */
export function fill(template: string, values: Values, structure?: Structure): string {
  return template.replace(/\{(\w+)(?::([dxs])(\d*))?\}/g, (_, name: string, how?: string, digits = '') => {
    const value = values[name];
    if (typeof value !== 'number' && typeof value !== 'bigint') throw new Error(`there is no number ${name} in ${template}`);
    if (how === undefined) return sign(value);
    if (how === 's') return structure?.nameOf(name, value) ?? `?${value}`;
    return how === 'd' ? `${value}` : hex(value, Number(digits));
  });
}

export function sign(value: Value | boolean | undefined): string {
  return value === undefined || value === false || value === 0 || value === 0n ? '-' : '+';
}

export function hex(value: number | bigint, digits = 0): string {
  return value.toString(16).padStart(digits, '0');
}

/** The fields of a structure, or undefined when it does not lie in what was read. */
export function read(config: Config, structure: Structure, at: number): Values | undefined {
  const place = at + (structure.offset ?? 0);
  return structure.fits(config.view, place) ? structure.decode(config.view, place) : undefined;
}

/** A capability reaches beyond what was read: lspci then prints what it has come to. */
export class NotRead extends Error {}

/** The fields of a structure that lspci needs to go on. @throws NotRead */
export function need(config: Config, structure: Structure, at: number): Values {
  const values = read(config, structure, at);
  if (!values) throw new NotRead(structure.name);
  return values;
}

/** lspci's words for a power of two: `16M`. */
export function shortSize(size: number): string {
  let power = 0;
  for (; size % 1024 === 0 && power < 4; power++) size /= 1024;
  return `${size}${['', 'K', 'M', 'G', 'T'][power]}`;
}
