import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BDF, fn, pictureOf } from '../../test/pictures.ts';
import { verdictOf, verdictOnVm } from '../../test/rules.ts';
import type { PciFunction } from '../host/functions.ts';
import type { Picture } from '../host/picture.ts';
import { vmOf as vmOfArgv } from './vm-argv.ts';

const PORT = '0000:00:01.0';
/** A function below the port; the first one is asked about. */
const below = (bdf: string, more: Partial<PciFunction> = {}) =>
  fn(bdf, { path: `/sys/devices/pci0000:00/${PORT}/${bdf}`, ...more });
const about = (id: string, functions: PciFunction[], more: Partial<Picture> = {}, cmdline?: string) =>
  verdictOf(
    id,
    pictureOf({ functions: [...functions, fn(PORT, { headerType: 1, class: 0x060400 })], ...more }, cmdline),
    functions[0]!.bdf,
  );
const kernel = (release: string) => ({ system: { ...pictureOf().system, kernel: release } });

test('a function without reset_method cannot be reset alone, on kernels that have that attribute', () => {
  assert.equal(about('no-reset-method', [below(BDF, { resetMethods: ['flr', 'bus'] })]).is, 'pass');
  assert.match(
    about('no-reset-method', [below(BDF), below('0000:01:00.1')]).because,
    /a reset of its bus hits 0000:01:00\.1 as well/,
  );
  assert.equal(about('no-reset-method', [below(BDF)], kernel('5.10.0')).is, 'unknown');
  const bare = new Uint8Array(256);
  bare.set([0x86, 0x80, 1, 0]);
  // Alone on its bus, or not.
  assert.equal(about('no-reset-method', [below(BDF, { config: bare })], kernel('5.10.0')).is, 'pass');
  assert.equal(about('no-reset-method', [below(BDF, { config: bare }), below('0000:01:00.1')], kernel('5.10.0')).is, 'fail');
  // A PCI Express Capability with FLR.
  const able = bare.slice();
  able[6] = 0x10;
  able[0x34] = 0x40;
  able.set([0x10, 0, 2, 0, 0, 0, 0, 0x10], 0x40);
  assert.equal(about('no-reset-method', [below(BDF, { config: able })], kernel('5.10.0')).is, 'pass');
});

test('a reset of the bus hits what the host uses there', () => {
  const used = about('bus-reset-needs-all', [below(BDF), below('0000:01:00.1', { driver: 'snd_hda_intel' })]);
  assert.equal(used.is, 'fail');
  assert.match(used.because, /0000:01:00\.1 \(driver snd_hda_intel\)/);
  const apart = about('bus-reset-needs-all', [below(BDF), below('0000:01:00.1', { driver: 'vfio-pci', group: 2 })]);
  assert.equal(apart.is, 'pass');
  assert.match(apart.because, /0000:01:00\.1 of other groups must go to the same guest/);
  assert.equal(about('bus-reset-needs-all', [below(BDF, { resetMethods: ['flr'] })]).is, 'not-applicable');
  assert.equal(about('bus-reset-needs-all', [fn('0000:00:1f.3')]).is, 'not-applicable');
  assert.equal(about('bus-reset-needs-all', [below(BDF, { physfn: '0000:01:00.1' })]).is, 'not-applicable');
});

test('a function that reads as ones is stuck, and a VF whose ids read as ones is not', () => {
  const ones = new Uint8Array(64).fill(0xff);
  const verdict = about('d3cold-stuck', [below(BDF, { config: ones, powerState: 'D3cold' })]);
  assert.equal(verdict.is, 'fail');
  assert.match(verdict.because, /reads as ones \(power state D3cold\)/);
  const vf = new Uint8Array(256);
  vf.fill(0xff, 0, 4);
  assert.equal(about('d3cold-stuck', [below(BDF, { config: vf, physfn: '0000:01:00.1' })]).is, 'pass');
  assert.equal(about('d3cold-stuck', [below(BDF)]).is, 'unknown');
});

test('D3cold is where an idle GPU of vfio-pci may go, and being there is no fault', () => {
  const config = new Uint8Array(64);
  config.set([0xde, 0x10, 1, 0]);
  const gpu = below(BDF, { class: 0x030000, config, driver: 'vfio-pci', d3coldAllowed: true, powerState: 'D3cold' });
  const verdict = about('d3cold-stuck', [gpu], { parameters: { vfio_pci: { disable_idle_d3: 'N' } } });
  assert.equal(verdict.is, 'pass');
  assert.match(verdict.because, /from which some do not come back/);
});

test('the shadow of the boot ROM is no ROM of the card', () => {
  const rom = (start: number, size = 0x20000) =>
    about('gpu-rom-unreadable', [
      below(BDF, {
        class: 0x030000,
        resources: [{ index: 6, start, size, space: 'memory', width: 32, prefetchable: false, unset: false }],
      }),
    ]).is;
  assert.equal(rom(0xc0000), 'fail');
  assert.equal(rom(0xf7e00000), 'pass');
  assert.equal(rom(0, 0), 'not-applicable');
  assert.equal(about('gpu-rom-unreadable', [below(BDF)]).is, 'not-applicable');
});

test('the integrated GPU wants a host bridge at 00:00.0 and an OpRegion', () => {
  const config = new Uint8Array(256);
  config.set([0x18, 0x60, 0x9a, 0x7b], 0xfc);
  const gpu = (more: Partial<PciFunction> = {}) => fn('0000:00:02.0', { class: 0x030000, config, ...more });
  const bridge = (code: number) => fn('0000:00:00.0', { class: code });
  assert.equal(about('igd-host-bridge', [gpu(), bridge(0x060000)]).is, 'pass');
  assert.match(about('igd-host-bridge', [gpu(), bridge(0x088000)]).because, /is no host bridge but of class 0x088000/);
  assert.match(about('igd-host-bridge', [gpu()]).because, /there is no 0000:00:00\.0/);
  assert.match(about('igd-host-bridge', [gpu({ config: new Uint8Array(256) }), bridge(0x060000)]).because, /ASLS is 0/);
  assert.equal(about('igd-host-bridge', [gpu({ config: config.slice(0, 64) }), bridge(0x060000)]).is, 'unknown');
  assert.equal(about('igd-host-bridge', [gpu({ vendor: 0x1234 })]).is, 'not-applicable');
});

const vmOf = (...argv: string[]) => vmOfArgv(['qemu-system-x86_64', '-machine', 'q35', ...argv]);

test('an NVIDIA GPU that is the boot display needs a romfile, and a guest with OVMF', () => {
  const picture = (more: Partial<PciFunction>) =>
    pictureOf({ functions: [fn(BDF, { vendor: 0x10de, class: 0x030000, ...more })] });
  const ovmf = ['-drive', 'if=pflash,format=raw,file=/usr/share/OVMF/OVMF_CODE.fd'];
  const is = (more: Partial<PciFunction>, ...argv: string[]) => verdictOnVm('nvidia-code-43', vmOf(...argv), picture(more));
  assert.equal(is({}, ...ovmf, '-device', `vfio-pci,host=${BDF}`).is, 'pass');
  assert.match(is({}, '-device', `vfio-pci,host=${BDF}`).because, /SeaBIOS/);
  assert.match(
    is({ bootVga: true }, ...ovmf, '-device', `vfio-pci,host=${BDF}`).because,
    /boot display of this host and has no romfile/,
  );
  assert.equal(is({ bootVga: true }, ...ovmf, '-device', `vfio-pci,host=${BDF},romfile=/x.rom`).is, 'pass');
  assert.equal(is({ vendor: 0x1002 }, '-device', `vfio-pci,host=${BDF}`).is, 'not-applicable');
});

test('a confidential guest wants iommufd', () => {
  const snp = ['-object', 'sev-snp-guest,id=sev0', '-machine', 'q35,confidential-guest-support=sev0'];
  const is = (...argv: string[]) => verdictOnVm('confidential-vfio', vmOf(...argv), pictureOf()).is;
  assert.equal(is(...snp, '-device', `vfio-pci,host=${BDF}`), 'fail');
  assert.equal(is(...snp, '-object', 'iommufd,id=iommufd0', '-device', `vfio-pci,host=${BDF},iommufd=iommufd0`), 'pass');
  assert.equal(is(...snp), 'not-applicable');
  assert.equal(is('-device', `vfio-pci,host=${BDF}`), 'not-applicable');
});

test('iommu=pt is wrong for SEV-SNP, and right or wrong for nothing else', () => {
  const verdict = (cpuinfo: string, cmdline: string, more: Partial<Picture> = {}) =>
    verdictOf('snp-needs-translation', pictureOf({ texts: { '/proc/cpuinfo': cpuinfo }, ...more }, cmdline));
  const snp = 'flags\t\t: fpu svm sev sev_es sev_snp\n';
  assert.equal(verdict(snp, 'iommu=pt').is, 'fail');
  assert.equal(verdict(snp, 'iommu=pt iommu=nopt').is, 'pass');
  assert.equal(verdict(snp, 'quiet').is, 'pass');
  assert.match(verdict(snp, 'amd_iommu=off', { units: [], groups: [] }).because, /no unit translates \(amd_iommu=off\)/);
  assert.equal(verdict('flags\t\t: fpu svm sev\n', 'iommu=pt').is, 'not-applicable');
  // The kernel takes the flag away when it cannot have SNP, and says why in its log.
  const text = 'AMD-Vi: SNP: IOMMU is disabled or configured in passthrough mode, SNP cannot be supported';
  assert.equal(verdict('flags\t\t: fpu svm sev\n', 'iommu=pt', { log: [{ at: 0, level: 3, text }] }).is, 'fail');
});
