import { issueErrors } from './spec-issues.ts';
import { type OnOff, Vm, vmJsonSchema, type WrittenDevice, type WrittenVf, type WrittenVm } from './spec-schema.ts';
import { type Read, readAddress, readDuration, readInterface, readMac, readMemory, readPf } from './spec-units.ts';
import { readYaml, type Source, type SourcePlace, type SpecError, showPath, specError } from './spec-yaml.ts';

export type { SourcePlace, SpecError } from './spec-yaml.ts';

/** A virtual machine and the PCI functions that are passed through to it, as somebody wants it. */
export interface VmSpec {
  /** `[a-z0-9][a-z0-9._-]{0,62}` */
  name: string;
  /** Bytes, a multiple of 1 MiB. */
  memory: number;
  vcpus: number;
  machine: 'q35' | 'pc';
  firmware: 'seabios' | 'ovmf';
  /** As written: relative to the folder of the file. So are `kernel` and `initrd`. */
  disk?: string;
  kernel?: string;
  initrd?: string;
  append?: string;
  /** `auto`: one exactly when the guest needs it. */
  iommu: 'auto' | 'none' | 'intel' | 'intel-nested' | 'virtio';
  /** `vfio`: the guest itself assigns devices on. */
  needs: 'vfio'[];
  /** Whether a QEMU guest agent answers in the guest; apply waits for it. */
  agent: boolean;
  /** Seconds that apply waits for the guest. */
  timeout: number;
  devices: DeviceSpec[];
  /** What this guest runs in turn. */
  guests: VmSpec[];
}

/** Settings of a virtual function; absent is: leave it as it is. */
export interface VfSpec {
  /** Unicast, lower-case. */
  mac?: string;
  /** 0 is none. */
  vlan?: number;
  trust?: boolean;
  spoofchk?: boolean;
  /** NVMe virtual queue resources, the admin queue among them. */
  queues?: number;
  /** NVMe virtual interrupt resources. */
  interrupts?: number;
}

/** A function for the guest. `at` is where the file names it, so that a refusal can point there. */
export type DeviceSpec =
  /** A VF of `pf`: an interface, a PCI address (`0000:01:00.0`) or an NVMe controller (`nvme0`). */
  | { kind: 'vf'; pf: string; settings: VfSpec; at: SourcePlace }
  /** Lower-case, with its domain. */
  | { kind: 'address'; address: string; at: SourcePlace }
  | { kind: 'interface'; interface: string; at: SourcePlace };

/**
 * Reads a VM spec: YAML 1.2, or JSON, which is a part of it.
 *
 * @param text content of the file, at most 1 MiB
 * @param file its name, for the places in errors
 * @returns every error that was found, in the order of the file; never throws for what `text` holds
 */
export function parseSpec(text: string, file: string): { spec: VmSpec } | { errors: SpecError[] } {
  const source = readYaml(text, file);
  if ('errors' in source) return source;
  const result = Vm.safeParse(source.value, { reportInput: false });
  const errors = result.success ? contradictions(result.data, source) : issueErrors(result.error.issues, source);
  if (errors.length > 0) return { errors: errors.sort((a, b) => a.line - b.line || a.column - b.column) };
  return { spec: convert(result.data!, [], source) };
}

/** JSON Schema (draft 2020-12) of the file, with every default and description. */
export function specJsonSchema(): Record<string, unknown> {
  return vmJsonSchema();
}

/** Every error a line, as `file:line:column: path: expected ..., found ...`. */
export function formatSpecErrors(errors: readonly SpecError[], most = 20): string {
  const lines = errors.slice(0, most).map((error) => error.message);
  if (errors.length > most) lines.push(`... and ${errors.length - most} more`);
  return lines.join('\n');
}

type Path = readonly PropertyKey[];

/** What no single value shows: values that are right alone and wrong together. */
function contradictions(vm: WrittenVm, source: Source, path: Path = [], names: Map<string, string> = new Map()): SpecError[] {
  const errors: SpecError[] = [];
  const add = (where: Path, expected: string, found: string, advice?: string): void => {
    errors.push(specError(source.place([...path, ...where]), showPath([...path, ...where]), expected, found, advice));
  };
  const once = (seen: Map<string, string>, name: string, where: Path, what: string): void => {
    const first = seen.get(name);
    if (first === undefined) seen.set(name, showPath([...path, ...where]));
    else add(where, `${what} that is used once`, `${name}, which ${first} has already`);
  };
  once(names, vm.name, ['name'], 'a name');
  for (const key of ['initrd', 'append'] as const)
    if (vm[key] !== undefined && vm.kernel === undefined)
      add([key], 'a kernel beside it', 'none', 'firmware boots the disk and reads neither');
  if (vm.machine === 'pc' && vm.iommu.startsWith('intel')) add(['machine'], 'q35', 'pc', `iommu: ${vm.iommu} is a device of q35`);
  if (vm.iommu === 'none' && vm.needs.includes('vfio'))
    add(
      ['iommu'],
      'auto, intel, intel-nested or virtio',
      'none',
      'a guest that needs vfio assigns devices, and has to see an IOMMU for it',
    );
  const functions = new Map<string, string>();
  const macs = new Map<string, string>();
  for (const [index, device] of vm.devices.entries()) {
    const where = ['devices', index];
    if ('address' in device) once(functions, understood(readAddress(device.address)), [...where, 'address'], 'an address');
    else if ('interface' in device) once(functions, device.interface, [...where, 'interface'], 'an interface');
    else if (device.vf.mac !== undefined)
      once(macs, understood(readMac(device.vf.mac)), [...where, 'vf', 'mac'], 'a MAC address');
  }
  for (const [index, guest] of vm.guests.entries())
    errors.push(...contradictions(guest, source, [...path, 'guests', index], names));
  return errors;
}

function convert(vm: WrittenVm, path: Path, source: Source): VmSpec {
  const { disk, kernel, initrd, append } = vm;
  return {
    name: vm.name,
    memory: understood(readMemory(vm.memory)),
    vcpus: vm.vcpus,
    machine: vm.machine,
    firmware: vm.firmware,
    ...(disk !== undefined && { disk }),
    ...(kernel !== undefined && { kernel }),
    ...(initrd !== undefined && { initrd }),
    ...(append !== undefined && { append }),
    iommu: vm.iommu,
    needs: [...new Set(vm.needs)],
    agent: isOn(vm.agent),
    timeout: understood(readDuration(vm.timeout)),
    devices: vm.devices.map((device, index) => convertDevice(device, source.place([...path, 'devices', index]))),
    guests: vm.guests.map((guest, index) => convert(guest, [...path, 'guests', index], source)),
  };
}

function convertDevice(device: WrittenDevice, at: SourcePlace): DeviceSpec {
  if ('address' in device) return { kind: 'address', address: understood(readAddress(device.address)), at };
  if ('interface' in device) return { kind: 'interface', interface: understood(readInterface(device.interface)), at };
  return { kind: 'vf', pf: understood(readPf(device.pf)), settings: convertVf(device.vf), at };
}

function convertVf({ mac, vlan, trust, spoofchk, queues, interrupts }: WrittenVf): VfSpec {
  return {
    ...(mac !== undefined && { mac: understood(readMac(mac)) }),
    ...(vlan !== undefined && { vlan }),
    ...(trust !== undefined && { trust: isOn(trust) }),
    ...(spoofchk !== undefined && { spoofchk: isOn(spoofchk) }),
    ...(queues !== undefined && { queues }),
    ...(interrupts !== undefined && { interrupts }),
  };
}

const isOn = (value: OnOff): boolean => value === true || value === 'on';

/** The schema has read this value before, so it is one. */
function understood<T>(read: Read<T>): T {
  if ('advice' in read) throw new Error(`a value that the schema let pass was not understood: ${read.advice}`);
  return read.value;
}
