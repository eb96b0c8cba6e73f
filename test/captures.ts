import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
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

/** Captures that a test runs over. */
export interface Captures {
  all: Capture[];
  /** How many there are to be had; 0 when the collection beside the repository is not there. */
  shared: number;
  /** The collection is there and every one of it is in `all`. */
  whole: boolean;
}

/** Of the collection beside the repository, the quick tests read one of so many. */
const ONE_OF = 4;

/**
 * The captures of the repository, which have each kind of machine, and of the collection beside it, when it is there, one of four
 * in the order of their names; all of them when SLUICE_CAPTURES is `all`, as in the whole `npm test`. Each name is there once.
 */
export function captures(): Captures {
  const files = captureFiles();
  const everyOne = process.env.SLUICE_CAPTURES === 'all';
  const taken = files.filter(({ own, place }) => own || everyOne || place % ONE_OF === 0);
  const shared = files.some(({ own }) => !own) ? files.length : 0;
  return { all: taken.map(({ path }) => readCapture(path)), shared, whole: shared > 0 && taken.length === files.length };
}

/** One capture, whether or not it is of those that the quick tests read; undefined when it is not there. */
export function captureNamed(name: string): Capture | undefined {
  const file = captureFiles().find(({ path }) => basename(path) === `${name}.json.gz`);
  return file && readCapture(file.path);
}

/** Those of the repository, then those that are only in the collection, each with its place in the order of names. */
function captureFiles(): { path: string; own: boolean; place: number }[] {
  const list = (folder: string) =>
    readdirSync(folder)
      .filter((file) => file.endsWith('.json.gz'))
      .sort();
  const own = join(ROOT, 'test/data/captures');
  const names = list(own);
  const beside = sharedData('captures');
  const others = beside === undefined ? [] : list(beside).filter((name) => !names.includes(name));
  return [
    ...names.map((name, place) => ({ path: join(own, name), own: true, place })),
    ...others.map((name, place) => ({ path: join(beside!, name), own: false, place })),
  ];
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
export function tellCaptures({ all, shared, whole }: Captures): string {
  if (shared === 0) return `${all.length} captures of the repository; the larger collection is not here`;
  return whole ? `${all.length} captures` : `${all.length} of ${shared} captures`;
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
