import { linkSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { FOLDER, type Place } from './tree-host.ts';

/** As many functions as the bench reads. */
export const MANY = 8192;
/** VFs that each network card has enabled. */
const VFS = 63;
const PORTS = 15;
/** More hard links to one file than this some file systems do not take. */
const MOST_LINKS = 30_000;

/**
 * The /sys and /proc of a machine with many PCI functions, the same every time: segments of a root complex with a remapping unit
 * and 15 root ports each, below which stand network cards with 63 VFs, graphics cards of four functions that share a group,
 * NVMe controllers, and switches with four more of these. Every function has the attributes that Linux 6.12 shows.
 */
export function* bigTree(count: number = MANY): Generator<readonly [path: string, place: Place]> {
  const made = { functions: 0, groups: 0, interfaces: 0, controllers: 0 };
  let groups = 0;
  yield* processFiles();
  for (let segment = 0; made.functions < count; segment++) {
    const unit = `/sys/devices/virtual/iommu/dmar${segment}`;
    yield [`/sys/class/iommu/dmar${segment}`, linkTo('/sys/class/iommu', unit)];
    for (const [name, text] of Object.entries(UNIT)) yield [`${unit}/intel-iommu/${name}`, `${text}\n`];
    for (const one of root(segment, made)) {
      if (made.functions >= count) break;
      made.functions++;
      if (one.group === groups) {
        groups++;
        const group = `/sys/kernel/iommu_groups/${one.group}`;
        yield [`${group}/type`, 'DMA-FQ\n'];
        yield [`${group}/reserved_regions`, '0x00000000fee00000 0x00000000feefffff msi\n'];
      }
      yield* placesOf(one, unit);
    }
  }
}

/** Writes the tree below a folder of this machine. Files of the same content are one file with many names. */
export function writeTree(folder: string, places: Iterable<readonly [path: string, place: Place]>): void {
  const folders = new Set<string>();
  const known = new Map<string, { file: string; links: number }>();
  const makeFolder = (path: string): void => {
    if (folders.has(path)) return;
    mkdirSync(path, { recursive: true });
    folders.add(path);
  };
  for (const [path, place] of places) {
    const file = join(folder, path);
    if (typeof place === 'object' && 'folder' in place) {
      makeFolder(file);
      continue;
    }
    makeFolder(dirname(file));
    if (typeof place === 'string' || place instanceof Uint8Array) {
      const key = typeof place === 'string' ? place : Buffer.from(place).toString('latin1');
      const same = known.get(key);
      if (same !== undefined && same.links++ < MOST_LINKS) linkSync(same.file, file);
      else {
        writeFileSync(file, place);
        known.set(key, { file, links: 1 });
      }
    } else if ('link' in place) symlinkSync(place.link, file);
    else throw new Error(`${path}: a folder cannot hold such a place`);
  }
}

interface Made {
  functions: number;
  groups: number;
  interfaces: number;
  controllers: number;
}

/** One function before its files are made. */
interface One {
  bdf: string;
  /** Its folder. */
  at: string;
  kind: (typeof KINDS)[keyof typeof KINDS];
  group: number;
  driver?: string;
  /** The PF's folder, and the number of the VF. */
  vf?: { pf: string; number: number };
  /** VFs by their folders. */
  virtfns?: string[];
  net?: string;
  nvme?: number;
}

/** Vendor, device, class and header type; `port` is that of the PCI Express Capabilities register, 0 for an endpoint. */
const KINDS = {
  host: { vendor: 0x8086, device: 0x09a2, class: 0x060000, header: 0, port: -1 },
  rootPort: { vendor: 0x8086, device: 0x347a, class: 0x060400, header: 1, port: 4 },
  upstream: { vendor: 0x10b5, device: 0x8796, class: 0x060400, header: 1, port: 5 },
  downstream: { vendor: 0x10b5, device: 0x8796, class: 0x060400, header: 1, port: 6 },
  nic: { vendor: 0x8086, device: 0x1592, class: 0x020000, header: 0, port: 0 },
  vf: { vendor: 0x8086, device: 0x1889, class: 0x020000, header: 0, port: 0 },
  nvme: { vendor: 0x144d, device: 0xa80a, class: 0x010802, header: 0, port: 0 },
  vga: { vendor: 0x10de, device: 0x2204, class: 0x030000, header: 0, port: 0 },
  audio: { vendor: 0x10de, device: 0x1aef, class: 0x040300, header: 0, port: 0 },
  usb: { vendor: 0x10de, device: 0x1ada, class: 0x0c0330, header: 0, port: 0 },
  ucsi: { vendor: 0x10de, device: 0x1adb, class: 0x0c8000, header: 0, port: 0 },
} as const;

/** Functions of a graphics card, which have no ACS. */
const GRAPHICS: ReadonlySet<One['kind']> = new Set([KINDS.vga, KINDS.audio, KINDS.usb, KINDS.ucsi]);

function* root(segment: number, made: Made): Generator<One> {
  const at = `/sys/devices/pci${hex(segment, 4)}:00`;
  const place = (above: string, kind: One['kind'], bus: number, devfn: number, group: number, more: Partial<One> = {}): One => {
    const bdf = `${hex(segment, 4)}:${hex(bus, 2)}:${hex(devfn >> 3, 2)}.${devfn & 7}`;
    return { bdf, at: `${above}/${bdf}`, kind, group, ...more };
  };
  yield place(at, KINDS.host, 0, 0, made.groups++);
  let bus = 0;
  for (let port = 0; port < PORTS; port++) {
    const above = place(at, KINDS.rootPort, 0, (port + 1) * 8, made.groups++, { driver: 'pcieport' });
    yield above;
    bus++;
    switch (port % 4) {
      case 0: {
        const folders = Array.from({ length: VFS }, (_, n) => place(above.at, KINDS.vf, bus, n + 1, 0).at);
        const net = `ens${made.interfaces++}f0np0`;
        yield place(above.at, KINDS.nic, bus, 0, made.groups++, { driver: 'ice', virtfns: folders, net });
        const pf = `${above.at}/${hex(segment, 4)}:${hex(bus, 2)}:00.0`;
        for (let n = 0; n < VFS; n++)
          yield place(above.at, KINDS.vf, bus, n + 1, made.groups++, {
            vf: { pf, number: n },
            ...(n % 2 === 0 ? { driver: 'iavf', net: `ens${made.interfaces - 1}f0v${n}` } : { driver: 'vfio-pci' }),
          });
        break;
      }
      case 1: {
        const group = made.groups++;
        for (const [n, kind] of [KINDS.vga, KINDS.audio, KINDS.usb, KINDS.ucsi].entries())
          yield place(above.at, kind, bus, n, group, n === 1 ? { driver: 'snd_hda_intel' } : {});
        break;
      }
      case 2:
        yield place(above.at, KINDS.nvme, bus, 0, made.groups++, { driver: 'nvme', nvme: made.controllers++ });
        break;
      default: {
        const upstream = place(above.at, KINDS.upstream, bus, 0, made.groups++, { driver: 'pcieport' });
        yield upstream;
        const inner = ++bus;
        for (let n = 0; n < 4; n++) {
          const down = place(upstream.at, KINDS.downstream, inner, n * 8, made.groups++, { driver: 'pcieport' });
          yield down;
          yield place(down.at, KINDS.nvme, ++bus, 0, made.groups++, { driver: 'nvme', nvme: made.controllers++ });
        }
      }
    }
  }
}

function* placesOf(one: One, unit: string): Generator<readonly [string, Place]> {
  const { bdf, at, kind, group, driver, vf, virtfns, net, nvme } = one;
  const link = (name: string, to: string) => [`${at}/${name}`, linkTo(at, to)] as const;
  yield [`/sys/bus/pci/devices/${bdf}`, linkTo('/sys/bus/pci/devices', at)];
  for (const [name, text] of Object.entries(attributesOf(one))) yield [`${at}/${name}`, text === '' ? '' : `${text}\n`];
  yield [`${at}/config`, configOf(kind, vf !== undefined, virtfns?.length ?? 0)];
  yield link('subsystem', '/sys/bus/pci');
  if (driver !== undefined) {
    yield link('driver', `/sys/bus/pci/drivers/${driver}`);
    yield [`/sys/bus/pci/drivers/${driver}/${bdf}`, linkTo(`/sys/bus/pci/drivers/${driver}`, at)];
  }
  const groupAt = `/sys/kernel/iommu_groups/${group}`;
  yield link('iommu_group', groupAt);
  yield link('iommu', unit);
  yield [`${unit}/devices/${bdf}`, linkTo(`${unit}/devices`, at)];
  yield [`${groupAt}/devices/${bdf}`, linkTo(`${groupAt}/devices`, at)];
  if (driver === 'vfio-pci') yield [`/dev/vfio/${group}`, ''];
  if (vf !== undefined) yield link('physfn', vf.pf);
  for (const [n, folder] of (virtfns ?? []).entries()) yield link(`virtfn${n}`, folder);
  if (net !== undefined) {
    yield [`${at}/net/${net}/operstate`, 'down\n'];
    yield [`${at}/net/${net}/mtu`, '1500\n'];
    yield [`/sys/class/net/${net}`, linkTo('/sys/class/net', `${at}/net/${net}`)];
  }
  if (nvme !== undefined) {
    const controller = `${at}/nvme/nvme${nvme}`;
    yield [`${controller}/nvme${nvme}n1/nsid`, '1\n'];
    yield [`${controller}/nvme${nvme}n1/holders`, FOLDER];
    yield [`/sys/class/nvme/nvme${nvme}`, linkTo('/sys/class/nvme', controller)];
    yield [`/sys/class/block/nvme${nvme}n1`, linkTo('/sys/class/block', `${controller}/nvme${nvme}n1`)];
    if (nvme === 0) yield ['/sys/dev/block/259:1', linkTo('/sys/dev/block', `${controller}/nvme0n1`)];
  }
}

function attributesOf({ kind, driver, vf, virtfns }: One): Record<string, string> {
  const common = {
    vendor: `0x${hex(kind.vendor, 4)}`,
    device: `0x${hex(kind.device, 4)}`,
    subsystem_vendor: `0x${hex(kind.vendor, 4)}`,
    subsystem_device: '0x0001',
    class: `0x${hex(kind.class, 6)}`,
    revision: '0x02',
    irq: '0',
    enable: driver === undefined ? '0' : '1',
    numa_node: '0',
    local_cpus: 'ffffffff',
    local_cpulist: '0-31',
    driver_override: '(null)',
    modalias: modaliasOf(kind),
    msi_bus: '1',
    broken_parity_status: '0',
    dma_mask_bits: '64',
    consistent_dma_mask_bits: '64',
    d3cold_allowed: '1',
    power_state: 'D0',
    ari_enabled: vf === undefined && virtfns === undefined ? '0' : '1',
    uevent: `PCI_ID=${hex(kind.vendor, 4)}:${hex(kind.device, 4)}`,
    resource: RESOURCE,
    resource0: '',
    'power/control': 'on',
    'power/runtime_status': 'active',
  };
  if (kind.port < 0) return common;
  return {
    ...common,
    current_link_speed: '16.0 GT/s PCIe',
    current_link_width: '8',
    max_link_speed: '16.0 GT/s PCIe',
    max_link_width: '16',
    reset_method: 'flr bus',
    ...(kind === KINDS.vga ? { boot_vga: '0' } : {}),
    ...(virtfns === undefined
      ? {}
      : {
          sriov_totalvfs: String(VFS),
          sriov_numvfs: String(VFS),
          sriov_offset: '1',
          sriov_stride: '1',
          sriov_vf_device: hex(KINDS.vf.device, 4),
          sriov_drivers_autoprobe: '1',
        }),
  };
}

const RESOURCE = [
  '0x0000380000000000 0x00003800000fffff 0x000000000014220c',
  ...Array.from({ length: 12 }, () => '0x0000000000000000 0x0000000000000000 0x0000000000000000'),
].join('\n');

/** Power management, MSI-X and PCI Express, then AER, ACS, ARI and SR-IOV. Source: PCIe 5.0 §7. */
function configOf(kind: One['kind'], isVf: boolean, vfs: number): Uint8Array {
  const bytes = new Uint8Array(4096);
  const view = new DataView(bytes.buffer);
  const u16 = (at: number, value: number): void => view.setUint16(at, value, true);
  const u32 = (at: number, value: number): void => view.setUint32(at, value, true);
  u16(0x00, isVf ? 0xffff : kind.vendor);
  u16(0x02, isVf ? 0xffff : kind.device);
  u16(0x04, 0x0406);
  u16(0x06, 0x0010);
  u32(0x08, kind.class * 256 + 2);
  bytes[0x0e] = kind.header | (GRAPHICS.has(kind) ? 0x80 : 0);
  bytes[0x34] = 0x40;
  if (kind.header === 0 && !isVf) u32(0x10, 0x0000000c);
  u32(0x40, 0x00035001);
  if (kind.port < 0) return bytes;
  bytes[0x41] = 0x50;
  u32(0x50, 0x803f_0011 | (0x70 << 8));
  u16(0x70, 0x0010);
  u16(0x72, 0x0002 | (kind.port << 4));
  u32(0x74, 0x1000_8fe2);
  u16(0x78, 0x2910);
  u32(0x7c, 0x0040_0104);
  u16(0x82, 0x0084);
  u32(0x9c, 0x0000_001e);
  const extended = [
    { id: 0x0001, version: 2, bytes: 0x48 },
    // A group of several functions is one because nothing keeps them apart.
    ...(GRAPHICS.has(kind) ? [] : [{ id: 0x000d, version: 1, bytes: 8 }]),
    ...(kind.header === 0 ? [{ id: 0x000e, version: 1, bytes: 8 }] : []),
    ...(vfs > 0 ? [{ id: 0x0010, version: 1, bytes: 0x40 }] : []),
  ];
  let at = 0x100;
  for (const [n, one] of extended.entries()) {
    const next = n + 1 < extended.length ? at + one.bytes : 0;
    u32(at, one.id + one.version * 0x1_0000 + next * 0x10_0000);
    if (one.id === 0x000d && kind.port >= 4) u32(at + 4, 0x001d_001f);
    if (one.id === 0x0010) {
      u16(at + 0x08, 0x0019);
      u16(at + 0x0c, VFS);
      u16(at + 0x0e, VFS);
      u16(at + 0x10, vfs);
      u16(at + 0x14, 1);
      u16(at + 0x16, 1);
      u16(at + 0x1a, KINDS.vf.device);
      u32(at + 0x1c, 0x0000_0553);
      u32(at + 0x20, 0x0000_0001);
    }
    at += one.bytes;
  }
  return bytes;
}

/** CAP_REG and ECAP_REG of a server: 48-bit second-stage tables, interrupt remapping, scalable mode. */
const UNIT = { cap: '8d2078c106f0466', ecap: '3ee9e86f050df', version: '7:0', address: 'd37fc000' };

function* processFiles(): Generator<readonly [string, Place]> {
  const flags = 'fpu vme msr pae cx8 apic sep mmx fxsr sse sse2 vmx x2apic';
  const processors = Array.from({ length: 32 }, (_, n) => `processor\t: ${n}\nmodel name\t: A server\nflags\t\t: ${flags}\n`);
  yield ['/proc/cpuinfo', `${processors.join('\n')}\n`];
  yield ['/proc/meminfo', 'MemTotal:       263571584 kB\nMemFree:       200000000 kB\n'];
  yield ['/proc/cmdline', 'BOOT_IMAGE=/vmlinuz-6.12.9 root=/dev/nvme0n1 ro intel_iommu=on\n'];
  yield ['/proc/modules', 'vfio_pci 16384 0 - Live 0x0\nice 1 0 - Live 0x0\niavf 1 0 - Live 0x0\nnvme 1 1 - Live 0x0\n'];
  yield ['/proc/sys/kernel/osrelease', '6.12.9\n'];
  yield ['/proc/sys/kernel/random/boot_id', '00000000-0000-4000-8000-000000000001\n'];
  yield ['/proc/self/status', 'Name:\tsluice\nUid:\t0\t0\t0\t0\n'];
  yield ['/proc/self/mountinfo', '22 1 259:1 / / rw,relatime shared:1 - ext4 /dev/nvme0n1 rw\n'];
  yield ['/proc/swaps', 'Filename\tType\tSize\tUsed\tPriority\n'];
}

function linkTo(from: string, to: string): Place {
  return { link: posix.relative(from, to) };
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}

/** As the kernel writes it: the numbers in capitals. */
function modaliasOf({ vendor, device, class: code }: One['kind']): string {
  const [v, d, bc, sc, i] = [
    hex(vendor, 8),
    hex(device, 8),
    hex(code >> 16, 2),
    hex((code >> 8) & 255, 2),
    hex(code & 255, 2),
  ].map((digits) => digits.toUpperCase());
  return `pci:v${v}d${d}sv0000${hex(vendor, 4).toUpperCase()}sd00000001bc${bc}sc${sc}i${i}`;
}
