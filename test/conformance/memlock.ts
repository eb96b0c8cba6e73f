import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { domainMemlock, readDomain } from '../../src/qemu/domain-xml.ts';
import { type ConformanceSet, partOf, Tally } from './set.ts';

/** A domain and the limit that libvirt computed for it; 0 where it sets none. */
interface MemlockCase {
  name: string;
  input: string;
  expectedMemlockBytes: number | 'unlimited';
}

export const MEMLOCK: ConformanceSet = {
  name: 'libvirt/memlock',
  run(folder) {
    const part = partOf(folder, 'libvirt/memlock');
    if (part === undefined) return undefined;
    // Without the index nothing says what libvirt answered.
    const index = [join(dirname(part), 'memlock.json'), join(part, 'memlock.json')].find(existsSync);
    if (index === undefined) return undefined;
    const there = new Set(readdirSync(part));
    const tally = new Tally();
    for (const { name, input, expectedMemlockBytes } of JSON.parse(readFileSync(index, 'utf8')) as MemlockCase[]) {
      if (!there.has(input)) continue;
      tally.add(name, compareMemlock(readFileSync(join(part, input), 'utf8'), expectedMemlockBytes));
    }
    return tally;
  },
};

/** Undefined when we would set the limit that libvirt set. */
function compareMemlock(xml: string, expected: number | 'unlimited'): string | undefined {
  try {
    const { bytes, text } = domainMemlock(readDomain(xml));
    return bytes === expected ? undefined : `expected ${expected}, we say ${bytes}: ${text}`;
  } catch (error) {
    return `expected ${expected}, and reading failed: ${String(error)}`;
  }
}
