import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type FakeState, fakeHost, machine } from '../../test/fake-host.ts';
import type { Host } from '../host/host.ts';
import type { Plan, Planned, Refusal } from './plan.ts';
import { readAndPlan } from './read-plan.ts';
import { parseSpec, type VmSpec } from './spec.ts';

const STATE = '/var/lib/sluice';

function specOf(text: string): VmSpec {
  const parsed = parseSpec(text, 'vm.yaml');
  if ('errors' in parsed) throw new Error(parsed.errors.map((error) => error.message).join('\n'));
  return parsed.spec;
}

const vm = (devices: string, more = '') => specOf(`name: demo\nmemory: 512MiB\nvcpus: 1\n${more}devices:\n${devices}`);

const planFor = (state: FakeState, spec: VmSpec): Promise<Planned> => readAndPlan(fakeHost(state), spec, 'vm.yaml', STATE);

async function planned(state: FakeState, spec: VmSpec): Promise<Plan> {
  const result = await planFor(state, spec);
  if ('refusals' in result) throw new Error(result.refusals.map((refusal) => refusal.because).join('\n'));
  return result.plan;
}

/** The only refusal, of that id. */
async function refusal(state: FakeState, spec: VmSpec, id: string): Promise<Refusal> {
  const result = await planFor(state, spec);
  assert.ok('refusals' in result, 'the plan was not refused');
  assert.deepEqual(
    result.refusals.map((one) => one.id),
    [id],
  );
  const [first] = result.refusals;
  assert.ok(first !== undefined);
  return first;
}

test('VFs are created, set, bound and given to QEMU, in that order', async () => {
  const plan = await planned(
    machine(),
    vm('  - pf: eth0\n    vf: { mac: "52:54:00:aa:01:00" }\n  - pf: nvme0\n', 'iommu: intel\nagent: false\n'),
  );
  assert.deepEqual(
    plan.steps.map((step) => step.do),
    [
      'load-module',
      'attribute',
      'create-vfs',
      'set-vf',
      'set-link',
      'attribute',
      'create-vfs',
      'bind',
      'bind',
      'nvme-resources',
      'prove-nvme',
      'start-guest',
    ],
  );
  assert.deepEqual(
    plan.devices.map((device) => device.bdf),
    ['0000:01:10.0', '0000:02:00.1'],
  );
});

test('with a virtual IOMMU each device counts guest memory once for the memory that may be locked', async () => {
  const devices = '  - pf: eth0\n    vf: {}\n  - pf: eth0\n    vf: {}\n';
  const GIB = 2 ** 30;
  assert.equal((await planned(machine(), vm(devices, 'iommu: intel\n'))).memlock.bytes, 2 * 2 ** 29 + GIB);
  assert.equal((await planned(machine(), vm(devices, 'iommu: none\n'))).memlock.bytes, 2 ** 29 + GIB);
});

test('the virtual IOMMU stands before every assigned device on the command line', async () => {
  const { steps } = await planned(machine(), vm('  - pf: eth0\n    vf: {}\n', 'iommu: intel\n'));
  const start = steps.at(-1);
  assert.ok(start?.do === 'start-guest');
  const devices = start.guest.argv.filter((_, at, all) => all[at - 1] === '-device').map((text) => text.split(',')[0]);
  assert.ok(devices.indexOf('intel-iommu') >= 0 && devices.indexOf('intel-iommu') < devices.indexOf('vfio-pci'));
});

test('a guest that needs vfio gets a virtual IOMMU by itself', async () => {
  const { steps } = await planned(machine(), vm('  - pf: eth0\n    vf: {}\n', 'needs: [vfio]\n'));
  const start = steps.at(-1);
  assert.ok(start?.do === 'start-guest');
  assert.ok(start.guest.argv.some((word) => word.startsWith('intel-iommu,')));
});

test('the same spec and host give the same plan', async () => {
  const spec = vm('  - pf: nvme0\n');
  assert.deepEqual(await planned(machine(), spec), await planned(machine(), spec));
});

test('VFs that exist and are free are used as they are', async () => {
  const state = machine();
  const host = fakeHost(state);
  await host.files.write('/sys/bus/pci/devices/0000:01:00.0/sriov_drivers_autoprobe', '0');
  await host.files.write('/sys/bus/pci/devices/0000:01:00.0/sriov_numvfs', '3');
  const plan = await planned(state, vm('  - pf: 0000:01:00.0\n    vf: {}\n'));
  assert.ok(!plan.steps.some((step) => step.do === 'create-vfs'));
  assert.deepEqual(
    plan.devices.map((device) => device.bdf),
    ['0000:01:10.0'],
  );
});

test('NumVFs that is not 0 is not changed: more VFs than are free are refused, naming who has the others', async () => {
  const state = machine();
  await fakeHost(state).files.write('/sys/bus/pci/devices/0000:01:00.0/sriov_numvfs', '1');
  state.modules.push('vfio_pci', 'vfio');
  const vf = state.functions.find((fn) => fn.bdf === '0000:01:10.0');
  assert.ok(vf !== undefined);
  vf.driver = 'vfio-pci';
  state.qemu.push({ pid: 77, argv: ['qemu-system-x86_64', '-device', 'vfio-pci,host=0000:01:10.0'] });
  const refused = await refusal(state, vm('  - pf: eth0\n    vf: {}\n'), 'sriov/numvfs');
  assert.match(refused.because, /1 VF exists and 0 of them are free, and the kernel changes NumVFs only through 0/);
  assert.ok(refused.seen.some((seen) => seen.where === '0000:01:10.0' && /qemu-system-x86 \(pid 77\)/.test(seen.text)));
});

test('more VFs than TotalVFs are refused, with both numbers', async () => {
  const devices = Array.from({ length: 8 }, () => '  - pf: eth0\n    vf: {}\n').join('');
  const refused = await refusal(machine(), vm(devices), 'sriov/count');
  assert.match(refused.because, /8 VFs are wanted and TotalVFs is 7/);
  assert.equal(refused.at.line, 19, 'it points at the last device that asks for a VF of it');
});

test('a function that is not there is refused, at its place in the spec', async () => {
  const refused = await refusal(machine(), vm('  - address: "0000:09:00.0"\n'), 'spec/device');
  assert.match(refused.because, /there is no function 0000:09:00\.0/);
  assert.deepEqual([refused.at.file, refused.at.line], ['vm.yaml', 5]);
});

test('a PF without SR-IOV is refused', async () => {
  const refused = await refusal(machine(), vm('  - pf: eth1\n    vf: {}\n'), 'sriov/capable');
  assert.match(refused.because, /no SR-IOV capability/);
});

test('a group with another bound member is refused, naming the member and its driver', async () => {
  const refused = await refusal(machine(), vm('  - address: "0000:03:00.0"\n'), 'group/viable');
  assert.match(refused.because, /group 3 is not viable: 0000:03:00\.1 \(driver snd_hda_intel\)/);
});

test('a whole group may be given to one guest', async () => {
  const plan = await planned(machine(), vm('  - address: "0000:03:00.0"\n  - address: "0000:03:00.1"\n'));
  const bound = plan.steps.filter((step) => step.do === 'bind');
  assert.deepEqual(
    bound.map((step) => [step.bdf, step.was.driver]),
    [
      ['0000:03:00.0', undefined],
      ['0000:03:00.1', 'snd_hda_intel'],
    ],
  );
});

test('a whole PF is refused while VFs of it exist', async () => {
  const state = machine();
  await fakeHost(state).files.write('/sys/bus/pci/devices/0000:01:00.0/sriov_numvfs', '2');
  const refused = await refusal(state, vm('  - address: "0000:01:00.0"\n'), 'sriov/no-vfs');
  assert.match(refused.because, /2 VFs of it exist/);
});

test('a bridge is refused', async () => {
  const refused = await refusal(machine(), vm('  - address: "0000:00:02.0"\n'), 'device/endpoint');
  assert.match(refused.because, /bridge/);
});

test('the interface of the default route is refused', async () => {
  const state = machine();
  const route = 'Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n';
  state.files['/proc/net/route'] = `${route}eth1\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\n`;
  const refused = await refusal(state, vm('  - interface: eth1\n'), 'use/free');
  assert.match(refused.because, /the default route of this host goes through it \(eth1\)/);
});

test('the default route is followed through a bridge to the card', async () => {
  const state = machine();
  state.files['/proc/net/route'] =
    'Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\nbr0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\n';
  state.files['/sys/class/net/br0'] = '-> ../../devices/virtual/net/br0';
  state.files['/sys/class/net/br0/brif/eth1'] = '-> x';
  assert.match((await refusal(state, vm('  - interface: eth1\n'), 'use/free')).because, /default route/);
});

test('the disk of the root file system is refused, through device mapper and NVMe multipath', async () => {
  const state = machine();
  state.files['/proc/self/mountinfo'] = '29 1 254:0 / / rw - ext4 /dev/mapper/root rw\n';
  state.files['/sys/dev/block/254:0'] = '-> ../../devices/virtual/block/dm-0';
  state.files['/sys/class/block/dm-0/slaves/nvme0n1p2'] = '-> x';
  state.files['/sys/class/block/nvme0n1p2'] = '-> ../../devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1/nvme0n1p2';
  state.files['/sys/class/nvme-subsystem/nvme-subsys0/nvme0'] = '-> x';
  state.files['/sys/class/nvme/nvme0/device'] = '-> ../../../0000:02:00.0';
  const refused = await refusal(state, vm('  - address: "0000:02:00.0"\n'), 'use/free');
  assert.match(refused.because, /it holds the root file system of this host/);
});

test('without an IOMMU that is the one reason, not a list of what follows from it', async () => {
  const state = machine();
  const host = fakeHost(state);
  const without = (path: string) => path.startsWith('/sys/kernel/iommu_groups') || path.startsWith('/sys/class/iommu');
  const files = {
    ...host.files,
    list: async (path: string) => (without(path) ? [] : await host.files.list(path)),
    link: async (path: string) => (path.endsWith('/iommu_group') ? undefined : await host.files.link(path)),
  };
  const result = await readAndPlan({ ...host, files }, vm('  - address: "0000:04:00.0"\n'), 'vm.yaml', STATE);
  assert.ok('refusals' in result);
  assert.deepEqual(
    result.refusals.map((one) => one.id),
    ['platform/iommu-on'],
  );
});

test('a device without a group is refused although others have one', async () => {
  const host = fakeHost(machine());
  const link = async (path: string) =>
    path === '/sys/bus/pci/devices/0000:04:00.0/iommu_group' ? undefined : await host.files.link(path);
  const list = async (path: string) => {
    const names = await host.files.list(path);
    return path.startsWith('/sys/kernel/iommu_groups/') ? names?.filter((name) => name !== '0000:04:00.0') : names;
  };
  const result = await readAndPlan(
    { ...host, files: { ...host.files, link, list } },
    vm('  - interface: eth1\n'),
    'vm.yaml',
    STATE,
  );
  assert.ok('refusals' in result);
  assert.deepEqual(
    result.refusals.map((one) => one.id),
    ['group/member'],
  );
});

test('interrupts that are not remapped are refused', async () => {
  const state = machine();
  state.files['/sys/class/iommu/dmar0/intel-iommu/ecap'] = 'f00f46\n';
  const host = fakeHost(state);
  const readText = async (path: string) => (path.endsWith('/ecap') ? 'f00f46\n' : await host.files.readText(path));
  const result = await readAndPlan(
    { ...host, files: { ...host.files, readText } },
    vm('  - interface: eth1\n'),
    'vm.yaml',
    STATE,
  );
  assert.ok('refusals' in result);
  assert.match(result.refusals.map((one) => one.because).join(), /ECAP_REG\.IR is 0/);
});

test('link settings for an NVMe controller and queues for a network card are refused', async () => {
  await refusal(machine(), vm('  - pf: nvme0\n    vf: { vlan: 5 }\n'), 'spec/vf');
  await refusal(machine(), vm('  - pf: eth0\n    vf: { queues: 2 }\n'), 'spec/vf');
});

test('more NVMe queues than the controller has to give are refused', async () => {
  const refused = await refusal(machine(), vm('  - pf: nvme0\n    vf: { queues: 9 }\n'), 'nvme/resources');
  assert.match(refused.because, /wants 9 queues .* one VF may have 8 and 4/);
});

test('a controller without Virtualization Management has VFs that need nothing, and to which nothing can be given', async () => {
  const host = fakeHost(machine());
  const admin = async (_: string, { dataLength }: { dataLength?: number }) => ({
    status: 0,
    result: 0,
    data: new Uint8Array(dataLength ?? 0),
  });
  const without = { ...host, nvme: { admin } };
  const plain = await readAndPlan(without, vm('  - pf: nvme0\n'), 'vm.yaml', STATE);
  assert.ok('plan' in plain && !plain.plan.steps.some((step) => step.do === 'nvme-resources'));
  const wish = await readAndPlan(without, vm('  - pf: nvme0\n    vf: { queues: 2 }\n'), 'vm.yaml', STATE);
  assert.ok('refusals' in wish && /no Virtualization Management/.test(wish.refusals[0]?.because ?? ''));
});

test('a VF that is online and works keeps what it has, unless the spec says otherwise', async () => {
  const state = machine();
  await fakeHost(state).files.write('/sys/bus/pci/devices/0000:02:00.0/sriov_numvfs', '1');
  state.secondaries = [{ cntlid: 1, vfn: 1, online: true, vq: 4, vi: 2 }];
  assert.ok(!(await planned(state, vm('  - pf: nvme0\n'))).steps.some((step) => step.do === 'nvme-resources'));
  const wish = (await planned(state, vm('  - pf: nvme0\n    vf: { queues: 3 }\n'))).steps.find(
    (step) => step.do === 'nvme-resources',
  );
  assert.deepEqual([wish?.vq, wish?.vi], [3, 2]);
});

test('the guest addresses no more bits than every unit of the host', async () => {
  const argvOf = async (cap: string) => {
    const host = fakeHost(machine());
    const readText = async (path: string) => (path.endsWith('/intel-iommu/cap') ? cap : await host.files.readText(path));
    const result = await readAndPlan(
      { ...host, files: { ...host.files, readText } },
      vm('  - pf: eth0\n    vf: {}\n', 'iommu: intel\n'),
      'vm.yaml',
      STATE,
    );
    const start = 'plan' in result ? result.plan.steps.at(-1) : undefined;
    return start?.do === 'start-guest' ? start.guest.argv.find((word) => word.startsWith('intel-iommu')) : undefined;
  };
  assert.match((await argvOf('d2008c222f0686')) ?? '', /aw-bits=48/);
  assert.match((await argvOf('12008c22260286')) ?? '', /aw-bits=39/);
});

test('a VF is refused while the host uses a namespace that it could reach, and given when the namespace is private', async () => {
  const planned = async (shared: boolean) => {
    const state = machine();
    const disk = '../../devices/pci0000:00/0000:02:00.0/nvme/nvme0/nvme0n1';
    state.files['/proc/self/mountinfo'] = '29 1 259:0 / /data rw - ext4 /dev/nvme0n1 rw\n';
    state.files['/sys/dev/block/259:0'] = `-> ${disk}`;
    state.files['/sys/class/block/nvme0n1'] = `-> ${disk}`;
    state.files['/sys/class/nvme/nvme0/nvme0n1/nsid'] = '1\n';
    const host = fakeHost(state);
    const admin: Host['nvme']['admin'] = async (path, command) => {
      const answer = await host.nvme.admin(path, command);
      if (command.opcode === 6 && ((command.cdw10 ?? 0) & 0xff) === 0) answer.data[30] = shared ? 1 : 0;
      return answer;
    };
    return await readAndPlan({ ...host, nvme: { admin } }, vm('  - pf: nvme0\n'), 'vm.yaml', STATE);
  };
  const refused = await planned(true);
  assert.ok('refusals' in refused);
  assert.deepEqual(
    refused.refusals.map((one) => one.id),
    ['nvme/namespace'],
  );
  assert.match(refused.refusals[0]?.because ?? '', /namespace 1 \(\/dev\/nvme0n1\) may be attached to its VFs as well/);
  assert.ok('plan' in (await planned(false)));
});

test('what a plan gives to one VF is not given to the next', async () => {
  await refusal(machine(), vm('  - pf: nvme0\n    vf: { queues: 5 }\n  - pf: nvme0\n    vf: { queues: 4 }\n'), 'nvme/resources');
});

test('a file that the spec names and that is not there is refused', async () => {
  const refused = await refusal(machine(), vm('  - interface: eth1\n', 'kernel: /boot/none\n'), 'spec/file');
  assert.match(refused.because, /\/boot\/none/);
});

test('without KVM the plan says so', async () => {
  const host = fakeHost(machine());
  const hypervisor = { ...host.hypervisor, kvm: async () => ({ usable: false, because: 'no /dev/kvm' }) };
  const result = await readAndPlan({ ...host, hypervisor }, vm('  - interface: eth1\n'), 'vm.yaml', STATE);
  assert.ok('plan' in result);
  assert.equal(result.plan.accel, 'tcg');
  assert.match(result.plan.warnings.join(), /KVM is not used \(no \/dev\/kvm\)/);
});
