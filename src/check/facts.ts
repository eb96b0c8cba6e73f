import type { PciFunction } from '../host/functions.ts';
import type { KernelLine } from '../host/host.ts';
import type { Picture } from '../host/picture.ts';
import type { Evidence, Verdict } from './check.ts';

/** Where an attribute of a function is. */
export function at(found: PciFunction, attribute: string): string {
  return `/sys/bus/pci/devices/${found.bdf}/${attribute}`;
}

export function pass(because: string, ...seen: Evidence[]): Verdict {
  return { is: 'pass', because, seen };
}

export function unknown(because: string, ...seen: Evidence[]): Verdict {
  return { is: 'unknown', because, seen };
}

export function notApplicable(because: string, ...seen: Evidence[]): Verdict {
  return { is: 'not-applicable', because, seen };
}

/** Why a path could not be read, or undefined when it was read or is not there. */
export function withheld({ unread }: Picture, path: string): string | undefined {
  return unread.find(({ what }) => what === path)?.because;
}

/** `1 unit`, `2 units` */
export function counted(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}

/** `a, b and 30 more`: the first `most` by name. */
export function listed(names: readonly string[], most = 8): string {
  if (names.length <= most) return names.join(', ');
  return `${names.slice(0, most).join(', ')} and ${names.length - most} more`;
}

/** A question about functions that can be given away: of a bridge it is not asked. */
export function ofEndpoints(
  run: (picture: Picture, found: PciFunction) => Verdict,
): (picture: Picture, found: PciFunction) => Verdict {
  return (picture, found) => (isBridge(found) ? notApplicable('it is a bridge, and stays with the host') : run(picture, found));
}

/** Bridges stay with the host; the class tells where the header could not be read. */
export function isBridge(found: PciFunction): boolean {
  return (found.headerType !== undefined && found.headerType !== 0) || found.class >>> 16 === 0x06;
}

/**
 * How the running kernel was built: the value of an option such as `CONFIG_INTEL_IOMMU`, `n` when it is not set, and undefined
 * when the file of the distribution is not there.
 */
export function kernelConfig({ texts, system }: Picture, option: string): string | undefined {
  const text = texts[configPath(system.kernel)];
  if (text === undefined) return undefined;
  return new RegExp(`^${option}=(.*)$`, 'm').exec(text)?.[1] ?? 'n';
}

export function configPath(kernel: string): string {
  return `/boot/config-${kernel}`;
}

/** Whether the kernel is at least `major`.`minor`; undefined when its release is not known. */
export function kernelAtLeast({ system }: Picture, major: number, minor: number): boolean | undefined {
  const match = /^(\d+)\.(\d+)/.exec(system.kernel);
  if (match === null) return undefined;
  const [own, ownMinor] = [Number(match[1]), Number(match[2])];
  return own > major || (own === major && ownMinor >= minor);
}

/** Lines of the kernel log that match, the first `most` of them; undefined when the log could not be read. */
export function logLines({ log }: Picture, re: RegExp, most = 3): { lines: Evidence[]; count: number } | undefined {
  if (log === undefined) return undefined;
  const found = log.filter(({ text }) => re.test(text));
  return { lines: found.slice(0, most).map(evidence), count: found.length };
}

/** The log holds the lines of booting, too: the kernel keeps only the newest. */
export function logFromBoot({ log }: Picture): boolean {
  return log?.slice(0, 5).some(({ text }) => /^Linux version /.test(text)) ?? false;
}

function evidence({ at: microseconds, text }: KernelLine): Evidence {
  return { where: `kernel log, ${(microseconds / 1e6).toFixed(3)} s`, text };
}

/**
 * Whether the kernel remaps interrupts, as the names of its interrupt chips tell on Intel and AMD alike: `IR-PCI-MSI`,
 * `IR-IO-APIC`. Undefined when /proc/interrupts was not read or shows neither. Source: Linux arch/x86/kernel/apic, drivers/iommu.
 */
export function remappedChips({ texts }: Picture): { is: boolean; seen: Evidence } | undefined {
  const where = '/proc/interrupts';
  const chips = texts[where]?.match(/(?<=\s)(IR-)?(PCI-MSIX?|IO-APIC|HPET-MSI|HPET_MSI)(?=[\s-])/g);
  if (chips == null || chips.length === 0) return undefined;
  const names = [...new Set(chips)].sort();
  return { is: names.some((name) => name.startsWith('IR-')), seen: { where, text: names.join(' ') } };
}
