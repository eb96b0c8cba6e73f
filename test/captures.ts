import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { fromHex } from '../src/bits/index.ts';
import { ROOT, sharedData } from './data.ts';

/** One function in sysfs, as it was. */
export interface CapturedDevice {
  path: string;
  /** Hexadecimal, trailing zeros cut. */
  config: string;
  configSize: number;
  /** Text of every readable attribute, or the errno of reading it. */
  attrs: { readonly [name: string]: string | { errno: string } };
  /** Base names of symbolic links: driver, iommu_group, physfn, virtfnN ... */
  links: { readonly [name: string]: string };
}

/** The whole picture at one moment. */
export interface CapturedState {
  op: 'state';
  label: string;
  devices: { readonly [bdf: string]: CapturedDevice };
  groups: { readonly [group: string]: { type: string; devices: string[] } };
  acpi: { readonly [table: string]: string };
}

export interface Capture {
  name: string;
  states: CapturedState[];
}

/** The captures of the repository and, when it is there, of the collection beside it; each name once. */
export function captures(): { all: Capture[]; shared: number } {
  const own = join(ROOT, 'test/data/captures');
  const beside = sharedData('captures');
  const files = new Map<string, string>();
  for (const folder of [own, ...(beside ? [beside] : [])])
    for (const file of readdirSync(folder)) if (file.endsWith('.json.gz')) files.set(file, files.get(file) ?? join(folder, file));
  const all = [...files.values()].map((path) => {
    const { name, events } = JSON.parse(gunzipSync(readFileSync(path)).toString()) as {
      name: string;
      events: ({ op: string } & CapturedState)[];
    };
    return { name, states: events.filter((event) => event.op === 'state') };
  });
  return { all, shared: beside ? files.size : 0 };
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
