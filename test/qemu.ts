import { existsSync, readFileSync } from 'node:fs';
import type { Hypervisor } from '../src/host/host.ts';

const testdata = new URL('../../src/qemu/testdata/', import.meta.url);

/** A hypervisor that answers with the help texts recorded from a real QEMU, and what it was asked. */
export function recordedQemu(
  name: string,
): Pick<Hypervisor, 'run'> & { asked: (readonly string[])[]; text(file: string): string } {
  const path = (file: string) => new URL(`${name}/${file}.txt`, testdata);
  const text = (file: string) => readFileSync(path(file), 'utf8');
  const asked: (readonly string[])[] = [];
  return {
    asked,
    text,
    async run(argv) {
      asked.push(argv);
      const at = argv.findLastIndex((word) => /^-(h|machine|accel|device)$/.test(word));
      const [option, value] = [argv[at]?.slice(1), argv[at + 1]];
      if (option !== 'device') return { code: 0, stdout: text(option!), stderr: '' };
      const device = value!.replace(/,help$/, '');
      if (existsSync(path(`device-${device}`))) return { code: 0, stdout: text(`device-${device}`), stderr: '' };
      return { code: 0, stdout: '', stderr: `qemu-system-x86_64: -device ${value}: Device '${device}' not found\n` };
    },
  };
}
