import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { sharedData } from '../../test/data.ts';
import { CommonHeader, PciExpress, Sriov, Type0Header } from '../pci/index.ts';
import { configReport } from './config-report.ts';
import { decodeConfig } from './decode-config.ts';
import { EXIT, UsageError } from './exit.ts';
import { toJson } from './output.ts';
import { runCommandLine } from './run.ts';

const folder = mkdtempSync(join(tmpdir(), 'sluice-config-'));
after(() => rmSync(folder, { recursive: true }));

function function_(): Uint8Array {
  const bytes = new Uint8Array(4096);
  bytes.set(Type0Header.encode({ CapabilitiesPointer: 0x40, BAR0: 0xfe00000c, BAR1: 1, SubsystemVendorID: 0x1af4 }), 0);
  bytes.set(CommonHeader.encode({ VendorID: 0x8086, DeviceID: 0x10c9, CapabilitiesList: 1, ClassCode: 0x020000 }), 0);
  bytes.set(PciExpress.encode({ CapabilityID: 0x10, CapabilityVersion: 2, FunctionLevelResetCapability: 1 }), 0x40);
  bytes.set(Sriov.encode({ ExtendedCapabilityID: 0x10, CapabilityVersion: 1, TotalVFs: 8 }), 0x100);
  return bytes;
}

async function decode(input: Uint8Array | string, ...options: string[]) {
  const file = join(folder, 'input');
  writeFileSync(file, input);
  const out: string[] = [];
  const err: string[] = [];
  const world = {
    stdout: { write: (piece: string) => void out.push(piece) },
    stderr: { write: (piece: string) => void err.push(piece) },
    env: {},
    uid: 1000,
  };
  const code = await runCommandLine(['decode', 'config', file, ...options], world as never);
  return { code, out: out.join(''), err: err.join('') };
}

test('a raw file is told in words, with its capabilities and their offsets', async () => {
  const { code, out } = await decode(function_());
  assert.equal(code, EXIT.ok);
  assert.match(out, /^8086:10c9 {2}Ethernet controller/);
  assert.match(out, /BAR 0: at 0x1fe000000, memory of 64 bits, prefetchable/);
  assert.match(out, /\[40\] PCI Express\n {4}version 2, endpoint, FLR/);
  assert.match(out, /\[100\] Single Root I\/O Virtualization v1\n {4}off, 8 possible/);
});

test('the first 64 bytes are decoded with a note of what is missing, and that is no fault', async () => {
  const { code, out } = await decode(function_().slice(0, 64));
  assert.equal(code, EXIT.ok);
  assert.match(out, /not read, offset 0x34: only the header was read/);
});

test('what is broken is told with its offset, and ends with exit code 1', async () => {
  const bytes = function_();
  bytes[0x41] = 0x40;
  const { code, out } = await decode(bytes);
  assert.equal(code, EXIT.findings);
  assert.match(out, /finding, offset 0x41: points back to 0x40/);
  const absent = await decode(new Uint8Array(256).fill(0xff));
  assert.equal(absent.code, EXIT.findings);
  assert.match(absent.out, /all ones/);
  assert.doesNotMatch(absent.out, /SERR|header/);
});

test('a dump of a mail is decoded, and a line that is broken is named', async () => {
  const text = '> 00:1f.0 ISA bridge\n> 00: 86 80 01 00\n> 10: 00\n';
  const { code, out } = await decode(text);
  assert.equal(code, EXIT.findings);
  assert.match(out, /line 2: the row at 00 has 4 bytes, not 16/);
  assert.match(out, /line 1: only 4 bytes can be used, and a header has 64/);
});

test('input of another kind is refused with what would be taken', async () => {
  for (const [input, says] of [
    ['# cat config\nno bytes here\n', /is text without a row of bytes/],
    [new Uint8Array(40), /has 40 bytes, which is no configuration space/],
    [new Uint8Array(5000), /has 5000 bytes/],
    ['', /is text without a row/],
  ] as const) {
    const { code, out, err } = await decode(input);
    assert.deepEqual([code, out], [EXIT.usage, '']);
    assert.match(err, says);
    assert.match(err, /64 to 4096 raw bytes/);
  }
});

const data = sharedData('pci');
test('every posted dump keeps to 80 columns and to the schema', {
  skip: !data && 'no shared data beside the repository',
}, async () => {
  for (const part of ['pciutils', 'mail', 'libvirt-config'])
    for (const name of readdirSync(join(data!, part)).filter((one) => /\.(hex|config)$/.test(one))) {
      const input = readFileSync(join(data!, part, name));
      const report = decodeConfig(input, name);
      configReport.parse(JSON.parse(toJson(report)));
      assert.deepEqual(configReport.parse(report), report, name);
      if (part !== 'pciutils') {
        const { out } = await decode(input);
        for (const line of out.split('\n')) assert.ok(line.length <= 80, line);
      }
    }
  assert.throws(() => decodeConfig(new Uint8Array(3), 'x'), UsageError);
});
