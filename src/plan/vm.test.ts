import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { captures, tellCaptures } from '../../test/captures.ts';
import { sharedData } from '../../test/data.ts';
import { fakeHost, machine } from '../../test/fake-host.ts';
import { pictureOf } from '../../test/pictures.ts';
import { recordedQemu } from '../../test/qemu.ts';
import { PROBLEMS } from '../check/problems/index.ts';
import { translated } from '../check/vm.ts';
import { vmOf } from '../check/vm-argv.ts';
import { readDomain } from '../qemu/domain-xml.ts';
import { readQemu } from '../qemu/index.ts';
import { readPlanInput } from './read-plan.ts';
import { parseSpec } from './spec.ts';
import { vmOfSpec } from './vm.ts';

async function vmFor(text: string) {
  const parsed = parseSpec(text, 'vm.yaml');
  if ('errors' in parsed) throw new Error(parsed.errors.map(({ message }) => message).join('\n'));
  return vmOfSpec(await readPlanInput(fakeHost(machine()), parsed.spec, 'vm.yaml', '/var/lib/sluice'));
}

test('the VM of a spec is that of its own command line, with its VFs and their PF', async () => {
  const { vm, refusals } = await vmFor(
    'name: demo\nmemory: 512MiB\nvcpus: 2\nneeds: [vfio]\ndevices:\n  - pf: eth0\n    vf: {}\n',
  );
  assert.deepEqual(refusals, []);
  assert.ok(vm !== undefined);
  assert.equal(vm.name, 'demo');
  assert.equal(vm.memory.bytes, 2 ** 29);
  assert.equal(vm.vcpus.count, 2);
  assert.deepEqual(
    vm.iommus.map(({ kind }) => kind),
    ['intel'],
  );
  assert.deepEqual(
    translated(vm).map(({ bdf, pf }) => ({ bdf, pf })),
    [{ bdf: '0000:01:10.0', pf: '0000:01:00.0' }],
  );
  assert.deepEqual(vm.vfs, [{ pf: '0000:01:00.0', count: 1 }]);
  assert.equal(vm.assignsOn, true);
  assert.equal(vm.memlock, 2 ** 29 + 2 ** 30);
});

test('where planning refuses, the VM has the functions that are there', async () => {
  const { vm, refusals } = await vmFor(
    'name: demo\nmemory: 512MiB\nvcpus: 2\ndevices:\n  - pf: eth0\n    vf: {}\n  - address: 0000:03:00.1\n  - interface: gone\n',
  );
  assert.deepEqual(
    refusals.map(({ id }) => id),
    ['spec/device'],
  );
  assert.deepEqual(
    vm?.hostDevices.map(({ bdf }) => bdf),
    ['0000:03:00.1'],
  );
});

const cases = sharedData('libvirt/xml2argv');
test('a command line that libvirt wrote says the same as the domain it wrote it for', {
  skip: cases ? false : '../shared/data/libvirt is not there',
}, () => {
  const counts = { lines: 0, devices: 0, iommus: 0 };
  for (const name of readdirSync(cases!)) {
    if (!name.endsWith('.args')) continue;
    const xml = join(cases!, `${name.split('.')[0]}.xml`);
    if (!existsSync(xml)) continue;
    const domain = readDomain(readFileSync(xml, 'utf8'));
    const vm = vmOf(readFileSync(join(cases!, name), 'utf8'));
    assert.equal(vm.name, domain.name, name);
    assert.equal(vm.accel, domain.type === 'kvm' ? 'kvm' : 'tcg', name);
    assert.equal(
      vm.machine.replace(/^pc-/, '').startsWith(domain.machine.split('-')[0]!),
      true,
      `${name} ${vm.machine} ${domain.machine}`,
    );
    // libvirt adds up NUMA cells where they and the total differ.
    const cells = /<cell /.test(readFileSync(xml, 'utf8'));
    if (!cells) assert.ok(Math.abs(vm.memory.bytes - domain.memory) < 2 ** 20, `${name}: ${vm.memory.bytes}, ${domain.memory}`);
    const hosts = domain.devices.flatMap(({ host }) => host ?? []);
    // With iommufd libvirt opens the function itself and hands its descriptor on: the line has no address.
    const opened = vm.hostDevices.filter(({ device }) => device.props.fd !== undefined).length;
    const named = vm.hostDevices.flatMap(({ bdf }) => bdf ?? []);
    assert.equal(named.length + opened, hosts.length, name);
    if (opened === 0) assert.deepEqual(named.sort(), hosts.sort(), name);
    // With many processors libvirt adds an IOMMU that nobody asked for.
    if (vm.vcpus.maximum <= 255) assert.equal(vm.iommus.length > 0, domain.viommu, name);
    counts.lines++;
    counts.devices += hosts.length;
    counts.iommus += vm.iommus.length;
  }
  assert.ok(counts.lines > 10 && counts.devices > 5 && counts.iommus > 1, JSON.stringify(counts));
});

const recorded = captures();
test(`of a line that QEMU really started, no rule says that it would not start (${tellCaptures(recorded)})`, async () => {
  const installed = {
    'v72-': await readQemu(recordedQemu('qemu-7.2.22')),
    '': await readQemu(recordedQemu('qemu-10.0.2')),
  };
  const picture = pictureOf({ functions: [] });
  let judged = 0;
  for (const { name, argv } of recorded.all) {
    const vm = vmOf(['qemu-system-x86_64', ...argv], installed[name.startsWith('v72-') ? 'v72-' : '']);
    for (const { id, rules } of PROBLEMS)
      for (const rule of rules) {
        if (rule.about !== 'vm') continue;
        const { is, because } = rule.run(vm, picture);
        assert.notEqual(is, 'fail', `${name} ${id}: ${because}`);
        if (is === 'pass') judged++;
      }
  }
  assert.ok(judged > 100, `${judged}`);
});
