import type { PciFunction } from '../host/functions.ts';
import type { Picture } from '../host/picture.ts';
import type { Verdict } from './check.ts';
import type { Vm } from './vm.ts';

/** A message that a problem shows itself with. */
export interface Message {
  in: 'qemu' | 'kernel' | 'write' | 'libvirt' | 'dpdk' | 'fw' | 'guest';
  /** Of two problems that share a line the one is closer whose match is longer: what is only looked ahead at does not count. */
  re: RegExp;
  /** A made-up instance, with invented addresses. */
  example: string;
  /** `src` the text is in the source named; `seen` it was produced by a real one; `rep` taken from reports; `mem` from memory. */
  proof: 'src' | 'seen' | 'rep' | 'mem';
  /** A normal line, which means something only together with a signal. */
  marker?: true;
}

/** Where a problem can be seen before a VM is started. `{d}` is /sys/bus/pci/devices/BDF, `{g}` /sys/kernel/iommu_groups/N. */
export interface Signal {
  read: string;
  when: string;
  /** `certain`: the failure follows from it. */
  sure: 'certain' | 'likely' | 'hint';
}

/** One question that tells whether a problem is there: `fail` says that it is. */
export type Rule =
  | { about: 'host'; asks: string; run(picture: Picture): Verdict }
  | { about: 'function'; asks: string; run(picture: Picture, found: PciFunction): Verdict }
  | { about: 'vm'; asks: string; run(vm: Vm, picture: Picture): Verdict };

export const CATEGORIES = [
  'platform',
  'group',
  'bind',
  'reset',
  'memory',
  'bar',
  'sriov',
  'viommu',
  'guest',
  'confidential',
] as const;

/**
 * Something that is known to go wrong in passthrough.
 *
 * `severity`: `blocker` the VM or the VFs cannot be started; `broken` it starts, and the device does not work or the host may be
 * harmed; `risk` isolation is weaker than it seems; `slow`; `misread` nothing is wrong, the message is commonly misunderstood.
 */
export interface Problem {
  /** Stable, never used again for another. */
  id: string;
  title: string;
  category: (typeof CATEGORIES)[number];
  severity: 'blocker' | 'broken' | 'risk' | 'slow' | 'misread';
  /** Where the evidence is: the host, a guest that assigns on, or either. */
  at: 'L0' | 'L1' | 'any';
  /** Empty when the fault is silent. */
  says: readonly Message[];
  why: string;
  see: readonly Signal[];
  /** Safest first. */
  fix: readonly string[];
  /** Wrong fixes, look-alikes, checks that lie. */
  beware: string;
  /** `gh:OWNER/REPO#N`, `linux:PATH` (6.1 unless said), `qemu:PATH` (10.0 unless said), `spec:...`. */
  sources: readonly string[];
  /** Empty when nothing that can be read before tells. */
  rules: readonly Rule[];
}
