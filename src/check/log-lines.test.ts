import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { sharedData } from '../../test/data.ts';
import { mutationRuns, mutations } from '../../test/mutate.ts';
import { FaultCollector } from './log-faults.ts';
import { LogReader, logLines } from './log-lines.ts';

const texts = (log: string) => [...logLines(log)].map(({ text }) => text);

test('what loggers and mail programs put before a message is taken off', () => {
  for (const before of [
    '',
    '[    1.032586] ',
    '[    0.008416][    T0] ',
    '[38588.839792] ',
    '\t[38588.839792] ',
    '<6>[    1.032586] ',
    'kern  :info  : [    0.315513] ',
    '[Mon Aug 19 06:41:35 2024] ',
    'Apr 29 12:42:35 test-host kernel: [  189.708841] ',
    'Sep  4 14:04:38 host.example kernel: ',
    '2024-08-08T01:45:51.824474+00:00 host kernel: ',
    '2024-08-08T01:45:51+0000 host kernel: [   12.345678] ',
    '> > [    1.032586] ',
    '>[    1.032586] ',
  ])
    assert.deepEqual(texts(`${before}DMAR: No ATSR found\r\n`), ['DMAR: No ATSR found'], before);
  assert.deepEqual(
    texts(
      '2021-07-11T10:34:39.567039Z qemu-system-x86_64: -device vfio-pci,host=01:00.0: vfio 0000:01:00.0: group 1 is not viable',
    ),
    ['qemu-system-x86_64: -device vfio-pci,host=01:00.0: vfio 0000:01:00.0: group 1 is not viable'],
  );
  assert.deepEqual(
    texts('2021-07-11 10:34:39.567+0000: 1234: error : virFile:1: internal error: qemu unexpectedly closed the monitor'),
    ['virFile:1: internal error: qemu unexpectedly closed the monitor'],
  );
});

test('lines that mail wrapped are put together, with the number of the first', () => {
  const log = [
    '> [   12.000001] DMAR: DRHD: handling fault status reg 2',
    '> [   12.000002] DMAR: [DMA Read] Request device [00:05.0] PASID ffffffff',
    '> fault addr 76406000 [fault reason 06] PTE Read access is not set',
    '> [   12.000003] vfio-pci 0000:03:00.0: not ready 1023ms after resume; giving',
    '> up',
    '',
    'pci 0000:52:01.0: BAR 15: no space for [mem size 0x8200000000',
    '64bit pref]',
    'pci 0000:52:01.0: BAR 14: assigned',
  ].join('\n');
  assert.deepEqual(
    [...logLines(log)].map(({ number, text }) => [number, text]),
    [
      [1, 'DMAR: DRHD: handling fault status reg 2'],
      [
        2,
        'DMAR: [DMA Read] Request device [00:05.0] PASID ffffffff fault addr 76406000 [fault reason 06] PTE Read access is not set',
      ],
      [4, 'vfio-pci 0000:03:00.0: not ready 1023ms after resume; giving up'],
      [7, 'pci 0000:52:01.0: BAR 15: no space for [mem size 0x8200000000 64bit pref]'],
      [9, 'pci 0000:52:01.0: BAR 14: assigned'],
    ],
  );
});

test('messages that only stand below each other are not put together', () => {
  const log = [
    'DMAR: Host address width 39',
    'DMAR: DRHD base: 0x000000fed90000 flags: 0x0',
    'qemu: could not open disk image',
    'done',
  ];
  assert.deepEqual(texts(log.join('\n')), log);
});

test('however a log is cut into pieces, its messages are the same', (t) => {
  const folder = sharedData('logs/boot');
  if (folder === undefined) return t.skip('shared/data/logs/boot is not beside this repository');
  for (const name of readdirSync(folder).slice(0, 8)) {
    const log: string = readFileSync(join(folder, name), 'utf8');
    for (const size of [1, 7, 100]) {
      const reader = new LogReader();
      const lines: unknown[] = [];
      for (let at = 0; at < log.length; at += size) lines.push(...reader.push(log.slice(at, at + size)));
      lines.push(...reader.end());
      assert.deepEqual(lines, [...logLines(log)], name);
    }
  }
});

test('a line of many megabytes costs its start', () => {
  const reader = new LogReader();
  for (let i = 0; i < 200; i++) assert.deepEqual([...reader.push('['.repeat(100_000))], []);
  const [line] = [...reader.push('\n'), ...reader.end()];
  assert.ok(line!.text.length <= 4096);
});

test('faults that differ only in their address are one, with the range and the number of them', () => {
  const collector = new FaultCollector();
  const log = [
    'DMAR:[DMA Write] Request device [02:00.1] fault addr 3000 ',
    'DMAR:[fault reason 05] PTE Write access is not set',
    'DMAR:[DMA Write] Request device [02:00.1] fault addr 1000 ',
    'DMAR:[fault reason 05] PTE Write access is not set',
    'DMAR:[DMA Read] Request device [02:00.1] fault addr 1000 ',
    'something else',
    'dmar_fault: 37 callbacks suppressed',
    'arm-smmu-v3 arm-smmu-v3.0.auto: event 0x10 received:',
  ];
  for (const line of logLines(log.join('\n'))) collector.add(line);
  const { faults, suppressed, smmu } = collector.end();
  assert.deepEqual(
    faults.map(({ line, count, lowest, highest, fault }) => ({
      line,
      count,
      lowest,
      highest,
      reason: 'reason' in fault ? fault.reason : undefined,
    })),
    [
      { line: 1, count: 2, lowest: 0x1000n, highest: 0x3000n, reason: 5 },
      { line: 5, count: 1, lowest: 0x1000n, highest: 0x1000n, reason: undefined },
    ],
  );
  assert.deepEqual([suppressed, smmu], [37, 1]);
});

test('what is kept of a log does not keep the pieces that it was read in', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const held = () => {
    collect();
    return process.memoryUsage().heapUsed;
  };
  const [reader, faults] = [new LogReader(), new FaultCollector()];
  const before = held();
  for (let n = 0; n < 200; n++) {
    const request = `DMAR: [DMA Read NO_PASID] Request device [${n.toString(16).padStart(2, '0')}:00.0] fault addr 0x1000`;
    const piece = `${request} [fault reason 0x06] PTE Read access is not set\n${'x'.repeat(500_000)}\n`;
    // Text of a file is one string, and not put together.
    for (const line of reader.push(Buffer.from(piece).toString())) faults.add(line);
  }
  assert.ok(held() - before < 20e6, `${held() - before} bytes`);
  assert.equal(faults.end().faults.length, 200);
});

test('a mutated log is read to its end', () => {
  const sample = new TextEncoder().encode(
    '> [   12.000002] DMAR: [DMA Read] Request device [00:05.0] PASID ffffffff\r\n> fault addr 76406000 [fault reason 06] PTE Read\nApr 29 12:42:35 h kernel: [  1.7] AMD-Vi: Event logged [IO_PAGE_FAULT device=01:00.0 \ndomain=0x1]\n',
  );
  for (const bytes of mutations(5, mutationRuns(), [sample])) {
    const collector = new FaultCollector();
    const text = new TextDecoder().decode(bytes);
    for (const line of logLines(text)) {
      assert.ok(line.number >= 1 && line.number <= text.split('\n').length);
      collector.add(line);
    }
    collector.end();
  }
});
