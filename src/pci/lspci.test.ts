import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { sharedData } from '../../test/data.ts';
import { fromHex } from '../bits/index.ts';
import { acsOf, barsOf, type Config, formatBdf, hasFlr, msixVectors, parseBdf, portType, readConfig, sriovOf } from './index.ts';

interface Dump {
  where: string;
  config: Config;
  /** What lspci 3.15 printed for this function. */
  lines: string[];
}

const folder = sharedData('pci');
const skip = !folder && 'no shared data beside the repository';

/** Splits a dump of `lspci -xxxx` or its decoded text where a line starts with an address. */
function functionsOf(text: string): { bdf: string; lines: string[] }[] {
  const out: { bdf: string; lines: string[] }[] = [];
  for (const line of text.split('\n')) {
    const address = /^((?:[0-9a-f]{4,}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]) /.exec(line)?.[1];
    if (address) out.push({ bdf: formatBdf(parseBdf(address)!), lines: [line] });
    else out.at(-1)?.lines.push(line);
  }
  return out;
}

function* dumps(): Generator<Dump> {
  for (const part of folder ? ['pciutils', 'mail', 'libvirt-config'] : [])
    for (const file of readdirSync(join(folder!, part)).filter((name) => name.endsWith('.hex'))) {
      const decoded = join(folder!, part, file.replace('.hex', '.lspci-3.15.txt'));
      if (!existsSync(decoded)) continue;
      const printed = functionsOf(readFileSync(decoded, 'utf8'));
      for (const { bdf, lines } of functionsOf(readFileSync(join(folder!, part, file), 'utf8'))) {
        const rows = lines.flatMap((line) => /^[0-9a-f]{2,3}: ((?:[0-9a-f]{2} ?)+)$/.exec(line.trimEnd())?.[1] ?? []);
        const config = readConfig(fromHex(rows.join(' ')));
        const told = printed.find((one) => one.bdf === bdf);
        assert.ok(config && told, `${file} ${bdf}`);
        yield { where: `${part}/${file} ${bdf}`, config, lines: told.lines };
      }
    }
}

const all = [...dumps()];
/** All matches of a pattern over the lines of one function, each as its groups. */
const matches = (lines: string[], pattern: RegExp) =>
  lines.flatMap((line) => (pattern.exec(line) ? [[...pattern.exec(line)!].slice(1)] : []));
const hex = (value: number, digits: number) => value.toString(16).padStart(digits, '0');
const sign = (value: number | boolean) => (value ? '+' : '-');

test(`class, ids and revision of ${all.length} functions read as lspci reads them`, { skip }, () => {
  assert.ok(all.length > 100);
  for (const { where, config, lines } of all) {
    const [classCode, ids, revision] = /\[([0-9a-f]{4})\]: .*\[([0-9a-f]{4}:[0-9a-f]{4})\](?: \(rev ([0-9a-f]{2})\))?/
      .exec(lines[0]!)!
      .slice(1);
    assert.equal(hex(config.classCode >> 8, 4), classCode, where);
    assert.equal(`${hex(config.vendor, 4)}:${hex(config.device, 4)}`, ids, where);
    assert.equal(hex(config.revision, 2), revision ?? '00', where);
  }
});

test('capabilities are found where lspci finds them, in the same order', { skip }, () => {
  let count = 0;
  for (const { where, config, lines } of all) {
    const printed = matches(lines, /^\tCapabilities: \[([0-9a-f]+)(?: v(\d+))?\]/);
    assert.deepEqual(
      config.capabilities.map(({ offset, extended, version }) => [
        hex(offset, extended ? 3 : 2),
        extended ? `${version}` : undefined,
      ]),
      printed,
      where,
    );
    count += printed.length;
  }
  assert.ok(count > 500, `${count}`);
});

/** How lspci begins the line of a capability, where its words are not ours. */
const WORDS: { readonly [name: string]: RegExp } = {
  'Power Management': /^Power Management version/,
  MSI: /^MSI:/,
  'MSI-X': /^MSI-X:/,
  'PCI Express': /^Express/,
  'Single Root I/O Virtualization': /^Single Root I\/O Virtualization/,
  'Access Control Services': /^Access Control Services/,
  'Alternative Routing-ID Interpretation': /^Alternative Routing-ID/,
  'Address Translation Services': /^Address Translation Service/,
  'Page Request Interface': /^Page Request Interface/,
  'Process Address Space ID': /^Process Address Space ID/,
  'Advanced Error Reporting': /^Advanced Error Reporting/,
  'Advanced Features': /^PCI Advanced Features/,
  'Vital Product Data': /^Vital Product Data/,
  'Bridge Subsystem ID': /^Subsystem:/,
  'Resizable BAR': /^Physical Resizable BAR/,
  'VF Resizable BAR': /^Virtual Resizable BAR/,
};

test('capabilities are named as lspci names them', { skip }, () => {
  const seen = new Set<string>();
  for (const { where, config, lines } of all) {
    const printed = matches(lines, /^\tCapabilities: \[[^\]]*\] (.*)/);
    for (const [i, { name }] of config.capabilities.entries()) {
      const words = printed[i]![0]!;
      for (const [known, pattern] of Object.entries(WORDS))
        assert.equal(name === known, pattern.test(words), `${where}: ${name}, ${words}`);
      seen.add(name);
    }
  }
  assert.ok(seen.size > 25, `${seen.size}`);
});

test('port type and function level reset are those of lspci', { skip }, () => {
  const types: { readonly [words: string]: string } = {
    Endpoint: 'endpoint',
    'Legacy Endpoint': 'legacyEndpoint',
    'Root Port': 'rootPort',
    'Upstream Port': 'upstreamPort',
    'Downstream Port': 'downstreamPort',
    'PCI-Express to PCI/PCI-X Bridge': 'bridgeToPci',
    'PCI/PCI-X to PCI-Express Bridge': 'bridgeFromPci',
    'Root Complex Integrated Endpoint': 'integratedEndpoint',
    'Root Complex Event Collector': 'eventCollector',
  };
  for (const { where, config, lines } of all) {
    const [words] = matches(lines, /^\tCapabilities: \[[0-9a-f]+\] Express \(v\d+\) ([^,(]*[^,( ])/)[0] ?? [];
    assert.equal(portType(config), words === undefined ? undefined : types[words], `${where}: ${words}`);
    const flr = matches(lines, /FLReset([+-]) (?:SlotPowerLimit|TEE-IO)|FLReset([+-])$|AFCap: TP[+-] FLR([+-])/).map((groups) =>
      groups.find((one) => one),
    );
    if (flr.length) assert.equal(hasFlr(config), flr.includes('+'), `${where}: ${flr.join()}`);
  }
});

test('bridges have the buses that lspci prints', { skip }, () => {
  for (const { where, config, lines } of all) {
    const printed = matches(lines, /^\tBus: primary=([0-9a-f]+), secondary=([0-9a-f]+), subordinate=([0-9a-f]+)/)[0];
    if (config.layout === 'cardBus') continue;
    const { bridge } = config;
    assert.deepEqual(bridge && [bridge.primary, bridge.secondary, bridge.subordinate].map((bus) => hex(bus, 2)), printed, where);
  }
});

test('memory BARs have the address and kind that lspci prints', { skip }, () => {
  let count = 0;
  for (const { where, config, lines } of all) {
    const main = lines.slice(0, lines.findIndex((line) => line.startsWith('\tCapabilities:')) >>> 0);
    const printed = matches(main, /^\tRegion (\d): Memory at ([0-9a-f]+) \((32|64)-bit, (non-)?prefetchable\)/);
    const own = barsOf(config).filter((bar) => bar.space === 'memory' && bar.base !== 0 && bar.base < 2 ** 52);
    assert.deepEqual(
      own.map(({ index, base, width, prefetchable }) => [
        `${index}`,
        hex(base, 8),
        `${width}`,
        prefetchable ? undefined : 'non-',
      ]),
      printed,
      where,
    );
    count += printed.length;
  }
  assert.ok(count > 100, `${count}`);
});

test('SR-IOV, ACS and MSI-X hold the numbers that lspci prints', { skip }, () => {
  let sriovs = 0;
  for (const { where, config, lines } of all) {
    const sriov = sriovOf(config);
    assert.deepEqual(
      sriov && [sriov.InitialVFs, sriov.TotalVFs, sriov.NumVFs, sriov.FunctionDependencyLink],
      matches(lines, /Initial VFs: (\d+), Total VFs: (\d+), Number of VFs: (\d+), Function Dependency Link: ([0-9a-f]+)/)[0]?.map(
        (text, i) => Number.parseInt(text, i === 3 ? 16 : 10),
      ),
      where,
    );
    assert.deepEqual(
      sriov && [
        `${sriov.FirstVFOffset}`,
        `${sriov.VFStride}`,
        hex(sriov.VFDeviceID, 4),
        hex(sriov.SupportedPageSizes, 8),
        hex(sriov.SystemPageSize, 8),
      ],
      matches(lines, /VF offset: (\d+), stride: (\d+), Device ID: ([0-9a-f]+)/)[0]?.concat(
        matches(lines, /Supported Page Size: ([0-9a-f]+), System Page Size: ([0-9a-f]+)/)[0]!,
      ),
      where,
    );
    if (sriov) {
      sriovs++;
      assert.deepEqual(
        [sign(sriov.VFEnable), sign(sriov.VFMSE), sign(sriov.ARICapableHierarchy)],
        matches(lines, /IOVCtl:\tEnable([+-]) .*MSE([+-]) ARIHierarchy([+-])/)[0],
        where,
      );
    }
    const acs = acsOf(config);
    const flags = '([+-]) [A-Za-z]+'.repeat(6);
    assert.deepEqual(
      acs && [acs.V, acs.B, acs.R, acs.C, acs.U, acs.E, acs.T].map(sign),
      matches(lines, new RegExp(`ACSCap:\tSrcValid${flags}([+-])`))[0],
      where,
    );
    assert.deepEqual(
      acs && [acs.VEn, acs.BEn, acs.REn, acs.CEn, acs.UEn, acs.EEn, acs.TEn].map(sign),
      matches(lines, new RegExp(`ACSCtl:\tSrcValid${flags}([+-])`))[0],
      where,
    );
    assert.equal(msixVectors(config), Number(matches(lines, /MSI-X: Enable[+-] Count=(\d+)/)[0]?.[0] ?? 0), where);
  }
  assert.ok(sriovs > 3, `${sriovs}`);
});
