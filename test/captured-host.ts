import { fromHex } from '../src/bits/index.ts';
import { type Host, HostError, type KernelLine } from '../src/host/host.ts';
import { type Capture, type CapturedState, configOf } from './captures.ts';
import { FOLDER, type Place, Tree, treeHost } from './tree-host.ts';

/**
 * One captured state as a host: the same paths, links and errnos that the kernel showed. What was not recorded (mounts,
 * routes, other processes, rtnetlink, the controller behind an NVMe device) is not there, and nothing can be changed.
 *
 * @param more places to add or to replace, for what a test wants to be otherwise
 */
export function capturedHost(capture: Capture, state: CapturedState, more: { readonly [path: string]: Place } = {}): Host {
  const tree = new Tree();
  for (const [bdf, device] of Object.entries(state.devices)) {
    tree.add(`/sys/bus/pci/devices/${bdf}`, linkTo('/sys/bus/pci/devices', device.path));
    for (const [name, value] of Object.entries(device.attrs))
      tree.add(`${device.path}/${name}`, typeof value === 'string' ? `${value}\n` : value);
    for (const [name, target] of Object.entries(device.links))
      tree.add(`${device.path}/${name}`, linkTo(device.path, targetOf(state, name, target)));
    tree.add(`${device.path}/config`, configOf(device));
    for (const [name, content] of Object.entries(device.dirs)) {
      // On AMD the remapping unit is a function itself and has the folder of its class; the unit fills it below.
      tree.add(`${device.path}/${name}`, FOLDER);
      if (Array.isArray(content)) for (const child of content) tree.add(`${device.path}/${name}/${child}`, FOLDER);
      else
        for (const [file, text] of Object.entries(content))
          tree.add(`${device.path}/${name}/${file}`, typeof text === 'string' ? `${text}\n` : text);
    }
    for (const kind of ['net', 'nvme'])
      for (const name of namesIn(device.dirs[kind]))
        tree.add(`/sys/class/${kind}/${name}`, linkTo(`/sys/class/${kind}`, `${device.path}/${kind}/${name}`));
  }
  for (const folder of ['/sys/kernel/iommu_groups', '/sys/class/iommu']) tree.add(folder, FOLDER);
  for (const [number, group] of Object.entries(state.groups)) {
    const at = `/sys/kernel/iommu_groups/${number}`;
    tree.add(`${at}/type`, `${group.type}\n`);
    tree.add(`${at}/reserved_regions`, `${group.reserved_regions}\n`);
    tree.add(`${at}/devices`, FOLDER);
    for (const bdf of group.devices) tree.add(`${at}/devices/${bdf}`, linkTo(`${at}/devices`, placeOf(state, bdf)));
  }
  for (const [name, unit] of Object.entries(state.iommus)) {
    tree.add(`/sys/class/iommu/${name}`, linkTo('/sys/class/iommu', unit.path));
    for (const bdf of unit.devices) tree.add(`${unit.path}/devices/${bdf}`, linkTo(`${unit.path}/devices`, placeOf(state, bdf)));
    for (const kind of ['intel-iommu', 'amd-iommu'] as const)
      for (const [attribute, text] of Object.entries(unit[kind])) tree.add(`${unit.path}/${kind}/${attribute}`, `${text}\n`);
  }
  tree.add('/sys/class/net/lo', linkTo('/sys/class/net', '/sys/devices/virtual/net/lo'));
  tree.add('/sys/devices/virtual/net/lo', FOLDER);
  for (const [module, parameters] of Object.entries(state.parameters))
    for (const [name, text] of Object.entries(parameters)) tree.add(`/sys/module/${module}/parameters/${name}`, `${text}\n`);
  for (const name of state.devvfio) tree.add(`/dev/vfio/${name}`, '');
  for (const [table, digits] of Object.entries(state.acpi)) tree.add(`/sys/firmware/acpi/tables/${table}`, fromHex(digits));
  const { memtotal = '', cpuinfo0 = '', ...proc } = state.proc;
  tree.add('/proc/meminfo', `${memtotal}\n`);
  tree.add('/proc/cpuinfo', `${cpuinfo0}\n`);
  for (const [name, text] of Object.entries(proc)) tree.add(`/proc/${name}`, `${text}\n`);
  tree.add('/proc/sys/kernel/osrelease', `${capture.release}\n`);
  // The recorder was the init process.
  tree.add('/proc/self/status', 'Name:\tinit\nUid:\t0\t0\t0\t0\n');
  for (const [path, place] of Object.entries(more)) tree.add(path, place);
  const host = treeHost(tree);
  return treeHost(tree, {
    name: `${capture.name} ${state.label}`,
    files: { ...host.files, kernelLog: async () => logUntil(capture, state) },
    links: {
      list: async () => {
        throw new HostError('network interfaces', 'were not recorded', 'EOPNOTSUPP');
      },
      setUp: async (name) => readOnly(name),
      setVf: async (name) => readOnly(name),
    },
  });
}

/** The lines of the kernel log up to that moment; of the recorder's choice, which has all about PCI, IOMMU and VFIO. */
function logUntil(capture: Capture, state: CapturedState): KernelLine[] {
  return capture.states
    .slice(0, capture.states.indexOf(state) + 1)
    .flatMap(({ dmesg }) => dmesg)
    .flatMap((line) => {
      const [, seconds, text] = /^\[ *(\d+\.\d+)\] (.*)$/.exec(line) ?? [];
      return seconds === undefined || text === undefined ? [] : { at: Math.round(Number(seconds) * 1e6), level: 6, text };
    });
}

function readOnly(what: string): never {
  throw new HostError(what, 'this host is a record and cannot be changed', 'EROFS');
}

function namesIn(content: CapturedState['devices'][string]['dirs'][string] | undefined): readonly string[] {
  return Array.isArray(content) ? (content as readonly string[]) : [];
}

function placeOf(state: CapturedState, bdf: string): string {
  return state.devices[bdf]?.path ?? `/sys/devices/gone/${bdf}`;
}

/** The capture has the last component of a link; where it leads follows from what kind of link it is. */
function targetOf(state: CapturedState, name: string, target: string): string {
  if (name === 'driver') return `/sys/bus/pci/drivers/${target}`;
  if (name === 'iommu_group') return `/sys/kernel/iommu_groups/${target}`;
  if (name === 'iommu') return state.iommus[target]?.path ?? `/sys/devices/gone/${target}`;
  if (name === 'physfn' || /^virtfn\d+$/.test(name)) return placeOf(state, target);
  return `/sys/devices/elsewhere/${target}`;
}

/** A relative link, as sysfs makes them. */
function linkTo(from: string, to: string): Place {
  const here = from.split('/');
  const there = to.split('/');
  let same = 0;
  while (same < there.length - 1 && here[same] === there[same]) same++;
  return { link: [...here.slice(same).map(() => '..'), ...there.slice(same)].join('/') };
}
