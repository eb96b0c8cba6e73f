/** A `-device` as QEMU was or will be told. */
export interface VmDevice {
  driver: string;
  id?: string;
  /** As given: the id of a bridge, a root bus such as `pcie.0`; undefined leaves it to QEMU. */
  bus?: string;
  /** Properties that were given, `-global` among them, with `on` and `off` for every way to write them. */
  props: Readonly<Record<string, string>>;
  /** As written, to be quoted. */
  text: string;
}

/** A function of the host that is given to the VM. */
export interface VmHostDevice {
  /** Where it stands in `devices`: QEMU makes them in that order. */
  at: number;
  device: VmDevice;
  /** With its domain; undefined when it is named in another way, such as a mediated device. */
  bdf?: string;
  /** Its PF, of a VF that may have to be made first. */
  pf?: string;
  backend: 'container' | 'iommufd';
  /** The conventional PCI bridge of the guest it is behind: everything behind it shares one address space. */
  bridge?: string;
  /** It is below a host bridge that bypasses the vIOMMU. */
  bypasses: boolean;
}

/** A piece of guest memory with a backend of its own. Sizes are bytes. */
export interface VmMemory {
  id: string;
  bytes: number;
  /** A file on hugetlbfs, or huge pages of a memfd. `pageSize` is undefined when only the mount point would tell. */
  hugepages?: { path?: string; pageSize?: number };
  shared: boolean;
  prealloc: boolean;
  /** NUMA nodes of the host that it is bound to; undefined when it may lie anywhere. */
  hostNodes?: readonly number[];
}

export type VmIommuKind = 'intel' | 'amd' | 'virtio' | 'smmu';

/** A virtual IOMMU. */
export interface VmIommu {
  kind: VmIommuKind;
  /** Where it stands in `devices`; -1 when it comes with the machine. */
  at: number;
  device: VmDevice;
}

/** What the installed QEMU says it has; `QemuCapabilities` is one. */
export interface VmQemu {
  version: string;
  /** Properties by device, for those that were asked about. */
  devices: Readonly<Record<string, Readonly<Record<string, { default?: string }>>>>;
  absent: Readonly<Record<string, string>>;
}

/** A VM as far as its problems depend on it, whatever it was described with. Sizes are bytes. */
export interface Vm {
  name: string;
  /** Where the evidence is: `QEMU command line`, or the file of the spec. */
  from: string;
  arch: 'x86' | 'other';
  /** `q35`, `pc-q35-9.2`, `pc`, `microvm`, `virt` ... as given. */
  machine: string;
  machineProps: Readonly<Record<string, string>>;
  /** `kvm`, `tcg` ... */
  accel: string;
  /** In force: what was given, or what QEMU takes without. */
  kernelIrqchip: 'on' | 'off' | 'split';
  cpu: { model: string; props: Readonly<Record<string, string>> };
  /** `highestApicId` is undefined for other architectures. */
  vcpus: { count: number; maximum: number; highestApicId?: number };
  /** `maximum`: to which it can be grown. */
  memory: { bytes: number; maximum: number; locked: boolean; backends: readonly VmMemory[] };
  firmware: 'seabios' | 'ovmf' | 'other';
  /** The 64-bit PCI window that OVMF is told to have. */
  mmio64?: number;
  /** The kind of confidential guest: `sev-snp-guest`, `tdx-guest` ... */
  confidential?: string;
  /** In the order in which QEMU makes them. */
  devices: readonly VmDevice[];
  iommus: readonly VmIommu[];
  hostDevices: readonly VmHostDevice[];
  /** Other options with their values, each as often as it was given. */
  options: Readonly<Record<string, readonly string[]>>;
  /** Bytes that QEMU may lock, when whoever starts it sets that; else the limit of the shell or service counts. */
  memlock?: number;
  /** VFs to be made or taken, by the address of their PF. */
  vfs: readonly { pf: string; count: number }[];
  /** It assigns devices on: to guests of its own, or to user space. Undefined when nobody said. */
  assignsOn?: boolean;
  /** It runs guests of its own. Undefined when nobody said. */
  nests?: boolean;
  qemu?: VmQemu;
}

/** The vIOMMU; only the first counts, for QEMU refuses a second on x86. */
export function iommuOf(vm: Vm): VmIommu | undefined {
  return vm.iommus[0];
}

/** Host devices whose DMA the vIOMMU translates. */
export function translated(vm: Vm): VmHostDevice[] {
  const iommu = iommuOf(vm);
  return iommu === undefined ? [] : vm.hostDevices.filter(({ at, bypasses }) => !bypasses && at > iommu.at);
}

/** What a property of the vIOMMU is: as given, or the default that the help of this QEMU prints; `on` or `off` for a bool. */
export function iommuSetting(vm: Vm, iommu: VmIommu, name: string): string | undefined {
  const preset = vm.qemu?.devices[iommu.device.driver]?.[name]?.default;
  // Older QEMUs print `true` and `false`.
  return iommu.device.props[name] ?? (preset === 'true' ? 'on' : preset === 'false' ? 'off' : preset);
}

/** Every interrupt controller is in the kernel, where QEMU sees no message of the I/O APIC. Source: QEMU hw/i386/x86-iommu.c. */
export function irqchipInKernel(vm: Vm): boolean {
  return vm.accel === 'kvm' && vm.kernelIrqchip === 'on';
}

/**
 * Whether the vIOMMU remaps interrupts. Without a word (`auto`) QEMU does it when its irqchip allows.
 * Source: QEMU hw/i386/x86-iommu.c x86_iommu_realize(). virtio-iommu has no interrupt remapping.
 */
export function remapsInterrupts(vm: Vm, iommu: VmIommu): boolean {
  if (iommu.kind !== 'intel' && iommu.kind !== 'amd') return iommu.kind === 'smmu';
  const { intremap } = iommu.device.props;
  return intremap === 'on' || (intremap !== 'off' && !irqchipInKernel(vm));
}

/** What a Vm is described with, as evidence. */
export function quote(vm: Vm, device: VmDevice): { where: string; text: string } {
  return { where: vm.from, text: device.text };
}

/** The spellings of the property that gives the guest a first stage of its own, oldest first. */
export const FIRST_STAGE: readonly string[] = ['x-flts', 'flts', 'fsts'];

/** The property that asks for a first stage of the guest, when one is on. */
export function firstStageAsked({ device }: VmIommu): string | undefined {
  return FIRST_STAGE.find((name) => device.props[name] === 'on');
}
