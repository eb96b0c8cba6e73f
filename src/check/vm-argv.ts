import type { Vm, VmDevice, VmHostDevice, VmIommu, VmIommuKind, VmMemory, VmQemu } from './vm.ts';
import { readNumber, readSettings, readSize, type Settings, splitWords } from './vm-words.ts';

const MIB = 2 ** 20;
/** Guest memory without `-m`. Source: QEMU docs, invocation. */
const DEFAULT_MEMORY = 128 * MIB;

/** Options of QEMU that take no value. Source: QEMU qemu-options.hx. */
const BARE = new Set(
  (
    'S s h help version enable-kvm nographic nodefaults no-user-config no-reboot no-shutdown daemonize snapshot no-acpi no-hpet ' +
    'usb full-screen no-fd-bootchk singlestep win2k-hack portrait preconfig mem-prealloc only-migratable enable-fips ' +
    'xen-attach no-quit rtc-td-hack enable-sync-profile old-param semihosting curses sdl'
  ).split(' '),
);

const IOMMUS: Readonly<Record<string, VmIommuKind>> = {
  'intel-iommu': 'intel',
  'amd-iommu': 'amd',
  'virtio-iommu': 'virtio',
  'virtio-iommu-pci': 'virtio',
  'virtio-iommu-device': 'virtio',
  'arm-smmuv3': 'smmu',
};

/**
 * The VM that a QEMU command line makes: its words, or text that somebody posted. Options, `-device a,b=c` and JSON are
 * understood, files behind `-readconfig` are not. Never throws: what makes no sense is as if it were not there.
 *
 * For `about: 'vm'`: a posted line comes in here, a VM spec through `vmOfSpec(await readPlanInput(...))` of plan.
 *
 * @param qemu what the installed QEMU has, asked for `devices` of the line; for the questions that depend on it
 */
export function vmOf(line: string | readonly string[], qemu?: VmQemu, from = 'QEMU command line'): Vm {
  const words = typeof line === 'string' ? splitWords(line) : line;
  const { program, options } = readOptions(words);
  const all = (name: string) => options.get(name) ?? [];
  const globals = readGlobals(all('global'));
  const machine = all('machine').map((text) => underDash(readSettings(text, 'type')));
  const machineProps: Settings = Object.assign({}, ...machine);
  const accels = all('accel').map((text) => underDash(readSettings(text, 'accel')));
  const objects = all('object').map((text) => readSettings(text, 'qom-type'));
  const devices = all('device').map((text) => readDevice(text, globals));
  const arch = /qemu-system-(x86_64|i386)|qemu-kvm|(^|\/)kvm$/.test(program) || program === '' ? 'x86' : 'other';
  const accel =
    accels[0]?.accel ?? machineProps.accel?.split(':')[0] ?? (options.has('enable-kvm') || /kvm$/.test(program) ? 'kvm' : 'tcg');
  const type = machineProps.type ?? (arch === 'x86' ? 'pc' : '');
  const memory = readMemory(all('m'), all('mem-path'), options, objects);
  const iommus = findIommus(devices, machineProps);
  const name = readSettings(all('name').at(-1) ?? '', 'guest').guest ?? 'the VM';
  const confidential = objects.find(({ id }) => id !== undefined && id === machineProps['confidential-guest-support']);
  const vm: Vm = {
    name,
    from,
    arch,
    machine: type,
    machineProps,
    accel,
    kernelIrqchip: irqchip(accels.map((one) => one['kernel-irqchip']).find(Boolean) ?? machineProps['kernel-irqchip'], type),
    cpu: readCpu(all('cpu').at(-1)),
    vcpus: readVcpus(all('smp').at(-1), type, arch),
    memory,
    firmware: firmwareOf(all('drive'), all('bios'), machineProps, arch),
    devices,
    iommus,
    hostDevices: findHostDevices(devices, machineProps),
    options: Object.fromEntries([...options].filter(([option]) => option !== 'device')),
    vfs: [],
  };
  const window = all('fw_cfg')
    .map((text) => readSettings(text, 'name'))
    .find((settings) => settings.name === 'opt/ovmf/X-PciMmio64Mb');
  const mmio64 = readNumber(window?.string);
  if (mmio64 !== undefined) vm.mmio64 = mmio64 * MIB;
  if (confidential?.['qom-type'] !== undefined) vm.confidential = confidential['qom-type'];
  if (qemu !== undefined) vm.qemu = qemu;
  return vm;
}

/** Words before the first option are an environment and the program. */
function readOptions(words: readonly string[]): { program: string; options: Map<string, string[]> } {
  const options = new Map<string, string[]>();
  let at = words.findIndex((word) => /^--?[a-z]/i.test(word));
  if (at < 0) at = words.length;
  // A program of QEMU may have options of other programs before it: `taskset -c 2 qemu-system-x86_64 -m ...`.
  const named = words.findIndex((word) => /(^|\/)(qemu-system-[\w-]+|qemu-kvm|kvm):?$/.test(word));
  const program = named >= 0 ? words[named]! : (words.slice(0, at).findLast((word) => !/^\w+=/.test(word)) ?? '');
  for (at = named >= 0 ? named + 1 : at; at < words.length; at++) {
    const option = /^--?([a-z][\w-]*)$/i.exec(words[at]!)?.[1];
    if (option === undefined) continue;
    const next = words[at + 1];
    const bare = BARE.has(option) || next === undefined || (/^-[a-z]/i.test(next) && option !== 'append');
    const values = options.get(ALIASES[option] ?? option) ?? [];
    if (!bare) values.push(words[++at]!);
    options.set(ALIASES[option] ?? option, values);
  }
  return { program: program.replace(/:$/, ''), options };
}

const ALIASES: Readonly<Record<string, string>> = { M: 'machine' };

/** `kernel_irqchip` and `kernel-irqchip` are one. */
function underDash(settings: Settings): Settings {
  return Object.fromEntries(Object.entries(settings).map(([key, value]) => [key.replaceAll('_', '-'), value]));
}

/** `-global driver.property=value`, or with three keys. */
function readGlobals(texts: readonly string[]): Map<string, Settings> {
  const globals = new Map<string, Settings>();
  for (const text of texts) {
    const short = /^([\w-]+)\.([\w.-]+)=(.*)$/.exec(text);
    const long = readSettings(text, 'driver');
    const [driver, property, value] =
      short === null ? [long.driver, long.property, long.value] : [short[1], short[2], readSettings(`v=${short[3]}`, '').v];
    if (driver === undefined || property === undefined || value === undefined) continue;
    globals.set(driver, { ...globals.get(driver), [property]: value });
  }
  return globals;
}

function readDevice(text: string, globals: ReadonlyMap<string, Settings>): VmDevice {
  const { driver = '', id, bus, ...props } = readSettings(text, 'driver');
  return {
    driver,
    ...(id === undefined ? {} : { id }),
    ...(bus === undefined ? {} : { bus }),
    props: { ...globals.get(driver), ...props },
    text: `-device ${text}`,
  };
}

function findIommus(devices: readonly VmDevice[], machine: Settings): VmIommu[] {
  const found: VmIommu[] = devices.flatMap((device, at) => {
    const kind = IOMMUS[device.driver];
    return kind === undefined ? [] : [{ kind, at, device }];
  });
  const built = machine.iommu;
  if (built !== undefined && /smmuv3/.test(built))
    found.unshift({ kind: 'smmu', at: -1, device: { driver: built, props: {}, text: `-machine iommu=${built}` } });
  return found;
}

function findHostDevices(devices: readonly VmDevice[], machine: Settings): VmHostDevice[] {
  const byId = new Map(devices.flatMap((device) => (device.id === undefined ? [] : [[device.id, device]])));
  return devices.flatMap((device, at): VmHostDevice[] => {
    if (!/^vfio-pci(-nohotplug)?$/.test(device.driver)) return [];
    const place = placeOf(device, byId);
    const bdf = fullBdf(device.props.host ?? device.props.sysfsdev?.split('/').at(-1));
    const outside = place.root === undefined ? machine['default-bus-bypass-iommu'] : place.root.props.bypass_iommu;
    const found: VmHostDevice = {
      at,
      device,
      backend: device.props.iommufd === undefined ? 'container' : 'iommufd',
      bypasses: outside === 'on',
    };
    if (bdf !== undefined) found.bdf = bdf;
    if (place.bridge !== undefined) found.bridge = place.bridge;
    return [found];
  });
}

/** The conventional bridge and the expander that a device is below, along the ids that `bus=` names. */
function placeOf(
  device: VmDevice,
  byId: ReadonlyMap<string, VmDevice>,
): { bridge: string | undefined; root: VmDevice | undefined } {
  let bridge: string | undefined;
  const seen = new Set<string>();
  for (let bus = device.bus; bus !== undefined && !seen.has(bus); ) {
    seen.add(bus);
    const above: VmDevice | undefined = byId.get(bus) ?? byId.get(bus.replace(/\.\d+$/, ''));
    if (above === undefined) break;
    if (/^pxb(-pcie|-cxl)?$/.test(above.driver)) return { bridge, root: above };
    // The first above the device: a bridge takes the requester ID of what is behind it.
    if (/^(pcie-pci-bridge|pci-bridge|i82801b11-bridge)$/.test(above.driver)) bridge ??= bus;
    bus = above.bus;
  }
  return { bridge, root: undefined };
}

/** `1:0.0`, `3b:00.0` and `0000:3b:00.0` with all digits; undefined when it is no address. */
function fullBdf(text: string | undefined): string | undefined {
  const match = /^(?:([0-9a-f]{1,8}):)?([0-9a-f]{1,2}):([0-9a-f]{1,2})\.([0-7])$/i.exec(text ?? '');
  if (match === null) return undefined;
  const [, domain = '0', bus = '', slot = '', fn = ''] = match;
  return `${domain.padStart(4, '0')}:${bus.padStart(2, '0')}:${slot.padStart(2, '0')}.${fn}`.toLowerCase();
}

/** Since q35 of 4.1 everything is in the kernel unless asked; 4.0 was split. Source: QEMU hw/i386/pc_q35.c, accel/kvm/kvm-all.c. */
function irqchip(given: string | undefined, machine: string): Vm['kernelIrqchip'] {
  if (given === 'on' || given === 'off' || given === 'split') return given;
  return machine === 'pc-q35-4.0' ? 'split' : 'on';
}

function readCpu(text: string | undefined): Vm['cpu'] {
  const { model = 'qemu64', ...props } = readSettings(text ?? '', 'model');
  const named: Settings = {};
  for (const [key, value] of Object.entries(props)) {
    // The old way: +feature, -feature.
    const sign = /^([+-])(.+)$/.exec(key);
    if (sign === null) named[key.replaceAll('_', '-')] = value;
    else named[sign[2]!.replaceAll('_', '-')] = sign[1] === '+' ? 'on' : 'off';
  }
  return { model, props: named };
}

function readVcpus(text: string | undefined, machine: string, arch: Vm['arch']): Vm['vcpus'] {
  const given = readSettings(text ?? '', 'cpus');
  /** QEMU takes no zero. */
  const part = (name: string) => {
    const number = readNumber(given[name]);
    return number === undefined ? undefined : Math.max(1, number);
  };
  const inner = ['dies', 'clusters', 'modules', 'drawers', 'books'].map((name) => part(name) ?? 1).reduce((a, b) => a * b, 1);
  let [sockets, cores, threads] = [part('sockets'), part('cores'), part('threads')];
  const whole = (sockets ?? 1) * inner * (cores ?? 1) * (threads ?? 1);
  const maximum = part('maxcpus') ?? part('cpus') ?? whole;
  const count = part('cpus') ?? maximum;
  // Machines before 6.2 filled up with sockets, later ones with cores. Source: QEMU hw/core/machine-smp.c.
  const [, major = '9', minor = '0'] = /-(\d+)\.(\d+)$/.exec(machine) ?? [];
  const prefersSockets = Number(major) < 6 || (Number(major) === 6 && Number(minor) < 2);
  threads ??= 1;
  if (cores === undefined && sockets === undefined && prefersSockets) cores = 1;
  if (cores === undefined) {
    sockets ??= 1;
    cores = Math.max(1, Math.floor(maximum / (sockets * inner * threads)));
  }
  const vcpus: Vm['vcpus'] = { count, maximum };
  if (arch === 'x86') vcpus.highestApicId = apicId(maximum - 1, [threads, cores, part('modules') ?? 1, part('dies') ?? 1]);
  return vcpus;
}

/** APIC ids have a field of whole bits for each level. Source: QEMU include/hw/i386/topology.h x86_apicid_from_topo_ids(). */
function apicId(index: number, levels: readonly number[]): number {
  let id = 0;
  let shift = 1;
  let rest = Math.max(0, index);
  for (const count of levels) {
    id += (rest % count) * shift;
    rest = Math.floor(rest / count);
    shift *= 2 ** Math.ceil(Math.log2(Math.max(1, count)));
  }
  return id + rest * shift;
}

function readMemory(
  given: readonly string[],
  path: readonly string[],
  options: ReadonlyMap<string, readonly string[]>,
  objects: readonly Settings[],
): Vm['memory'] {
  const settings = readSettings(given.at(-1) ?? '', 'size');
  const bytes = readSize(settings.size, MIB) ?? DEFAULT_MEMORY;
  const backends = objects.flatMap((object): VmMemory[] => {
    const type = object['qom-type'];
    if (type === undefined || !type.startsWith('memory-backend-')) return [];
    const nodes = hostNodes(object);
    const hugepages = hugepagesOf(object);
    return [
      {
        id: object.id ?? '',
        bytes: readSize(object.size) ?? bytes,
        ...(hugepages === undefined ? {} : { hugepages }),
        shared: object.share === 'on',
        prealloc: object.prealloc === 'on',
        ...(nodes === undefined ? {} : { hostNodes: nodes }),
      },
    ];
  });
  const prealloc = options.has('mem-prealloc');
  for (const file of path) {
    const hugepages = hugepagesOf({ 'mem-path': file });
    backends.push({ id: '-mem-path', bytes, ...(hugepages === undefined ? {} : { hugepages }), shared: false, prealloc });
  }
  const locked = [...(options.get('overcommit') ?? []), ...(options.get('realtime') ?? [])].some((text) =>
    /(^|,)(mem-lock|mlock)=on(,|$)/.test(text),
  );
  return { bytes, maximum: Math.max(bytes, readSize(settings.maxmem, MIB) ?? 0), locked, backends };
}

/** What a backend says of huge pages. Only its name tells that a folder is on hugetlbfs; that of libvirt and most people does. */
function hugepagesOf(object: Settings): VmMemory['hugepages'] {
  const path = object['mem-path'];
  if (path !== undefined && /huge/i.test(path)) {
    const size = /huge[a-z_-]*(\d+)([kMG])/i.exec(path);
    const pageSize = size === null ? undefined : readSize(`${size[1]}${size[2]}`);
    return { path, ...(pageSize === undefined ? {} : { pageSize }) };
  }
  if (object.hugetlb !== 'on') return undefined;
  const pageSize = readSize(object.hugetlbsize);
  return pageSize === undefined ? {} : { pageSize };
}

/** `host-nodes=0-1`, a list in JSON; a policy other than `bind` leaves memory free to lie elsewhere. */
function hostNodes(object: Settings): number[] | undefined {
  if (object.policy !== 'bind') return undefined;
  const texts = Object.entries(object).flatMap(([key, value]) => (/^host-nodes(\.\d+)?$/.test(key) ? [value] : []));
  const nodes = texts.flatMap((text) => {
    const [, from, to = from] = /^(\d{1,4})(?:-(\d{1,4}))?$/.exec(text) ?? [];
    if (from === undefined) return [];
    return Array.from({ length: Math.max(0, Number(to) - Number(from) + 1) }, (_, i) => Number(from) + i);
  });
  return nodes.length === 0 ? undefined : nodes;
}

function firmwareOf(drives: readonly string[], bios: readonly string[], machine: Settings, arch: Vm['arch']): Vm['firmware'] {
  const flash = drives.some((text) => readSettings(text, '').if === 'pflash') || machine.pflash0 !== undefined;
  const named = bios.at(-1);
  if (flash || /ovmf|edk2|uefi|efi/i.test(named ?? '')) return 'ovmf';
  return named === undefined && arch === 'x86' ? 'seabios' : 'other';
}
