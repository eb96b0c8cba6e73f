import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cpuTime } from '../../test/cpu-time.ts';
import { mutationRuns, mutations } from '../../test/mutate.ts';
import { logLines } from './log-lines.ts';
import { candidatesFor, decide, needleOf, ProblemFinder, type Signals } from './log-problems.ts';
import { PROBLEMS } from './problems/index.ts';

const ids = (line: string) => candidatesFor(line).map(({ problem }) => problem.id);

function look(log: string, signals: Signals = {}) {
  const finder = new ProblemFinder();
  for (const line of logLines(log)) finder.add(line);
  const { found, normal } = decide(finder.end(), { ...(finder.guest === undefined ? {} : { guest: finder.guest }), ...signals });
  return {
    found: found.map(({ candidates }) => candidates.map(({ problem }) => problem.id)),
    normal,
    sayings: found.flatMap(({ sayings }) => sayings),
  };
}

test('every message of the catalogue is found in its example, also behind the stamps of loggers', () => {
  for (const { id, says } of PROBLEMS)
    for (const { example } of says)
      for (const before of [
        '',
        '[   12.345678] ',
        'Apr 29 12:42:35 host kernel: [  189.708841] ',
        '> 2021-07-11T10:34:39.567039Z ',
      ])
        for (const { text } of logLines(`${before}${example}\r\n`)) assert.ok(ids(text).includes(id), `${id}: ${text}`);
});

test('what a message must hold is looked for first, and is in every example', () => {
  for (const { says } of PROBLEMS)
    for (const { re, example } of says) {
      const needle = needleOf(re);
      if (needle !== undefined) assert.ok(example.includes(needle), `${re.source}: ${needle}`);
    }
  assert.equal(needleOf(/group (\d+) is not viable/), ' is not viable');
  assert.equal(needleOf(/colou?r of \[DMA/), 'r of [DMA');
  assert.equal(needleOf(/one thing|another/), undefined);
  assert.equal(needleOf(/anything/i), undefined);
});

test('problems that share a message are both found', () => {
  for (const [line, expected] of [
    ['vfio 0000:01:00.0: no iommu_group found: No such file or directory', ['iommu-off-in-firmware', 'nested-no-viommu']],
    [
      'vfio: failed to setup container for group 2: Failed to set iommu for container: Operation not permitted',
      ['no-interrupt-remapping', 'rmrr-locked', 'l1-no-intremap'],
    ],
    [
      'memory listener initialization failed: Region pc.ram: vfio_container_dma_map(0x55, 0x0, 0x80000000, 0x7f) = -12 (Cannot allocate memory)',
      ['memlock-limit', 'memlock-viommu-multiplier'],
    ],
    [
      'vfio_dma_map(0x7f1234567890, 0xc0000, 0x1000, 0x7f12300c0000) = -22 (Invalid argument)',
      ['iova-outside-aperture', 'reserved-iova-overlap'],
    ],
    ['pci 0000:01:00.0: BAR 1: no space for [mem size 0x800000000 64bit pref]', ['guest-mmio64-window', 'host-bar-unassigned']],
    [
      'DMAR: [DMA Read] Request device [00:02.0] PASID ffffffff fault addr 6c800000 [fault reason 06] PTE Read access is not set',
      ['igpu-dma-faults', 'dma-fault-not-mapped'],
    ],
    ['vfio-pci 0000:00:02.0: Failed to setup Intel IGD regions', ['vmd-hidden', 'igd-host-bridge']],
    ['DMAR-IR: Enabled IRQ remapping in xapic mode', ['x2apic-opt-out', 'l1-kernel-iommu-off']],
  ] as const)
    assert.deepEqual(
      expected.filter((id) => !ids(line).includes(id)),
      [],
      line,
    );
});

test('a message that is longer in the line is the closer one, and what is only looked ahead at does not count', () => {
  assert.equal(
    ids(
      'vfio 0000:01:00.0: failed to setup container for group 2: Failed to set iommu for container: Operation not permitted',
    )[0],
    'no-interrupt-remapping',
  );
  assert.equal(ids("vfio: Could not open '/dev/vfio/12': Permission denied")[0], 'vfio-permissions');
});

const SHARED = 'qemu-system-x86_64: vfio 0000:01:00.0: no iommu_group found: No such file or directory';

test('the rules of the host decide between problems that share a message', () => {
  const order = (signals: Signals) => look(SHARED, signals).found[0]!;
  assert.equal(
    order({
      verdicts: new Map([
        ['nested-no-viommu', 'fail'],
        ['iommu-off-in-firmware', 'not-applicable'],
      ]),
    })[0],
    'nested-no-viommu',
  );
  assert.equal(
    order({
      verdicts: new Map([
        ['iommu-off-in-firmware', 'fail'],
        ['nested-no-viommu', 'pass'],
      ]),
    })[0],
    'iommu-off-in-firmware',
  );
});

test('a log that says itself that it is of a virtual machine decides too', () => {
  assert.equal(look(`[    0.000000] Hypervisor detected: KVM\n${SHARED}`).found[0]![0], 'nested-no-viommu');
  assert.equal(
    look(`[    0.000000] DMI: Dell Inc. PowerEdge R640/0H28RR, BIOS 2.1.8\n${SHARED}`).found[0]![0],
    'iommu-off-in-firmware',
  );
});

test('normal lines are told apart, and count only when something else says that their problem is there', () => {
  const log = '[    0.065453] DMAR: IOMMU enabled';
  assert.deepEqual(look(log).found, []);
  assert.equal(look(log).normal.length, 1);
  assert.deepEqual(look(log, { verdicts: new Map([['dmesg-iommu-enabled-lies', 'fail']]) }).found, [
    ['dmesg-iommu-enabled-lies'],
  ]);
  assert.deepEqual(look(log, { verdicts: new Map([['dmesg-iommu-enabled-lies', 'pass']]) }).found, []);
});

test('lines that say the same are counted, with the numbers of the first few; the worst problem is first', () => {
  const log = [
    ...Array.from(
      { length: 20 },
      (_, i) => `[${i}.000000] vfio-pci 0000:0${i % 9}:00.0: Unable to change power state from D3cold to D0, device inaccessible`,
    ),
    '[9.0] vfio 0000:01:00.0: group 1 is not viable',
  ].join('\n');
  const { found, sayings } = look(log);
  assert.deepEqual(found, [['group-not-viable'], ['d3cold-stuck']]);
  const stuck = sayings.find(({ count }) => count === 20)!;
  assert.deepEqual(stuck.lines, [1, 2, 3, 4, 5, 6, 7, 8]);
});

test('no message takes long, whatever the line', () => {
  const parts = [
    'vfio',
    'BAR 1: ',
    '[mem size ',
    'DMAR: [DMA Read] Request device [',
    'fault addr ',
    'echo write ',
    '0000:00:',
    'no totalvfs ',
    'caching_mode must ',
    'IGD ',
    '(((((',
    ': ',
  ];
  for (const part of parts) {
    const line = part.repeat(Math.ceil(4096 / part.length));
    assert.ok(cpuTime(() => void candidatesFor(line)) < 2000, part);
  }
});

test('lines that each hold other messages of several problems are told by their closest one, once there are very many', () => {
  const examples = PROBLEMS.flatMap(({ says }) => says.map(({ example }) => example.slice(0, 200)));
  const finder = new ProblemFinder();
  let number = 0;
  for (const one of examples)
    for (const other of examples.slice(0, 40)) finder.add({ number: ++number, text: `${one}; ${other}` });
  const sayings = finder.end();
  assert.ok(sayings.length > 256 && sayings.length < 256 + examples.length, `${sayings.length}`);
  assert.ok(sayings.reduce((sum, { count }) => sum + count, 0) > number / 2);
});

test('mutated messages are recognised or not, and never throw', () => {
  const samples = PROBLEMS.flatMap(({ says }) =>
    says.map(({ example }) => new TextEncoder().encode(`[    1.000000] ${example}\n> ${example}\r\n`)),
  );
  for (const bytes of mutations(3, mutationRuns(), samples)) look(new TextDecoder().decode(bytes));
});
