import assert from 'node:assert/strict';
import { test } from 'node:test';
import { capturedHost } from '../../test/captured-host.ts';
import { captureNamed, captures, tellCaptures } from '../../test/captures.ts';
import { BDF, fn, pictureOf } from '../../test/pictures.ts';
import { verdictOf } from '../../test/rules.ts';
import { buildDmar, type DmarStructureDescription } from '../acpi/index.ts';
import { type Picture, readPicture } from '../host/picture.ts';

const found = captures();
const told = tellCaptures(found);

/** A unit of segment 0; scopes are type and device on bus 0. */
function drhd(
  registerBase: bigint,
  includePciAll: boolean,
  ...scopes: ['endpoint' | 'bridge', number][]
): DmarStructureDescription {
  return {
    type: 'DRHD',
    segment: 0,
    registerBase,
    includePciAll,
    scopes: scopes.map(([type, device]) => ({ type, startBus: 0, path: [{ device, function: 0 }] })),
  };
}

/** A DMAR table that allows interrupt remapping. */
function dmar(structures = [drhd(0xfed90000n, true)], X2APIC_OPT_OUT = false): Picture['firmwareTables'][number] {
  return { signature: 'DMAR', bytes: buildDmar({ hostAddressWidth: 46, INTR_REMAP: true, X2APIC_OPT_OUT, structures }) };
}

const off: Partial<Picture> = { units: [], groups: [] };
const log = (...lines: string[]) => ({ log: ['Linux version 6.12', ...lines].map((text, at) => ({ at, level: 6, text })) });
const chips = (...names: string[]) => ({
  texts: { '/proc/interrupts': `   CPU0\n${names.map((name, n) => ` ${n}: 7  ${name} 0-edge x`).join('\n')}\n` },
});
const REMAPPED = chips('IR-IO-APIC', 'DMAR-MSI', 'IR-PCI-MSI-0000:00:02.0');
const PLAIN = chips('IO-APIC', 'PCI-MSIX-0000:00:02.0');

/** The first state of captures that a test is about, when they are here. */
async function picturesOf(...names: string[]): Promise<Picture[]> {
  const wanted = names.flatMap((name) => captureNamed(name) ?? []);
  return await Promise.all(wanted.map((capture) => readPicture(capturedHost(capture, capture.states[0]!))));
}

test('"DMAR: IOMMU enabled" in the log proves nothing', () => {
  const enabled = log('DMAR: IOMMU enabled');
  const none = verdictOf('dmesg-iommu-enabled-lies', pictureOf({ ...off, ...enabled }));
  assert.equal(none.is, 'fail');
  assert.match(none.because, /there are no groups, and 0 units/);
  assert.equal(verdictOf('dmesg-iommu-enabled-lies', pictureOf(enabled)).is, 'pass');
  assert.equal(verdictOf('dmesg-iommu-enabled-lies', pictureOf({ ...off, ...log() })).is, 'not-applicable');
  assert.equal(verdictOf('dmesg-iommu-enabled-lies', pictureOf(off)).is, 'unknown');
  // On an AMD machine with the option of the other vendor, the line is there as well.
  assert.equal(
    verdictOf(
      'iommu-off-in-firmware',
      pictureOf({ ...off, ...enabled, platformTables: [{ signature: 'APIC', bytes: new Uint8Array() }] }),
    ).is,
    'fail',
  );
});

test(`a real kernel without any unit prints "DMAR: IOMMU enabled", and is not believed (${told})`, async () => {
  let count = 0;
  for (const capture of found.all)
    for (const state of capture.states) {
      const picture = await readPicture(capturedHost(capture, state));
      const line = picture.log?.some(({ text }) => text === 'DMAR: IOMMU enabled') ?? false;
      const verdict = verdictOf('dmesg-iommu-enabled-lies', picture);
      const expected = picture.groups.length > 0 ? 'pass' : line ? 'fail' : 'not-applicable';
      assert.equal(verdict.is, expected, `${capture.name} ${state.label}`);
      if (verdict.is === 'fail') count++;
    }
  assert.ok(count > 0 || !found.whole);
});

test('"Enabled IRQ remapping" with no group is normal when DMA remapping is off', () => {
  const picture = pictureOf(
    { ...off, firmwareTables: [dmar()], ...REMAPPED, ...log('DMAR-IR: Enabled IRQ remapping in x2apic mode') },
    'quiet',
  );
  const verdict = verdictOf('iommu-kernel-off', picture);
  assert.equal(verdict.is, 'fail');
  assert.match(verdict.because, /intel_iommu=on is not on the command line.*interrupts are remapped is a matter of its own/);
  // There is no second complaint: what is in no group is not asked about its interrupts.
  const { group: _, unit: __, ...bare } = fn(BDF);
  assert.equal(verdictOf('no-interrupt-remapping', { ...picture, functions: [bare] }, BDF).is, 'not-applicable');
});

test(`intel_iommu=off still turns interrupt remapping on, and the verdict is about DMA (${told})`, async (t) => {
  const pictures = await picturesOf('opt-off', 'opt-iommu-off');
  if (pictures.length === 0) return t.skip('the larger collection is not here');
  for (const picture of pictures) {
    assert.match(picture.texts['/proc/interrupts']!, /IR-IO-APIC/);
    assert.match(
      verdictOf('iommu-kernel-off', picture).because,
      /iommu=off is on the command line; that interrupts are remapped/,
    );
  }
});

test(`Debian turns VT-d on without an option and with one that does not ask for it (${told})`, async (t) => {
  const pictures = await picturesOf('v72-none', 'opt-tboot-noforce');
  if (pictures.length === 0) return t.skip('the larger collection is not here');
  for (const picture of pictures) {
    assert.doesNotMatch(picture.system.cmdline, /intel_iommu=on/);
    for (const id of ['iommu-kernel-off', 'iommu-off-in-firmware']) assert.equal(verdictOf(id, picture).is, 'pass');
  }
});

test('a misspelt option does not count for or against: groups do', () => {
  assert.equal(verdictOf('iommu-kernel-off', pictureOf({}, 'intel_iommu=nonsense')).is, 'pass');
  const without = pictureOf({ ...off, firmwareTables: [dmar()] }, 'intel_iommu=nonsense');
  assert.match(verdictOf('iommu-kernel-off', without).because, /intel_iommu=on is not on the command line/);
});

test('how the kernel was built tells whether intel_iommu=on is needed', () => {
  const because = (config: string | undefined, cmdline = 'quiet', table: 'DMAR' | 'IVRS' = 'DMAR') =>
    verdictOf(
      'iommu-kernel-off',
      pictureOf(
        {
          ...off,
          firmwareTables: [{ signature: table, bytes: dmar().bytes }],
          texts: config === undefined ? {} : { '/boot/config-6.12': config },
        },
        cmdline,
      ),
    ).because;
  assert.match(because('# CONFIG_INTEL_IOMMU is not set\n'), /built without CONFIG_INTEL_IOMMU/);
  assert.match(because('CONFIG_INTEL_IOMMU=y\n'), /built to leave VT-d off/);
  assert.match(because(undefined), /not every kernel turns VT-d on/);
  assert.match(because(undefined, 'intel_iommu=on'), /gave up while booting/);
  assert.match(because('CONFIG_AMD_IOMMU=y\n', 'quiet', 'IVRS'), /gave up while booting/);
});

test('no table is firmware on a real machine, a missing vIOMMU in a guest, and says nothing in a container', () => {
  const acpi = { platformTables: [{ signature: 'APIC' as const, bytes: new Uint8Array() }] };
  const is = (more: Partial<Picture>) => verdictOf('iommu-off-in-firmware', pictureOf({ ...off, ...more })).is;
  assert.equal(is(acpi), 'fail');
  assert.equal(is({}), 'unknown');
  assert.equal(is({ system: { ...pictureOf().system, guest: true } }), 'not-applicable');
  assert.equal(is({ unread: [{ what: '/sys/firmware/acpi/tables/APIC', because: 'cannot read (EACCES)' }] }), 'fail');
  assert.equal(is({ unread: [{ what: '/sys/firmware/acpi/tables/DMAR', because: 'cannot read (EACCES)' }] }), 'pass');
  assert.equal(is({ unread: [{ what: '/sys/firmware/acpi/tables/DMAR', because: 'cannot read (EIO)' }] }), 'unknown');
});

test('iommu=pt is irrelevant to VFIO, and a group that VFIO owns keeps its default type', () => {
  const groups = [{ number: 1, type: 'identity', devices: [BDF], reserved: [] }];
  const verdict = verdictOf('iommu-pt-misread', pictureOf({ groups, functions: [fn(BDF, { driver: 'vfio-pci' })] }, 'iommu=pt'));
  assert.equal(verdict.is, 'pass');
  assert.match(verdict.because, /a function that VFIO opens is translated all the same/);
  assert.equal(verdictOf('iommu-pt-misread', pictureOf()).is, 'not-applicable');
  assert.equal(verdictOf('iommu-pt-misread', pictureOf({}, 'iommu=pt iommu=nopt')).is, 'not-applicable');
});

test('iommu=pt turns nothing on, and what guides write instead is no option at all', () => {
  const because = (cmdline: string, more: Partial<Picture> = {}) =>
    verdictOf('iommu-pt-misread', pictureOf(more, cmdline)).because;
  assert.match(because('iommu=pt', off), /turns no unit on/);
  assert.match(because('intel_iommu=pt'), /intel_iommu=pt is no option/);
  assert.match(because('amd_iommu=on iommu=pt'), /amd_iommu=on is no option/);
});

test(`iommu=pt without hardware pass-through silently gives DMA (${told})`, async (t) => {
  const [picture] = await picturesOf('opt-nopt-hw');
  if (picture === undefined) return t.skip('the larger collection is not here');
  assert.ok(picture.log!.some(({ text }) => text.startsWith('iommu: Default domain type: Passthrough')));
  const verdict = verdictOf('iommu-pt-misread', picture);
  assert.equal(verdict.is, 'fail');
  assert.match(verdict.because, /none of 8 groups has an identity domain, because ECAP_REG\.PT of dmar0 is 0/);
});

test(`with caching mode the kernel prints lazy and its groups are strict: the groups are believed (${told})`, async (t) => {
  const [picture] = await picturesOf('v72-std');
  if (picture === undefined) return t.skip('the larger collection is not here');
  assert.ok(picture.log!.some(({ text }) => text.includes('invalidation policy: lazy mode')));
  assert.ok(picture.groups.every(({ type }) => type === 'DMA'));
  const verdict = verdictOf('iommu-pt-misread', { ...picture, system: { ...picture.system, cmdline: 'iommu=pt' } });
  assert.ok(verdict.seen.some(({ text }) => text === 'DMA 8'));
});

test('what the kernel does is seen at its interrupts, on Intel and on AMD; what a unit could do decides only without them', () => {
  const is = (more: Partial<Picture>, cmdline?: string) => verdictOf('no-interrupt-remapping', pictureOf(more, cmdline), BDF).is;
  const amd = { units: [{ name: 'ivhd0', devices: [BDF] }], functions: [fn(BDF, { unit: 'ivhd0' })] };
  assert.equal(is({ ...amd, ...REMAPPED }), 'pass');
  assert.equal(is({ ...amd, ...PLAIN }), 'fail');
  assert.equal(is(amd), 'unknown');
  assert.equal(is(REMAPPED), 'pass');
  // The unit can, and the kernel does not: the boot log has the reason.
  assert.equal(is(PLAIN), 'fail');
  assert.equal(is({}), 'pass');
  assert.equal(is({ functions: [fn(BDF, { headerType: 1, class: 0x060400 })] }), 'not-applicable');
});

test('one unit that cannot remap interrupts keeps the kernel from it for all', () => {
  const units = [...pictureOf().units, { name: 'dmar1', devices: [], cap: '00d2008c222f0686', ecap: '0000000000f00f42' }];
  const verdict = verdictOf('no-interrupt-remapping', pictureOf({ units }), BDF);
  assert.equal(verdict.is, 'fail');
  assert.match(verdict.because, /ECAP_REG\.IR is 0 in dmar1/);
});

test('iommufd has a parameter of its own for unsafe interrupts, and neither is needed where they are remapped', () => {
  const verdict = (parameters: Picture['parameters'], texts: Partial<Picture>) =>
    verdictOf('no-interrupt-remapping', pictureOf({ parameters, ...texts }), BDF);
  assert.equal(verdict({ iommufd: { allow_unsafe_interrupts: 'Y' } }, PLAIN).is, 'fail');
  assert.match(verdict({ vfio_iommu_type1: { allow_unsafe_interrupts: 'Y' } }, PLAIN).because, /may inject interrupts/);
  const idle = verdict({ iommufd: { allow_unsafe_interrupts: 'Y' } }, REMAPPED);
  assert.equal(idle.is, 'pass');
  assert.match(idle.because, /of iommufd is set without need/);
});

test('missing interrupt remapping and RMRR share an errno; reserved_regions separates them', () => {
  const groups = (type: string) => [
    { number: 1, type: 'DMA', devices: [BDF], reserved: [{ start: '0xbf7ec000', end: '0xbf7fffff', type }] },
  ];
  const both = (more: Partial<Picture>) =>
    ['no-interrupt-remapping', 'rmrr-locked'].map((id) => verdictOf(id, pictureOf(more), BDF).is);
  assert.deepEqual(both({ groups: groups('direct'), ...REMAPPED }), ['pass', 'fail']);
  assert.deepEqual(both({ groups: groups('direct-relaxable'), ...PLAIN }), ['fail', 'pass']);
});

test('xapic mode matters only to processors that 8 bits do not name', () => {
  const madt = (id: number) => {
    const bytes = new Uint8Array(60);
    const view = new DataView(bytes.buffer);
    view.setUint32(4, bytes.length, true);
    bytes.set([9, 16, 0, 0], 44);
    view.setUint32(48, id, true);
    view.setUint32(52, 1, true);
    return { platformTables: [{ signature: 'APIC' as const, bytes }] };
  };
  const optOut = { firmwareTables: [dmar(undefined, true)] };
  const allowed = { firmwareTables: [dmar()] };
  const is = (more: Partial<Picture>, cmdline?: string) => verdictOf('x2apic-opt-out', pictureOf(more, cmdline)).is;
  const able = { units: [{ name: 'dmar0', devices: [], cap: '00d2008c222f0686', ecap: '0000000000f00f5a' }] };
  assert.equal(is({ ...madt(254), ...optOut }), 'pass');
  assert.equal(is({ ...madt(300), ...optOut, ...able }), 'fail');
  assert.equal(is({ ...madt(300), ...optOut, ...able }, 'intremap=no_x2apic_optout'), 'pass');
  // ECAP_REG.EIM is 0.
  assert.equal(is({ ...madt(300), ...allowed }), 'fail');
  assert.equal(is({ ...madt(300), ...allowed, ...able }), 'pass');
  assert.equal(is(allowed), 'unknown');
  assert.equal(is(madt(300)), 'not-applicable');
});

test('a unit is missed only where a device is behind it, and a scope of the wrong kind is told', () => {
  const table = (...structures: DmarStructureDescription[]) => ({ firmwareTables: [dmar(structures)] });
  const units = [{ ...pictureOf().units[0]!, address: 'fed90000' }];
  const functions = [fn('0000:00:02.0'), fn('0000:00:03.0', { headerType: 1, class: 0x060400 })];
  const verdict = (more: Partial<Picture>) => verdictOf('dmar-firmware-bug', pictureOf({ units, functions, ...more }));
  const all = drhd(0xfed90000n, true);
  const own = (device: number) => drhd(0xfed91000n, false, ['endpoint', device]);
  assert.equal(verdict(table(all)).is, 'pass');
  // As of a socket without processor: nobody is behind it.
  assert.equal(verdict(table(own(9), all)).is, 'pass');
  const missed = verdict(table(own(2), all));
  assert.match(missed.because, /unit at 0xfed91000 is not driven, though 0000:00:02\.0 is behind it/);
  const kinds = (type: 'endpoint' | 'bridge', device: number) => verdict(table(drhd(0xfed90000n, false, [type, device]))).because;
  assert.match(kinds('endpoint', 3), /type endpoint names 0000:00:03\.0, which is a bridge/);
  assert.match(kinds('bridge', 2), /type bridge names 0000:00:02\.0, which is an endpoint/);
  // Remapping is off as a whole: that is another question.
  assert.equal(verdict({ ...table(own(2), all), ...off }).is, 'pass');
  assert.equal(verdict({}).is, 'not-applicable');
  assert.equal(verdict({ unread: [{ what: '/sys/firmware/acpi/tables/DMAR', because: 'cannot read (EACCES)' }] }).is, 'unknown');
});

test('DMA faults of the integrated GPU are counted, and a log that begins later proves nothing', () => {
  const gpu = fn('0000:00:02.0', { class: 0x030000 });
  const line =
    'DMAR: [DMA Read NO_PASID] Request device [0x00:0x02.0] fault addr 0x7c346000 [fault reason 0x06] PTE Read access is not set';
  const is = (more: Partial<Picture>) => verdictOf('igpu-dma-faults', pictureOf({ functions: [gpu], ...more }), gpu.bdf).is;
  assert.equal(is(log('x', line, line)), 'fail');
  assert.equal(is(log('x')), 'pass');
  assert.equal(is({ log: [{ at: 9e9, level: 6, text: 'x' }] }), 'unknown');
  assert.equal(is({}), 'unknown');
  const { group: _, ...outside } = gpu;
  assert.equal(verdictOf('igpu-dma-faults', pictureOf({ functions: [outside] }), gpu.bdf).is, 'pass');
  assert.equal(verdictOf('igpu-dma-faults', pictureOf(), BDF).is, 'not-applicable');
});

test('a device at an outer port is translated whatever iommu=pt says', () => {
  const verdict = (removable?: 'removable' | 'fixed') =>
    verdictOf(
      'untrusted-device',
      pictureOf({ functions: [fn(BDF, removable === undefined ? {} : { removable })] }, 'iommu=pt'),
      BDF,
    );
  assert.equal(verdict('removable').is, 'fail');
  assert.match(verdict('removable').because, /translated \(DMA\)/);
  assert.equal(verdict('fixed').is, 'pass');
  assert.equal(verdict().is, 'pass');
});
