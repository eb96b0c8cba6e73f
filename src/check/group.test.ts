import assert from 'node:assert/strict';
import { test } from 'node:test';
import { capturedHost } from '../../test/captured-host.ts';
import { attribute, captureNamed, captures, tellCaptures } from '../../test/captures.ts';
import { cpuTime } from '../../test/cpu-time.ts';
import { BDF, fn, pictureOf } from '../../test/pictures.ts';
import { verdictOf } from '../../test/rules.ts';
import { buildDmar, buildIvrs, type DmarStructureDescription } from '../acpi/index.ts';
import type { PciFunction } from '../host/functions.ts';
import { type Picture, readPicture } from '../host/picture.ts';

const found = captures();
const told = tellCaptures(found);
const about = (id: string, functions: PciFunction[], more: Partial<Picture> = {}, cmdline?: string) =>
  verdictOf(id, pictureOf({ functions, ...more }, cmdline), functions[0]!.bdf);

/** The states of a capture by label, or undefined when it is not here. */
async function statesOf(name: string): Promise<ReadonlyMap<string, Picture> | undefined> {
  const capture = captureNamed(name);
  if (capture === undefined) return undefined;
  return new Map(
    await Promise.all(
      capture.states.map(async (state) => [state.label, await readPicture(capturedHost(capture, state))] as const),
    ),
  );
}

test('bridges in a group are not blockers, and one with a driver of its own DMA is no mere bridge', () => {
  const bridge = (driver: string) => fn('0000:00:01.0', { headerType: 1, class: 0x060400, driver });
  const harmless = about('bridge-in-group-false-alarm', [fn(BDF), bridge('pcieport')]);
  assert.equal(harmless.is, 'pass');
  assert.match(harmless.because, /0000:00:01\.0 of group 1 is a bridge and needs no VFIO driver/);
  assert.equal(about('group-not-viable', [fn(BDF), bridge('pcieport')]).is, 'pass');
  for (const id of ['bridge-in-group-false-alarm', 'group-not-viable'])
    assert.equal(about(id, [fn(BDF), bridge('switchtec')]).is, 'fail', id);
  assert.equal(about('bridge-in-group-false-alarm', [fn(BDF)]).is, 'not-applicable');
  assert.equal(about('group-not-viable', [bridge('pcieport')]).is, 'not-applicable');
});

test('a group of thousands is told with its first members and their number', () => {
  const functions = Array.from({ length: 4000 }, (_, n) => {
    const [bus, rest] = [(n >> 8) + 1, n & 255];
    const hex = (value: number) => value.toString(16).padStart(2, '0');
    return fn(`0000:${hex(bus)}:${hex(rest >> 3)}.${rest & 7}`, { driver: 'igbvf' });
  });
  const picture = pictureOf({ functions });
  const took = cpuTime(() => {
    for (const { bdf } of functions) {
      const verdict = verdictOf('group-not-viable', picture, bdf);
      assert.match(verdict.because, /and 3983 more share it/);
      assert.ok(verdict.seen.length <= 16 && JSON.stringify(verdict).length < 5000);
    }
  });
  assert.ok(took < 5000, `${took} ms`);
});

test('functions of one slot that share a group go together', () => {
  const siblings = (driver: string | undefined) => [fn(BDF), fn('0000:01:00.1', driver === undefined ? {} : { driver })];
  assert.match(
    about('multifunction-siblings', siblings('snd_hda_intel')).because,
    /1 other function of its slot is in group 1, and the host uses 0000:01:00\.1 \(driver snd_hda_intel\)/,
  );
  assert.equal(about('multifunction-siblings', siblings('vfio-pci')).is, 'pass');
  assert.equal(about('multifunction-siblings', [fn(BDF), fn('0000:01:00.1', { group: 2, driver: 'igb' })]).is, 'not-applicable');
});

test('only a lasting region of firmware locks a device: its VFs are in none, and USB and graphics give theirs back', () => {
  const rmrr: DmarStructureDescription = {
    type: 'RMRR',
    segment: 0,
    base: 0xbf7ec000n,
    limit: 0xbf7fffffn,
    scopes: [{ type: 'endpoint', startBus: 0, path: [{ device: 9, function: 0 }] }],
  };
  const unit: DmarStructureDescription = { type: 'DRHD', segment: 0, registerBase: 0xfed90000n, includePciAll: true, scopes: [] };
  const bytes = buildDmar({ hostAddressWidth: 46, structures: [unit, rmrr] });
  // The group could not be read: the table has to do.
  const is = (more: Partial<PciFunction> = {}, firmwareTables: Picture['firmwareTables'] = [{ signature: 'DMAR', bytes }]) =>
    about('rmrr-locked', [fn('0000:00:09.0', more)], { groups: [], firmwareTables }).is;
  assert.equal(is(), 'fail');
  assert.equal(is({ class: 0x0c0330 }), 'pass');
  assert.equal(is({ physfn: '0000:00:08.0' }), 'pass');
  assert.equal(is({}, []), 'unknown');
  const sriov = { totalVFs: 7, numVFs: 0, firstVFOffset: 1, vfStride: 1, driversAutoprobe: true };
  const groups = [{ number: 1, devices: [BDF], reserved: [{ start: '0xbf7ec000', end: '0xbf7fffff', type: 'direct' }] }];
  const verdict = about('rmrr-locked', [fn(BDF, { sriov })], { groups });
  assert.match(verdict.because, /0xbf7ec000 to 0xbf7fffff at any time/);
  assert.match(verdict.fix![0]!, /one of its 7 VFs/);
});

test('a domain may have more than four digits, and what is in it goes with its VMD', () => {
  const vmd = fn('0000:00:0e.0', { class: 0x010400, driver: 'vmd', group: 8 });
  const drive = (bdf: string) =>
    fn(bdf, { class: 0x010802, path: `/sys/devices/pci0000:00/0000:00:0e.0/pci10000:e0/10000:e0:06.0/${bdf}`, driver: 'nvme' });
  const functions = [drive('10000:e1:00.0'), drive('10000:e2:00.0'), vmd];
  const verdict = about('vmd-hidden', functions);
  assert.equal(verdict.is, 'fail');
  assert.match(verdict.because, /domain 10000 is made by VMD.*requester id of 0000:00:0e\.0, as that of 10000:e2:00\.0 does/);
  assert.match(verdictOf('vmd-hidden', pictureOf({ functions }), vmd.bdf).because, /takes 2 devices with it/);
  assert.equal(about('vmd-hidden', [fn(BDF)]).is, 'not-applicable');
});

test('behind a bridge to conventional PCI all carry one requester id', () => {
  const bytes = new Uint8Array(256);
  bytes.set([0x86, 0x80, 1, 0]);
  bytes[14] = 1;
  const bridge = (config?: Uint8Array, driver?: string) =>
    fn('0000:00:1e.0', {
      headerType: 1,
      class: 0x060401,
      ...(config === undefined ? {} : { config }),
      ...(driver === undefined ? {} : { driver }),
    });
  const below = (bdf: string) => fn(bdf, { path: `/sys/devices/pci0000:00/0000:00:1e.0/${bdf}` });
  const is = (...functions: PciFunction[]) => about('conventional-pci-alias', functions).is;
  assert.equal(is(below('0000:01:01.0'), below('0000:01:02.0'), bridge(bytes)), 'fail');
  assert.equal(is(below('0000:01:01.0'), bridge(bytes)), 'pass');
  assert.equal(is(below('0000:01:01.0'), bridge(bytes.slice(0, 64))), 'pass', 'no capability list: the header tells');
  const listed = bytes.slice(0, 64);
  listed[6] = 0x10;
  assert.equal(is(below('0000:01:01.0'), bridge(listed)), 'unknown');
  assert.equal(is(below('0000:01:01.0'), bridge(listed, 'pcieport')), 'not-applicable');
  assert.equal(is(fn('0000:00:1f.3')), 'not-applicable');
});

test(`who is behind a bridge without requester ids of their own shares its group (${told})`, async () => {
  let count = 0;
  for (const capture of found.all) {
    const picture = await readPicture(capturedHost(capture, capture.states[0]!));
    if (picture.groups.length === 0) continue;
    for (const one of picture.functions) {
      const verdict = verdictOf('conventional-pci-alias', picture, one.bdf);
      if (verdict.is !== 'fail' || one.group === undefined) continue;
      const bridge = /requester id of (\S+),/.exec(verdict.because)![1]!;
      for (const other of picture.functions)
        if (other.path.includes(`/${bridge}/`)) assert.equal(other.group, one.group, `${capture.name} ${one.bdf} ${other.bdf}`);
      count++;
    }
  }
  assert.ok(count > 0 || !found.whole);
});

test(`removed and found again, functions without ACS are shown apart: that isolation does not exist (${told})`, async (t) => {
  const states = await statesOf('act-remove-rescan');
  if (states === undefined) return t.skip('the larger collection is not here');
  assert.equal(verdictOf('acs-override-active', states.get('boot')!).is, 'pass');
  const verdict = verdictOf('acs-override-active', states.get('rescanned')!);
  assert.equal(verdict.is, 'fail');
  assert.match(verdict.because, /the isolation shown does not exist/);
});

test(`pcie_acs_override does nothing in a kernel without the patch (${told})`, async (t) => {
  const picture = (await statesOf('opt-acs-override'))?.get('boot');
  if (picture === undefined) return t.skip('the larger collection is not here');
  assert.match(verdictOf('acs-override-active', picture).because, /this kernel without the patch ignores it/);
  const line = {
    at: 0,
    level: 4,
    text: 'Warning: PCIe ACS overrides enabled; This may allow non-IOMMU protected peer-to-peer DMA',
  };
  const patched = verdictOf('acs-override-active', { ...picture, log: [...picture.log!, line] });
  assert.equal(patched.is, 'fail');
});

test(`the ACS control bits decide, not the capability (${told})`, async (t) => {
  const picture = (await statesOf('acs-redir-two'))?.get('boot');
  if (picture === undefined) return t.skip('the larger collection is not here');
  const failed = picture.functions.flatMap(({ bdf }) => {
    const verdict = verdictOf('acs-missing-upstream', picture, bdf);
    return verdict.is === 'fail' ? [verdict.because] : [];
  });
  assert.equal(failed.length, 2);
  for (const because of failed) assert.match(because, /its ACS control has .*RR.* off/);
});

test(`functions of different slots share a group exactly where a port, or conventional PCI, is named for it (${told})`, async () => {
  let named = 0;
  for (const capture of found.all)
    for (const state of capture.states) {
      const picture = await readPicture(capturedHost(capture, state));
      for (const one of picture.functions) {
        if (one.group === undefined || one.class >>> 16 === 6) continue;
        const verdict = verdictOf('acs-missing-upstream', picture, one.bdf);
        const slot = one.bdf.slice(0, -2);
        const others = state.groups[one.group]!.devices.filter(
          (bdf) => !bdf.startsWith(slot) && !attribute(state.devices[bdf]!, 'class')!.startsWith('0x06'),
        );
        const where = `${capture.name} ${state.label} ${one.bdf}: ${verdict.because}`;
        if (others.length === 0) assert.equal(verdict.is, 'pass', where);
        else assert.ok(verdict.is === 'fail' || verdict.is === 'not-applicable', where);
        if (verdict.is === 'fail') named++;
      }
    }
  assert.ok(named > 0 || !found.whole);
});

test(`functions below bypass_iommu have no group, and nothing about groups is claimed of them (${told})`, async (t) => {
  const picture = (await statesOf('pxb-bypass'))?.get('boot');
  if (picture === undefined) return t.skip('the larger collection is not here');
  const below = picture.functions.filter(({ path }) => path.includes('/pci0000:40/') && path.split('/').length > 5);
  assert.ok(below.length > 0);
  for (const { bdf, group } of below) {
    assert.equal(group, undefined);
    for (const id of ['group-not-viable', 'rmrr-locked', 'acs-missing-upstream', 'no-interrupt-remapping'])
      assert.equal(verdictOf(id, picture, bdf).is, 'not-applicable', `${id} ${bdf}`);
  }
});

test('an IVRS table has to name every I/O APIC, unless interrupts are remapped or ivrs_ioapic= names it', () => {
  const madt = new Uint8Array(56);
  new DataView(madt.buffer).setUint32(4, madt.length, true);
  madt.set([1, 12, 32, 0, 0, 0, 0xc0, 0xfe], 44);
  const platformTables = [{ signature: 'APIC' as const, bytes: madt }];
  const ivrs = (handle: number, sourceId = 0xa0): Picture['firmwareTables'] => [
    {
      signature: 'IVRS',
      bytes: buildIvrs({
        blocks: [
          {
            type: 'IVHD',
            typeNumber: 0x10,
            flags: 0,
            deviceId: 2,
            capabilityOffset: 0x40,
            base: 0xfeb80000n,
            segment: 0,
            info: 0,
            features: 0,
            entries: [{ type: 'special', deviceId: 0, dteSetting: 0, handle, sourceId, variety: 1 }],
          },
        ],
      }),
    },
  ];
  const verdict = (firmwareTables: Picture['firmwareTables'], more: Partial<Picture> = {}, cmdline = 'quiet') =>
    verdictOf('amd-ivrs-broken', pictureOf({ firmwareTables, platformTables, ...more }, cmdline));
  const remapped = { texts: { '/proc/interrupts': ' 0: 7  IR-IO-APIC 2-edge timer\n' } };
  assert.equal(verdict(ivrs(32)).is, 'pass');
  assert.match(verdict(ivrs(33)).because, /IOAPIC\[32\] of the table APIC has no special device entry/);
  assert.match(verdict(ivrs(32, 0xb0)).because, /I\/O APIC of the southbridge/);
  assert.equal(verdict(ivrs(33), remapped).is, 'pass');
  assert.equal(verdict(ivrs(33), {}, 'ivrs_ioapic[32]=00:14.0').is, 'pass');
  assert.equal(verdict(ivrs(33), {}, 'ivrs_ioapic=32@0000:00:14.0').is, 'pass');
  const text = 'AMD-Vi: [Firmware Bug]: IOAPIC[32] not in IVRS table';
  assert.equal(verdict(ivrs(32), { log: [{ at: 0, level: 3, text }] }).is, 'fail');
  assert.equal(verdict([]).is, 'not-applicable');
  assert.equal(
    verdict([], { unread: [{ what: '/sys/firmware/acpi/tables/IVRS', because: 'cannot read (EACCES)' }] }).is,
    'unknown',
  );
});
