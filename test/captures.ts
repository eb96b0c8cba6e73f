import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { fromHex } from '../src/bits/index.ts';
import { ROOT, sharedData } from './data.ts';

/** One function in sysfs, as it was. */
export interface CapturedDevice {
  /** Its place in the tree: `/sys/devices/pci0000:00/...`. */
  path: string;
  /** Hexadecimal, trailing zeros cut. */
  config: string;
  configSize: number;
  /** Text of every readable attribute, or the errno of reading it. */
  attrs: { readonly [name: string]: string | { errno: string } };
  /** Base names of symbolic links: driver, iommu_group, physfn, virtfnN ... */
  links: { readonly [name: string]: string };
  /** Folders in it: names, or names with the text of the files. */
  dirs: { readonly [name: string]: readonly string[] | { readonly [file: string]: string | { errno: string } } };
}

export interface CapturedUnit {
  path: string;
  devices: string[];
  'intel-iommu': { readonly [attribute: string]: string };
  'amd-iommu': { readonly [attribute: string]: string };
}

/** The whole picture at one moment. */
export interface CapturedState {
  op: 'state';
  label: string;
  devices: { readonly [bdf: string]: CapturedDevice };
  groups: { readonly [group: string]: { type: string; reserved_regions: string; devices: string[] } };
  iommus: { readonly [name: string]: CapturedUnit };
  /** Names in folders of /sys/class. */
  classes: { readonly [name: string]: readonly string[] };
  /** Names in /dev/vfio. */
  devvfio: readonly string[];
  /** Of modules, by module and name. */
  parameters: { readonly [module: string]: { readonly [name: string]: string } };
  /** Files of /proc; `memtotal` is a line of meminfo and `cpuinfo0` the first processor of cpuinfo. */
  proc: { readonly [file: string]: string };
  /** Hexadecimal. */
  acpi: { readonly [table: string]: string };
  /** Lines of the kernel log about PCI, IOMMU and VFIO since the event before. */
  dmesg: readonly string[];
}

/** Something that was done between two states, and the kernel's answer. */
export interface CapturedStep {
  op: string;
  args?: string;
  path?: string;
  value?: string;
  /** `ok` or the name of an errno. */
  result?: string;
  viable?: boolean;
  /** What changed in sysfs: `-` before, `+` after; null is not watched. */
  changes?: readonly (readonly [sign: string, path: string, value: string])[] | null;
}

export interface Capture {
  name: string;
  /** Of the kernel. */
  release: string;
  /** How QEMU was started. */
  argv: string[];
  states: CapturedState[];
  /** States and steps in the order in which they were. */
  events: (CapturedState | CapturedStep)[];
}

export function isState(event: CapturedState | CapturedStep): event is CapturedState {
  return event.op === 'state';
}

/** The captures of the repository and, when it is there, of the collection beside it; each name once. */
export function captures(): { all: Capture[]; shared: number } {
  const own = join(ROOT, 'test/data/captures');
  const beside = sharedData('captures');
  const files = new Map<string, string>();
  for (const folder of [own, ...(beside ? [beside] : [])])
    for (const file of readdirSync(folder)) if (file.endsWith('.json.gz')) files.set(file, files.get(file) ?? join(folder, file));
  return { all: [...files.values()].map(readCapture), shared: beside ? files.size : 0 };
}

export function readCapture(path: string): Capture {
  const { name, uname, argv, events } = JSON.parse(gunzipSync(readFileSync(path)).toString()) as {
    name: string;
    uname: { release: string };
    argv: string[];
    events: (CapturedState | CapturedStep)[];
  };
  return { name, release: uname.release, argv, states: events.filter(isState), events };
}

/** For names of tests: over how many captures they run, and whether more could be had. */
export function tellCaptures({ all, shared }: { all: Capture[]; shared: number }): string {
  return shared ? `${all.length} captures` : `${all.length} captures of the repository; the larger collection is not here`;
}

/** The configuration space of a captured function, as long as sysfs said. */
export function configOf(device: CapturedDevice): Uint8Array {
  const bytes = new Uint8Array(device.configSize);
  bytes.set(fromHex(device.config));
  return bytes;
}

/** An attribute that could be read. */
export function attribute(device: CapturedDevice, name: string): string | undefined {
  const value = device.attrs[name];
  return typeof value === 'string' ? value : undefined;
}
