import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { cpuTime } from '../../test/cpu-time.ts';
import { sharedData } from '../../test/data.ts';
import { mutationRuns, mutations } from '../../test/mutate.ts';
import { readConfig } from './config.ts';
import { readHexDump } from './hex-dump.ts';
import { listedCapability, listedFlags, readLspciText } from './lspci-text.ts';

const BRIDGE = `00:1c.0 PCI bridge [0604]: Intel Corporation Some Root Port #1 [8086:a110] (rev f1) (prog-if 00 [Normal decode])
	Subsystem: Some Maker Some Board [1043:8694]
	Control: I/O+ Mem+ BusMaster+
	Status: Cap+ 66MHz-
	Bus: primary=00, secondary=01, subordinate=03, sec-latency=0
	Capabilities: [40] Express (v2) Root Port (Slot+), MSI 00
		DevCap:	MaxPayload 256 bytes, PhantFunc 0
	Capabilities: [140 v1] Access Control Services
		ACSCap:	SrcValid+ TransBlk+ ReqRedir+ CmpltRedir+ UpstreamFwd+ EgressCtrl- DirectTrans-
		ACSCtl:	SrcValid+ TransBlk- ReqRedir- CmpltRedir+ UpstreamFwd+ EgressCtrl- DirectTrans-
	Kernel driver in use: pcieport
`;

const TREE = `-+-[0000:ff]-+-08.0  Intel Corporation Some Unit
 |           \\-08.2  Intel Corporation Other Unit
 \\-[0000:00]-+-00.0  Intel Corporation Host Bridge
             +-1c.0-[01]----00.0  Maker NIC
             +-1c.4-[02-04]--+-00.0-[03-04]--+-00.0  Deep One
             |               |               \\-00.1  Deep Two
             |               \\-00.1  Maker Card [Series-1.0]
             \\-1f.3  Intel Corporation SMBus
`;

test('a function of -vvnn is read with its numbers, buses and capabilities', () => {
  const { functions, findings } = readLspciText(`Some prose first.\n\n${BRIDGE}\n`);
  assert.deepEqual(findings, []);
  const [port] = functions;
  assert.deepEqual(
    [port?.bdf, port?.line, port?.class, port?.vendor, port?.device, port?.revision, port?.progIf],
    ['0000:00:1c.0', 3, 0x0604, 0x8086, 0xa110, 0xf1, 0],
  );
  assert.equal(port?.name, 'Intel Corporation Some Root Port #1');
  assert.deepEqual(port?.subsystem, { vendor: 0x1043, device: 0x8694 });
  assert.deepEqual(port?.buses, { primary: 0, secondary: 1, subordinate: 3 });
  assert.deepEqual(
    port?.capabilities.map(({ offset, line }) => [offset, line]),
    [
      [0x40, 8],
      [0x140, 10],
    ],
  );
  assert.equal(port?.driver, 'pcieport');
  assert.equal(listedFlags(listedCapability(port!, /^Access/)!, 'ACSCtl')?.get('ReqRedir'), false);
});

test('quoting, CRLF, spaces for tabs and broken lines change nothing', () => {
  const flags = (text: string) => {
    const [port] = readLspciText(text).functions;
    return [...listedFlags(listedCapability(port!, /^Access/)!, 'ACSCtl')!];
  };
  const plain = flags(BRIDGE);
  assert.equal(plain.length, 7);
  assert.deepEqual(flags(BRIDGE.replaceAll('\n', '\r\n')), plain);
  assert.deepEqual(flags(BRIDGE.replace(/^/gm, '> ')), plain);
  assert.deepEqual(flags(BRIDGE.replaceAll('\t', '        ')), plain);
  const [own, pasted] = [BRIDGE, BRIDGE.replaceAll('\t', '\u00a0\u00a0')].map((text) => readLspciText(text).functions[0]!);
  assert.deepEqual([pasted!.name, pasted!.device, flags(BRIDGE.replaceAll('\t', '\u00a0'))], [own!.name, own!.device, plain]);
  assert.deepEqual(flags(BRIDGE.replaceAll(' CmpltRedir+ Up', ' CmpltRedir+\n\t\t\tUp')), plain);
  assert.deepEqual(flags(BRIDGE.replaceAll(' CmpltRedir+ Up', ' CmpltRedir+\nUp')), plain);
  assert.equal(flags(BRIDGE.replaceAll(/ CmpltRedir.*/g, '')).length, 3, 'what was cut off is not made up');
});

test('every shape of the first line is read for what it says', () => {
  const read = (line: string) => {
    const [{ bdf, class: code, vendor, device, revision } = { bdf: '' }] = readLspciText(line).functions;
    return [bdf, code, vendor, device, revision];
  };
  assert.deepEqual(read('00:00.0 0600: 8086:5918 (rev 05)'), ['0000:00:00.0', 0x0600, 0x8086, 0x5918, 5]);
  assert.deepEqual(read('00:00.0 Class 0600: 8086:5918'), ['0000:00:00.0', 0x0600, 0x8086, 0x5918, undefined]);
  assert.deepEqual(read('10000:e0:06.0 PCI bridge: Intel Corporation Device 464d (rev 04)'), [
    '10000:e0:06.0',
    0x0604,
    undefined,
    0x464d,
    4,
  ]);
  assert.deepEqual(read('00:02.0 VGA compatible controller: Maker Card'), [
    '0000:00:02.0',
    0x0300,
    undefined,
    undefined,
    undefined,
  ]);
  assert.deepEqual(read('00:02.0 "VGA compatible controller [0300]" "Intel Corporation [8086]" "UHD [5912]" -r04 "" ""'), [
    '0000:00:02.0',
    0x0300,
    0x8086,
    0x5912,
    4,
  ]);
  assert.deepEqual(
    read(
      'Slot:\t00:02.0\nClass:\tVGA compatible controller [0300]\nVendor:\tIntel Corporation [8086]\nDevice:\tUHD [5912]\nRev:\t04\n',
    ),
    ['0000:00:02.0', 0x0300, 0x8086, 0x5912, 4],
  );
});

test('denied, absent and untold capabilities are three things', () => {
  const told = (rest: string) => readLspciText(`00:02.0 Host bridge: A B\n${rest}`).functions[0]?.told;
  assert.equal(told(''), 'none');
  assert.equal(told('\tFlags: fast devsel\n'), 'absent');
  assert.equal(told('\tFlags: fast devsel\n\tCapabilities: <access denied>\n'), 'denied');
  assert.equal(told('\tFlags: fast devsel\n\tCapabilities: [40] Express Endpoint, MSI 00\n'), 'listed');
});

test('a short listing and a long one of the same machine are one', () => {
  const { functions } = readLspciText(
    `00:1c.0 0604: 8086:a110\n00:1f.0 0601: 8086:a145\n\n${BRIDGE.replaceAll(/ \[[0-9a-f]{4}(:[0-9a-f]{4})?\]/g, '')}`,
  );
  assert.deepEqual(
    functions.map(({ bdf, device, capabilities, told }) => [bdf, device, capabilities.length, told]),
    [
      ['0000:00:1c.0', 0xa110, 2, 'listed'],
      ['0000:00:1f.0', 0xa145, 0, 'none'],
    ],
  );
  assert.match(functions[0]!.name!, /Some Root Port/);
});

test('a tree says what is behind which bridge', () => {
  const { functions } = readLspciText(TREE);
  assert.deepEqual(
    functions.map(({ bdf, buses }) => (buses ? `${bdf} ${buses.secondary}-${buses.subordinate}` : bdf)),
    [
      '0000:ff:08.0',
      '0000:ff:08.2',
      '0000:00:00.0',
      '0000:00:1c.0 1-1',
      '0000:01:00.0',
      '0000:00:1c.4 2-4',
      '0000:02:00.0 3-4',
      '0000:03:00.0',
      '0000:03:00.1',
      '0000:02:00.1',
      '0000:00:1f.3',
    ],
  );
  assert.equal(functions.find(({ bdf }) => bdf === '0000:02:00.1')?.name, 'Maker Card [Series-1.0]');
});

test('a first line that was broken in two is one', () => {
  const [port] = readLspciText(BRIDGE.replace(' Root Port #1 ', '\nRoot Port #1 ')).functions;
  assert.deepEqual([port?.name, port?.device, port?.buses?.secondary], ['Intel Corporation Some Root Port #1', 0xa110, 1]);
});

const dumps = sharedData('pci/pciutils');

test('trees that lspci drew have the functions and buses that configuration space has', {
  skip: !dumps && 'no shared data beside the repository',
}, () => {
  let bridges = 0;
  for (const file of readdirSync(dumps!).filter((name) => name.endsWith('.tree.txt'))) {
    const drawn = new Map(
      readLspciText(readFileSync(join(dumps!, file), 'utf8')).functions.map(({ bdf, buses }) => [bdf, buses]),
    );
    const { functions } = readHexDump(readFileSync(join(dumps!, file.replace('.tree.txt', '.hex')), 'utf8'));
    assert.deepEqual([...drawn.keys()].sort(), functions.map(({ bdf }) => bdf ?? '').sort(), file);
    for (const [bdf, buses] of drawn) {
      if (!buses) continue;
      const { secondary, subordinate } = readConfig(functions.find((one) => one.bdf === bdf)!.bytes)!.bridge!;
      assert.deepEqual([buses.secondary, buses.subordinate], [secondary, subordinate], `${file} ${bdf}`);
      bridges++;
    }
  }
  assert.ok(bridges > 5, `${bridges}`);
});

const folder = sharedData('groups');

test('no mutation of a listing throws, hangs or invents addresses', {
  skip: !folder && 'no shared data beside the repository',
}, () => {
  const samples = readdirSync(folder!)
    .filter((name) => name.endsWith('.lspci.txt'))
    .map((name) => readFileSync(join(folder!, name)).subarray(0, 20_000));
  for (const bytes of mutations(11, mutationRuns(), [...samples, Buffer.from(BRIDGE), Buffer.from(TREE)])) {
    const text = new TextDecoder().decode(bytes);
    const lines = text.split('\n').length;
    const { functions, findings } = readLspciText(text);
    assert.equal(new Set(functions.map(({ bdf }) => bdf)).size, functions.length);
    for (const { line } of [...functions, ...findings]) assert.ok(line >= 1 && line <= lines);
  }
});

test('one long line and very many lines are read in time', () => {
  const took = cpuTime(() => {
    readLspciText(`00:00.0 Host bridge: ${'x'.repeat(5_000_000)}`);
    readLspciText(`${'00:00.0 '.repeat(500_000)}\n`);
    readLspciText(`00:00.0 a: b\n\tCapabilities: [40] Access Control Services\n${'\t\tACSCap: SrcValid+\n'.repeat(200_000)}`);
  });
  assert.ok(took < 5000, `${took}`);
});
