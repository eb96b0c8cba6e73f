import { type Channel, type Host, HostError, type Link, type NvmeCommand, type VfSettings } from '../src/host/host.ts';
import { bdfOf, formatBdf, parseBdf, routingId } from '../src/pci/index.ts';
import { recordedQemu } from './qemu.ts';

/**
 * A small machine for tests: an in-memory sysfs that behaves as the kernel does where plan, apply and revert depend on it
 * (VFs appear with `sriov_numvfs`, drivers take and leave functions, groups come and go), and a QEMU that answers QMP.
 * It is a test double, not a model: it knows what these tests need.
 */
export interface FakeFunction {
  bdf: string;
  class: number;
  driver?: string;
  override?: string;
  group: number;
  sriov?: { total: number; num: number; offset: number; stride: number; autoprobe: boolean; vfDriver: string };
  physfn?: string;
  net?: { name: string; up: boolean; mac: string };
  nvme?: string;
}

interface Secondary {
  cntlid: number;
  vfn: number;
  online: boolean;
  vq: number;
  vi: number;
}

export interface FakeState {
  functions: FakeFunction[];
  modules: string[];
  vfs: Record<string, Required<VfSettings>[]>;
  secondaries: Secondary[];
  qemu: { pid: number; argv: string[] }[];
  files: Record<string, string>;
}

const PORT = '/sys/devices/pci0000:00';
const EMPTY_VF: Required<VfSettings> = { mac: '00:00:00:00:00:00', vlan: 0, spoofchk: true, trust: false };

/** A machine with an SR-IOV NIC (7 VFs), an SR-IOV NVMe controller (4 VFs), and a two-function card in one group. */
export function machine(): FakeState {
  return {
    functions: [
      { bdf: '0000:00:02.0', class: 0x060400, driver: 'pcieport', group: 0 },
      {
        bdf: '0000:01:00.0',
        class: 0x020000,
        driver: 'igb',
        group: 1,
        sriov: { total: 7, num: 0, offset: 128, stride: 2, autoprobe: true, vfDriver: 'igbvf' },
        net: { name: 'eth0', up: false, mac: '52:54:00:aa:00:01' },
      },
      {
        bdf: '0000:02:00.0',
        class: 0x010802,
        driver: 'nvme',
        group: 2,
        sriov: { total: 4, num: 0, offset: 1, stride: 1, autoprobe: true, vfDriver: 'nvme' },
        nvme: 'nvme0',
      },
      { bdf: '0000:03:00.0', class: 0x030000, group: 3 },
      { bdf: '0000:03:00.1', class: 0x040300, driver: 'snd_hda_intel', group: 3 },
      {
        bdf: '0000:04:00.0',
        class: 0x020000,
        driver: 'e1000e',
        group: 4,
        net: { name: 'eth1', up: true, mac: '52:54:00:aa:00:02' },
      },
    ],
    modules: ['igb', 'nvme', 'kvm'],
    vfs: { eth0: [] },
    secondaries: [],
    qemu: [],
    files: {},
  };
}

/** The tree that a state was last seen with: most questions come between two changes. */
const drawn = new WeakMap<FakeState, { state: string; tree: Map<string, string> }>();

/** Paths of the machine: text of a file, or `-> target` for a link. */
function tree(state: FakeState): Map<string, string> {
  const text = JSON.stringify(state);
  const last = drawn.get(state);
  if (last?.state === text) return last.tree;
  const now = { state: text, tree: draw(state) };
  drawn.set(state, now);
  return now.tree;
}

function draw(state: FakeState): Map<string, string> {
  const at = new Map<string, string>(Object.entries(state.files));
  const put = (path: string, text: string) => at.set(path, text);
  for (const fn of state.functions) {
    const real = `${PORT}/${fn.bdf}`;
    const dir = `/sys/bus/pci/devices/${fn.bdf}`;
    put(dir, `-> ../../../${real.slice('/sys/'.length)}`);
    put(`${dir}/vendor`, '0x8086\n');
    put(`${dir}/device`, '0x10c9\n');
    put(`${dir}/class`, `0x${fn.class.toString(16).padStart(6, '0')}\n`);
    put(`${dir}/driver_override`, `${fn.override ?? '(null)'}\n`);
    put(`${dir}/reset`, '');
    put(`${dir}/iommu_group`, `-> ../../../kernel/iommu_groups/${fn.group}`);
    put(`${dir}/iommu`, '-> ../../virtual/iommu/dmar0');
    put(`/sys/kernel/iommu_groups/${fn.group}/type`, 'DMA\n');
    put(`/sys/kernel/iommu_groups/${fn.group}/devices/${fn.bdf}`, '-> x');
    put(`/sys/class/iommu/dmar0/devices/${fn.bdf}`, '-> x');
    if (fn.driver !== undefined) {
      put(`${dir}/driver`, `-> ../../../bus/pci/drivers/${fn.driver}`);
      put(`/sys/bus/pci/drivers/${fn.driver}/${fn.bdf}`, '-> x');
    }
    if (fn.driver === 'vfio-pci') put(`/dev/vfio/${fn.group}`, '');
    if (fn.physfn !== undefined) put(`${dir}/physfn`, `-> ../${fn.physfn}`);
    if (hasNet(fn)) {
      put(`${dir}/net/${fn.net.name}`, '');
      put(`/sys/class/net/${fn.net.name}`, `-> ../../devices/pci0000:00/${fn.bdf}/net/${fn.net.name}`);
    }
    if (fn.nvme !== undefined) put(`${dir}/nvme/${fn.nvme}`, '');
    if (fn.sriov !== undefined) {
      put(`${dir}/sriov_totalvfs`, `${fn.sriov.total}\n`);
      put(`${dir}/sriov_numvfs`, `${fn.sriov.num}\n`);
      put(`${dir}/sriov_offset`, `${fn.sriov.offset}\n`);
      put(`${dir}/sriov_stride`, `${fn.sriov.stride}\n`);
      put(`${dir}/sriov_drivers_autoprobe`, `${fn.sriov.autoprobe ? 1 : 0}\n`);
      for (let n = 0; n < fn.sriov.num; n++) put(`${dir}/virtfn${n}`, `-> ../${vfOf(fn, n)}`);
    }
  }
  put('/sys/class/iommu/dmar0/intel-iommu/cap', 'd2008c222f0686\n');
  put('/sys/class/iommu/dmar0/intel-iommu/ecap', 'f00f4e\n');
  put('/proc/sys/kernel/random/boot_id', '6a1c\n');
  put('/proc/cmdline', 'intel_iommu=on\n');
  put('/proc/self/status', 'Uid:\t0\t0\t0\t0\n');
  put('/proc/cpuinfo', 'flags\t\t: svm\n');
  put('/proc/meminfo', 'MemTotal:       16384000 kB\n');
  for (const { pid, argv } of state.qemu) {
    put(`/proc/${pid}/cmdline`, `${argv.join('\0')}\0`);
    put(`/proc/${pid}/comm`, 'qemu-system-x86\n');
    put(`/proc/${pid}/stat`, `${pid} (qemu-system-x86) S ${'0 '.repeat(18)}${pid} 0\n`);
    put(`/proc/${pid}/exe`, '-> /usr/bin/qemu-system-x86_64');
    for (const [index, bdf] of argv.flatMap((arg) => /vfio-pci,.*host=([0-9a-f:.]+)/.exec(arg)?.[1] ?? []).entries())
      put(`/proc/${pid}/fd/${20 + index}`, `-> /dev/vfio/${state.functions.find((fn) => fn.bdf === bdf)?.group}`);
  }
  return at;
}

/** Its interface is there while its own driver has it. */
function hasNet(fn: FakeFunction): fn is FakeFunction & { net: NonNullable<FakeFunction['net']> } {
  return fn.net !== undefined && fn.driver !== undefined && fn.driver !== 'vfio-pci';
}

function vfOf(pf: FakeFunction, n: number): string {
  const bdf = parseBdf(pf.bdf);
  if (bdf === undefined || pf.sriov === undefined) throw new Error('not a PF');
  return formatBdf(bdfOf(bdf.domain, routingId(bdf) + pf.sriov.offset + n * pf.sriov.stride));
}

/** What the kernel does with a write to sysfs. */
function writeSysfs(state: FakeState, path: string, text: string): void {
  const value = text.trim();
  const fail = (errno: string): never => {
    throw new HostError(path, 'the write was refused', errno);
  };
  const driverFile = /^\/sys\/bus\/pci\/drivers\/([^/]+)\/(bind|unbind)$/.exec(path);
  if (driverFile !== null) {
    const [, driver, action] = driverFile;
    const fn = state.functions.find((candidate) => candidate.bdf === value);
    if (driver === 'vfio-pci' && !state.modules.includes('vfio_pci')) fail('ENOENT');
    if (fn === undefined) return fail('ENODEV');
    if (action === 'unbind') {
      if (fn.driver !== driver) fail('ENODEV');
      delete fn.driver;
      if (fn.net !== undefined) fn.net.up = false; // the interface goes, and comes back down
    } else {
      if (fn.driver !== undefined) fail('EBUSY');
      if (fn.override === undefined ? driver === 'vfio-pci' : fn.override !== driver) fail('ENODEV');
      fn.driver = driver ?? '';
    }
    return;
  }
  const [, bdf, name] = /^\/sys\/bus\/pci\/devices\/([^/]+)\/([^/]+)$/.exec(path) ?? [];
  const fn = state.functions.find((candidate) => candidate.bdf === bdf);
  if (fn === undefined) return fail('ENOENT');
  if (name === 'driver_override') {
    if (value === '') delete fn.override;
    else fn.override = value;
  } else if (name === 'reset') {
    return;
  } else if (name === 'sriov_drivers_autoprobe' && fn.sriov !== undefined) {
    if (value !== '0' && value !== '1') fail('EINVAL');
    fn.sriov.autoprobe = value === '1';
  } else if (name === 'sriov_numvfs' && fn.sriov !== undefined) {
    changeVfs(state, fn, Number(value), fail);
  } else fail('EACCES');
}

function changeVfs(state: FakeState, pf: FakeFunction, wanted: number, fail: (errno: string) => never): void {
  const { sriov } = pf;
  if (sriov === undefined) return;
  if (wanted > sriov.total) fail('ERANGE');
  if (wanted === sriov.num) return;
  if (wanted > 0 && sriov.num > 0) fail('EBUSY');
  if (wanted === 0) {
    const open = new Set(state.qemu.flatMap(({ argv }) => argv.flatMap((arg) => /host=([0-9a-f:.]+)/.exec(arg)?.[1] ?? [])));
    for (const fn of state.functions)
      if (fn.physfn === pf.bdf && open.has(fn.bdf)) throw new Error('the kernel would wait here for ever');
    state.functions = state.functions.filter((fn) => fn.physfn !== pf.bdf);
    if (pf.net !== undefined) state.vfs[pf.net.name] = [];
    if (pf.nvme !== undefined) state.secondaries = [];
  }
  sriov.num = wanted;
  for (let n = 0; n < wanted; n++) {
    state.functions.push({
      bdf: vfOf(pf, n),
      class: pf.class,
      group: 10 + state.functions.length,
      physfn: pf.bdf,
      ...(sriov.autoprobe ? { driver: sriov.vfDriver } : {}),
    });
    if (pf.net !== undefined) state.vfs[pf.net.name] = [...(state.vfs[pf.net.name] ?? []), { ...EMPTY_VF }];
  }
}

/** NVMe admin commands that virtualization needs: Identify CNS 14h and 15h, Virtualization Management. */
function nvmeAdmin(state: FakeState, command: NvmeCommand): { status: number; result: number; data: Uint8Array } {
  const data = new Uint8Array(command.dataLength ?? 0);
  const view = new DataView(data.buffer);
  const pf = state.functions.find((fn) => fn.nvme !== undefined);
  const all = Array.from({ length: pf?.sriov?.total ?? 0 }, (_, n): Secondary => {
    const known = state.secondaries.find((one) => one.vfn === n + 1);
    return known ?? { cntlid: n + 1, vfn: n + 1, online: false, vq: 0, vi: 0 };
  });
  const cns = (command.cdw10 ?? 0) & 0xff;
  if (command.opcode === 6 && cns === 0) {
    // A private namespace: NMIC is 0.
  } else if (command.opcode === 6 && cns === 1) {
    data[256] = 0x80; // OACS: Virtualization Management
  } else if (command.opcode === 6 && cns === 0x14) {
    view.setUint8(4, 3); // CRT: both resource types
    view.setUint32(32, 8, true); // VQFRT
    view.setUint32(64, 4, true); // VIFRT
  } else if (command.opcode === 6 && cns === 0x15) {
    data[0] = all.length;
    for (const [n, one] of all.entries()) {
      const at = 32 + n * 32;
      view.setUint16(at, one.cntlid, true);
      data[at + 4] = one.online ? 1 : 0;
      view.setUint16(at + 8, one.vfn, true);
      view.setUint16(at + 10, one.vq, true);
      view.setUint16(at + 12, one.vi, true);
    }
  } else if (command.opcode === 0x1c) {
    const action = (command.cdw10 ?? 0) & 0xf;
    const one = all.find((candidate) => candidate.cntlid === (command.cdw10 ?? 0) >>> 16);
    if (one === undefined) return { status: 0x11f, result: 0, data };
    if (action === 8 && one.online) return { status: 0x120, result: 0, data };
    if (action === 8) one[((command.cdw10 ?? 0) >>> 8) & 7 ? 'vi' : 'vq'] = command.cdw11 ?? 0;
    if (action === 9 && (one.vq < 2 || one.vi < 1)) return { status: 0x120, result: 0, data };
    if (action === 9 || action === 7) one.online = action === 9;
    state.secondaries = all.filter((candidate) => candidate.online || candidate.vq > 0 || candidate.vi > 0);
  } else return { status: 1, result: 0, data };
  return { status: 0, result: 0, data };
}

/** A QEMU that answers QMP: enough to be started, asked and stopped. */
function qmpChannel(stop: () => void): Channel {
  const queue: string[] = [`${JSON.stringify({ QMP: { version: {}, capabilities: [] } })}\r\n`];
  return {
    async send(text) {
      for (const line of text.split('\n').filter((part) => part.trim() !== '')) {
        const { execute, id } = JSON.parse(line) as { execute: string; id?: unknown };
        if (execute === 'quit') stop();
        const result = execute === 'query-status' ? { status: 'running', running: true } : {};
        queue.push(`${JSON.stringify({ return: result, id })}\r\n`);
      }
    },
    receive: async () => queue.shift(),
    close: () => {},
  };
}

/** The machine as a `Host`. Reads and writes go to `state` at once. */
export function fakeHost(state: FakeState): Host {
  let time = 1_000_000;
  const locks = new Set<string>();
  const text = (path: string): string | undefined => {
    const found = tree(state).get(path);
    return found?.startsWith('-> ') ? undefined : found;
  };
  const bytes = (path: string) => {
    const found = text(path);
    return found === undefined ? undefined : new TextEncoder().encode(found);
  };
  const names = (path: string): string[] | undefined => {
    const found = new Set<string>();
    for (const candidate of tree(state).keys())
      if (candidate.startsWith(`${path}/`)) found.add(candidate.slice(path.length + 1).split('/')[0] ?? '');
    return found.size === 0 ? undefined : [...found].sort();
  };
  return {
    name: 'fake',
    clock: {
      now: () => (time += 1),
      sleep: async (milliseconds) => {
        time += milliseconds;
      },
    },
    files: {
      read: async (path) => bytes(path),
      readAt: async (path, offset, length) => bytes(path)?.subarray(offset, offset + length),
      readText: async (path) => text(path),
      link: async (path) => {
        const found = tree(state).get(path);
        return found?.startsWith('-> ') ? found.slice(3) : undefined;
      },
      list: async (path) => names(path),
      claimed: async () => undefined,
      exists: async (path) => tree(state).has(path) || names(path) !== undefined,
      write: async (path, value) => writeSysfs(state, path, value),
      replace: async (path, content) => {
        state.files[path] = typeof content === 'string' ? content : new TextDecoder().decode(content);
      },
      append: async (path, value) => {
        state.files[path] = (state.files[path] ?? '') + value;
      },
      makeFolder: async () => {},
      remove: async (path) => {
        for (const candidate of Object.keys(state.files))
          if (candidate === path || candidate.startsWith(`${path}/`)) delete state.files[candidate];
      },
      lock: async (path) => {
        if (locks.has(path)) return 'pid 1';
        locks.add(path);
        return async () => {
          locks.delete(path);
        };
      },
      kernelLog: async () => [],
    },
    links: {
      list: async () =>
        state.functions.flatMap((fn): Link[] =>
          !hasNet(fn)
            ? []
            : [{ name: fn.net.name, mac: fn.net.mac, up: fn.net.up, vfs: structuredClone(state.vfs[fn.net.name] ?? []) }],
        ),
      setUp: async (name, up) => {
        const net = state.functions.filter(hasNet).find((fn) => fn.net.name === name)?.net;
        if (net === undefined) throw new HostError(name, 'no such interface', 'ENODEV');
        net.up = up;
      },
      setVf: async (name, vf, settings) => {
        const found = state.vfs[name]?.[vf];
        if (found === undefined) throw new HostError(name, `no VF ${vf}`, 'EINVAL');
        Object.assign(found, settings);
      },
    },
    modules: {
      loaded: async () => [...state.modules],
      load: async (name) => {
        if (name === 'vfio-pci') state.modules.push('vfio', 'vfio_pci_core', 'vfio_pci', 'vfio_iommu_type1');
        else throw new HostError(name, 'no such module', 'ENOENT');
      },
      unload: async (name) => {
        const users: Record<string, string[]> = {
          vfio: ['vfio_pci_core', 'vfio_iommu_type1', 'vfio_pci'],
          vfio_pci_core: ['vfio_pci'],
        };
        const bound = name === 'vfio_pci' && state.functions.some((fn) => fn.driver === 'vfio-pci');
        if (bound || users[name]?.some((user) => state.modules.includes(user))) throw new HostError(name, 'is in use', 'EBUSY');
        state.modules = state.modules.filter((module) => module !== name);
      },
    },
    nvme: { admin: async (_, command) => nvmeAdmin(state, command) },
    vfio: {
      open: async (bdf) => {
        throw new HostError(bdf, 'this machine has no devices behind its sysfs', 'ENODEV');
      },
    },
    hypervisor: {
      run: recordedQemu('qemu-10.0.2').run,
      start: async (argv) => {
        const pid = 4000 + state.qemu.length;
        state.qemu.push({ pid, argv: [...argv] });
        return pid;
      },
      signal: async (pid) => {
        const had = state.qemu.length;
        state.qemu = state.qemu.filter((one) => one.pid !== pid);
        return state.qemu.length < had;
      },
      connect: async (path) => {
        const found = state.qemu.find(({ argv }) => argv.some((arg) => arg.includes(path)));
        if (found === undefined) throw new HostError(path, 'nobody listens', 'ENOENT');
        return qmpChannel(() => {
          state.qemu = state.qemu.filter((one) => one !== found);
        });
      },
      kvm: async () => ({ usable: true, because: 'a guest ran' }),
    },
  };
}

/** Everything of the machine that a revert must leave as it was; Sluice's own files are not part of it. */
export function visible(state: FakeState): unknown {
  const { files: _, ...rest } = structuredClone(state);
  return rest;
}
