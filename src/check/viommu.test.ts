import assert from 'node:assert/strict';
import { test } from 'node:test';
import { capturedHost } from '../../test/captured-host.ts';
import { captures, tellCaptures } from '../../test/captures.ts';
import { BDF, fn, pictureOf } from '../../test/pictures.ts';
import { type Picture, readPicture } from '../host/picture.ts';
import type { Verdict } from './check.ts';
import type { Problem } from './problem.ts';
import { groupMultipleAddressSpaces } from './problems/group-multiple-address-spaces.ts';
import { l1KernelIommuOff } from './problems/l1-kernel-iommu-off.ts';
import { l1NoIntremap } from './problems/l1-no-intremap.ts';
import { nestedKvmOff } from './problems/nested-kvm-off.ts';
import { nestedNoViommu } from './problems/nested-no-viommu.ts';
import { noInterruptRemapping } from './problems/no-interrupt-remapping.ts';
import { viommuAmd } from './problems/viommu-amd.ts';
import { viommuAwBits } from './problems/viommu-aw-bits.ts';
import { viommuCachingMode } from './problems/viommu-caching-mode.ts';
import { viommuDeviceOrder } from './problems/viommu-device-order.ts';
import { viommuFirstStageBackend } from './problems/viommu-first-stage-backend.ts';
import { viommuHotplug } from './problems/viommu-hotplug.ts';
import { viommuIrqchip } from './problems/viommu-irqchip.ts';
import { viommuMachineType } from './problems/viommu-machine-type.ts';
import { viommuMapCost } from './problems/viommu-map-cost.ts';
import { viommuMigration } from './problems/viommu-migration.ts';
import { viommuOptionRenamed } from './problems/viommu-option-renamed.ts';
import { viommuSmp255 } from './problems/viommu-smp-255.ts';
import { viommuVhostIotlb } from './problems/viommu-vhost-iotlb.ts';
import { virtioIommuNoDriver } from './problems/virtio-iommu-no-driver.ts';
import type { VmQemu } from './vm.ts';
import { vmOf } from './vm-argv.ts';

const found = captures();
const told = tellCaptures(found);
const VFIO = `-device vfio-pci,host=${BDF}`;
const INTEL = '-device intel-iommu,intremap=on,caching-mode=on';
const SPLIT = '-machine q35,accel=kvm,kernel-irqchip=split';

/** The verdict about a VM of that line, before a host with one function behind a 48-bit unit. */
function judge(
  problem: Problem,
  line: string,
  more: { picture?: Picture; qemu?: VmQemu; assignsOn?: boolean; nests?: boolean } = {},
): Verdict {
  const { picture = pictureOf(), qemu, ...rest } = more;
  const rule = problem.rules.find((one) => one.about === 'vm');
  assert.ok(rule !== undefined, problem.id);
  return rule.run({ ...vmOf(`qemu-system-x86_64 ${line}`, qemu), ...rest }, picture);
}

function onHost(problem: Problem, picture: Picture): Verdict {
  const rule = problem.rules.find((one) => one.about === 'host');
  assert.ok(rule !== undefined, problem.id);
  return rule.run(picture);
}

/** A QEMU with these properties of intel-iommu. */
const qemu = (version: string, properties: Record<string, string | undefined>, more: VmQemu['devices'] = {}): VmQemu => ({
  version,
  devices: {
    'intel-iommu': Object.fromEntries(
      Object.entries({ intremap: 'auto', 'caching-mode': 'off', eim: 'auto', ...properties }).map(([name, preset]) => [
        name,
        preset === undefined ? {} : { default: preset },
      ]),
    ),
    ...more,
  },
  absent: {},
});
// The table of what each QEMU calls its options.
const Q7 = qemu('7.2.22', {
  'aw-bits': '39',
  'x-scalable-mode': 'false',
  'x-pasid-mode': 'false',
  pt: 'true',
  'dma-drain': 'true',
});
const Q10 = qemu('10.0.13', {
  'aw-bits': '48',
  'x-scalable-mode': 'off',
  'x-flts': 'off',
  'x-pasid-mode': 'off',
  pt: 'on',
  'dma-drain': 'on',
});
const Q11 = qemu('11.1.2', { 'aw-bits': '48', 'scalable-mode': 'off', fsts: 'off', 'pasid-bits': '0', svm: 'off' });

test('the split-irqchip rule is enforced under KVM only, and a rehearsal without KVM is no proof', () => {
  const kvm = judge(viommuIrqchip, `-machine q35,accel=kvm ${INTEL}`);
  assert.equal(kvm.is, 'fail');
  const tcg = judge(viommuIrqchip, `-machine q35,accel=tcg,kernel-irqchip=on ${INTEL}`);
  assert.equal(tcg.is, 'pass');
  assert.match(tcg.because, /tcg does not enforce it; with KVM the same line would need kernel-irqchip=split/);
  assert.equal(judge(viommuIrqchip, `${SPLIT} ${INTEL}`).is, 'pass');
  assert.equal(judge(viommuIrqchip, `-machine q35,accel=kvm,kernel-irqchip=off ${INTEL}`).is, 'pass');
  assert.equal(judge(viommuIrqchip, '-machine q35 -device intel-iommu,intremap=off,eim=on').is, 'fail');
  assert.equal(judge(viommuIrqchip, '-machine q35 -device virtio-iommu-pci').is, 'not-applicable');
});

test('a vIOMMU that does not remap interrupts fails a guest that assigns on, and is told where nobody said', () => {
  const line = '-machine q35,accel=kvm -device intel-iommu,caching-mode=on';
  const sure = judge(l1NoIntremap, line, { assignsOn: true });
  assert.equal(sure.is, 'fail');
  assert.match(sure.because, /^intremap is not given, and is off because kernel-irqchip is not split/);
  assert.equal(judge(l1NoIntremap, line).is, 'unknown');
  assert.equal(judge(l1NoIntremap, line, { assignsOn: false }).is, 'not-applicable');
  assert.equal(judge(l1NoIntremap, `${SPLIT} -device intel-iommu`, { assignsOn: true }).is, 'pass');
  assert.match(judge(l1NoIntremap, '-device virtio-iommu-pci', { assignsOn: true }).because, /remaps no interrupts/);
});

test('options of intel-iommu differ per QEMU: the help is read, and the name in this one is told', () => {
  const renamed = (option: string, installed: VmQemu) =>
    judge(viommuOptionRenamed, `-M q35 -device intel-iommu,${option}`, { qemu: installed });
  assert.equal(renamed('x-scalable-mode=on', Q10).is, 'pass');
  const flts = renamed('x-flts=on', Q11);
  assert.equal(flts.is, 'fail');
  assert.deepEqual(flts.fix, ['fsts= in place of x-flts=']);
  assert.deepEqual(renamed('scalable-mode=on', Q7).fix, ['x-scalable-mode= in place of scalable-mode=']);
  assert.deepEqual(renamed('pt=on', Q11).fix, ['leave pt out']);
  assert.equal(renamed('pt=on', Q7).is, 'pass');
  // A version number decides nothing: a distribution may have the new name in an old QEMU.
  assert.equal(renamed('fsts=on', { ...Q11, version: '9.1' }).is, 'pass');
  assert.equal(judge(viommuOptionRenamed, '-device intel-iommu').is, 'unknown');
  assert.equal(judge(viommuOptionRenamed, '-device amd-iommu', { qemu: Q10 }).is, 'unknown');
});

test('the width of the vIOMMU is that of the help where it is not given, and the host decides', () => {
  const picture = (cap: string) => pictureOf({ units: [{ name: 'dmar0', devices: [BDF], cap, ecap: '0000000000f00f4a' }] });
  const [narrow, wide] = [picture('0012008c22260286'), picture('00d2008c222f0686')];
  const bits = (option: string, more: Parameters<typeof judge>[2]) =>
    judge(viommuAwBits, `-M q35 -device intel-iommu${option} ${VFIO}`, more).is;
  assert.equal(bits(',aw-bits=48', { picture: narrow }), 'fail');
  assert.equal(bits(',aw-bits=48', { picture: wide }), 'pass');
  assert.equal(bits(',aw-bits=39', { picture: narrow }), 'pass');
  assert.equal(bits('', { picture: narrow }), 'unknown');
  assert.equal(bits('', { picture: narrow, qemu: Q7 }), 'pass');
  assert.equal(bits('', { picture: narrow, qemu: Q10 }), 'fail');
  assert.equal(bits(',aw-bits=48', { picture: pictureOf({ units: [] }) }), 'unknown');
});

test('intel-iommu needs caching-mode exactly where a host device is behind it', () => {
  const mode = (line: string) => judge(viommuCachingMode, `${SPLIT} ${line}`).is;
  assert.equal(mode(`-device intel-iommu ${VFIO}`), 'fail');
  assert.equal(mode(`${INTEL} ${VFIO}`), 'pass');
  assert.equal(mode('-device intel-iommu'), 'not-applicable');
  assert.equal(mode(`-device intel-iommu,fsts=on,scalable-mode=on ${VFIO}`), 'unknown');
  assert.equal(
    mode(`-device intel-iommu -device pxb-pcie,id=p,bypass_iommu=on -device vfio-pci,host=${BDF},bus=p`),
    'not-applicable',
  );
});

test('a host device before the vIOMMU stays outside it', () => {
  const order = judge(viommuDeviceOrder, `${VFIO} ${INTEL}`);
  assert.equal(order.is, 'fail');
  assert.deepEqual(order.fix, ['put -device intel-iommu before every host device']);
  assert.equal(judge(viommuDeviceOrder, `${INTEL} ${VFIO}`).is, 'pass');
});

test('two devices of one group fail behind a vIOMMU, unless one conventional bridge makes them one requester', () => {
  const picture = pictureOf({ functions: [fn(BDF), fn('0000:01:00.1'), fn('0000:02:00.0', { group: 2 })] });
  const second = `-device vfio-pci,host=0000:01:00.1`;
  const spaces = (line: string) => judge(groupMultipleAddressSpaces, line, { picture }).is;
  assert.equal(spaces(`${INTEL} ${VFIO} ${second}`), 'fail');
  assert.equal(spaces(`${VFIO} ${second}`), 'not-applicable');
  assert.equal(spaces(`${INTEL} ${VFIO} -device vfio-pci,host=0000:02:00.0`), 'pass');
  assert.equal(spaces(`${INTEL} -device pcie-pci-bridge,id=b ${VFIO},bus=b ${second},bus=b`), 'pass');
  assert.equal(spaces(`${INTEL} ${VFIO} -device vfio-pci,host=0000:09:00.0`), 'unknown');
});

test('machines without a place for their vIOMMU, and second vIOMMUs, are told', () => {
  const place = (line: string) => judge(viommuMachineType, line).is;
  assert.equal(place(`-M pc ${INTEL}`), 'fail');
  assert.equal(place(INTEL), 'fail', 'the machine of QEMU without a word is pc');
  assert.equal(place(`-M pc-q35-9.2 ${INTEL}`), 'pass');
  assert.equal(place(`-M q35 ${INTEL} -device virtio-iommu-pci`), 'fail');
  assert.equal(place('-M q35 -device pcie-root-port,id=rp -device virtio-iommu-pci,bus=rp'), 'fail');
  assert.equal(place('-M pc -device virtio-iommu-pci'), 'pass');
});

test('APIC ids above 254 need extended messages, however few processors there are', () => {
  const smp = (line: string) => judge(viommuSmp255, line).is;
  assert.equal(smp(`${SPLIT} -smp 200 ${INTEL}`), 'pass');
  assert.equal(smp(`${SPLIT} -smp 200,sockets=8,cores=25 -device intel-iommu,eim=off`), 'pass');
  assert.equal(smp(`${SPLIT} -smp 245,sockets=5,cores=49 -device intel-iommu,eim=off`), 'fail');
  assert.equal(smp(`${SPLIT} -smp 300 ${INTEL},eim=on`), 'pass');
  assert.equal(smp(`-machine q35,accel=kvm -smp 300 -device intel-iommu`), 'fail');
  assert.equal(smp(`${SPLIT} -smp 300 -device amd-iommu`), 'fail');
  assert.equal(smp(`${SPLIT} -smp 300`), 'unknown');
});

test('vhost behind the vIOMMU needs device-iotlb and ats, and what goes past it is told', () => {
  const vhost = (iommu: string, device: string) =>
    judge(viommuVhostIotlb, `-device intel-iommu${iommu} -netdev tap,id=n,vhost=on -device virtio-net-pci,netdev=n${device}`);
  assert.equal(vhost('', ',iommu_platform=on').is, 'fail');
  assert.equal(vhost(',device-iotlb=on', ',iommu_platform=on,ats=on').is, 'pass');
  assert.match(vhost('', '').because, /1 of 1 virtio devices go past the vIOMMU/);
  assert.equal(judge(viommuVhostIotlb, `-device intel-iommu,snoop-control=on ${VFIO}`).is, 'fail');
});

test('two stages need iommufd, the bits of the unit, and a QEMU that accepts host devices', () => {
  const picture = (ecap: string) => pictureOf({ units: [{ name: 'dmar0', devices: [BDF], cap: '01d2008c222f0686', ecap }] });
  const able = picture((2n ** 26n + 2n ** 43n + 2n ** 47n + 0xf4an).toString(16).padStart(16, '0'));
  const stages = (line: string, more: Parameters<typeof judge>[2]) => judge(viommuFirstStageBackend, `-M q35 ${line}`, more);
  const asked = `-device intel-iommu,scalable-mode=on,fsts=on -object iommufd,id=f ${VFIO},iommufd=f`;
  assert.equal(stages(asked, { picture: able, qemu: Q11 }).is, 'pass');
  assert.match(stages(`-device intel-iommu,fsts=on ${VFIO}`, { picture: able, qemu: Q11 }).because, /not given through iommufd/);
  assert.match(
    stages(asked, { picture: picture('0000000000f00f4a'), qemu: Q11 }).because,
    /ECAP_REG.SMTS and ECAP_REG.NEST and ECAP_REG.FSTS of dmar0 are 0/,
  );
  assert.match(
    stages(asked.replace('fsts', 'x-flts'), { picture: able, qemu: Q10 }).because,
    /x-flts, which refuses every host device/,
  );
  assert.equal(stages(`${INTEL} ${VFIO}`, { picture: able }).is, 'not-applicable');
});

test('amd-iommu follows host devices only with dma-remap', () => {
  const help = (properties: Record<string, object>): VmQemu => qemu('', {}, { 'amd-iommu': properties });
  const amd = (option: string, installed?: VmQemu) =>
    judge(viommuAmd, `-M q35 -device amd-iommu${option} ${VFIO}`, installed === undefined ? {} : { qemu: installed }).is;
  assert.equal(amd(''), 'fail');
  assert.equal(amd(',dma-remap=on', help({ 'dma-remap': {}, xtsup: {} })), 'pass');
  assert.equal(amd(',dma-remap=on', help({ intremap: {} })), 'fail');
  assert.equal(amd(',dma-remap=on'), 'unknown');
});

test('migration and hot-plug fail nobody who did not ask for them', () => {
  assert.equal(judge(viommuMigration, `${INTEL} ${VFIO}`).is, 'unknown');
  assert.equal(judge(viommuMigration, `${INTEL} ${VFIO} -incoming defer`).is, 'fail');
  assert.equal(judge(viommuMigration, INTEL).is, 'not-applicable');
  assert.equal(judge(viommuHotplug, `-M q35 ${VFIO}`).is, 'unknown');
  assert.equal(judge(viommuHotplug, '-M q35 -device pcie-root-port,id=rp1').is, 'pass');
  assert.equal(judge(viommuHotplug, `-M q35 -device pcie-root-port,id=rp1 ${VFIO},bus=rp1`).is, 'unknown');
});

test('a guest that assigns on needs a vIOMMU, and one with guests of its own a processor with KVM', () => {
  assert.equal(judge(nestedNoViommu, '-M q35', { assignsOn: true }).is, 'fail');
  assert.equal(judge(nestedNoViommu, '-M q35').is, 'not-applicable');
  const nested = (value: string, flag: 'vmx' | 'svm') => {
    const picture = pictureOf({ parameters: { [flag === 'vmx' ? 'kvm_intel' : 'kvm_amd']: { nested: value } } });
    return { ...picture, system: { ...picture.system, virtualization: flag } };
  };
  assert.equal(onHost(nestedKvmOff, nested('Y', 'vmx')).is, 'pass');
  assert.equal(onHost(nestedKvmOff, nested('1', 'svm')).is, 'pass');
  assert.equal(onHost(nestedKvmOff, nested('N', 'vmx')).is, 'fail');
  const guests = (line: string) => judge(nestedKvmOff, line, { nests: true, picture: nested('Y', 'vmx') }).is;
  assert.equal(guests(`${SPLIT} -cpu host`), 'pass');
  assert.equal(guests(`${SPLIT} -cpu Skylake-Server`), 'fail');
  assert.equal(guests('-M q35 -cpu host'), 'fail');
});

test(`in a guest it is told whether there is a vIOMMU, whether it is driven, and whether it remaps (${told})`, async () => {
  const counts: Record<string, number> = {};
  for (const capture of found.all)
    for (const state of capture.states) {
      const picture = await readPicture(capturedHost(capture, state));
      const where = `${capture.name} ${state.label}`;
      const given = /intel-iommu|amd-iommu|virtio-iommu/.test(capture.argv.join(' '));
      const groups = Object.keys(state.groups).length;
      const none = onHost(nestedNoViommu, picture);
      const off = onHost(l1KernelIommuOff, picture);
      const virtio = onHost(virtioIommuNoDriver, picture);
      const remaps = onHost(l1NoIntremap, picture);
      if (!picture.system.guest) continue;
      assert.equal(none.is, given ? 'pass' : 'fail', `${where}: ${none.because}`);
      if (groups > 0) assert.deepEqual([off.is === 'fail', virtio.is === 'fail'], [false, false], where);
      else if (given)
        assert.ok(off.is === 'fail' || virtio.is === 'fail' || state.acpi.VIOT !== undefined, `${where}: ${off.because}`);
      const chips = /\bIR-(PCI-MSI|IO-APIC)/.test(state.proc.interrupts ?? '');
      const unsafe = state.parameters.vfio_iommu_type1?.allow_unsafe_interrupts === 'Y';
      if (!unsafe && (remaps.is === 'pass' || remaps.is === 'fail'))
        assert.equal(remaps.is === 'pass', chips, `${where}: ${remaps.because}`);
      for (const { is } of [none, off, virtio, remaps]) counts[is] = (counts[is] ?? 0) + 1;
    }
  assert.ok((counts.pass ?? 0) > 20 && (counts.fail ?? 0) > 2, JSON.stringify(counts));
});

test('a mapping costs a trap where a vIOMMU is shadowed and the group is translated', () => {
  const rule = viommuMapCost.rules.find((one) => one.about === 'function')!;
  const cost = (cap: string, type: string, driver = 'igb') => {
    const nic = fn(BDF, { driver });
    const groups = [{ number: 1, type, devices: [BDF], reserved: [] }];
    return rule.run(
      pictureOf({ functions: [nic], groups, units: [{ name: 'dmar0', devices: [BDF], cap, ecap: '0000000000f00f4a' }] }),
      nic,
    ).is;
  };
  const [shadowed, real] = ['00d2008c222f0686', '00d2008c222f0606'];
  assert.equal(cost(shadowed, 'DMA'), 'fail');
  assert.equal(cost(shadowed, 'identity'), 'pass');
  assert.equal(cost(shadowed, 'DMA', 'vfio-pci'), 'not-applicable');
  assert.equal(cost(real, 'DMA-FQ'), 'not-applicable');
});

test('with iommufd and no interrupt remapping the bind fails with EPERM and no line, and the parameter of containers does not help', () => {
  const host = (parameters: Picture['parameters'], cmdline = 'intremap=off') => pictureOf({ parameters }, cmdline);
  const unsafe = { allow_unsafe_interrupts: 'Y' };
  const through = (line: string, picture: Picture) => judge(noInterruptRemapping, line, { picture });
  const iommufd = `${VFIO},iommufd=f`;
  const refused = through(iommufd, host({ vfio_iommu_type1: unsafe }));
  assert.equal(refused.is, 'fail');
  assert.match(refused.because, /iommufd refuses to bind it with EPERM, and the kernel prints no line/);
  assert.equal(through(iommufd, host({ iommufd: unsafe })).is, 'pass');
  assert.equal(through(VFIO, host({ vfio_iommu_type1: unsafe })).is, 'pass');
  assert.equal(through(VFIO, host({ iommufd: unsafe })).is, 'fail');
  assert.equal(through(iommufd, host({}, '')).is, 'pass');
  assert.equal(through('-device vfio-pci,host=77:00.0', host({})).is, 'unknown');
});
