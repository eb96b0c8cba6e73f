import type { QemuCapabilities } from './capabilities.ts';

/** A guest as QEMU is to run it: every choice is made, every path absolute. */
export interface GuestMachine {
  name: string;
  uuid: string;
  /** Bytes, a multiple of 1 MiB. */
  memory: number;
  vcpus: number;
  machine: 'q35' | 'pc';
  firmware: 'seabios' | { ovmf: { code: string; vars: string } };
  disks: { path: string; format: 'qcow2' | 'raw'; readonly?: boolean }[];
  kernel?: string;
  initrd?: string;
  append?: string;
  iommu: 'none' | 'intel' | 'virtio';
  /** Width of the virtual IOMMU's addresses in bits; QEMU's own default when absent. */
  addressWidth?: number;
  accel: 'kvm' | 'tcg';
  /** Why KVM is not used, for the warning. */
  accelBecause?: string;
  /** CPU model; when absent `host` with KVM, `max` without. */
  cpu?: string;
  /** Functions of the host, already with vfio-pci. `id` is what QEMU and its QMP call the device. */
  devices: { bdf: string; id: string }[];
  /** Further arguments, as they are. */
  extra?: string[];
  /** Folder for sockets, console and pid file. */
  folder: string;
}

/** The files of a running guest in its folder. */
export interface GuestFiles {
  qmp: string;
  agent: string;
  /** What the guest writes to its first serial port. */
  console: string;
  /** Standard output and error of QEMU. */
  output: string;
  pidfile: string;
}

export function guestFiles(folder: string): GuestFiles {
  return {
    qmp: `${folder}/qmp.sock`,
    agent: `${folder}/agent.sock`,
    console: `${folder}/console.log`,
    output: `${folder}/qemu.log`,
    pidfile: `${folder}/qemu.pid`,
  };
}

/** Why a guest cannot be run by this QEMU. */
export interface ArgvRefusal {
  /** The option, device setting or value it is about, as QEMU spells it. */
  about: string;
  because: string;
}

/** A host function and the address it gets in the guest. */
export interface PlacedDevice {
  bdf: string;
  id: string;
  /** In the guest, as firmware and kernel number an unbridged root bus: `0000:00:10.0`. */
  guest: string;
}

export type ArgvResult =
  | { argv: string[]; warnings: string[]; placed: PlacedDevice[]; refusals?: undefined }
  | { refusals: ArgvRefusal[]; argv?: undefined };

// Slots of the root bus. Fixed, so that the address of a device in the guest is known before it runs. Slots 0 to 2 and 31
// hold parts of the chipset on one machine type or the other.
const SLOT = { iommu: 3, serial: 4, disks: 5, devices: 16, end: 31 } as const;
const SOCKET_PATH = 107; // bytes, sun_path of unix(7) less its NUL
const MIB = 2 ** 20;

/**
 * The command line that runs a guest on the installed QEMU. Pure: the same guest and capabilities give the same line.
 * Every option and device setting in it is one that this QEMU named in its help; one that it lacks is a refusal.
 */
export function buildArgv(guest: GuestMachine, qemu: QemuCapabilities): ArgvResult {
  const refusals: ArgvRefusal[] = [...refuseValues(guest)];
  const warnings: string[] = [];
  const argv = [...qemu.program];
  const placed: PlacedDevice[] = [];
  const files = guestFiles(guest.folder);
  const bus = guest.machine === 'q35' ? 'pcie.0' : 'pci.0';

  const lacks = (about: string, because: string) => {
    if (!refusals.some((r) => r.about === about)) refusals.push({ about, because });
  };
  const add = (option: string, value?: string) => {
    if (!Object.hasOwn(qemu.options, option)) lacks(`-${option}`, `this QEMU (${qemu.version}) has no such option`);
    argv.push(`-${option}`);
    if (value !== undefined) argv.push(value);
  };
  /** `common` are settings every device has, which no device's help lists. */
  const device = (name: string, settings: Record<string, string | number>, common: Record<string, string | number> = {}) => {
    const known = Object.hasOwn(qemu.devices, name) ? qemu.devices[name]! : undefined;
    if (!known) lacks(`-device ${name}`, `this QEMU (${qemu.version}) has no such device: ${qemu.absent[name] ?? 'not asked'}`);
    else
      for (const setting of Object.keys(settings))
        if (!Object.hasOwn(known, setting))
          lacks(`-device ${name},${setting}`, `${name} of this QEMU (${qemu.version}) has no setting ${setting}`);
    add('device', [name, ...assignments(settings), ...assignments(common)].join(','));
  };

  if (!qemu.machines.includes(guest.machine))
    lacks(`-machine ${guest.machine}`, `this QEMU (${qemu.version}) has no such machine`);
  if (!qemu.accelerators.includes(guest.accel))
    lacks(`-accel ${guest.accel}`, `this QEMU (${qemu.version}) has no such accelerator`);

  // First, because /proc shows the start of a command line to whoever looks for this guest.
  add('name', `guest=${comma(guest.name)}`);
  add('uuid', guest.uuid);
  add('no-user-config');
  add('nodefaults');
  add('display', 'none');
  // Interrupt remapping needs the local APICs in the kernel and the I/O APIC in QEMU, which KVM calls split. Software
  // emulation takes the setting and ignores it. It is an accelerator's setting that -machine takes as well.
  const split = guest.iommu === 'intel';
  if (
    split &&
    !qemu.options.accel?.includes('kernel-irqchip') &&
    !qemu.options.machine?.some((s) => /^kernel[-_]irqchip$/.test(s))
  )
    lacks('-machine kernel-irqchip', `this QEMU (${qemu.version}) cannot split its interrupt controllers, which intremap needs`);
  add('machine', split ? `${guest.machine},kernel-irqchip=split` : guest.machine);
  add('accel', guest.accel);
  add('cpu', guest.cpu ?? (guest.accel === 'kvm' ? 'host' : 'max'));
  add('smp', String(guest.vcpus));
  add('m', `${guest.memory / MIB}M`);
  if (guest.accel === 'tcg')
    warnings.push(
      `KVM is not used${guest.accelBecause ? ` (${guest.accelBecause})` : ''}: the guest runs under software emulation, many times slower` +
        (split ? '; emulation does not enforce that interrupt remapping needs a split irqchip' : ''),
    );

  if (guest.firmware !== 'seabios') {
    const { code, vars } = guest.firmware.ovmf;
    add('drive', `if=pflash,unit=0,format=raw,readonly=on,file=${comma(code)}`);
    add('drive', `if=pflash,unit=1,format=raw,file=${comma(vars)}`);
  }
  if (guest.kernel !== undefined) add('kernel', guest.kernel);
  if (guest.initrd !== undefined) add('initrd', guest.initrd);
  if (guest.append !== undefined) add('append', guest.append);

  // The IOMMU goes before every vfio-pci: a device takes its address space from the bus when it is made, and one made
  // earlier would stay outside.
  if (guest.iommu === 'intel')
    // caching-mode makes the guest announce new mappings too, which is how QEMU can follow them into the host's tables.
    // device-iotlb stays off: it offers ATS, whose invalidations an assigned device has no use for while its tables are shadowed.
    device('intel-iommu', {
      intremap: 'on',
      'caching-mode': 'on',
      ...(guest.addressWidth === undefined ? {} : { 'aw-bits': guest.addressWidth }),
    });
  if (guest.iommu === 'virtio') {
    const settable = qemu.devices['virtio-iommu-pci']?.['aw-bits'] !== undefined;
    device(
      'virtio-iommu-pci',
      { ...(guest.addressWidth !== undefined && settable ? { 'aw-bits': guest.addressWidth } : {}), addr: slot(SLOT.iommu) },
      { bus },
    );
    if (guest.addressWidth !== undefined && !settable)
      warnings.push(`virtio-iommu-pci of this QEMU has no aw-bits: the address width of ${guest.addressWidth} bits is not set`);
    warnings.push(
      'virtio-iommu remaps no interrupts: a guest that assigns devices on needs allow_unsafe_interrupts, or iommu: intel',
    );
  }

  // Emulated virtio devices keep iommu_platform off, so they bypass the virtual IOMMU: they are QEMU itself, which has all
  // of guest memory anyway, and firmware and DMA stay as quick and as widely supported as without an IOMMU.
  for (const [i, disk] of guest.disks.entries()) {
    const id = `disk${i}`;
    add('drive', `if=none,id=${id},format=${disk.format},${disk.readonly ? 'readonly=on,' : ''}file=${comma(disk.path)}`);
    device('virtio-blk-pci', { drive: id, bootindex: i + 1, addr: slot(SLOT.disks + i) }, { id: `virtio-${id}`, bus });
  }

  // Straight on the root bus, each in a slot of its own: there the guest sees a root complex integrated endpoint, which
  // has a group of its own, needs no bus number and no bridge window, and has an address known beforehand.
  for (const [i, { bdf, id }] of guest.devices.entries()) {
    const at = SLOT.devices + i;
    device('vfio-pci', { host: bdf, addr: slot(at) }, { id, bus });
    placed.push({ bdf, id, guest: `0000:00:${at.toString(16).padStart(2, '0')}.0` });
  }
  if (guest.machine === 'pc' && guest.devices.length > 0)
    warnings.push(
      'machine pc has a conventional PCI bus: the guest does not see the PCI Express capabilities of its devices; q35 shows them',
    );

  add('chardev', `socket,id=qmp0,path=${comma(files.qmp)},server=on,wait=off`);
  add('mon', 'chardev=qmp0,mode=control');
  add('chardev', `file,id=console0,path=${comma(files.console)}`);
  add('serial', 'chardev:console0');
  add('chardev', `socket,id=agent0,path=${comma(files.agent)},server=on,wait=off`);
  device('virtio-serial-pci', { addr: slot(SLOT.serial) }, { id: 'serial0', bus });
  device('virtserialport', { chardev: 'agent0', name: 'org.qemu.guest_agent.0' }, { bus: 'serial0.0' });
  add('pidfile', files.pidfile);
  // Refusals of VFIO are the last words of a guest that does not start; with the time they can be laid beside the kernel's log.
  add('msg', 'timestamp=on');
  argv.push(...(guest.extra ?? []));

  if (guest.disks.length === 0 && guest.kernel === undefined && !guest.extra?.length)
    warnings.push('the guest has neither a disk nor a kernel: its firmware will find nothing to start');
  return refusals.length > 0 ? { refusals } : { argv, warnings, placed };
}

/** What is wrong with the guest itself, whatever the QEMU. */
function refuseValues(guest: GuestMachine): ArgvRefusal[] {
  const refusals: ArgvRefusal[] = [];
  const refuse = (wrong: boolean, about: string, because: string) => {
    if (wrong) refusals.push({ about, because });
  };
  const texts = Object.entries({
    ...{
      name: guest.name,
      folder: guest.folder,
      kernel: guest.kernel,
      initrd: guest.initrd,
      append: guest.append,
      cpu: guest.cpu,
    },
    ...(guest.firmware === 'seabios' ? {} : { code: guest.firmware.ovmf.code, vars: guest.firmware.ovmf.vars }),
    ...Object.fromEntries(guest.disks.map((disk, i) => [`disks[${i}]`, disk.path])),
    ...Object.fromEntries((guest.extra ?? []).map((text, i) => [`extra[${i}]`, text])),
  });
  for (const [about, text] of texts) {
    refuse(text?.includes('\0') ?? false, about, 'a NUL character cannot be passed to a program');
    // A relative path would be one of wherever QEMU is started, and QEMU reads "nbd:..." as a protocol.
    const path = !['name', 'append', 'cpu'].includes(about) && !about.startsWith('extra');
    refuse(path && text !== undefined && !text.startsWith('/'), about, `${JSON.stringify(text)} is not an absolute path`);
  }
  refuse(guest.name === '', 'name', 'the guest has no name');
  refuse(
    !/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(guest.uuid),
    '-uuid',
    `${JSON.stringify(guest.uuid)} is not a UUID in lower case`,
  );
  refuse(
    !(guest.memory >= MIB) || guest.memory % MIB !== 0,
    '-m',
    `${guest.memory} bytes of memory are not a whole number of MiB`,
  );
  refuse(!Number.isInteger(guest.vcpus) || guest.vcpus < 1, '-smp', `${guest.vcpus} is not a number of CPUs`);
  refuse(guest.iommu === 'intel' && guest.machine !== 'q35', '-machine pc', 'iommu: intel is given with machine q35 only');
  refuse(guest.kernel === undefined && guest.initrd !== undefined, '-initrd', 'an initrd needs a kernel');
  refuse(guest.kernel === undefined && guest.append !== undefined, '-append', 'a kernel command line needs a kernel');
  const disks = SLOT.devices - SLOT.disks;
  refuse(guest.disks.length > disks, 'disks', `${guest.disks.length} disks, and there are slots for ${disks}`);
  const devices = SLOT.end - SLOT.devices;
  refuse(guest.devices.length > devices, 'devices', `${guest.devices.length} devices, and there are slots for ${devices}`);
  const ids = new Set<string>();
  for (const { bdf, id } of guest.devices) {
    refuse(
      !/^[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]$/.test(bdf),
      'vfio-pci,host',
      `${JSON.stringify(bdf)} is not a PCI address`,
    );
    refuse(
      !/^[A-Za-z][\w.-]*$/.test(id),
      'vfio-pci,id',
      `${JSON.stringify(id)} is not an id: a letter, then letters, digits, - . _`,
    );
    refuse(ids.has(id) || /^(serial0|virtio-disk\d+)$/.test(id), 'vfio-pci,id', `the id ${id} is taken`);
    ids.add(id);
    refuse(guest.devices.filter((d) => d.bdf === bdf).length > 1, 'vfio-pci,host', `${bdf} is given twice`);
  }
  for (const path of [guestFiles(guest.folder).qmp, guestFiles(guest.folder).agent])
    refuse(
      utf8Length(path) > SOCKET_PATH,
      'folder',
      `${path} is longer than the ${SOCKET_PATH} bytes that a UNIX socket's name may have`,
    );
  return refusals;
}

function slot(number: number): string {
  return `0x${number.toString(16)}`;
}

function assignments(settings: Record<string, string | number>): string[] {
  return Object.entries(settings).map(([name, value]) => `${name}=${comma(String(value))}`);
}

/** A value inside a list of settings: QEMU reads a doubled comma as one. */
function comma(value: string): string {
  return value.replaceAll(',', ',,');
}

function utf8Length(text: string): number {
  let bytes = 0;
  for (const char of text) {
    const code = char.codePointAt(0)!;
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  }
  return bytes;
}
