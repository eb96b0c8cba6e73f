import assert from 'node:assert/strict';
import { test } from 'node:test';
import { capturedHost } from '../../../test/captured-host.ts';
import { type CapturedState, captures, isState, tellCaptures } from '../../../test/captures.ts';
import { readPicture } from '../../host/picture.ts';
import { interruptsSeen, judgeBeyond } from './beyond.ts';

const found = captures();

test(`VFIO refuses for want of interrupt remapping where no interrupt is seen to be remapped (${tellCaptures(found)})`, () => {
  const seen = { ok: 0, EPERM: 0 };
  for (const capture of found.all) {
    let state: CapturedState | undefined;
    for (const event of capture.events) {
      if (isState(event)) state = event;
      if (isState(event) || event.op !== 'setiommu' || state === undefined) continue;
      if (event.result !== 'ok' && event.result !== 'EPERM') continue;
      const { is } = interruptsSeen({ texts: { '/proc/interrupts': state.proc.interrupts! } });
      // Where it went well all the same, somebody had set allow_unsafe_interrupts.
      if (event.result === 'EPERM') assert.equal(is, 'fail', capture.name);
      else if (is !== 'pass') continue;
      seen[event.result]++;
    }
  }
  assert.ok(seen.ok > 0 && seen.EPERM > 0, JSON.stringify(seen));
});

test('the interrupt of the remapping unit itself says nothing', () => {
  const text = (chip: string) => ({
    texts: { '/proc/interrupts': ` 24:  0  DMAR-MSI   0-edge  dmar0\n 25:  0  ${chip}   0-edge  x\n` },
  });
  assert.equal(interruptsSeen(text('PCI-MSIX-0000:00:02.0')).is, 'fail');
  assert.equal(interruptsSeen(text('IR-PCI-MSI 1572864')).is, 'pass');
  assert.equal(interruptsSeen({ texts: { '/proc/interrupts': ' 24:  0  DMAR-MSI   0-edge  dmar0\n' } }).is, 'unknown');
});

test(`of a guest with groups each function is judged, and of one without only that is told (${tellCaptures(found)})`, async () => {
  let without = 0;
  for (const capture of found.all) {
    const state = capture.states[0]!;
    const host = capturedHost(capture, state);
    const picture = await readPicture(host);
    const network = picture.functions.filter((one) => one.class >> 16 === 2);
    const beyond = await judgeBeyond(host, picture, network);
    const of = (id: string) => beyond.host.find((finding) => finding.id === id)!;
    if (Object.keys(state.groups).length > 0) {
      for (const { findings } of beyond.functions) assert.ok(findings.length > 2, capture.name);
      continue;
    }
    without++;
    assert.equal(of('platform/iommu-on').is, 'fail', capture.name);
    for (const { findings } of beyond.functions) assert.equal(findings[0]!.is, 'fail', capture.name);
    if (Object.keys(state.iommus).length === 0) assert.equal(of('xrd/viommu').is, 'fail', capture.name);
  }
  assert.ok(without > 0);
});

test('hugepages of another node do not help a function, and mappings are counted by their size', async () => {
  const capture = found.all.find(({ states }) => Object.keys(states[0]!.groups).length > 0)!;
  const state = capture.states[0]!;
  const bdf = Object.keys(state.devices).at(-1)!;
  const at = (node: number) => `/sys/devices/system/node/node${node}/hugepages/hugepages-1048576kB/free_hugepages`;
  const judge = async (nodes: { [path: string]: string }, size: string) => {
    const host = capturedHost(capture, state, {
      [`${state.devices[bdf]!.path}/numa_node`]: '1\n',
      '/proc/meminfo': `MemTotal: 1 kB\nHugepagesize:    ${size} kB\n`,
      '/proc/self/limits': 'Max locked memory         8388608              8388608              bytes\n',
      ...nodes,
    });
    const picture = await readPicture(host);
    const beyond = await judgeBeyond(
      host,
      picture,
      picture.functions.filter((one) => one.bdf === bdf),
    );
    return [...beyond.host, ...beyond.functions[0]!.findings];
  };
  const near = async (nodes: { [path: string]: string }) =>
    (await judge(nodes, '1048576')).find(({ id }) => id === 'xrd/hugepages-near')!;
  assert.equal((await near({ [at(0)]: '8\n', [at(1)]: '2\n' })).is, 'fail');
  assert.equal((await near({ [at(0)]: '0\n', [at(1)]: '3\n' })).is, 'pass');
  assert.equal((await near({ [at(0)]: '8\n' })).is, 'unknown');
  const all = await judge({ [at(1)]: '3\n' }, '2048');
  assert.match(all.find(({ id }) => id === 'xrd/dma-entries')!.because, /3221225472 bytes \/ 2097152 bytes = 1536 mappings/);
  assert.match(all.find(({ id }) => id === 'xrd/memlock')!.because, /RLIMIT_MEMLOCK is 8388608.*CAP_IPC_LOCK/);
});
