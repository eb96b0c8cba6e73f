import type { IommuGroup } from '../../host/iommu.ts';
import { functionOf, groupNumbered, type Picture, unitNamed } from '../../host/picture.ts';
import {
  type AddressRange,
  apertureOf,
  type BarSet,
  barWindow,
  type CalculationLine,
  dmaEntries,
  GUEST_PAGE,
  type GuestLayout,
  guestRegions,
  highestAddress,
  iovaRanges,
  memlockNeed,
  type ReservedRegion,
} from '../../vfio/index.ts';
import type { Evidence, Verdict } from '../check.ts';
import { iommuOf, iommuSetting, translated, type Vm } from '../vm.ts';

/** A verdict with the calculation that it rests on. */
export interface Calculated extends Verdict {
  lines: CalculationLine[];
}

const ENTRY_LIMIT = '/sys/module/vfio_iommu_type1/parameters/dma_entry_limit';
const WINDOW = '64-bit PCI window';
const none = (because: string): Calculated => ({ is: 'not-applicable', because, seen: [], lines: [] });

/** Whether guest memory is charged more than once: several containers behind a vIOMMU. */
export function chargedAgain(vm: Vm): boolean {
  return iommuOf(vm) !== undefined && vm.hostDevices.filter(({ backend }) => backend === 'container').length > 1;
}

/** Whether QEMU may lock what its VFIO devices need. */
export function lockedMemory(vm: Vm, picture: Picture): Calculated {
  const containers = vm.hostDevices.filter(({ backend }) => backend === 'container').length;
  // However many devices share it, iommufd has each page pinned and counted once.
  const shared = vm.hostDevices.length > containers ? 1 : 0;
  const count = (option: string, pattern: RegExp) => (vm.options[option] ?? []).filter((text) => pattern.test(text)).length;
  const nvmeDisks = count('drive', /nvme:\/\//) + count('blockdev', /driver["']?[=:]\s*["']?nvme\b/);
  const need = memlockNeed({
    memory: vm.memory.maximum,
    devices: containers + shared,
    viommu: iommuOf(vm) !== undefined,
    nvmeDisks,
    vdpaDevices: count('netdev', /vhost-vdpa/) + count('blockdev', /virtio-blk-vhost-vdpa/),
  });
  if (need.bytes === 0) return none(need.text);
  const source = 'Linux drivers/vfio/vfio_iommu_type1.c; libvirt src/qemu/qemu_domain.c';
  const lines = [...need.terms.map(({ what, because }) => ({ text: what, source: because })), { text: need.text, source }];
  const seen: Evidence[] = [{ where: '/proc/meminfo MemTotal', text: `${picture.system.memory} bytes` }];
  // What is charged several times is there once.
  if (vm.memory.bytes > picture.system.memory)
    return {
      is: 'fail',
      because: `${vm.memory.bytes} bytes are pinned, and this host has ${picture.system.memory}`,
      seen,
      lines,
      fix: ['give the VM less memory'],
    };
  const shell = /^Max locked memory\s+(\d+|unlimited)/m.exec(picture.texts['/proc/self/limits'] ?? '');
  const limit = vm.memlock ?? (shell?.[1] === 'unlimited' ? Number.POSITIVE_INFINITY : Number(shell?.[1] ?? Number.NaN));
  seen.push({
    where: vm.memlock === undefined ? '/proc/self/limits' : vm.from,
    text: vm.memlock === undefined ? (shell?.[0] ?? 'not read') : `RLIMIT_MEMLOCK ${limit}`,
  });
  if (limit >= need.bytes) return { is: 'pass', because: `${need.text} may be locked`, seen, lines };
  const fix = [
    `LimitMEMLOCK=${need.bytes} in the unit that starts QEMU, or <hard_limit> in libvirt`,
    'use the iommufd backend: it counts memory once',
  ];
  // The limit of this shell need not be that of whatever starts QEMU.
  if (vm.memlock === undefined)
    return {
      is: 'unknown',
      because: `${need.text} have to be locked, and who starts QEMU decides whether they may`,
      seen,
      lines,
      fix,
    };
  return { is: 'fail', because: `${need.text} have to be locked, and ${limit} may be`, seen, lines, fix };
}

/** Whether a guest that translates finds as many mappings as it may make. */
export function mappingsNeeded(vm: Vm, picture: Picture): Calculated {
  if (vm.hostDevices.every(({ backend }) => backend === 'iommufd')) return none('iommufd has no limit of mappings');
  if (translated(vm).length === 0) return none('without a vIOMMU before its devices QEMU maps guest memory in a few pieces');
  const text = picture.parameters.vfio_iommu_type1?.dma_entry_limit;
  const need = dmaEntries({ memory: vm.memory.bytes, page: GUEST_PAGE, ...(text === undefined ? {} : { limit: Number(text) }) });
  const seen = [{ where: ENTRY_LIMIT, text: text ?? 'vfio_iommu_type1 is not loaded: its default counts' }];
  if (need.fits) return { is: 'pass', because: 'all guest memory can be mapped page by page', seen, lines: need.lines };
  return {
    is: 'unknown',
    because: `a guest that maps all its memory page by page needs ${need.result} mappings; with huge pages, or pass-through, far fewer`,
    seen,
    lines: need.lines,
    fix: [
      'boot the guest with iommu=pt, or give what it assigns on huge pages',
      `raise ${ENTRY_LIMIT}`,
      'use the iommufd backend',
    ],
  };
}

/** Whether all that the guest has can be mapped for its devices. */
export function addressesReached(vm: Vm, picture: Picture): Calculated {
  const layout = layoutOf(vm, picture);
  if (layout === undefined) return none(`where ${vm.machine || 'this machine'} has its memory is not known here`);
  const ends: bigint[] = [];
  const reserved: ReservedRegion[] = [];
  const seen: Evidence[] = [];
  const widths: CalculationLine[] = [];
  const unitsSeen = new Set<string>();
  for (const { bdf, pf } of vm.hostDevices) {
    const found = functionOf(picture, bdf ?? '') ?? functionOf(picture, pf ?? '');
    const unit = found?.unit === undefined ? undefined : unitNamed(picture, found.unit);
    if (unit === undefined || found?.group === undefined) continue;
    const group = groupNumbered(picture, found.group);
    reserved.push(...reservedOf(group));
    if (unitsSeen.has(unit.name)) continue;
    unitsSeen.add(unit.name);
    const kernel = { release: picture.system.kernel, cmdline: picture.system.cmdline };
    const aperture = apertureOf(
      { name: unit.name, amd: unit.amd !== undefined, ...(unit.cap === undefined ? {} : { cap: unit.cap }) },
      kernel,
    );
    if (aperture === undefined) return { ...none(''), is: 'unknown', because: `how far ${unit.name} reaches could not be read` };
    ends.push((1n << BigInt(aperture.bits)) - 1n);
    widths.push(...aperture.lines);
    seen.push({ where: `/sys/class/iommu/${unit.name}`, text: unit.cap === undefined ? unit.name : `cap ${unit.cap}` });
  }
  if (ends.length === 0) return none('no function that is given to it is behind a unit of this host');
  const iommu = iommuOf(vm);
  const bits = iommu?.kind === 'intel' ? Number(iommuSetting(vm, iommu, 'aw-bits')) : Number.NaN;
  if (bits >= 32 && bits <= 64) {
    ends.push((1n << BigInt(bits)) - 1n);
    widths.push({ text: `the vIOMMU has ${bits} bits`, source: `${vm.from}: aw-bits of ${iommu!.device.driver}` });
  }
  const ranges: AddressRange[] = iovaRanges(ends, reserved);
  const { lines, fits, result, outside } = highestAddress(layout, ranges);
  const all = [...widths, ...lines];
  if (fits) return { is: 'pass', because: `everything below 0x${result.toString(16)} can be mapped`, seen, lines: all };
  const missed = outside.map(({ what }) => what).join(', ');
  const fix = [
    'host-phys-bits-limit= of -cpu: firmware then puts BARs lower',
    'aw-bits= of the vIOMMU as wide as the host’s unit',
  ];
  // Without a mapping for BARs only DMA from device to device is lost.
  if (outside.every(({ what }) => what === WINDOW))
    return {
      is: 'unknown',
      because: `the ${missed} cannot all be mapped: devices that use BARs of each other would not work`,
      seen,
      lines: all,
      fix,
    };
  return {
    is: 'fail',
    because: `${missed} cannot all be mapped, and QEMU will not start`,
    seen,
    lines: all,
    fix: ['give the VM less memory', ...fix],
  };
}

/** Whether the 64-bit window of the firmware holds the BARs of what is given. */
export function barsPlaced(vm: Vm, picture: Picture): Calculated {
  const layout = layoutOf(vm, picture);
  const window = layout === undefined ? undefined : guestRegions(layout).regions.find(({ what }) => what === WINDOW);
  if (layout === undefined || vm.firmware !== 'ovmf' || window === undefined)
    return none('only OVMF has a window of a fixed size');
  const need = barWindow(layout.bars ?? [], Number(window.end - window.start) + 1);
  if (need.result === 0) return none('nothing that is given to it has a 64-bit BAR');
  const seen = vm.hostDevices.flatMap(({ bdf }) =>
    bdf === undefined ? [] : [{ where: `/sys/bus/pci/devices/${bdf}/resource`, text: `64-bit BARs of ${bdf}` }],
  );
  const lines = [...guestRegions(layout).lines, ...need.lines];
  if (need.fits) return { is: 'pass', because: `${need.result} bytes of BARs are within the window`, seen, lines };
  const mebibytes = 2 ** Math.ceil(Math.log2(need.result / 2 ** 20));
  return {
    is: 'fail',
    because: `${need.result} bytes of BARs are more than the window of the firmware`,
    seen,
    lines,
    fix: [
      '-cpu host,host-phys-bits=on: a recent OVMF then takes an eighth of the address space',
      `-fw_cfg name=opt/ovmf/X-PciMmio64Mb,string=${mebibytes}`,
    ],
  };
}

/** Reserved regions of a group as numbers; a line that is none is left out. */
export function reservedOf(group: IommuGroup | undefined): ReservedRegion[] {
  const address = (text: string) => (/^0x[0-9a-f]{1,16}$/i.test(text) ? BigInt(text) : undefined);
  return (group?.reserved ?? []).flatMap(({ start: from, end: to, type }) => {
    const [start, end] = [address(from), address(to)];
    return start === undefined || end === undefined ? [] : [{ start, end, type }];
  });
}

/** What the arithmetic needs of a VM; undefined for machines and firmware that it does not know. */
export function layoutOf(vm: Vm, picture: Picture): GuestLayout | undefined {
  const machine = /^(pc-)?q35\b/.test(vm.machine) ? 'q35' : /^pc(-i440fx)?\b/.test(vm.machine) ? 'pc' : undefined;
  if (vm.arch !== 'x86' || machine === undefined || vm.firmware === 'other' || vm.memory.bytes === 0) return undefined;
  const bits = physBits(vm, picture);
  const slots = Number(/slots=(\d{1,4})/.exec((vm.options.m ?? []).join())?.[1] ?? 0);
  return {
    machine,
    firmware: vm.firmware,
    memory: vm.memory.bytes,
    maxMemory: vm.memory.maximum,
    slots,
    bars: vm.hostDevices.flatMap(({ bdf, pf }) => barsOf(picture, bdf, pf)),
    amd:
      /epyc|opteron|athlon|phenom/i.test(vm.cpu.model) ||
      (vm.cpu.model === 'host' && /AuthenticAMD/.test(picture.texts['/proc/cpuinfo'] ?? '')),
    ...(bits === undefined ? {} : { physBits: bits }),
    ...(vm.mmio64 === undefined ? {} : { mmio64: vm.mmio64 }),
  };
}

/** Bits that the guest's processor shows, where they are those of a real one. Source: QEMU target/i386/host-cpu.c. */
function physBits({ cpu }: Vm, picture: Picture): number | undefined {
  const given = Number(cpu.props['phys-bits'] ?? 0);
  if (given >= 32 && given <= 52) return given;
  const asHost = cpu.props['host-phys-bits'] ?? (cpu.model === 'host' || cpu.model === 'max' ? 'on' : 'off');
  const host = Number(/^address sizes\s*: (\d{2}) bits physical/m.exec(picture.texts['/proc/cpuinfo'] ?? '')?.[1] ?? 0);
  if (asHost !== 'on' || host === 0) return undefined;
  const most = Number(cpu.props['host-phys-bits-limit'] ?? 0);
  return most > 0 ? Math.min(host, most) : host;
}

/** 64-bit BARs that go into the window; of a VF that is still to be made, by the resources of its PF. QEMU hides SR-IOV. */
function barsOf(picture: Picture, bdf: string | undefined, pf: string | undefined): BarSet[] {
  const own = functionOf(picture, bdf ?? '');
  const parent = own === undefined ? functionOf(picture, pf ?? '') : undefined;
  const each = parent?.sriov?.totalVFs ?? 1;
  const of =
    (first: number, last: number) =>
    ({ index }: { index: number }) =>
      first <= index && index <= last;
  return (
    (own ?? parent)?.resources
      .filter(own === undefined ? of(7, 12) : of(0, 5))
      .filter(({ width, prefetchable, size, space }) => space === 'memory' && width === 64 && prefetchable && size > 0)
      .map(({ size }) => ({ size: Math.floor(size / (own === undefined ? Math.max(1, each) : 1)), count: 1 })) ?? []
  );
}
